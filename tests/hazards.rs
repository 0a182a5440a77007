//! Hubs, bridges and yields that are used in unusual ways: what fails says so,
//! and nothing aborts, hangs or spins.

// Fibers that outlive the block that made them are what is tested here.
#![allow(clippy::async_yields_async)]

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use switchback::{Hub, YieldNow, bridge, prelude::*, run, sleep, spawn, yield_now};
use tokio::sync::oneshot;

use support::ending::{Count, poll_once, settle};
use support::{Drops, OnDrop, in_async, in_child, panic_of, runtime, watched};

const MS: Duration = Duration::from_millis(1);

fn forever() {
    pending::<()>().wait();
}

// Joins that fail before the fiber has ended.

#[test]
fn a_lost_fiber_whose_join_has_failed_is_unwound_by_the_next_hub_of_its_thread() {
    const NAME: &str =
        "a_lost_fiber_whose_join_has_failed_is_unwound_by_the_next_hub_of_its_thread";
    let child = in_child(NAME, || {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let mut fiber = rt.block_on(async {
            let fiber = spawn(move || {
                let _token = token;
                forever();
            });
            settle().await;
            fiber
        });
        thread::spawn(move || drop(rt)).join().unwrap();
        let error = fiber.join().wait().unwrap_err();
        assert!(error.to_string().contains("was lost with its hub"));
        assert_eq!(drops.count(), 0);
        assert_eq!(run(|| 1).unwrap(), 1);
        assert_eq!(drops.count(), 1);
        drop(fiber);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_fiber_that_never_ran_and_whose_join_has_failed_is_dropped_by_the_next_hub() {
    const NAME: &str =
        "a_fiber_that_never_ran_and_whose_join_has_failed_is_dropped_by_the_next_hub";
    let child = in_child(NAME, || {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let mut fiber = {
            let _context = rt.enter();
            spawn(move || drop(token))
        };
        // The thread that drives the runtime is another one.
        thread::spawn(move || rt.block_on(async { settle().await }))
            .join()
            .unwrap();
        assert!(fiber.join().wait().is_err());
        assert_eq!(drops.count(), 0);
        assert_eq!(run(|| 1).unwrap(), 1);
        assert_eq!(drops.count(), 1);
        drop(fiber);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

// `run_until` where others drive or close the hub.

/// Passes polls on, and counts them.
async fn counted<F: Future>(polls: Count, future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        polls.add();
        future.as_mut().poll(cx)
    })
    .await
}

#[test]
fn run_until_on_a_hub_that_is_closed_but_for_its_root_waits_without_spinning() {
    watched(|| {
        let polls = Count::new();
        let output = Rc::new(Cell::new(None));
        let (theirs, polled) = (output.clone(), polls.clone());
        run(move || {
            let (closed, is_closed) = oneshot::channel::<()>();
            drop(tokio::task::spawn_local(async move {
                is_closed.await.unwrap();
                theirs.set(Some(counted(polled, Hub::run_until(async { 1 })).await));
            }));
            Hub::current().close().wait();
            closed.send(()).unwrap();
            for _ in 0..100 {
                sleep(MS / 10).wait();
            }
            // It waits for this fiber to end.
            assert_ne!(polls.get(), 0);
            assert!(polls.get() < 50, "polled {} times", polls.get());
            assert_eq!(output.get(), None);
        })
        .unwrap();
    });
}

#[test]
fn run_until_in_the_root_of_a_closed_hub_only_awaits_its_future() {
    watched(|| {
        let out = run(|| {
            Hub::current().close().wait();
            Hub::run_until(async {
                yield_now().await;
                1
            })
            .wait()
        });
        assert_eq!(out.unwrap(), 1);
    });
}

#[test]
fn a_runtime_that_is_dropped_ends_its_fibers_though_a_run_until_of_theirs_is_kept() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let mut driver = Box::pin(Hub::run_until(pending::<()>()));
        let mut fiber = rt.block_on(async {
            let fiber = spawn(move || {
                let _token = token;
                forever();
            });
            assert!(poll_once(driver.as_mut()).is_pending());
            settle().await;
            fiber
        });
        assert_eq!(drops.count(), 0);
        drop(rt);
        assert_eq!(drops.count(), 1);
        assert!(!fiber.is_alive());
        drop(driver);
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
    });
}

// Closes that nobody would complete.

#[test]
fn a_wait_for_a_close_that_would_block_the_hubs_own_thread_panics() {
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async {
            drop(spawn(forever));
            settle().await;
            Hub::current()
        });
        let panic = panic_of(|| hub.close().wait());
        assert!(
            panic.message.contains("it would wait for ever"),
            "{panic:?}"
        );
        rt.block_on(hub.close());
    });
}

