//! Every misuse panics with a text that names the remedy, and blames its caller.

use std::future::{pending, poll_fn, ready};
use std::panic::{Location, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use switchback::{
    Builder, Fiber, Hub, current_fiber, in_fiber, park, prelude::*, run, sleep, sleep_until, spawn,
    yield_now,
};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::support::{
    OnDrop, assert_panics, in_async, in_child, in_root_fiber, ms, multi_thread_runtime, panic_of,
    paused_local_runtime, runtime, text, watched,
};

const NO_RUNTIME: &str = "there is no tokio runtime here for a hub to run on; call this inside a \
    current-thread runtime (`#[tokio::main(flavor = \"current_thread\")]`), or start one with \
    `switchback::run`";
const MULTI_THREAD: &str = "there is no hub on a multi-thread runtime; send the fiber to a \
    `HubPool` or a `HubThread`, or, in the main task, wrap that in `Hub::run_until`";
const NOT_DRIVING: &str = "this thread does not drive the runtime that is current on it (is this \
    `spawn_blocking`?), so a hub made here would never run; make the fiber on the runtime's own \
    thread";
const CLOSED: &str = "the hub is closed: it takes no new fibers; make the fiber before the hub \
    closes, or on a hub of another runtime";
const RUN_INSIDE: &str = "`switchback::run` would block the runtime that drives this code; use \
    `switchback::spawn` and join the fiber";
const PARK_OUTSIDE: &str = "`park()` was called outside of a fiber, where nobody could unpark it; \
    on a plain thread use `std::thread::park`, in async code await a `tokio::sync::Notify`";

fn in_async_code(call: &str) -> String {
    would_block(call, "move this code into `switchback::spawn` or `bridge`")
}

fn in_a_multi_thread_runtime(call: &str) -> String {
    would_block(call, "send this code to a `HubPool`")
}

fn would_block(call: &str, instead: &str) -> String {
    // There is no scope to await.
    let twin = match call {
        "`scope`" => "",
        _ => "use `.await`, or ",
    };
    format!("{call} would block the runtime; {twin}{instead}")
}

fn in_a_poll(call: &str) -> String {
    format!(
        "{call} inside a future's `poll`, or a destructor that it runs, would suspend the \
         executor half way; use `.await` there, or wait outside of the future"
    )
}

fn in_the_hub(call: &str) -> String {
    format!("{call} in a callback of the hub would stop every fiber; spawn a fiber that waits")
}

/// Everything that needs a hub is refused with `message`.
fn assert_no_hub(message: &str) {
    assert_panics(message, || spawn(|| ()));
    assert_panics(message, || Fiber::new(|| ()));
    assert_panics(message, || Builder::new().spawn(|| ()));
    assert_panics(message, || Builder::new().create(|| ()));
    assert_panics(message, || drop(Hub::current()));
    assert!(Hub::try_current().is_none());
}

/// Every wait is refused with the message that `message` makes for it.
fn assert_no_wait(message: fn(&str) -> String) {
    assert_panics(&message("`.wait()`"), || ready(()).wait());
    assert_panics(&message("`.wait()`"), || pending::<()>().wait());
    assert_panics(&message("`.wait()`"), || yield_now().wait());
    let ms = ms(1);
    assert_panics(&message("`.wait_timeout()`"), || ready(()).wait_timeout(ms));
    let now = Instant::now();
    assert_panics(&message("`.wait_until()`"), || ready(()).wait_until(now));
}

#[test]
fn a_hub_needs_a_runtime() {
    watched(|| {
        assert_no_hub(NO_RUNTIME);
        let panic = panic_of(|| futures::executor::block_on(Hub::run_until(async {})));
        assert_eq!(panic.message, NO_RUNTIME);
    });
}

#[test]
fn a_hub_is_refused_on_a_multi_thread_runtime() {
    watched(|| {
        let runtime = multi_thread_runtime();
        runtime.block_on(async {
            assert_no_hub(MULTI_THREAD);
            tokio::spawn(async { assert_no_hub(MULTI_THREAD) })
                .await
                .unwrap();
            let blocking = tokio::task::spawn_blocking(|| assert_no_hub(MULTI_THREAD));
            blocking.await.unwrap();
            // Only the task that `run_until` wraps has a hub.
            Hub::run_until(async {
                tokio::spawn(async { assert_no_hub(MULTI_THREAD) })
                    .await
                    .unwrap();
                spawn(|| ()).await.unwrap();
            })
            .await;
        });
        let _current = runtime.enter();
        // The hub of `run_until` is this thread's, and closed.
        assert_panics(CLOSED, || spawn(|| ()));
        thread::scope(|s| {
            s.spawn(|| {
                let _current = runtime.enter();
                assert_no_hub(MULTI_THREAD);
            });
        });
    });
}

#[test]
fn the_advice_for_multi_thread_runtimes_names_three_ways_out() {
    for name in ["HubThread", "HubPool", "Hub::run_until"] {
        assert!(MULTI_THREAD.contains(name));
    }
}

#[test]
fn a_hub_is_refused_on_a_blocking_thread() {
    in_async(|| async {
        let blocking = tokio::task::spawn_blocking(|| assert_no_hub(NOT_DRIVING));
        blocking.await.unwrap();
        // Also where the runtime has a hub: it is of another thread.
        Hub::current();
        let blocking = tokio::task::spawn_blocking(|| assert_no_hub(NOT_DRIVING));
        blocking.await.unwrap();
    });
}

#[test]
fn a_hub_is_refused_where_another_thread_has_it() {
    watched(|| {
        let runtime = Arc::new(runtime());
        runtime.block_on(async { spawn(|| ()).await.unwrap() });
        let owner = thread::current().name().unwrap().to_owned();
        let message = format!(
            "the hub of this runtime belongs to the thread '{owner}'; make the fiber there"
        );
        let other = runtime.clone();
        let body = move || {
            other.block_on(async {
                assert_no_hub(&message);
                let panic = panic_of(|| {
                    let waker = std::task::Waker::noop();
                    let mut cx = std::task::Context::from_waker(waker);
                    let _ = std::pin::pin!(Hub::run_until(async {})).poll(&mut cx);
                });
                assert_eq!(panic.message, message);
            });
        };
        thread::spawn(body).join().unwrap();
        // The owner still works.
        runtime.block_on(async { spawn(|| ()).await.unwrap() });
    });
}

#[test]
fn an_unnamed_thread_is_told_by_its_id() {
    watched(|| {
        let owner = thread::spawn(|| {
            let runtime = Arc::new(runtime());
            runtime.block_on(async { spawn(|| ()).await.unwrap() });
            let here = thread::current().id();
            let other = runtime.clone();
            let panic =
                thread::spawn(move || panic_of(|| other.block_on(async { Hub::current() })));
            let message = panic.join().unwrap().message;
            assert!(message.contains(&format!("thread {here:?};")), "{message}");
        });
        owner.join().unwrap();
    });
}

#[test]
fn a_closed_hub_takes_no_fibers() {
    in_async(|| async {
        Hub::run_until(async { spawn(|| ()).await.unwrap() }).await;
        assert_panics(CLOSED, || spawn(|| ()));
        assert_panics(CLOSED, || Fiber::new(|| ()));
        let error = Builder::new().spawn(|| ()).unwrap_err();
        assert_eq!(error.to_string(), CLOSED);
        let error = Builder::new().create(|| ()).unwrap_err();
        assert_eq!(error.to_string(), CLOSED);
        // The closed hub is still the current one.
        assert!(Hub::try_current().is_some());
        assert_eq!(Hub::current().name(), "Hub");
    });
}

#[test]
fn a_closing_hub_takes_no_fibers() {
    watched(|| {
        let panic = panic_of(|| {
            run(|| {
                drop(spawn(|| {
                    let _late = OnDrop(|| {
                        let late = Builder::new().spawn(|| ());
                        assert_eq!(late.unwrap_err().to_string(), CLOSED);
                        // Where a panic would abort, the fiber is made as cancelled.
                        let mut late = spawn(|| ());
                        assert!(!late.is_alive());
                        let error = late.join().wait().unwrap_err();
                        assert!(error.to_string().contains(CLOSED), "{error}");
                    });
                    let closing = || pending::<()>().wait();
                    let cancel = std::panic::catch_unwind(closing).unwrap_err();
                    assert_panics(CLOSED, || spawn(|| ()));
                    std::panic::resume_unwind(cancel);
                }));
                yield_now().wait();
                panic!("the root ends");
            })
        });
        assert_eq!(panic.message, "the root ends");
    });
}

#[test]
fn async_code_must_not_wait() {
    in_async(|| async {
        assert_no_wait(in_async_code);
        let task = tokio::spawn(async { assert_no_wait(in_async_code) });
        task.await.unwrap();
        let set = LocalSet::new();
        set.run_until(async {
            assert_no_wait(in_async_code);
            let task = tokio::task::spawn_local(async { assert_no_wait(in_async_code) });
            task.await.unwrap();
        })
        .await;
        tokio::task::unconstrained(async { assert_no_wait(in_async_code) }).await;
    });
}

#[test]
fn async_code_with_a_hub_must_not_wait() {
    in_async(|| async {
        let mut fiber = spawn(|| ());
        assert_no_wait(in_async_code);
        Hub::run_until(async { assert_no_wait(in_async_code) }).await;
        assert_panics(&in_async_code("`.wait()`"), || fiber.join().wait());
        fiber.join().await.unwrap();
    });
}

#[test]
fn tasks_of_a_multi_thread_runtime_must_not_wait() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            assert_no_wait(in_a_multi_thread_runtime);
            let task = tokio::spawn(async { assert_no_wait(in_a_multi_thread_runtime) });
            task.await.unwrap();
            Hub::run_until(async { assert_no_wait(in_a_multi_thread_runtime) }).await;
            // Tokio knows that this may not block, and says so itself.
            let task = tokio::spawn(tokio::task::unconstrained(async {
                let panic = panic_of(|| pending::<()>().wait());
                assert!(
                    panic.message.contains("Cannot start a runtime"),
                    "{panic:?}"
                );
            }));
            task.await.unwrap();
        });
    });
}

