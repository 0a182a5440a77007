//! [`set_overflow_report`]: whether an overflow is reported.

use super::sys;

/// Sets whether the overflow of a fiber's stack is reported. By default it is.
///
/// A stack that overflows runs into a guard, and the process dies in any case. With the
/// report, the process first prints to stderr which fiber overflowed, the size of its stack
/// and how to enlarge it. It then aborts, as it does when a thread's stack overflows.
///
/// The report needs a handler of SIGSEGV, which is installed when the first hub or bridge
/// is created. It passes every other SIGSEGV on to the previous handler, such as std's,
/// which reports overflows of threads. (The previous handler is called as a function: of
/// the flags that it was installed with, only `SA_SIGINFO` counts.) A thread without an
/// alternate signal stack, because std did not start it, gets one.
///
/// The setting applies to the whole process. To have no handler at all, turn the report off
/// before the first hub or bridge is created. If it is turned off later, the handler stays
/// installed and passes everything on.
///
/// The report exists on Linux only; elsewhere this does nothing.
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
