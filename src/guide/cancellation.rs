//! Cancellation, deadlines and every way to end.
//!
//! # What a cancel is
//!
//! [`cancel`](crate::Fiber::cancel) asks a fiber to end. The fiber learns it at the
//! wait that it is in, or at the next one it reaches (or at
//! [`check_cancelled`](crate::check_cancelled)): that call does not return but
//! unwinds the stack with a [`Cancelled`](crate::Cancelled), as a panic would, so
//! destructors run. The panic hook is not called. The fiber's joiner gets a
//! [`JoinError`](crate::JoinError) with [`is_cancelled`](crate::JoinError::is_cancelled).
//!
//! * A fiber that has not run yet never runs; its closure is dropped, on its stack.
//! * One call is delivered once. Code that catches it, with
//!   [`catch_cancel`](crate::catch_cancel) or because it catches all panics, goes
//!   on, and can be cancelled again.
//! * Several cancels before the delivery are one; the first message counts.
//! * It is looked at before the future is polled. So if what a fiber waits for and
//!   a cancel arrive together, the cancel wins and what has arrived is not taken.
//! * It is held off in [`shield`](crate::shield), in
//!   [`assert_no_switchpoints`](crate::assert_no_switchpoints), and on a stack that
//!   is, or may be, unwinding. Then it stays pending.
//! * [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) returns it instead. That is the way for
//!   `extern "C"` callbacks, through which nothing may unwind (the process aborts,
//!   as for any panic there), and for destructors.
//! * Once the fiber's closure has returned, a cancel does not change its result any
//!   more. It may still end a destructor of a [`fiber_local!`](crate::fiber_local)
//!   that waits, and only that destructor.
//!
//! Ctrl-C under [`run`](crate::run#ctrl-c) is a cancel of the root fiber.
//!
//! A *deadline* of [`with_timeout`](crate::with_timeout) is delivered like a
//! cancel, but at each wait inside its call until that call has ended. A *close*
//! of the hub is delivered at each wait of each fiber.
//!
//! # What is lost
//!
//! Waiting is as cancel safe as dropping the future that is waited for: nothing is
//! taken from it once it is cancelled. What matters is what the future holds.
//!
//! | call | when it is cancelled or runs out of time |
//! |---|---|
//! | `future.wait()`, `wait_or_cancelled`, `wait_timeout`, `wait_until` | the future is dropped; lost is what it would lose by that |
//! | ... of `mpsc::Receiver::recv`, `Notify::notified`, `Semaphore::acquire`, `Mutex::lock` | nothing: the message, permit or lock goes to the next |
//! | ... of a `oneshot::Receiver` | the receiver, so the sender learns it; `(&mut receiver).wait()` loses nothing |
//! | ... of `mpsc::Sender::send` | the message that was being sent; `reserve().wait()` first loses nothing |
//! | ... of `AsyncReadExt::read`, `TcpListener::accept` | nothing |
//! | ... of `read_exact`, `read_to_end`, `write_all` | how far it had come: bytes may have been moved |
//! | `read`, `fill_buf`, `write`, `flush` of an [`io::Blocking`](crate::io::Blocking) | nothing; `read_exact`, `write_all` and the like are several of these, and lose how far they had come |
//! | `next` of a [`WaitIter`](crate::stream::WaitIter) | no item |
//! | [`wait_send`, `wait_feed`](crate::stream::WaitSink) | the item, unless it was sent |
//! | [`sleep`](crate::sleep), [`sleep_until`](crate::sleep_until), [`yield_now`](crate::yield_now()) | nothing |
//! | [`park`](crate::park) | nothing: it takes no token |
//! | [`SwitchBack`](crate::SwitchBack) | it is dropped, with what it was fired with, and its cleanups run; `(&mut switch_back).wait()` loses nothing |
//! | [`Fiber::join`](crate::Fiber::join) | nothing: join again |
//! | awaiting or waiting for a [`Fiber`](crate::Fiber) itself | the handle, so the fiber is detached; wait for `&mut fiber` or `join()` to keep it |
//! | [`scope`](crate::scope()) | the result of its closure; its children are cancelled and waited for |
//! | [`bridge`](crate::bridge()) | its body is unwound; with it what the body holds |
//! | a read of an [`io::AsyncReader`](crate::io::AsyncReader), an item of a [`stream::from_iter`](crate::stream::from_iter()) | nothing; dropping the reader or stream itself unwinds what is inside |
//! | a write to an [`io::AsyncWriter`](crate::io::AsyncWriter) | nothing was written; a flush or shutdown goes on with the next call |
//! | [`Hub::close`](crate::Hub::close), [`close_within`](crate::Hub::close_within) | nothing: the close goes on |
//! | [`Hub::run_until`](crate::Hub::run_until) (dropped) | the hub ends abruptly, see below |
//!
//! # Waiting in destructors
//!
//! A destructor may wait. While its fiber is not unwinding there is nothing
//! special about it.
//!
//! While the fiber unwinds, by its own panic or by a cancel, std counts a panic for
//! the whole thread. If the fiber suspended there, everybody else on the thread
//! would see [`std::thread::panicking`]: std's mutexes, unlocked meanwhile, would
//! be poisoned. So:
//!
//! * a wait that can return an error polls once and, if that is not enough, returns
//!   it: [`wait_or_cancelled`](crate::Wait::wait_or_cancelled), [`wait_timeout`](crate::Wait::wait_timeout),
//!   [`wait_until`](crate::Wait::wait_until), the calls of an
//!   [`io::Blocking`](crate::io::Blocking), so that a `BufWriter` in a fiber that is
//!   cancelled flushes what there is room for, and an
//!   [`io::Sink`](crate::io::Sink). Prefer these in destructors;
//! * a bare [`wait`](crate::Wait::wait) has no error to return, and suspends. Until
//!   that destructor is done, cancels and deadlines of other fibers on the thread
//!   that may themselves be unwinding are put off. (A fiber that began its wait
//!   while nobody was unwinding gets its own at once.)
//!
//! # How a hub ends
//!
//! *Closed*, by [`Hub::close`](crate::Hub::close), at the end of
//! [`run`](crate::run) and of [`Hub::run_until`](crate::Hub::run_until): new fibers
//! are refused, the others are cancelled at each wait, and go on being run until
//! they have ended. Destructors may wait.
//!
//! *Abruptly*, when its runtime, its `run_until` or a bridge is dropped: each fiber
//! is unwound at once, from the wait that it is in. There is nobody left to wake it,
//! so it cannot wait again: what can return an error does, without a poll, and a
//! bare `wait` *abandons* the fiber. Its stack is then leaked, with everything that
//! is on it, never freed or reused, since others may hold pointers into it; a
//! warning names the fiber, and its joiner gets an error. If it was unwinding just
//! then, its thread counts as panicking for ever: from then on, cancels reach waits
//! that begin there only through `wait_or_cancelled`, and a close ends those abruptly that
//! it cannot reach. A borrowing bridge
//! ([`bridge_borrowed`](crate::bridge_borrowed)) cannot be leaked, so the process
//! is aborted instead.
//!
//! *With its thread*: nothing is resumed, unwound or freed when a thread ends with
//! suspended fibers, since their frames may refer to thread-locals that are gone.
//! All is leaked, with a warning.
//!
//! # Without unwinding
//!
//! In a build with `panic = "abort"`, a cancel, a deadline or a close reaches only
//! `wait_or_cancelled`. [`with_timeout`](crate::with_timeout) panics, saying so. An abrupt
//! end leaks the stacks of suspended fibers, and so does the end of
//! [`run`](crate::run) for fibers that are left and did not end by themselves.
