//! One test for each safety check that random testing alone does not feel: with
//! the check taken out, it fails.
// A `Fiber` is a future; that it leaves its runtime is what some tests need.
#![allow(clippy::async_yields_async)]

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use switchback::prelude::*;
use switchback::{
    Fiber, Hub, bridge, catch_cancel, current_fiber, scope, shield, sleep, spawn, with_timeout,
    yield_now,
};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

fn runtime() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap()
}

/// Runs `f` when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Panics, and waits so long while it unwinds.
fn unwind_for(duration: Duration) {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _waits = OnDrop(|| sleep(duration).wait());
        resume_unwind(Box::new("a panic"));
    }));
    assert!(caught.is_err());
}

#[test]
fn a_fiber_that_has_caught_its_panic_may_wait_while_another_unwinds() {
    runtime().block_on(async {
        let mut short = spawn(|| {
            unwind_for(5 * MS);
            sleep(MS).wait_or_cancelled().is_ok()
        });
        let mut long = spawn(|| unwind_for(20 * MS));
        assert!(short.join().await.unwrap());
        long.join().await.unwrap();
    });
}

#[test]
fn a_fiber_that_alone_unwinds_is_refused_also_after_a_wait() {
    runtime().block_on(async {
        let begin = Instant::now();
        let mut fiber = spawn(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _waits = OnDrop(|| {
                    sleep(5 * MS).wait();
                    assert!(sleep(LONG).wait_or_cancelled().is_err());
                });
                resume_unwind(Box::new("a panic"));
            }));
            assert!(caught.is_err());
        });
        fiber.join().await.unwrap();
        assert!(begin.elapsed() < LONG);
    });
}

#[test]
fn unwinding_again_and_again_is_told_apart_each_time() {
    runtime().block_on(async {
        // Were the count of suspended unwinds not kept, the second would be
        // taken for one of two.
        for _ in 0..2 {
            let begin = Instant::now();
            let mut fiber = spawn(|| {
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let _waits = OnDrop(|| {
                        sleep(5 * MS).wait();
                        let _ = sleep(LONG).wait_timeout(LONG);
                    });
                    resume_unwind(Box::new("a panic"));
                }));
            });
            fiber.join().await.unwrap();
            assert!(begin.elapsed() < LONG);
        }
    });
}

#[test]
fn a_fiber_that_is_resumed_while_another_unwinds_may_wait() {
    runtime().block_on(async {
        let mut calm = spawn(|| {
            sleep(5 * MS).wait();
            sleep(MS).wait_or_cancelled().is_ok()
        });
        sleep(MS).await;
        let mut unwinds = spawn(|| unwind_for(20 * MS));
        assert!(calm.join().await.unwrap());
        unwinds.join().await.unwrap();
    });
}

#[test]
fn a_shielded_scope_does_not_pass_a_cancel_on() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            shield(|| {
                scope(|s| {
                    let _child = s.spawn(|| assert!(sleep(10 * MS).wait_or_cancelled().is_ok()));
                });
            });
            catch_cancel(|| yield_now().wait()).is_err()
        });
        sleep(MS).await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap());
    });
}

#[test]
fn a_scope_that_unwinds_cancels_its_children() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            scope(|s| {
                let _child = s.spawn(|| pending::<()>().wait());
                resume_unwind(Box::new("a panic"));
            })
        });
        let joined = timeout(LONG, fiber.join()).await;
        assert!(joined.expect("it ends").unwrap_err().is_panic());
    });
}

#[test]
fn a_cancel_at_the_end_of_a_scope_goes_to_the_children_and_then_to_the_parent() {
    runtime().block_on(async {
        let went_on = Rc::new(Cell::new(false));
        let seen = went_on.clone();
        let mut fiber = spawn(move || {
            scope(|s| {
                let _child = s.spawn(|| pending::<()>().wait());
            });
            seen.set(true);
        });
        sleep(MS).await;
        fiber.cancel();
        let joined = timeout(LONG, fiber.join()).await;
        assert!(joined.expect("it ends").unwrap_err().is_cancelled());
        assert!(!went_on.get());
    });
}

#[test]
fn a_child_that_panics_and_is_not_joined_is_heard_of() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            scope(|s| {
                let _child = s.spawn(|| resume_unwind(Box::new("a panic")));
            })
        });
        assert!(fiber.join().await.unwrap_err().is_panic());
    });
}

