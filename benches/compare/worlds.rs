//! The environments that code can run in, with one function for each.

use std::future::poll_fn;
use std::task::Poll;

use switchback::HubBuilder;
use tokio::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime};

/// Creates a runtime on this thread, for fibers and tasks alike. `spawn_local` puts a task
/// straight into its queue, without a `LocalSet` in between. Its blocking pool is large
/// enough for a thread per connection.
fn runtime() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1_100)
        .build_local(LocalOptions::default())
        .expect("a runtime can be made")
}

/// Runs a future as the main one of a new runtime.
pub(crate) fn on_runtime<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Creates a runtime with two worker threads.
fn multi_thread_runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made")
}

/// Runs `body` in a task of a runtime with two worker threads.
pub(crate) fn in_multi_thread_task<F>(body: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let runtime = multi_thread_runtime();
    let task = runtime.spawn(body);
    runtime.block_on(task).expect("the task does not panic")
}

/// Runs `body` as the main future of such a runtime, on this thread.
pub(crate) fn on_multi_thread<F: Future>(body: F) -> F::Output {
    multi_thread_runtime().block_on(body)
}

/// Runs `body` in a fiber.
pub(crate) fn in_fiber<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    on_runtime(async {
        let fiber = switchback::spawn(body);
        fiber.await.expect("the fiber does not panic")
    })
}

/// Runs `body` in the root fiber of a hub with settings of its own.
pub(crate) fn in_hub<T: 'static>(hub: HubBuilder, body: impl FnOnce() -> T + 'static) -> T {
    // Ctrl-C must end the program, not only a sample.
    let result = hub.ignore_interrupt(true).run(body);
    result.expect("the fiber does not panic")
}

/// Runs `body` in a tokio task.
pub(crate) fn in_task<T: 'static>(body: impl Future<Output = T> + 'static) -> T {
    on_runtime(async {
        let task = tokio::task::spawn_local(body);
        task.await.expect("the task does not panic")
    })
}

/// Runs `body` on a thread of tokio's blocking pool, while this thread drives
/// the runtime.
pub(crate) fn in_blocking<T, F>(body: F) -> T
where
    T: Send + 'static,
    F: FnOnce(Handle) -> T + Send + 'static,
{
    on_runtime(async {
        let handle = Handle::current();
        let thread = tokio::task::spawn_blocking(move || body(handle));
        thread.await.expect("the closure does not panic")
    })
}

/// Runs `body` in a coroutine of `may`.
pub(crate) fn in_coroutine<T, F>(body: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    may::go!(body).join().expect("the coroutine does not panic")
}

/// Gives `may` one worker, because all others have one thread, and does not bind it to a
/// core, because no other is bound. Must be called before anything else of `may`.
pub(crate) fn set_up_may() {
    may::config().set_workers(1).set_worker_pin(false);
}

/// Yields in a tokio task by waking it at once. Tokio's own `yield_now` also makes the task
/// wait for a poll of the I/O driver, which is more than a fiber's yield does.
pub(crate) async fn wake_self() {
    let mut woken = false;
    poll_fn(|cx| {
        if woken {
            return Poll::Ready(());
        }
        woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