#[test]
fn the_main_tasks_of_other_executors_must_not_wait() {
    watched(|| {
        let local = tokio::runtime::LocalRuntime::new().unwrap();
        local.block_on(async { assert_no_wait(in_async_code) });
        futures::executor::block_on(async { assert_no_wait(in_async_code) });
        let mut pool = futures::executor::LocalPool::new();
        pool.run_until(async { assert_no_wait(in_async_code) });
        let handle = local.handle().clone();
        let other = thread::spawn(move || {
            handle.block_on(async { assert_no_wait(in_async_code) });
        });
        other.join().unwrap();
    });
}

#[test]
fn a_poll_on_a_fiber_must_not_wait() {
    in_root_fiber(|| {
        async { assert_no_wait(in_a_poll) }.wait();
        let timed = async { assert_no_wait(in_a_poll) };
        timed.wait_timeout(Duration::from_secs(60)).unwrap();
        // A destructor that a poll runs.
        let in_a_destructor = async {
            let _guard = OnDrop(|| assert_no_wait(in_a_poll));
        };
        in_a_destructor.wait();
        // What it polls in turn.
        let nested =
            async { futures::future::join(async {}, async { assert_no_wait(in_a_poll) }).await };
        nested.wait();
        Hub::run_until(async { assert_no_wait(in_a_poll) }).wait();
        assert!(in_fiber());
        yield_now().wait();
    });
}

