//! [`run`]: a hub for a program with a synchronous `main`.

use super::HubBuilder;
use crate::handles::JoinError;

/// Runs `f` as the root fiber of a hub of its own, and returns its result.
///
/// It makes a [`LocalRuntime`](tokio::runtime::LocalRuntime) with I/O and time enabled, so every tokio future can be waited for and `spawn_local` works.
/// When `f` has ended, the hub closes: fibers that are left are cancelled, at
/// each wait, and run returns when all of them have ended. Then the runtime and
/// its tasks are dropped.
///
/// For settings see [`Hub::builder`](crate::Hub::builder).
///
/// # Ctrl-C
///
/// On the main thread, Ctrl-C (SIGINT) cancels `f` with the message "interrupted",
/// as [`cancel`](crate::FiberHandle::cancel) would: at the wait that it is in, at
/// the next one that does not end at once, or at
/// [`check_cancelled`](crate::check_cancelled). If `f` catches it and goes on, it
/// can be interrupted again. Nobody else is: not the other fibers, which are
/// cancelled when the hub closes, and no other hub.
///
/// If it comes again before `f` got the first, because `f` computes, blocks the thread or is in a
/// [`shield`](crate::shield()), it ends the process, as it does by default. When `f` has ended and run
/// still waits for fibers, the first one is reported, with the names of the fibers, and the second
/// ends the process. When only jobs of [`blocking`](crate::blocking()) and `spawn_blocking` are left,
/// which nothing can stop, the next one ends the process; if `f` was interrupted before, run says
/// after a second that it waits for them. [`HubBuilder::close_timeout`] bounds all of this.
///
/// When run has returned, Ctrl-C ends the process again. What is left behind is a
/// signal handler that sees to it, even if the program has others, such as those
/// of tokio's `ctrl_c`. A program that handles Ctrl-C itself, before, beside or
/// after its hub, says so with [`ignore_interrupt`](HubBuilder::ignore_interrupt):
/// then run does nothing about it, and leaves a handler behind that does nothing.
/// Another call of run on the main thread decides anew.
///
/// On other threads than the main one (that std calls "main"), run does not touch
/// Ctrl-C. Neither does a hub on a runtime that the program has made. Whether
/// Ctrl-C was ignored when the program started is not looked at.
///
/// On Windows, a second Ctrl-C ends the process only if the hub could notice the
/// first: Ctrl-Break ends one that is stuck. And when run has returned, listeners
/// of tokio's that the program has keep Ctrl-C from ending it.
///
/// # Errors
///
/// If `f` was cancelled, by Ctrl-C for one.
///
/// # Panics
///
/// With the panic of `f`, after the hub has closed. Inside a fiber or async code,
/// where it would block the runtime. If the runtime or the root fiber's stack
/// cannot be made.
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
#[track_caller]
pub fn run<F, T>(f: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    HubBuilder::new().run(f)
}
