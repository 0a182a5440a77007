//! What must not be done, and what can go wrong.
//!
//! Stack switching is invisible to code that assumes one stack for each thread. SECURITY.md
//! has the reasons for what stands here.
//!
//! # Undefined behaviour
//!
//! As with every stackful coroutine, four uses of safe code alone can cause undefined
//! behaviour. Do not
//!
//! 1. wait inside the initialiser of a `thread_local!`: another fiber may initialise the
//!    value meanwhile, and std then replaces a value that is in use;
//! 2. wait inside a closure of an API whose calls must nest last-in first-out on
//!    each thread: `scoped-tls`, pyo3's GIL guards, rayon's workers;
//! 3. let other threads use what a suspended stack borrows from thread-locals, if that
//!    stack may be abandoned (see [how a hub ends](super::cancellation#how-a-hub-ends)) and its
//!    thread may exit;
//! 4. keep a runtime, a `LocalSet` or a [`Bridge`](crate::Bridge) in a `thread_local!` until its
//!    thread ends, or ask for a hub or drive a runtime in the destructor of one: stacks whose frames
//!    refer to destroyed thread-locals may be resumed or unwound there. Mostly this is noticed, and
//!    the stacks are leaked instead.
//!
//! Wrap code that must not be interleaved with other fibers in
//! [`assert_no_switchpoints`](crate::assert_no_switchpoints): a wait inside it panics before it
//! does any harm. Its examples show it catching the first three cases. A
//! [`fiber_local!`](crate::fiber_local) may wait in its initialiser.
//!
//! # Memory safe, but wrong
//!
//! | what | what happens | instead |
//! |---|---|---|
//! | a `RefCell` borrow across a wait | the next fiber that borrows panics | end the borrow before the wait |
//! | a std `Mutex` guard across a wait | the next fiber that locks blocks the thread for ever | [`sync::Mutex`](crate::sync::Mutex): see [synchronisation](super::synchronisation) |
//! | a reentrant lock across a wait, `stdout().lock()` included | a second fiber gets in | release it before the wait |
//! | `Handle::enter` of another runtime across a wait | the wait panics. A yield in a release build may not notice it; then other fibers of the thread are in that runtime | end it before the wait |
//! | `LocalSet::enter`, `sync_scope` of a `task_local!` across a wait | other fibers of the thread see them | end them before the wait |
//! | tracing's `span.entered()` across a wait | the same, without this crate's feature `tracing`; with it, only for a subscriber of `set_default` that another fiber does not have | the feature; it is an [`ambient`](crate::ambient), of which a program can make its own |
//! | `errno`, the signal mask, the floating-point control word across a wait | they are the thread's | read or restore them at once |
//! | a panic hook that waits | the process aborts if anything else panics meanwhile | do not |
//!
//! # What stops every fiber of a thread
//!
//! Code that blocks the thread or computes for long does. Tokio's own blocking calls panic with
//! "Cannot start a runtime from within a runtime", and so do libraries that use tokio inside,
//! such as `postgres`; `reqwest::blocking` panics only with debug assertions. Run such code with
//! [`blocking(f).wait()`](crate::blocking). The `block_on` of `futures` and of `pollster` does not
//! panic: it freezes the hub. See [my program hangs](super::hangs).
//!
//! # Stacks
//!
//! * A stack does not grow beyond its size, which is 2 MiB (256 KiB on 32-bit systems) unless a
//!   [`Builder`](crate::Builder) or [`HubBuilder`](crate::HubBuilder) sets another. This is
//!   address space: only pages that were touched take memory. A fiber that overflows its stack
//!   runs into a guard, and the process aborts, as when a thread overflows. A report names the
//!   fiber first: see [`set_overflow_report`](crate::set_overflow_report).
//! * Since Linux 6.13, which has `MADV_GUARD_INSTALL`, only memory limits the number of fibers; a
//!   million is possible. A suspended fiber uses one or two pages of its stack and some 400 bytes
//!   besides.
//! * Before that, and on other systems, each stack takes two memory mappings. Linux allows a process
//!   65,530 unless `vm.max_map_count` is raised, which is enough for some 32,000 fibers; beyond that,
//!   [`Builder::spawn`](crate::Builder::spawn) returns an error that says so.
//! * Libraries that keep facts about the thread's stack, such as `stacker`, or that limit their
//!   recursion by its size, need care: see [the list](super::legacy#crates-that-need-care).
//!
//! # Unwinding
//!
//! A cancel unwinds, so it needs frames that can be unwound. Through an `extern "C"` function of
//! Rust it aborts the process, as any panic there does; `extern "C-unwind"` passes it. Inside
//! callbacks from C use [`wait_or_cancelled`](crate::Wait::wait_or_cancelled) or
//! [`shield`](crate::shield()).
//!
//! With `panic = "abort"` nothing can be unwound: see
//! [without unwinding](super::cancellation#without-unwinding).
//!
//! # Threads and systems
//!
//! A fiber stays on its thread. It is not preempted.
//! [Stack measurements](crate::FiberHandle::stack_used) are available on Linux only, `Hub::poll` on
//! unix systems only. [The platforms](crate#platform-support) says what was tested where.
