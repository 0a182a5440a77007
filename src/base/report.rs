//! Reports and warnings. They go to `tracing` with the feature of that name, and to stderr without
//! it.

use std::fmt::Arguments;

/// Reports a failure that no caller or joiner will be told of.
#[cold]
pub(crate) fn error(message: Arguments<'_>) {
    #[cfg(feature = "tracing")]
    subscriber(|| tracing::error!("{message}"));
    #[cfg(not(feature = "tracing"))]
    write(message);
}

/// Warns that something was lost, or will not work from now on.
#[cold]
pub(crate) fn warn(message: Arguments<'_>) {
    #[cfg(feature = "tracing")]
    subscriber(|| tracing::warn!("{message}"));
    #[cfg(not(feature = "tracing"))]
    write(message);
}

#[cfg(not(feature = "tracing"))]
fn write(message: Arguments<'_>) {
    use std::io::Write as _;
    // Unlike `eprintln!`, this does not panic if stderr is closed.
    let _ = writeln!(std::io::stderr(), "switchback: {message}");
}

/// Calls the subscriber, which is foreign code: a panic in it must not stop our own code. The panic
/// cannot be reported either, so it is dropped silently.
#[cfg(feature = "tracing")]
fn subscriber(report: impl FnOnce()) {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let reported = super::half_way::call(|| catch_unwind(AssertUnwindSafe(report)));
    if let Err(payload) = reported {
        std::mem::forget(payload);
    }
}
