//! Where reports and warnings go: to `tracing` with the feature of that name,
//! to stderr without it.

use std::fmt::Arguments;

/// Something failed that nobody will be told of otherwise.
#[cold]
pub(crate) fn error(message: Arguments<'_>) {
    #[cfg(feature = "tracing")]
    contain(|| tracing::error!("{message}"));
    #[cfg(not(feature = "tracing"))]
    write(message);
}

/// Something was lost or will not work from now on.
#[cold]
pub(crate) fn warn(message: Arguments<'_>) {
    #[cfg(feature = "tracing")]
    contain(|| tracing::warn!("{message}"));
    #[cfg(not(feature = "tracing"))]
    write(message);
}

#[cfg(not(feature = "tracing"))]
fn write(message: Arguments<'_>) {
    use std::io::Write as _;
    // Not `eprintln!`, which panics where stderr is closed.
    let _ = writeln!(std::io::stderr(), "switchback: {message}");
}

/// A subscriber is not our code: its panic must not end what we were doing.
#[cfg(feature = "tracing")]
fn contain(report: impl FnOnce()) {
    if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(report)) {
        std::mem::forget(payload);
    }
}