#[test]
fn the_close_of_a_hub_that_has_failed_ends_its_fibers_and_is_done() {
    in_thread_with_failed_hub(|hub, drops| {
        assert_eq!(drops.count(), 0);
        runtime().block_on(hub.close());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_close_of_a_hub_that_has_failed_is_done_on_a_plain_thread_too() {
    in_thread_with_failed_hub(|hub, drops| {
        hub.close().wait();
        assert_eq!(drops.count(), 1);
    });
}

/// Calls `body` with a hub whose runtime was dropped on another thread, and with
/// the drops of a token that its fiber holds.
#[track_caller]
fn in_thread_with_failed_hub(body: impl FnOnce(Hub, Drops) + Send + 'static) {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let hub = rt.block_on(async {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
            Hub::current()
        });
        thread::spawn(move || drop(rt)).join().unwrap();
        body(hub, drops);
    });
}

// Waits that are refused while a stack unwinds.

/// Whether a wait is refused, in a destructor.
fn refused_in_drop(refused: &Rc<Cell<Option<bool>>>) -> OnDrop<impl FnMut() + use<>> {
    let refused = refused.clone();
    OnDrop(move || refused.set(Some(sleep(MS).wait_or_cancelled().is_err())))
}

#[test]
fn a_wait_is_refused_when_a_runtime_is_dropped_inside_an_executor_of_futures() {
    const NAME: &str = "a_wait_is_refused_when_a_runtime_is_dropped_inside_an_executor_of_futures";
    let child = in_child(NAME, || {
        let refused = Rc::new(Cell::new(None));
        futures::executor::block_on(async {
            let rt = runtime();
            let guard = refused_in_drop(&refused);
            rt.block_on(async {
                drop(spawn(move || {
                    let _guard = guard;
                    forever();
                }));
                settle().await;
            });
            drop(rt);
        });
        assert_eq!(refused.get(), Some(true));
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_wait_is_refused_when_run_until_is_dropped_inside_an_executor_of_futures() {
    const NAME: &str = "a_wait_is_refused_when_run_until_is_dropped_inside_an_executor_of_futures";
    let child = in_child(NAME, || {
        let refused = Rc::new(Cell::new(None));
        let rt = runtime();
        let _context = rt.enter();
        futures::executor::block_on(async {
            let guard = refused_in_drop(&refused);
            let mut driver = Box::pin(Hub::run_until(async {
                drop(spawn(move || {
                    let _guard = guard;
                    forever();
                }));
                pending::<()>().await;
            }));
            assert!(poll_once(driver.as_mut()).is_pending());
            assert!(poll_once(driver.as_mut()).is_pending());
            assert_eq!(refused.get(), None);
            drop(driver);
        });
        assert_eq!(refused.get(), Some(true));
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_wait_in_a_destructor_of_a_future_that_panics_in_its_poll_does_not_abort() {
    const NAME: &str = "a_wait_in_a_destructor_of_a_future_that_panics_in_its_poll_does_not_abort";
    let child = in_child(NAME, || {
        let refused = Rc::new(Cell::new(None));
        let guard = refused_in_drop(&refused);
        let panic = panic_of(|| {
            run(move || {
                async move {
                    let _guard = guard;
                    panic!("of the future");
                }
                .wait();
            })
        });
        assert_eq!(panic.message, "of the future");
        assert_eq!(refused.get(), Some(true));
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

// Payloads that panic when they are dropped.

/// Panics with another one of itself when it is dropped.
struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        resume_unwind(Box::new(Again));
    }
}

/// Panics when it is dropped, with a payload that panics when it is dropped.
struct Once;

impl Drop for Once {
    fn drop(&mut self) {
        struct Second;
        impl Drop for Second {
            fn drop(&mut self) {
                panic!("of the payload");
            }
        }
        panic_any(Second);
    }
}

/// A detached fiber that ends like `body` harms nobody, in a child.
#[track_caller]
fn assert_harmless(name: &str, body: fn()) {
    let child = in_child(name, move || {
        run(move || {
            drop(spawn(body));
            let other = spawn(|| {
                sleep(MS).wait();
                42
            });
            assert_eq!(other.wait().unwrap(), 42);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_payload_whose_drop_panics_for_ever_does_not_abort() {
    assert_harmless(
        "a_payload_whose_drop_panics_for_ever_does_not_abort",
        || resume_unwind(Box::new(Again)),
    );
}

#[test]
fn a_result_whose_drop_panics_with_a_payload_whose_drop_panics_does_not_abort() {
    const NAME: &str = "a_result_whose_drop_panics_with_a_payload_whose_drop_panics_does_not_abort";
    let child = in_child(NAME, || {
        run(|| {
            drop(spawn(|| Once));
            yield_now().wait();
            assert_eq!(spawn(|| 42).wait().unwrap(), 42);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

// Unwinding that is not one's own.

#[test]
fn a_fiber_whose_bridge_waits_in_its_unwinding_is_not_taken_for_unwinding() {
    watched(|| {
        let (tried, timed) = run(|| {
            let fiber = spawn(|| {
                let mut unwinding = Box::pin(bridge(|| {
                    let _guard = OnDrop(|| sleep(5 * MS).wait());
                    resume_unwind(Box::new(1));
                }));
                poll_fn(|cx| {
                    assert!(unwinding.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .wait();
                assert!(thread::panicking());
                let tried = sleep(MS).wait_or_cancelled();
                let timed = sleep(MS).wait_timeout(Duration::from_secs(20));
                let over = poll_fn(|cx| {
                    let poll = catch_unwind(AssertUnwindSafe(|| unwinding.as_mut().poll(cx)));
                    match poll {
                        Ok(Poll::Pending) => Poll::Pending,
                        Ok(Poll::Ready(())) => Poll::Ready(false),
                        Err(_) => Poll::Ready(true),
                    }
                });
                assert!(over.wait());
                assert!(!thread::panicking());
                (tried, timed)
            });
            fiber.wait().unwrap()
        })
        .unwrap();
        assert!(tried.is_ok(), "{tried:?}");
        assert!(timed.is_ok(), "{timed:?}");
    });
}

// Yields that move to another hub, and yields that are polled more than once.

#[test]
fn a_yield_that_moves_to_a_fiber_of_another_hub_does_not_wait_for_its_old_place() {
    watched(|| {
        let (first, second) = (runtime(), runtime());
        let moved: YieldNow = first.block_on(async {
            let fiber = spawn(|| {
                for _ in 0..10_000 {
                    yield_now().wait();
                }
                let mut moved = yield_now();
                poll_fn(|cx| {
                    assert!(Pin::new(&mut moved).poll(cx).is_pending());
                    Poll::Ready(())
                })
                .wait();
                moved
            });
            fiber.await.unwrap()
        });
        second.block_on(async {
            let turns = Rc::new(Cell::new(0));
            let theirs = turns.clone();
            let fiber = spawn(move || {
                moved.wait();
                theirs.get()
            });
            let counter = spawn(move || {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now().wait();
                }
            });
            let turns = fiber.await.unwrap();
            assert!(turns < 100, "it waited for {turns} turns");
            counter.cancel();
        });
    });
}

#[test]
fn a_yield_that_moves_to_a_task_of_another_runtime_ends_there() {
    watched(|| {
        let (first, second) = (runtime(), runtime());
        let moved = first.block_on(async {
            let _hub = Hub::current();
            let mut moved = yield_now();
            assert!(poll_once(Pin::new(&mut moved)).is_pending());
            moved
        });
        second.block_on(moved);
        // And where there is a hub.
        let moved = first.block_on(async {
            let mut moved = yield_now();
            assert!(poll_once(Pin::new(&mut moved)).is_pending());
            moved
        });
        second.block_on(async {
            assert_eq!(spawn(|| 42).await.unwrap(), 42);
            moved.await;
        });
    });
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_yield_that_is_polled_many_times_with_one_waker_is_queued_once() {
    in_async(|| async {
        let _hub = Hub::current();
        settle().await;
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut future = yield_now();
        for _ in 0..1000 {
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
        }
        // Whoever is queued keeps the waker.
        assert!(Arc::strong_count(&wakes) < 10);
        settle().await;
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut future).poll(&mut cx).is_ready());
    });
}

/// Runs a hub that is left with a fiber that waits for ever.
fn run_leaves_a_fiber() {
    let result = switchback::run(|| {
        drop(spawn(forever));
        yield_now().wait();
        42
    });
    println!("run: {result:?}");
}

#[test]
fn run_returns_in_a_destructor_of_a_thread_that_unwinds() {
    const NAME: &str = "run_returns_in_a_destructor_of_a_thread_that_unwinds";
    let child = in_child(NAME, || {
        let unwound = catch_unwind(|| {
            let _runs = OnDrop(run_leaves_a_fiber);
            panic!("around the run");
        });
        assert!(unwound.is_err());
        assert!(!std::thread::panicking());
    });
    let Some(child) = child else { return };
    child.assert_success();
    assert!(child.stdout.contains("run: Ok(42)"), "{child:#?}");
}

#[test]
fn run_returns_on_a_thread_with_an_abandoned_stack_that_was_unwinding() {
    const NAME: &str = "run_returns_on_a_thread_with_an_abandoned_stack_that_was_unwinding";
    let child = in_child(NAME, || {
        let runtime = runtime();
        runtime.block_on(async {
            drop(spawn(|| {
                let _waits = OnDrop(forever);
                forever();
            }));
            yield_now().await;
        });
        drop(runtime);
        assert!(
            std::thread::panicking(),
            "the stack was leaked half unwound"
        );
        run_leaves_a_fiber();
        // Nothing else is as it was on this thread.
        std::process::exit(0);
    });
    let Some(child) = child else { return };
    child.assert_success();
    assert!(child.stdout.contains("run: Ok(42)"), "{child:#?}");
}