#[test]
fn a_bridge_whose_child_was_lost_with_the_hub_does_not_go_on() {
    runtime().block_on(async {
        let left = Rc::new(Cell::new(false));
        let seen = left.clone();
        let mut hub = Box::pin(Hub::run_until(async move {
            let bridge = bridge(move || {
                let _left = OnDrop(move || seen.set(true));
                scope(|s| {
                    // It cannot be unwound: it catches, and waits again.
                    let _child = s.spawn(|| {
                        let _ = catch_cancel(|| pending::<()>().wait());
                        pending::<()>().wait();
                    });
                });
            });
            let task = tokio::task::spawn_local(bridge);
            sleep(MS).await;
            OUT.with(|out| out.set(Some(task)));
            pending::<()>().await;
        }));
        thread_local! {
            static OUT: Cell<Option<tokio::task::JoinHandle<()>>> = const { Cell::new(None) };
        }
        let _ = timeout(5 * MS, &mut hub).await;
        drop(hub);
        let task = OUT.take().unwrap();
        let ended = timeout(LONG, task).await.expect("it does not hang");
        assert!(ended.unwrap_err().is_panic());
        assert!(!left.get(), "its frames are left alone");
    });
}

#[test]
fn a_waker_of_a_fiber_that_ended_does_not_wake_the_next_in_its_place() {
    runtime().block_on(async {
        let waker = Rc::new(Cell::new(None));
        let out = waker.clone();
        let mut first = spawn(move || {
            let take = poll_fn(|cx| {
                out.set(Some(cx.waker().clone()));
                Poll::Ready(())
            });
            take.wait();
        });
        first.join().await.unwrap();
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let second = spawn(move || {
            let count = poll_fn(|_| {
                counted.set(counted.get() + 1);
                Poll::<()>::Pending
            });
            count.wait();
        });
        sleep(MS).await;
        let stale: Waker = waker.take().unwrap();
        stale.wake();
        sleep(MS).await;
        assert_eq!(polls.get(), 1);
        drop(second);
    });
}

#[test]
fn a_wake_that_comes_while_a_fiber_drives_its_own_hub_is_not_lost() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            let woken = Cell::new(false);
            // Woken while it polls, before it drives the hub in the same poll.
            let inner = poll_fn(|cx| {
                if woken.replace(true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            let (_never, receiver) = oneshot::channel::<()>();
            let mut receiver = pin!(receiver);
            let mut driven = pin!(Hub::run_until(inner));
            poll_fn(|cx| {
                let _ = receiver.as_mut().poll(cx);
                driven.as_mut().poll(cx)
            })
            .wait();
        });
        let joined = timeout(LONG, fiber.join()).await;
        joined.expect("it ends").unwrap();
    });
}

#[test]
fn a_fiber_that_was_not_started_does_not_run_when_it_is_unparked() {
    runtime().block_on(async {
        let ran = Rc::new(Cell::new(false));
        let seen = ran.clone();
        let fiber = Fiber::new(move || seen.set(true));
        fiber.handle().unpark();
        sleep(MS).await;
        assert!(!ran.get());
        assert!(fiber.start());
        sleep(MS).await;
        assert!(ran.get());
    });
}

#[test]
fn of_two_deadlines_that_have_passed_the_outer_one_counts() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            let went_on = Cell::new(false);
            let outer = with_timeout(5 * MS, || {
                let _ = with_timeout(5 * MS, || sleep(LONG).wait());
                went_on.set(true);
            });
            outer.is_err() && !went_on.get()
        });
        assert!(fiber.join().await.unwrap());
    });
}

#[test]
fn a_deadline_wakes_the_task_that_polled_a_bridge_last() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    runtime().block_on(async {
        let wakes = [0, 1].map(|_| Arc::new(Count(AtomicUsize::new(0))));
        let mut bridge = Box::pin(bridge(|| with_timeout(5 * MS, || pending::<()>().wait())));
        for count in &wakes {
            let waker = Waker::from(count.clone());
            let polled = bridge.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        sleep(10 * MS).await;
        assert_eq!(wakes[0].0.load(Ordering::Relaxed), 0);
        assert_eq!(wakes[1].0.load(Ordering::Relaxed), 1);
        assert!(bridge.await.is_err());
    });
}