#[test]
fn a_poll_on_a_plain_thread_must_not_wait() {
    watched(|| {
        async { assert_no_wait(in_a_poll) }.wait();
        sleep(ms(1)).wait();
        let runtime = runtime();
        let blocking = || async { assert_no_wait(in_a_poll) }.wait();
        runtime.block_on(async { tokio::task::spawn_blocking(blocking).await.unwrap() });
        multi_thread_runtime().block_on(async {
            tokio::task::block_in_place(|| async { assert_no_wait(in_a_poll) }.wait());
        });
    });
}

#[test]
fn the_hub_must_not_wait() {
    struct Waits;
    impl std::task::Wake for Waits {
        fn wake(self: Arc<Self>) {
            assert_no_wait(in_the_hub);
            assert_panics(RUN_INSIDE, || run(|| ()));
            assert_panics(PARK_OUTSIDE, || {
                park();
            });
            assert!(Hub::try_current().is_some());
            // Reported, and that is all.
            panic!("in a waker");
        }
    }
    in_async(|| async {
        let mut fiber = spawn(|| 1);
        let waker = std::task::Waker::from(Arc::new(Waits));
        let mut giving_way = std::pin::pin!(yield_now());
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(giving_way.as_mut().poll(&mut cx).is_pending());
        // The hub lives on.
        assert_eq!(fiber.join().await.unwrap(), 1);
        assert_eq!(spawn(|| 2).await.unwrap(), 2);
    });
}

