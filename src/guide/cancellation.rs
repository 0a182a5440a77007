//! Cancellation, deadlines and all the ways a fiber or hub can end.
//!
//! # What a cancel is
//!
//! [`cancel`](crate::Fiber::cancel) asks a fiber to end. The cancel is delivered at the
//! fiber's current wait, or at the next wait or [`check_cancelled`](crate::check_cancelled)
//! it reaches: that call does not return but unwinds the stack with a
//! [`Cancelled`](crate::Cancelled), as a panic would, so destructors run. The panic hook is
//! not called. The fiber's joiner receives a [`JoinError`](crate::JoinError) for which
//! [`is_cancelled`](crate::JoinError::is_cancelled) is true.
//!
//! * A fiber that has not run yet never runs. Its closure is dropped on its stack.
//! * Each cancel is delivered once. Code that catches it, with
//!   [`catch_cancel`](crate::catch_cancel) or because it catches all panics, continues and
//!   can be cancelled again.
//! * Several cancels before the delivery count as one, with the message of the first.
//! * The cancel is checked before the future is polled. If a cancel and the awaited value
//!   arrive together, the cancel wins and the value is not taken.
//! * The cancel stays pending inside [`shield`](crate::shield), inside
//!   [`assert_no_switchpoints`](crate::assert_no_switchpoints), and on a stack that is, or
//!   may be, unwinding.
//! * [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) returns the cancel as an error
//!   instead of unwinding. Use it in destructors and in `extern "C"` callbacks, which must
//!   not unwind (the process aborts, as for any panic there).
//! * Once the fiber's closure has returned, a cancel no longer changes its result. It can
//!   still end a waiting destructor of a [`fiber_local!`](crate::fiber_local), and only
//!   that destructor.
//!
//! Ctrl-C under [`run`](crate::run#ctrl-c) cancels the root fiber.
//!
//! A *deadline* set by [`with_timeout`](crate::with_timeout) is delivered like a cancel,
//! but at every wait inside that call until the call has ended. The failure of a child is
//! delivered so to the body of a [`try_scope`](crate::try_scope()), and the *close* of a hub to
//! every fiber.
//!
//! # What is lost
//!
//! Cancelling a wait is equivalent to dropping its future: a cancelled wait takes nothing
//! more from the future. What is lost depends on what the future holds.
//!
//! | call | what is lost if it is cancelled or times out |
//! |---|---|
//! | `future.wait()`, `wait_or_cancelled`, `wait_timeout`, `wait_until` | what the future loses when it is dropped |
//! | ... of `mpsc::Receiver::recv`, `Notify::notified`, `Semaphore::acquire`, `Mutex::lock` | nothing: the message, permit or lock goes to the next waiter |
//! | ... of a `oneshot::Receiver` | the receiver, so the sender sees it closed; `(&mut receiver).wait()` loses nothing |
//! | ... of `mpsc::Sender::send` | the message that was being sent; `reserve().wait()` first loses nothing |
//! | ... of `AsyncReadExt::read`, `TcpListener::accept` | nothing |
//! | ... of `read_exact`, `read_to_end`, `write_all` | its progress: bytes may have been transferred |
//! | `read`, `fill_buf`, `write`, `flush` of an [`io::Blocking`](crate::io::Blocking) | nothing; `read_exact`, `write_all` and similar consist of several calls, and lose their progress |
//! | `io::ready`, `io::until_ready` | nothing: readiness is not used up |
//! | `next` of a [`WaitIter`](crate::stream::WaitIter) | no item |
//! | [`wait_send`, `wait_feed`](crate::stream::WaitSink) | the item, unless it was sent |
//! | [`sleep`](crate::sleep), [`sleep_until`](crate::sleep_until), [`yield_now`](crate::yield_now()) | nothing |
//! | [`park`](crate::park), [`thread::park`](crate::thread::park) | nothing: the token is not taken |
//! | `lock`, `read`, `write`, `acquire` of [`sync`](crate::sync) | nothing; a guard that is held meanwhile [poisons its lock](super::synchronisation#cancels-and-poison) |
//! | `recv`, `get` of [`sync::mpsc`](crate::sync::mpsc) and the queues | nothing: the message goes to the next |
//! | `send`, `put` of these | the message, unless it was sent |
//! | [`sync::Condvar::wait`](crate::sync::Condvar::wait) | the guard; a notification goes to the next |
//! | [`sync::Barrier::wait`](crate::sync::Barrier::wait) | the arrival is taken back |
//! | [`thread::JoinHandle::join`](crate::thread::JoinHandle::join) | the handle, so the fiber is detached |
//! | [`SwitchBack`](crate::SwitchBack) | the `SwitchBack` and the value it was fired with; its cleanups run; `(&mut switch_back).wait()` loses nothing |
//! | [`Fiber::join`](crate::Fiber::join) | nothing: join again |
//! | awaiting or waiting for a [`Fiber`](crate::Fiber) itself | the handle, so the fiber is detached; wait for `&mut fiber` or `join()` to keep it |
//! | [`Fiber::cancel_on_drop`](crate::Fiber::cancel_on_drop), [`HubPool::call`](crate::HubPool::call) | the work: dropping the future cancels the fiber |
//! | [`scope`](crate::scope()) | the result of its closure; its children are cancelled, and the scope waits for them |
//! | [`try_scope`](crate::try_scope()) | the same, and the errors of its children |
//! | [`bridge`](crate::bridge()) | what its body holds: the body is unwound |
//! | a read, a write or an item of [`HubPool::reader`](crate::HubPool::reader), [`output`](crate::HubPool::output), [`writer`](crate::HubPool::writer) or [`iter`](crate::HubPool::iter) | nothing; dropping the stream itself cancels its fiber |
//! | a read of an [`io::AsyncReader`](crate::io::AsyncReader), an item of a [`stream::from_iter`](crate::stream::from_iter()) | nothing; dropping the reader or stream itself unwinds the body inside |
//! | a write to an [`io::AsyncWriter`](crate::io::AsyncWriter) | nothing: no byte of a cancelled write was written; the next call continues a flush or shutdown |
//! | [`Hub::close`](crate::Hub::close), [`close_within`](crate::Hub::close_within) | nothing: the close continues |
//! | [`Hub::run_until`](crate::Hub::run_until) (dropped) | the hub ends abruptly, see below |
//!
//! # Clients that hang up
//!
//! A server such as hyper or axum drops the future of a handler when the client hangs up. A fiber
//! whose handle is dropped is detached and goes on, for nobody. One behind
//! [`HubPool::call`](crate::HubPool::call) or
//! [`Fiber::cancel_on_drop`](crate::Fiber::cancel_on_drop) is cancelled, and ends at its current or
//! next wait.
//!
//! The future is dropped only when the server sees the hang-up:
//!
//! * HTTP/1 servers look for it by reading the connection. While the body of the request has not
//!   been read to its end, hyper does not read ahead of it, so nothing is seen. Read the body before
//!   the call, or in the fiber, where the read returns the error.
//! * A client that shuts down only its writing half, and still wants the answer, looks the same.
//!   hyper takes it for a hang-up, unless its `half_close` is set.
//! * A connection that is cut without a packet is not seen before something is sent. Set a deadline.
//! * A fiber that computes is not interrupted. Let it call
//!   [`check_cancelled`](crate::check_cancelled) now and then.
//!
//! # Waiting in destructors
//!
//! A destructor may wait. If its fiber is not unwinding, no special rules apply.
//!
//! While a fiber unwinds, from its own panic or from a cancel, std counts a panic for the
//! whole thread. If the fiber suspended there, every other fiber and task on the thread
//! would see [`std::thread::panicking`] return true, and std mutexes that they unlock would
//! be poisoned. Therefore:
//!
//! * A wait that can return an error polls the future once, and returns the error if the
//!   future is not ready. The waits of this kind are
//!   [`wait_or_cancelled`](crate::Wait::wait_or_cancelled),
//!   [`wait_timeout`](crate::Wait::wait_timeout), [`wait_until`](crate::Wait::wait_until),
//!   and the calls of an [`io::Blocking`](crate::io::Blocking) or an
//!   [`io::Sink`](crate::io::Sink). A `BufWriter` in a cancelled fiber, for example,
//!   flushes as much as can be written at once. Prefer these calls in destructors.
//! * A bare [`wait`](crate::Wait::wait) has no error to return, and suspends. Until that
//!   destructor is done, cancels and deadlines of other fibers on the thread are put off if
//!   those fibers may themselves be unwinding. A fiber that began its wait while nothing on
//!   the thread was unwinding gets its cancel at once.
//!
//! # How a hub ends
//!
//! *Closed*, by [`Hub::close`](crate::Hub::close) or at the end of [`run`](crate::run) and
//! of [`Hub::run_until`](crate::Hub::run_until): the hub refuses new fibers, cancels the
//! others at each of their waits, and runs them until they have ended. Destructors may
//! wait.
//!
//! *Abruptly*, when its runtime or its `run_until` is dropped: each fiber is unwound at once from
//! its current wait. (So is the body of a bridge that is dropped.) Nothing is left that could wake a
//! fiber, so it cannot wait again. A call that can return an error, such as `wait_or_cancelled`,
//! returns it without a poll; a `wait`, which cannot, *abandons* the fiber. An abandoned stack is
//! leaked with everything on it: it is never freed or reused, because others may hold pointers into
//! it. A warning names the fiber, and its joiner gets an error.
//!
//! If the fiber was unwinding when it was abandoned, its thread counts as panicking from
//! then on. Cancels then reach waits that begin on this thread only through
//! `wait_or_cancelled`, and a close abruptly ends the fibers that it cannot reach. The
//! stack of a borrowing bridge ([`bridge_borrowed`](crate::bridge_borrowed)) cannot be
//! leaked, so the process aborts instead.
//!
//! *With its thread*: when a thread ends with suspended fibers, nothing is resumed, unwound
//! or freed, because the fibers' frames may refer to destroyed thread-locals. Everything is
//! leaked, with a warning.
//!
//! # Without unwinding
//!
//! In a build with `panic = "abort"`, a cancel, a deadline or a close reaches only
//! `wait_or_cancelled`. [`with_timeout`](crate::with_timeout) panics with a message that
//! says so. An abrupt end leaks the stacks of suspended fibers; so does the end of
//! [`run`](crate::run) for fibers that have not returned on their own.