#[test]
fn a_cancel_is_used_up_by_its_delivery() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            current_fiber().unwrap().cancel();
            assert!(catch_cancel(|| yield_now().wait()).is_err());
            yield_now().wait();
            sleep(MS).wait();
        });
        fiber.join().await.unwrap();
    });
}

#[test]
fn what_was_told_of_the_end_and_waits_again_is_left_and_not_told_again() {
    let told = Rc::new(Cell::new(0));
    let count = told.clone();
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn(move || {
            for _ in 0..3 {
                let caught = catch_cancel(|| pending::<()>().wait());
                count.set(count.get() + u32::from(caught.is_err()));
            }
        }));
        sleep(MS).await;
    });
    drop(runtime);
    assert_eq!(told.get(), 1);
}

#[test]
fn a_join_on_another_thread_is_told_that_the_thread_of_the_hub_has_ended() {
    let (tell, told) = std::sync::mpsc::channel();
    let hub = std::thread::spawn(move || {
        // The runtime outlives its thread: nobody ends the fibers.
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fiber = spawn(|| pending::<u8>().wait());
            yield_now().await;
            tell.send(fiber).unwrap();
        });
        std::mem::forget(runtime);
        std::thread::sleep(Duration::from_millis(50));
    });
    let mut fiber = told.recv().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(fiber.join().wait()));
    let joined = told.recv_timeout(Duration::from_secs(20));
    let error = joined.expect("it is told").unwrap_err();
    assert!(
        error.to_string().contains("was lost with its hub"),
        "{error}"
    );
    hub.join().unwrap();
}

#[test]
fn a_wait_in_a_runtime_that_was_entered_on_the_stack_is_refused() {
    let other = Builder::new_current_thread().build().unwrap();
    let handle = other.handle().clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
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
fn a_fiber_is_woken_from_elsewhere_again_and_again() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut fiber = spawn(|| {
            for _ in 0..3 {
                let (sender, receiver) = oneshot::channel();
                let other = std::thread::spawn(move || {
                    std::thread::sleep(5 * MS);
                    sender.send(()).unwrap();
                });
                receiver.wait().unwrap();
                other.join().unwrap();
            }
        });
        let joined = timeout(Duration::from_secs(20), fiber.join()).await;
        joined.expect("no wake is lost").unwrap();
    });
}

#[test]
fn a_join_elsewhere_that_races_with_the_end_is_not_lost() {
    const ROUNDS: usize = 20_000;
    let (fibers, received) = std::sync::mpsc::sync_channel::<Fiber<usize>>(0);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut joined = 0;
        for mut fiber in received {
            joined += fiber.join().wait().unwrap();
            assert!(!fiber.is_alive());
        }
        tell.send(joined).unwrap();
    });
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..ROUNDS {
                fibers.send(spawn(|| 1)).unwrap();
                yield_now().await;
            }
        });
    });
    let joined = told.recv_timeout(Duration::from_secs(20));
    assert_eq!(joined, Ok(ROUNDS));
}

#[test]
fn a_driver_that_leaves_hands_the_hub_to_another() {
    runtime().block_on(async {
        // Made on first need: it has a task that drives it.
        let mut fiber = spawn(|| sleep(3 * MS).wait());
        {
            let mut inside = pin!(Hub::run_until(pending::<()>()));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(inside.as_mut().poll(&mut cx).is_pending());
        }
        timeout(LONG, fiber.join()).await.expect("it ends").unwrap();
    });
}

#[test]
fn a_wait_inside_a_poll_of_the_same_fiber_is_refused_by_name() {
    runtime().block_on(async {
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

#[test]
fn a_fiber_that_gives_way_gives_way_to_tasks_too() {
    runtime().block_on(async {
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        // Always ready: it is polled as often as its turn comes.
        let task = tokio::task::spawn_local(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let mut fiber = spawn(move || {
            let gave_way = (0..100).filter(|_| {
                let before = polls.get();
                yield_now().wait();
                polls.get() > before
            });
            gave_way.count()
        });
        let gave_way = fiber.join().await.unwrap();
        assert!(gave_way > 90, "{gave_way} of 100 times");
        task.abort();
    });
}
