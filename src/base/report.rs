//! Reports and warnings. They go to `tracing` with the feature of that name, and to stderr without
//! it.

#[cfg(feature = "test-util")]
use std::cell::RefCell;
use std::fmt::Arguments;

/// Reports a failure that no caller or joiner will be told of.
#[cold]
pub(crate) fn error(message: Arguments<'_>) {
    #[cfg(feature = "test-util")]
    if collected(message) {
        return;
    }
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

#[cfg(feature = "test-util")]
thread_local! {
    /// The failures that were reported on this thread, if they are collected.
    static COLLECTED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Collects a failure, if this thread collects them.
#[cfg(feature = "test-util")]
fn collected(message: Arguments<'_>) -> bool {
    let collects = COLLECTED.try_with(|collected| collected.borrow().is_some());
    if collects != Ok(true) {
        return false;
    }
    // The message may hold values of the user's, so it is made outside of the borrow.
    let message = message.to_string();
    COLLECTED.with_borrow_mut(|collected| collected.as_mut().map(|all| all.push(message)).is_some())
}

/// Calls `f`, and returns the failures that were reported on this thread meanwhile, which are not
/// written anywhere.
#[cfg(feature = "test-util")]
pub(crate) fn collect<R>(f: impl FnOnce() -> R) -> (R, Vec<String>) {
    struct Restore(Option<Vec<String>>);

    impl Drop for Restore {
        fn drop(&mut self) {
            COLLECTED.replace(self.0.take());
        }
    }

    let outer = Restore(COLLECTED.replace(Some(Vec::new())));
    let result = f();
    let reported = COLLECTED.take().unwrap_or_default();
    drop(outer);
    (result, reported)
}
