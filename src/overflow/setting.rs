//! [`set_overflow_report`]: whether an overflow is reported.

use super::sys;

/// Sets whether the overflow of a fiber's stack is reported. By default it is.
///
/// A stack that overflows runs into a guard, and the process dies in any case. With the
/// report, the process first prints to stderr which fiber overflowed, the size of its stack
/// and how to enlarge it. It then dies as it does when a thread's stack overflows.
///
/// # Unix systems
///
/// The report exists on Linux, macOS and FreeBSD; on other unix systems this does nothing. It needs
/// a handler of SIGSEGV, and outside of Linux of SIGBUS, which is installed when the first hub or
/// bridge is created. It passes every other such signal on to the previous handler, such as
/// std's, which reports overflows of threads. (The previous handler is called as a function: of the
/// flags that it was installed with, only `SA_SIGINFO` counts.) A thread without an alternate signal
/// stack, because std did not start it, gets one.
///
/// # Windows
///
/// The report needs a vectored exception handler, which is installed when the first hub or bridge
/// is created, before others. It passes every exception on, so that std also reports the thread
/// on which the fiber ran. A thread that hubs or bridges are created on gets a stack guarantee of 20
/// KiB, which std asks for too, if it has less.
///
/// # The setting
///
/// The setting applies to the whole process. To have no handler at all, turn the report off
/// before the first hub or bridge is created. If it is turned off later, the handler stays
/// installed and passes everything on.
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
