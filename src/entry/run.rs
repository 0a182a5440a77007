//! [`run`]: a hub for a program with a synchronous `main`.

use super::HubBuilder;
use crate::handles::JoinError;

/// Runs `f` as the root fiber of a hub of its own, and returns its result.
///
/// This makes a [`LocalRuntime`](tokio::runtime::LocalRuntime) with I/O and time enabled, so fibers
/// can wait for every tokio future and can call `spawn_local`. When `f` has ended, the hub closes:
/// the remaining fibers are cancelled at each of their waits. When all have ended, the runtime and
/// its tasks are dropped, and `run` returns.
///
/// For settings, see [`Hub::builder`](crate::Hub::builder).
///
/// # Ctrl-C
///
/// On the main thread, Ctrl-C (SIGINT) cancels `f` with the message "interrupted", as
/// [`cancel`](crate::FiberHandle::cancel) would: at its current wait or, if it does not wait, at the
/// next wait for something that is not ready, or at [`check_cancelled`](crate::check_cancelled). If
/// `f` catches the cancel and continues, it can be interrupted again. Ctrl-C affects no other fiber
/// and no other hub; the other fibers are cancelled when the hub closes.
///
/// If it comes again before `f` got the first, because `f` computes, blocks the thread or is in a
/// [`shield`](crate::shield()), it ends the process, as it does by default. While a fiber has the thread,
/// so that `f` cannot get the first, a report names that fiber and says so. When `f` has ended and run
/// still waits for fibers, the first one is reported, with the names of the fibers, and the second
/// ends the process. When only jobs of [`blocking`](crate::blocking()) and `spawn_blocking` are left,
/// which nothing can stop, the next one ends the process; if `f` was interrupted before, run says
/// after a second that it waits for them. [`HubBuilder::close_timeout`] bounds all of this.
///
/// After `run` has returned, Ctrl-C ends the process again. For that, a signal handler stays
/// installed, which ends the process even if the program has other handlers, such as tokio's `ctrl_c`. A
/// program that handles Ctrl-C itself, before, during or after its hub, should call
/// [`ignore_interrupt`](HubBuilder::ignore_interrupt). `run` then ignores Ctrl-C, and the handler
/// that stays installed does nothing. Each call of `run` on the main thread decides anew.
///
/// On threads other than the main thread (the one that std calls "main"), `run` does not touch
/// Ctrl-C. Neither does a hub on a runtime that the program has made. `run` does not check whether
/// Ctrl-C was ignored when the program started.
///
/// On unix systems a thread of its own, which `run` starts and ends, makes that report. On Windows there
/// is none, and a second Ctrl-C ends the process only if the hub could notice the first; Ctrl-Break
/// ends a hub that is stuck. After `run` has returned, listeners of tokio's that the program has
/// keep Ctrl-C from ending it.
///
/// # Errors
///
/// Returns an error if `f` was cancelled, for example by Ctrl-C.
///
/// # Panics
///
/// Panics with the panic of `f`, after the hub has closed. Panics inside a fiber or async code,
/// where `run` would block the runtime, and if the runtime or the root fiber's stack cannot be
/// made.
///
/// # Examples
///
/// ```
/// use switchback::{prelude::*, spawn};
///
/// let answer = switchback::run(|| {
///     let mut fiber = spawn(|| 6 * 7);
///     fiber.join().wait().unwrap()
/// });
/// assert_eq!(answer.unwrap(), 42);
/// ```
#[doc(alias = "block_on")]
#[doc(alias = "runBlocking")]
#[track_caller]
pub fn run<F, T>(f: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    HubBuilder::new().run(f)
}