#[test]
fn a_waker_that_panics_in_the_hub_is_reported() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new(()));
        }
    }
    let child = in_child(|| {
        in_async(|| async {
            Hub::current();
            let waker = std::task::Waker::from(Arc::new(Panics));
            let mut cx = std::task::Context::from_waker(&waker);
            assert!(std::pin::pin!(yield_now()).poll(&mut cx).is_pending());
            assert_eq!(spawn(|| 2).await.unwrap(), 2);
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
    child.assert_reported("a waker panicked, which is ignored", 1);
}

#[test]
fn park_needs_a_fiber() {
    watched(|| {
        assert_panics(PARK_OUTSIDE, || {
            park();
        });
        runtime().block_on(async {
            assert_panics(PARK_OUTSIDE, || {
                park();
            });
            Hub::current();
            assert_panics(PARK_OUTSIDE, || {
                park();
            });
            let polls = spawn(|| {
                async {
                    assert_panics(PARK_OUTSIDE, || {
                        park();
                    })
                }
                .wait()
            });
            polls.await.unwrap();
        });
    });
}

#[test]
fn run_must_not_block_a_runtime() {
    watched(|| {
        let refused = || {
            assert_panics(RUN_INSIDE, || run(|| ()));
            assert_panics(RUN_INSIDE, || Hub::builder().run(|| ()));
        };
        runtime().block_on(async move {
            refused();
            tokio::spawn(async move { refused() }).await.unwrap();
            spawn(move || {
                refused();
                async move { refused() }.wait();
            })
            .await
            .unwrap();
        });
        multi_thread_runtime().block_on(async { refused() });
        futures::executor::block_on(async { refused() });
        async { refused() }.wait();
        run(refused).unwrap();
    });
}

#[test]
fn run_may_block_a_blocking_thread() {
    in_async(|| async {
        let blocking = || run(|| spawn(|| 5).wait().unwrap()).unwrap();
        assert_eq!(tokio::task::spawn_blocking(blocking).await.unwrap(), 5);
    });
}

#[test]
fn a_panic_of_the_root_fiber_is_resumed_on_the_caller() {
    watched(|| {
        let payload = std::panic::catch_unwind(|| {
            run(|| {
                yield_now().wait();
                std::panic::resume_unwind(Box::new("from the root"));
            })
        });
        assert_eq!(text(&*payload.unwrap_err()), "from the root");
    });
}

#[test]
fn a_cancel_of_the_root_fiber_is_an_error() {
    watched(|| {
        let result = run(|| {
            current_fiber().unwrap().cancel_with("stop");
            yield_now().wait();
        });
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "fiber 'Root' was cancelled: stop");
    });
}

#[test]
fn a_stack_that_cannot_be_had_blames_the_caller() {
    watched(|| {
        let here = Location::caller();
        let panic = panic_of(|| Hub::builder().stack_size(usize::MAX).run(|| ()));
        assert!(
            panic.message.starts_with("cannot allocate a stack of"),
            "{panic:?}"
        );
        assert_eq!(panic.file, here.file());
        runtime().block_on(async {
            let message = Builder::new()
                .stack_size(usize::MAX)
                .spawn(|| ())
                .unwrap_err();
            let message = message.to_string();
            assert!(
                message.starts_with("cannot allocate a stack of"),
                "{message}"
            );
        });
    });
}

#[test]
fn messages_of_misuse_in_a_fiber_reach_its_joiner() {
    in_async(|| async {
        let joined = |body: fn()| async move {
            let panic = spawn(move || panic_of(body)).await.unwrap();
            let error = spawn(move || {
                panic_of(|| {
                    let error = spawn(body).wait().unwrap_err();
                    assert!(error.is_panic());
                    std::panic::resume_unwind(error.into_panic());
                })
            });
            assert_eq!(error.await.unwrap().message, panic.message);
            panic.message
        };
        assert_eq!(joined(|| drop(run(|| ()))).await, RUN_INSIDE);
        let polls = || async { yield_now().wait() }.wait();
        assert_eq!(joined(polls).await, in_a_poll("`.wait()`"));
    });
}

const SELF_JOIN: &str =
    "a fiber cannot join itself: it would wait for ever; let another one join it";

#[test]
fn joining_oneself_blames_the_caller() {
    in_async(|| async {
        let (tx, rx) = tokio::sync::oneshot::channel::<Fiber<()>>();
        let fiber = spawn(|| {
            let mut itself = rx.wait().unwrap();
            assert_panics(SELF_JOIN, || drop(itself.join()));
            let mut itself = std::pin::pin!(itself);
            assert_eq!(panic_of(|| itself.as_mut().wait()).message, SELF_JOIN);
        });
        let handle = fiber.handle();
        tx.send(fiber).unwrap();
        while handle.is_alive() {
            yield_now().await;
        }
    });
}

#[test]
fn joining_twice_blames_the_caller() {
    in_async(|| async {
        let mut fiber = Builder::new().name("once").spawn(|| ()).unwrap();
        fiber.join().await.unwrap();
        let message =
            "the result of fiber 'once' was taken by an earlier join; keep what that returned";
        assert_panics(message, || drop(fiber.join()));
    });
}

#[test]
fn into_panic_of_a_cancel_blames_the_caller() {
    in_root_fiber(|| {
        let mut fiber = Builder::new().name("calm").create(|| ()).unwrap();
        fiber.cancel();
        let error = fiber.join().wait().unwrap_err();
        let message = "`JoinError::into_panic` on an error that is no panic: fiber 'calm' was \
                       cancelled; ask `is_panic` first";
        assert_panics(message, || error.into_panic());
    });
}

#[test]
fn timers_that_are_not_enabled_blame_the_caller() {
    watched(|| {
        let no_time = tokio::runtime::Builder::new_current_thread().build();
        no_time.unwrap().block_on(async {
            let ms = ms(1);
            let disabled = |f: &dyn Fn()| {
                let panic = panic_of(f);
                assert!(panic.message.contains("timers are disabled"), "{panic:?}");
                assert_eq!(panic.file, file!());
            };
            disabled(&|| drop(sleep(ms)));
            disabled(&|| drop(sleep_until(Instant::now())));
            // Nothing else needs them.
            sleep(Duration::ZERO).await;
            let timed = spawn(move || {
                yield_now().wait();
                sleep(Duration::ZERO).wait();
                panic_of(|| ready(()).wait_timeout(ms))
            });
            let panic = timed.await.unwrap();
            assert!(panic.message.contains("timers are disabled"), "{panic:?}");
            assert_eq!(panic.file, file!());
        });
    });
}

#[test]
fn a_hub_is_refused_in_a_wait_that_blocks_its_thread() {
    watched(|| {
        let runtime = runtime();
        let _current = runtime.enter();
        assert_panics(NOT_DRIVING, || async { drop(spawn(|| 1)) }.wait());
    });
}

#[test]
fn a_destructor_that_spawns_where_there_is_no_hub_is_no_abort() {
    let child = in_child(|| {
        let unwinds = || {
            let _guard = OnDrop(|| assert!(!spawn(|| ()).is_alive()));
            panic!("the only panic");
        };
        assert_eq!(panic_of(unwinds).message, "the only panic");
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn a_wait_in_a_runtime_that_was_entered_on_the_stack_is_refused() {
    let other = runtime();
    let handle = other.handle().clone();
    let runtime = multi_thread_runtime();
    let refused = runtime.block_on(Hub::run_until(async move {
        let mut fiber = spawn(move || {
            let _entered = handle.enter();
            catch_unwind(|| yield_now().wait()).is_err()
        });
        fiber.join().await.unwrap()
    }));
    assert!(refused);
}

#[test]
fn a_wait_inside_a_poll_of_the_same_fiber_is_refused_by_name() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            poll_fn(|_| {
                yield_now().wait();
                Poll::Ready(())
            })
            .wait();
        });
        let error = fiber.join().await.unwrap_err();
        assert!(
            error.to_string().contains("inside a future's `poll`"),
            "{error}"
        );
    });
}
