//! Errors by their text: what each message means, and what to do.
//!
//! Search this page for the part of the message that does not vary. `CALL` stands for what was
//! called, such as `` `.wait()` `` or `` `scope` ``; `NAME`, `ERROR` and the like for what the
//! message names.
//!
//! # From the compiler
//!
//! **`` no method named `wait` found ``**: import the trait, with `use switchback::prelude::*;`.
//! Only futures, and what can become one, have this method.
//!
//! **`cannot be sent between threads safely`**, of a `bridge` in `tokio::spawn`, or of a fiber's
//! closure for a [`HubPool`](crate::HubPool): a bridge never changes threads; await it in the main
//! task or a `LocalSet`, or use a pool. Closures for a pool are `Send`; create what is not `Send`
//! inside the closure.
//!
//! **`` the trait `Handler<_, _>` is not implemented ``**, by axum, of a handler that awaits a `bridge`: a
//! bridge is not `Send`, which `#[axum::debug_handler]` says. Call the code in a fiber of a
//! [`HubPool`](crate::HubPool), with [`call`](crate::HubPool::call).
//!
//! **`closure may outlive the current function`**, **`borrowed value does not live long enough`**,
//! for [`spawn`](crate::spawn()): a fiber may outlive its parent. `move` values into it, or spawn
//! it in a [`scope`](crate::scope()), which may borrow.
//!
//! **`` `TYPE` cannot be read through a shared reference ``**, **`` `TYPE` cannot be written
//! through a shared reference ``** (`` tokio's sockets and pipes can be; other streams have to
//! implement `SharedRead`, or come apart with `Blocking::into_split` ``; `` tokio's sockets and
//! pipes can be; other streams have to implement `SharedWrite`, or come apart with
//! `Blocking::into_split` ``): use `&mut` access, or split the stream.
//!
//! **`` a fiber-local is declared as in `static NAME: TYPE = VALUE;`: its first value is made in each
//! fiber that uses it ``**: tokio's `task_local!` has no first values; take an `Option`, which
//! [`LocalKey::scope`](crate::LocalKey::scope) sets in async code.
//!
//! **`Ctrl-C is known on unix systems and Windows only`**: the target has neither.
//!
//! # A wait in the wrong place
//!
//! **`` CALL would block the runtime; use `.await`, or move this code into `switchback::spawn` or
//! `bridge` ``**, or **`` send this code to a `HubPool` ``**: a call that waits was made in async
//! code. There, `.await` the future. Synchronous code that calls `.wait()` runs in a fiber or in a
//! [`bridge`](crate::bridge()). A call in std's shape has no future; its text names what has:
//! `` await a `switchback::sleep` ``, `` await a `switchback::sleep_until` ``,
//! `` await a `switchback::yield_now` ``, `` await a `tokio::sync::Notify` ``, `` await `lock_async` ``,
//! `` await `read_async` ``, `` await `write_async` ``, `` await `wait_async` ``,
//! `` await `wait_while_async` ``, `` await `send_async` ``, `` await `recv_async` ``,
//! `` await `acquire_async` ``, `` await `put_async` ``, `` await `get_async` ``, `` await `join_async` ``,
//! `` await `LazyLock::force_async` `` (for `` a use of a `LazyLock` ``), `` await a `Mutex::lock_async` ``,
//! `use tokio's sockets`, `` use `tokio::fs` ``, `` use `tokio::process` ``,
//! `` use `tokio::io::stdin` ``.
//!
//! **`` CALL inside a future's `poll`, or a destructor that it runs, would suspend the executor
//! half way; use `.await` there, or wait outside of the future ``**: the fiber is polling a future,
//! whose code called `.wait()`. Inside a future, `.await`.
//!
//! **`CALL in a callback of the hub would stop every fiber; spawn a fiber that waits`**: callbacks
//! of [`run_callback`](crate::Hub::run_callback) and `Hub::poll` run on the hub itself.
//!
//! **`` CALL in a waker, or where the items of a `PriorityQueue` are compared, would suspend the code that
//! calls it half way; let the waker wake something that waits, and compare without waiting ``**: a waker of
//! your own waits when it is cloned, woken or dropped, or the `cmp` of an item does.
//!
//! **`` CALL inside an executor that was entered on this stack (a `block_on`, a guard of
//! `Handle::enter`, or a destructor that a runtime runs for a task) would suspend that executor
//! half way; wait outside of it ``**: end the guard, or leave the `block_on`, before the wait.
//! `CALL` is `a wait` if another runtime was entered only after the check.
//!
//! **`` CALL is a switchpoint and was called inside `assert_no_switchpoints`; wait before or after
//! that block ``**: the block did what it is for. `` a function that calls `switchpoint()` `` says
//! that such a function was called.
//!
//! **`CALL was refused at PLACE, on a stack that may be unwinding; since a panic could abort the
//! process there, the stack is abandoned`**: a destructor waited in one of the places above. Use
//! [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) in destructors.
//!
//! **`` `switchback::run` would block the runtime that drives this code; use `switchback::spawn`
//! and join the fiber ``**: [`run`](crate::run()) is for a synchronous `main`.
//!
//! **`` CALL was called on a plain thread, where there is no hub for its fibers; call it in a fiber,
//! such as the body of `switchback::run`, or use `std::thread::scope` ``**: as it says.
//!
//! **`` `park()` was called outside of a fiber, where nobody could unpark it; on a plain thread use
//! `std::thread::park`, in async code await a `tokio::sync::Notify` ``**: as it says.
//!
//! **`` `with_timeout` was called outside of a fiber, where nothing can end its body; in async code
//! use `tokio::time::timeout`, on a plain thread `wait_timeout` at each wait ``**: as it says.
//!
//! **`` `with_timeout` ends its body by unwinding, which `panic = "abort"` rules out; use
//! `wait_timeout` at each wait ``**: the build cannot unwind.
//!
//! **`` `try_scope` ends its body by unwinding, which `panic = "abort"` rules out; use `scope` ``**: the
//! build cannot unwind.
//!
//! # Waiting for oneself
//!
//! **`a fiber cannot join itself: it would wait for ever; let another one join it`**, **`a fiber
//! cannot wait for the close of its own hub: it would wait for itself; close it from its root fiber
//! or from async code`**, **`` a fiber cannot wait for the end of its own hub's thread: it would wait
//! for itself; close it from outside, or begin the close by dropping the `HubThread` or `HubPool`
//! ``**, **`` a blocking job cannot wait for the end of the hub's thread that waits for its end;
//! close it from outside, or begin the close by dropping the `HubThread` or `HubPool` ``**: let
//! somebody else wait.
//!
//! **`this join blocks the thread of the hub that has to run fiber 'NAME': it would wait for ever;
//! await it in the runtime`**, **`this wait blocks the thread of the hub whose close it waits for: it
//! would wait for ever; await it in the runtime`**: code outside of the runtime waits on the only
//! thread that could do the work. Join inside `block_on`.
//!
//! **`` this wait blocks a thread of `compute`, which may have to do what it waits for; use rayon's
//! `join` or `scope` there ``**: jobs of `compute` do not wait for each other.
//!
//! # No hub
//!
//! **`` there is no tokio runtime here for a hub to run on; call this inside a current-thread runtime
//! (`#[tokio::main(flavor = "current_thread")]`), or start one with `switchback::run` ``**: as it
//! says.
//!
//! **`` there is no hub on a multi-thread runtime; send the fiber to a `HubPool` or a `HubThread`,
//! or, in the main task, wrap that in `Hub::run_until` ``**: see
//! [multi-thread applications](super::multi_thread).
//!
//! **`` this thread does not drive the runtime that is current on it (is this `spawn_blocking`?), so
//! a hub made here would never run; make the fiber on the runtime's own thread ``**: send the closure
//! there with a [`HubHandle`](crate::HubHandle).
//!
//! **`the hub of this runtime belongs to the thread NAME; make the fiber there`**: as before.
//!
//! **`the thread is ending: no fibers run in the destructors of its thread-locals; make the fiber
//! before the thread ends`**: see [the limits](super::limits#undefined-behaviour).
//!
//! **`the hub is closed: it takes no new fibers; make the fiber before the hub closes, or on a hub of
//! another runtime`**, **`the hub is closed: it takes no new fibers or callbacks; send them
//! before it closes, or to another hub`**, **`the hub is
//! closed: it takes no new callbacks; queue them before its last fiber has ended`**, **`the hub or
//! pool is closed: it takes no new fibers`**: `run` has returned, `close` was called, or the pool was
//! dropped.
//!
//! **`` the queue of the pool of hubs is full; send fewer at a time, or await `call`, which is never
//! refused ``**: the limits of [`max_fibers`](crate::HubBuilder::max_fibers) and
//! [`max_queued`](crate::HubBuilder::max_queued) are reached.
//!
//! **`cannot make a runtime for the hub: ERROR`**, **`the hub's thread panicked at its start`**,
//! **`cannot start the runtime that keeps the time for plain threads`**, **`cannot start the thread
//! that keeps the time for plain threads: ERROR`**, **`` the threads of `compute` cannot be started:
//! ERROR ``**, **`cannot start the thread that looks at the slices of fibers: ERROR`**: the system
//! refused a thread or a descriptor.
//!
//! **`a pool of hubs needs at least one hub`**, **`the name of a hub's thread must not contain a zero
//! byte`**, **`` the threads of `compute` were started before ``**: the arguments, or the order of the
//! calls.
//!
//! # How a fiber ended
//!
//! A [`JoinError`](crate::JoinError) says `fiber 'NAME'` (`fiber 'Fiber-7'`, if it was given none) and
//! one of these:
//!
//! **`panicked`**, **`panicked with message "MESSAGE"`**: the fiber's own panic.
//! [`into_panic`](crate::JoinError::into_panic) returns its payload. With **`, and nobody joins it`**
//! behind it, this is a report: keep the handle and join the fiber.
//!
//! **`was cancelled`**, **`was cancelled: MESSAGE`**: by a cancel. The message is that of
//! [`cancel_with`](crate::Fiber::cancel_with), or one of ours: `interrupted` after Ctrl-C under
//! [`run`](crate::run()); `the hub is closing`; `the hub has ended`; `its hub ended before it had
//! begun`; `deadline has elapsed`, of a `with_timeout` around it; `the scope is unwinding`, or `the
//! scope was interrupted`, if its parent was ended; or why no stack could be allocated. Of pools and
//! sets: `its pool of hubs is closed`, and `the future that waited for it was dropped`. In a
//! [`try_scope`](crate::try_scope()): `another fiber of its scope has failed`, or `it has failed, and
//! its scope has the error`.
//!
//! **`was abandoned: it waited again while its stack was being unwound, and was leaked`**: see [how a
//! hub ends](super::cancellation#how-a-hub-ends).
//!
//! **`never ran: its hub was made on a thread that does not drive its runtime`**: as under *No hub*.
//!
//! **`was lost with its hub: the hub's thread ended, or its runtime was dropped on another thread`**:
//! close the hub before its thread ends.
//!
//! **`a scoped fiber panicked`**: join the fibers of a scope to get at their panics.
//!
//! **`` `JoinError::into_panic` on an error that is no panic: ERROR; ask `is_panic` first ``**:
//! [`is_panic`](crate::JoinError::is_panic) tells a panic from another end.
//!
//! **`the result of fiber 'NAME' was taken by an earlier join; keep what that returned`**: a result can
//! be taken once.
//!
//! # Time and cancellation
//!
//! **`deadline has elapsed`**: an [`Elapsed`](crate::Elapsed), of `wait_timeout`, `with_timeout` or a
//! timeout of a [`Blocking`](crate::io::Blocking).
//!
//! **`the fiber is unwinding and cannot wait`**, **`the hub has ended and the fiber cannot wait`**: a
//! destructor asked for something that was not ready at once. See [waiting in
//! destructors](super::cancellation#waiting-in-destructors).
//!
//! **`there is no dump: hub 'NAME' on thread 'NAME' did not answer within DURATION, because its thread is
//! kept by`**, and the fiber or `code that is no fiber`: it computes or blocks. See
//! [hangs](super::hangs#a-fiber-blocks-the-thread).
//!
//! **`there is no dump: the hub has ended`**: nothing is left to see.
//!
//! **`the hub did not close within DURATION`**, with `; still alive: NAMES` or `; busy threads:
//! NAMES`: a [`CloseTimeout`](crate::CloseTimeout). Each fiber is `NAME (spawned at PLACE)`; at most a
//! dozen are named. These fibers wait in `shield`, catch their
//! cancel, or compute; these threads do not come back to their hub. See
//! [it hangs at the end](super::hangs#it-hangs-at-the-end).
//!
//! **`no switcher was fired in time`**, **`a switcher threw an error`**, **`every switcher was
//! dropped without being fired`**: the [`SwitchError`](crate::SwitchError)s. In the last case the
//! library dropped its callback without calling it.
//!
//! **`` a `SwitchBack` was waited for again after it was ready: it is fired once; make a new one for
//! each wait ``**: as it says.
//!
//! **`` a `Bridge` was polled after it was ready; make another one to run the closure again ``**,
//! **`` an `Offload` was polled after it was ready; begin another job for another result ``**: a
//! future was awaited twice, perhaps in a loop around `select!`.
//!
//! **`` a job of `CALL` did not begin: its runtime has ended; begin it before ``**: `blocking` needs a
//! runtime that lives.
//!
//! # Streams
//!
//! **`` a timeout of zero cannot be set; `None` is for ever ``**, **`a timeout of zero cannot be set`**:
//! as with std's sockets.
//!
//! **`the socket has clones, whose fibers would block their thread if it blocked; drop them before it
//! is converted`**: a socket of [`net`](crate::net) becomes one of std's or tokio's only when nobody
//! else has it.
//!
//! **`there is no address to use: the list is empty`**: what was given as an address has none.
//!
//! **`an unnamed socket cannot be connected to`**: the address of a Unix socket that was not bound.
//!
//! **`the file is not valid UTF-8`**: read it as bytes.
//!
//! **`a pipe cannot be made blocking for another program: ERROR`**, **`a file cannot be cloned for
//! another program: ERROR`**: the system refused it when a pipe or file became a `Stdio`.
//!
//! **`` an `AsyncBufRead` had data and was pending when it was asked for it ``**, **`` the reader of
//! an `AsyncReader` says that it has read more than there was room for ``**, **`` the reader of a
//! `PoolReader` says that it has read more than there was room for ``**: an error in the stream
//! or reader that was passed in.
//!
//! **`` the reader of an `AsyncReader` has panicked ``**, **`` the writer of an `AsyncWriter` has
//! failed before ``**, **`` an `AsyncWriter` was written to after its shutdown ``**, **`` a `PoolWriter`
//! was written to after its shutdown ``**, **`the fiber of this stream has failed before`**: the first error
//! was final, or the shutdown was; make a new one.
//!
//! **`` a destructor wrote to a `HubPool::output` while its fiber was unwinding, which could make half
//! of it look whole; write the end before what is written to is dropped ``**: an encoder was dropped by a
//! panic or a cancel, or the closure caught that. See
//! [crates that need care](super::legacy#crates-that-need-care).
//!
//! **`` what an `AsyncWriter` writes to was taken back, or another thread is using it ``**, **`` the
//! sink of an `AsyncWriter` is being used by another thread ``**: the sink that the writer got has
//! left it.
//!
//! **`cannot poll descriptor NUMBER: ERROR`**, with `the callback belongs to another hub`, `the
//! callback was removed; add it again`, or `it was closed while it was polled; remove the callback
//! and add it again`; **`descriptors cannot be polled any more: ERROR`**: errors of `Hub::poll` and,
//! the first, of `io::ready`. Files and directories cannot be polled.
//!
//! **`` a descriptor is never ready for `Events::NONE`; ask for `READABLE`, `WRITABLE` or both ``**: of
//! `io::ready` and `io::until_ready`.
//!
//! **`` a fiber-local of type `TYPE` was used after it was dropped, or while it is being dropped; use
//! `try_with` in destructors ``**, and its error, **`the fiber-local was dropped, or is being
//! dropped`**; **`` a fiber-local of type `TYPE` was set after it was dropped, or while it is being
//! dropped; set it before ``**: as they say.
//!
//! **`` the future of `LocalKey::scope` was polled after it was over; make another one ``**: it was
//! ready, or had panicked.
//!
//! # Stacks
//!
//! **`cannot allocate a stack of NUMBER bytes for a fiber: ERROR`**, with the limit that was reached:
//!
//! * `the process has as many memory mappings as vm.max_map_count allows, NUMBER; raise it (on a
//!   kernel before Linux 6.13 each stack takes two)`
//! * `` the process uses NUMBER bytes of address space, and RLIMIT_AS (`ulimit -v`) allows NUMBER;
//!   raise it, or use smaller stacks ``
//! * `` the process has NUMBER bytes of data, which stacks count as, and RLIMIT_DATA (`ulimit -d`)
//!   allows NUMBER; raise it, or use smaller stacks ``
//! * `the system sets memory aside for all that is mapped (vm.overcommit_memory is 2), and has no
//!   more; raise vm.overcommit_ratio, or use smaller stacks`
//! * `` ERROR; a process is limited by vm.max_map_count in its mappings, by RLIMIT_AS (`ulimit -v`) in
//!   its address space, and by vm.overcommit_memory ``
//! * `there is not so much address space`
//!
//! **`` fiber 'NAME' has overflowed its stack the stack has NUMBER bytes; make it larger with
//! `Builder::stack_size` or `HubBuilder::stack_size` ``**, **`` a bridge has overflowed its stack the
//! stack has NUMBER bytes; a fiber's can be made larger, with `Builder::stack_size` ``**: recursion
//! that has no end, or a stack that is too small. The process has aborted.
//! [`measure_stack`](crate::Builder::measure_stack) tells how much is used.
//!
//! # Warnings
//!
//! **`a runtime is driven by another thread than NAME, which has its hub: the hub's fibers stand
//! still until that thread drives the runtime again`**: call `block_on` on the same thread each time.
//! (A thread may be one `without a name`.)
//!
//! **`fiber 'NAME' waited again while it was being ended; its stack is leaked`**, **`a bridge waited
//! again while it was being dropped; its stack is leaked`**, **`a borrowing bridge waited again while
//! it was being dropped; its stack can neither be unwound nor leaked, so the process is aborted`**,
//! **`a thread ended with suspended fibers on its hub; their stacks are leaked: NAMES`**: see [how a
//! hub ends](super::cancellation#how-a-hub-ends). Close the hub before its runtime is dropped. One of
//! these may follow: `` ; it was unwinding, so from now on this thread counts as panicking: std's
//! mutexes poison, and cancels reach waits only through `wait_or_cancelled` ``; `` ; it may have been
//! unwinding, in which case this thread counts as panicking from now on: std's mutexes poison, and
//! cancels reach waits only through `wait_or_cancelled` ``.
//!
//! **`a bridge was polled in the destructor of a thread-local: its thread is ending, and frames on
//! its stack may refer to thread-locals that are gone`**, **`a bridge was polled whose stack was
//! abandoned, since a scoped fiber of it was`**, **`the body of a bridge cannot go on: its stack was
//! abandoned, since a scoped fiber of it was`**: as before, for bridges.
//!
//! **`the thread NAME of a hub stays parked for ever, since NUMBER of its stacks could not be unwound
//! and what is on them may still be in use`**: the thread of a `HubThread` or `HubPool` cannot end.
//! **`the thread NAME of a hub panicked`**: its runtime did.
//!
//! **`` fibers did not end within the hub's `close_timeout`, so they are ended by force: NAMES ``**,
//! **`` blocking jobs did not end within the hub's `close_timeout`, so they are left behind ``**: see
//! [`close_timeout`](crate::HubBuilder::close_timeout).
//!
//! **`` Ctrl-C has ended the root fiber, and its hub has closed; `run` still waits for blocking jobs;
//! pressed again, Ctrl-C ends the process ``**, **`Ctrl-C came too late for the root fiber, which has
//! ended`**, with `; its hub closes, pressed again it ends the process; alive: NAMES`, **`cannot
//! listen for Ctrl-C, which will not reach the root fiber: ERROR`**, **`Ctrl-C has come, but fiber ID 'NAME',
//! spawned at PLACE, has the thread of hub 'NAME', so the root fiber is not cancelled yet; pressed again,
//! Ctrl-C ends the process`**: see [Ctrl-C](crate::run#ctrl-c).
//!
//! **`CODE panicked, which is ignored`**: code of yours that has nobody to report to: `the clone of a
//! waker`, `the drop of a waker`, `a callback of the hub`, `` a callback of `Hub::poll` ``, `the drop
//! of a callback`, `` the drop of a callback of `Hub::poll` ``, `the drop of a fiber's closure`, `the
//! drop of a job's result`, `` an ambient's `enter` ``, `` an ambient's `leave` ``, `` an ambient's
//! `inherit` ``, `the drop of an ambient`, `a subscriber`, `the drop of a fiber's result`, `the drop
//! of an item in a stream of a pool`, `the clone of an inherited fiber-local`, `the drop of what a
//! fiber inherits`, `the drop of a panic's payload`, `the drop of what was fired`, `` a cleanup of a
//! `SwitchBack` ``, `a destructor in a dropped bridge`, `a timer of the hub`. Also **`a destructor of
//! a fiber-local of fiber 'NAME' panicked`**, **`a destructor of a fiber-local panicked`**, and **``
//! a job of `CALL` panicked, and nobody waits for it ``**.
//!
//! **`hub 'NAME' on thread 'NAME' stands still: fiber ID 'NAME', spawned at PLACE has had its thread
//! for DURATION`**, maybe `, since its wait at PLACE`, on Linux `; the thread is` `computing`,
//! `stopped` or ``asleep in `CALL` ``, and maybe **`; it is cancelled, at its next wait`**: from
//! [`watch`](crate::watch()) or the hub's [`slice`](crate::HubBuilder::slice). The message of that
//! cancel is **`it has had the thread of its hub for longer than its slice`**. See
//! [hangs](super::hangs#a-fiber-blocks-the-thread). With some calls of the system it says what in a
//! program makes them: `` : a lock, a channel or a `park` of std? ``, `` : std's `thread::sleep`? ``,
//! `: a read that blocks?`, `: a write that blocks?`, `: a socket of std's?`, `: another event loop
//! or executor?`, `: the end of a process?`; others have only a number, `asleep in system call
//! NUMBER`.
//!
//! **`a limit of zero: every fiber has its thread for longer`**, **`a period of zero: nothing else would
//! run`**: the errors of `watch` and [`watch_deadlocks`](crate::watch_deadlocks()) with no time at all.
//!
//! **`` the closure of `watch` panicked, which is ignored ``**, **`` the closure of `watch_deadlocks`
//! panicked, which is ignored ``**: the closure that was given to it.
//!
//! **`signal NUMBER cannot be handled: use another, such as SIGQUIT`**: the error of
//! [`dump_on_signal`](crate::dump_on_signal()).
//!
//! **`the fiber no longer has its thread`**, **`signal NUMBER has another use: take one that has none, such
//! as SIGURG`**, **`the thread did not answer the signal`**, **`an earlier sample is still written`**,
//! **`the system does not say which thread it is`**, **`a thread that runs has a backtrace on x86-64 Linux
//! with glibc only`**:
//! the errors of `BlockedHub::backtrace`. A thread that does not answer blocks the signal, or was stopped;
//! a sample is still written if that happened in the middle of it. The system does not say the thread where
//! `/proc` is missing, or shows another namespace.
//!
//! # In a dump
//!
//! | text of a [dump](super::hangs#who-waits-and-where) | what it says |
//! |---|---|
//! | `hub 'NAME' on thread 'NAME' is open`, `is closing`, `is closing and has no fibers left`, `has ended` | the hub, and how far its close has come |
//! | `N fibers wait for each other in a cycle:`, then `ID 'NAME' waits at PLACE` | a deadlock, unless a line ends with `, with a time limit or for several things at once`: that fiber may still go on; or with `, to read, behind one who waits to write`: it goes on if that one gives up |
//! | `a fiber waits for the end of what it runs itself:`, then the same | the closure of a [`Once`](crate::sync::Once), or what makes the value of a [`OnceLock`](crate::sync::OnceLock) or [`LazyLock`](crate::sync::LazyLock), uses the same one: do that without it |
//! | `a fiber waits for a lock that it has taken itself:`, then the same | a deadlock of one: give the guard back first, or use a [`ReentrantLock`](crate::sync::ReentrantLock) |
//! | `longest run TIME: fiber ID 'NAME', spawned at PLACE` | the fiber that has had the thread for the longest time so far, with [`Track::Times`](crate::Track::Times) |
//! | `waiting, with an interrupt put off` | a cancel comes to the fiber when the children of its scope have ended, or when nothing unwinds on its thread any more |
//! | `, with a cancel pending` | it was cancelled, or its hub closes, and it has not noticed yet: it computes, or is in a [`shield`](crate::shield()) |
//! | `, in a shield`, `, with a time limit` | it is in a call of `shield`, or of `with_timeout` or `try_scope`; the limit may be of the wait itself |
//! | `for the end of fiber ID 'NAME'`, `for the end of a fiber`, `for N fibers of its scope: IDS`, `for a time, in TIME`, `` for `CALL` ``, `for TYPE` | what it waits for: a join, the end of a scope, a sleep, the end of this call, or a future of this type |
//! | `for what fiber ID 'NAME' does once`, `for what another fiber does once` | it waits in a [`Once`](crate::sync::Once), [`OnceLock`](crate::sync::OnceLock) or [`LazyLock`](crate::sync::LazyLock), whose closure that fiber runs |
//! | `for a lock that fiber ID 'NAME' has taken`, `for a lock that fiber ID has taken`, `` for a lock: `CALL` `` | a lock of [`sync`](crate::sync); if it is known who has it, that fiber, which is of another hub or has ended if it has no name here. `shares` instead of `has taken`: it reads, and others may too; then with `, behind one who waits to write` if this one wants to read as well |
//! | `` for an `unpark` ``, `` for an `unpark`, for which nobody has a handle `` | a [`park`](crate::park()); the second one ends only with the hub, since the fiber's last [`FiberHandle`](crate::FiberHandle) or [`Thread`](crate::thread::Thread) outside of it is gone |
//! | `not known: too little of its stack is left to look for it` | the fiber has less than 4 KiB of its stack left and is about to overflow: make it larger with [`Builder::stack_size`](crate::Builder::stack_size) |
//! | `and more` | its backtrace has more than 256 calls; or, of a fiber that runs, what is behind could not be found out |
//! | `waited last at PLACE` | it does not wait now; this is its last wait |
//! | `spawned at PLACE by fiber ID` | the call that made it, and in which fiber |
//!
//! # From `testing`
//!
//! **`` CALL makes a runtime for each run, so it cannot be called inside of one; call it in a plain
//! `#[test]` ``**: not in `#[tokio::test]`, `run` or a fiber. **`cannot make a runtime for a run:
//! ERROR`**: the system refused.
//!
//! **`schedule NUMBER failed (SCHEDULE): WHAT to run it alone: SWITCHBACK_SEED=SEED cargo test
//! TEST`**: the program fails under this schedule. See [every order](super::testing#every-order).
//! **`NUMBER schedules passed, NUMBER of them different`**: it does not fail. Either may go on with
//! **`` not replayable: the same seed gave another schedule the second time; the program uses something
//! that does not follow from the seed, such as an unbiased `select!`, the order of a `HashMap`,
//! threads, real I/O or std's clock ``**: replace that in the program, if a failure does not recur.
//! **`the environment has NAME=VALUE, which is not a number`**: unset it.
//!
//! **`nothing can go on any more: WHY`**, because `no fiber is ready, and no timer is set` or `fibers
//! only give way, and no timer is set`: each fiber of the dump waits for something that does not come,
//! or yields until it does. **`the run does not end: NUMBER
//! times a fiber was resumed`**: bound the loops of the program, and make it smaller. **`the run does
//! not end: no fiber was resumed for DURATION, while something else keeps the runtime from resting`**:
//! each fiber of the dump waits; look for a periodic timer or a loop in a task of tokio's, which keep
//! the program from failing earlier, and for a long job of `blocking`.
//!
//! **`cancelled at point NUMBER of NUMBER, STATE at PLACE`** with `before a poll` or `while
//! suspended`, **`cancelled before it has begun`**: what follows happens if the fiber is cancelled
//! there, and not otherwise. **`without a cancel: WHAT`**: the program fails anyway.
//! **`NUMBER fibers are left, and NUMBER without a cancel: NAMES`**: cancel or join them in a
//! destructor. **`the fiber has NUMBER points, and NUMBER the second time: the program is not
//! replayable, so points cannot be told apart`**, **`the fiber has not reached point NUMBER of NUMBER:
//! the program is not replayable`**: see above. **`the fiber has NUMBER points, more than
//! NUMBER: let it do less`**: each is a run. **`the fiber is on another hub, where its waits are not
//! seen`**, **`the fiber has ended before it could be cancelled; return it before you wait`**: spawn it
//! in the closure, and return it at once. A fiber that is cancelled at a point has the message `the test
//! cancels it here`.
//!
//! # From tokio, std and futures
//!
//! **`Cannot start a runtime from within a runtime`**: `block_on` in a fiber or in async code, or a
//! library that calls it inside, such as `postgres`. For a future of your own use
//! [`.wait()`](crate::Wait::wait); run such a library with [`blocking(f).wait()`](crate::blocking()).
//!
//! **`Cannot drop a runtime in a context where blocking is not allowed`**: a runtime is dropped in a
//! fiber, or `reqwest::blocking` is called there, with debug assertions. Use `blocking` for all of its
//! life, or `shutdown_background`.
//!
//! **`there is no reactor running, must be called from the context of a Tokio 1.x runtime`**: a
//! socket or timer of tokio's was made on a plain thread. Make it in a fiber, or enter a runtime.
//! [`sleep`](crate::sleep()) and the timeouts of this crate work on plain threads.
//!
//! **`A Tokio 1.x context was found, but IO is disabled`**, **`timers are disabled`**: build the
//! runtime with `enable_all`.
//!
//! **`A Tokio 1.x context was found, but it is being shutdown`**: a timer or socket is used after the
//! end of its runtime, often in a destructor.
//!
//! **`can call blocking only when running on the multi-threaded runtime`**: `block_in_place` on a
//! hub's runtime. Use `.wait()` or `blocking`.
//!
//! **`` `spawn_local` called from outside of a `task::LocalSet` ``**: fibers may call it under
//! [`run`](crate::run()), or where [`Hub::run_until`](crate::Hub::run_until) runs inside the
//! `LocalSet`.
//!
//! **`` cannot execute `LocalPool` executor from within another executor ``**: a `block_on` of `futures`
//! inside another one. Use `.wait()`.
//!
//! **`already borrowed`**, **`already mutably borrowed`**: a `RefCell` whose borrow another fiber
//! holds across a wait: see [synchronisation](super::synchronisation).
//!
//! **`PoisonError`**: a fiber, or a task, panicked or was cancelled while it held a std `Mutex`, or one
//! suspended in a destructor while it unwound. See
//! [waiting in destructors](super::cancellation#waiting-in-destructors).
//!
//! **`` a `Once` was poisoned: what it ran before has panicked ``**, **`` a `LazyLock` was poisoned: what makes
//! its value has panicked ``**: as with std's; a cancel does not poison them.
//!
//! **`` `task_done` was called more often than items were put into the queue; call it once for each
//! item ``**, **`` a `Semaphore` has no more than `usize::MAX` permits ``**, **`` a `ReentrantLock`
//! was locked 2^32 times by its owner ``**: an error of the program.
//!
//! **`the lock is held, and the call does not wait`**: the error of a `try_` call of
//! [`sync::nonpoison`](crate::sync::nonpoison).
//!
//! **`` a lock of `switchback::sync` is waited for in vain: fiber 'NAME' held it when its stack was
//! abandoned ``**, and `` ; it keeps locks of `switchback::sync` for ever: NUMBER `` in the report about that
//! fiber (debug builds say so): let a destructor that may run while its hub ends use
//! [`wait_or_cancelled`](crate::Wait::wait_or_cancelled), or give the lock back before it waits.
//!
//! **`panic in a function that cannot unwind`**: a panic or a cancel passed through an `extern "C"`
//! function: see [the limits](super::limits#unwinding). **`panic in a destructor during cleanup`**: a
//! destructor panicked while its stack was unwinding.
//!
//! # Errors of this crate
//!
//! The rest is said only if this crate has an error. Please report it, with the message:
//!
//! ```text
//! a key has the id of its type
//! a value is made once
//! this runs once
//! it runs once
//! a site is used where it was found
//! the coroutine that is running keeps its place
//! a coroutine that is running is not resumed
//! there is a coroutine to resume
//! only what was resumed is taken out
//! what is running was not taken out
//! a scope ends on the stack where it began
//! fewer than 2^32 fibers are joined
//! a hub handles its own fibers
//! 2^64 fibers were made
//! a fiber ends with a result, or for a reason
//! fewer than 2^32 fibers live
//! it was made
//! a number has a watch
//! it was a stack just now
//! a wait that can only unwind is not refused
//! it was there
//! it was set above
//! the fiber is there until the end
//! it could not be sent
//! it has not arrived
//! a fiber is given to one hub of its pool
//! a scope begins on a stack
//! only a failure ends the body early
//! a mapping does not begin at address zero
//! a mapping does not end at address zero
//! a new slab has a free place
//! the system mapped the null page
//! the first poll sets the timer
//! it is not polled again after it was ready
//! they were counted
//! the `Once` has run
//! a new lock is empty
//! a queue has no end
//! it is sent once
//! it is used first
//! the writer gives it back with its answer
//! a bridge runs only when polled
//! it is a fiber's
//! the hub is one of a test
//! the stack is suspended
//! it is ready once
//! ```
