//! [`set_overflow_report`]: whether an overflow is reported.

use super::sys;

/// Sets whether the overflow of a fiber's stack is reported. It is, unless this
/// was called with `false`.
///
/// A stack that overflows runs into a guard, and the process dies in any case.
/// With the report it says before, on stderr, which fiber it was, how large the
/// stack is and how it is made larger, and then aborts, as it does when a thread's
/// stack overflows.
///
/// For that, a handler of SIGSEGV is installed when the first stack of a fiber is
/// made. Everything but such an overflow goes on to the handler that was there
/// before, such as std's, which reports overflows of threads. (It is called as a
/// function: of the flags that it was installed with, only `SA_SIGINFO` counts.) A
/// thread that has no alternate signal stack, since std did not start it, gets one.
///
/// The setting is the process's. To have no handler at all, turn it off before the
/// first hub or bridge is made. Turned off later, the handler stays, and passes
/// everything on.
///
/// There is a report on Linux only; elsewhere this does nothing.
///
/// # Examples
///
/// ```
/// switchback::set_overflow_report(false);
/// switchback::run(|| { /* no signal handler was touched */ }).unwrap();
/// ```
pub fn set_overflow_report(enabled: bool) {
    sys::set_overflow_report(enabled);
}
