//! Where reports and warnings go: to `tracing` with the feature of that name,
//! to stderr without it.

use std::fmt::Arguments;

/// Something failed that nobody will be told of otherwise.
#[cold]
pub(crate) fn error(message: Arguments<'_>) {
    #[cfg(feature = "tracing")]
    subscriber(|| tracing::error!("{message}"));
    #[cfg(not(feature = "tracing"))]
    write(message);
}

/// Something was lost or will not work from now on.
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
    // Not `eprintln!`, which panics where stderr is closed.
    let _ = writeln!(std::io::stderr(), "switchback: {message}");
}

/// Calls the subscriber, which is not our code: its panic must not end what we were doing. It cannot
/// be reported either, so it is dropped in silence.
#[cfg(feature = "tracing")]
fn subscriber(report: impl FnOnce()) {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    if let Err(payload) = catch_unwind(AssertUnwindSafe(report)) {
        std::mem::forget(payload);
    }
}
