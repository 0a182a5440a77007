//! Bridges: blocking-style code in the awaiting task, on any executor.
// `bridge_borrowed` is unsafe to call.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use switchback::{
    Hub, bridge, bridge_borrowed, catch_cancel, current_fiber, in_fiber, park, prelude::*, scope,
    sleep, spawn, with_timeout, yield_now,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_test::task;

use crate::support::ending::{Count, InDrop, poll_once, settle, unwinds};
use crate::support::{
    Drops, OnDrop, forever, in_async, in_child, in_root_fiber, ms, multi_thread_runtime, panic_of,
    paused_local_runtime, runtime, text, watched,
};

/// Waits in several ways for what works on any executor.
fn body() -> i32 {
    let (tx, rx) = oneshot::channel();
    let thread = thread::spawn(move || tx.send(40).unwrap());
    let n = rx.wait().unwrap();
    thread.join().unwrap();
    yield_now().wait();
    n + async { 2 }.wait()
}

// On every executor.

#[test]
fn it_runs_on_a_current_thread_runtime() {
    in_async(|| async {
        assert_eq!(bridge(body).await, 42);
        bridge(|| sleep(ms(1)).wait()).await;
    });
}

#[test]
fn it_runs_in_the_main_task_of_a_multi_thread_runtime() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            assert_eq!(bridge(body).await, 42);
            bridge(|| sleep(ms(1)).wait()).await;
        });
    });
}

#[test]
fn it_runs_in_a_local_set() {
    watched(|| {
        let local = LocalSet::new();
        local.block_on(&multi_thread_runtime(), async {
            let task = tokio::task::spawn_local(bridge(body));
            assert_eq!(task.await.unwrap(), 42);
        });
    });
}

#[test]
fn it_runs_in_tasks_of_a_local_runtime() {
    watched(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let rt = builder.enable_all().build_local(Default::default());
        rt.unwrap().block_on(async {
            let tasks: Vec<_> = (0..10)
                .map(|_| tokio::task::spawn_local(bridge(body)))
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap(), 42);
            }
        });
    });
}

#[test]
fn it_runs_on_the_executor_of_futures() {
    watched(|| {
        assert_eq!(futures::executor::block_on(bridge(body)), 42);
        futures::executor::block_on(bridge(|| sleep(ms(1)).wait()));
    });
}

#[test]
fn it_runs_on_tokio_inside_a_fiber_inside_a_bridge() {
    in_async(|| async {
        let out = bridge(|| {
            let mut fiber = spawn(|| {
                let inner = bridge(|| {
                    yield_now().wait();
                    spawn(body).wait().unwrap()
                });
                inner.wait()
            });
            fiber.join().wait().unwrap()
        });
        assert_eq!(out.await, 42);
    });
}

#[test]
fn bridges_nest() {
    fn nest(level: usize) -> usize {
        yield_now().wait();
        match level {
            0 => 0,
            _ => 1 + bridge(move || nest(level - 1)).wait(),
        }
    }
    watched(|| assert_eq!(futures::executor::block_on(bridge(|| nest(20))), 20));
    in_async(|| async { assert_eq!(bridge(|| nest(20)).await, 20) });
}

#[test]
fn it_is_no_fiber() {
    in_async(|| async {
        bridge(|| {
            assert!(!in_fiber());
            assert!(current_fiber().is_none());
            assert!(panic_of(park).message.contains("outside of a fiber"));
        })
        .await;
    });
    in_root_fiber(|| {
        let outer = current_fiber().unwrap().id();
        bridge(|| {
            assert!(!in_fiber());
            yield_now().wait();
            assert!(!in_fiber());
        })
        .wait();
        assert_eq!(current_fiber().unwrap().id(), outer);
    });
}

#[test]
fn the_task_around_it_gets_its_turns() {
    in_async(|| async {
        let turns = Cell::new(0);
        let theirs = &turns;
        let ticks = async {
            for _ in 0..10 {
                theirs.set(theirs.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let waits = bridge(|| {
            for _ in 0..10 {
                yield_now().wait();
            }
        });
        tokio::join!(waits, ticks);
        assert_eq!(turns.get(), 10);
    });
}

// Wakers.

#[test]
fn it_wakes_the_task_that_polled_it_last() {
    let notify = Rc::new(Notify::new());
    let theirs = notify.clone();
    let mut first = task::spawn(());
    let mut second = task::spawn(());
    let mut future = Box::pin(bridge(move || theirs.notified().wait()));
    assert!(first.enter(|cx, _| future.as_mut().poll(cx)).is_pending());
    assert!(second.enter(|cx, _| future.as_mut().poll(cx)).is_pending());
    notify.notify_one();
    assert!(!first.is_woken());
    assert!(second.is_woken());
    assert!(second.enter(|cx, _| future.as_mut().poll(cx)).is_ready());
}

#[test]
fn it_wakes_the_task_that_polled_it_last_through_nested_bridges() {
    let notify = Rc::new(Notify::new());
    let theirs = notify.clone();
    let mut tasks = [task::spawn(()), task::spawn(()), task::spawn(())];
    let mut future = Box::pin(bridge(move || {
        bridge(move || bridge(move || theirs.notified().wait()).wait()).wait();
    }));
    for task in &mut tasks {
        assert!(task.enter(|cx, _| future.as_mut().poll(cx)).is_pending());
    }
    notify.notify_one();
    assert_eq!(
        tasks.each_ref().map(|task| task.is_woken()),
        [false, false, true]
    );
}

#[test]
fn a_stray_poll_ends_no_wait() {
    let (tx, rx) = oneshot::channel();
    let mut future = task::spawn(bridge(move || rx.wait().unwrap()));
    for _ in 0..100 {
        assert!(future.poll().is_pending());
    }
    tx.send(42).unwrap();
    assert_eq!(future.poll(), Poll::Ready(42));
}

// Panics.

#[test]
fn a_panic_is_resumed_in_the_awaiting_task() {
    in_async(|| async {
        let task = tokio::task::LocalSet::new();
        let joined = task
            .run_until(async {
                tokio::task::spawn_local(bridge(|| {
                    yield_now().wait();
                    panic!("of the body");
                }))
                .await
            })
            .await;
        assert_eq!(text(&*joined.unwrap_err().into_panic()), "of the body");
    });
}

#[test]
fn a_panic_in_the_first_poll_is_resumed() {
    let mut future = Box::pin(bridge(|| panic!("at once")));
    let payload = catch_unwind(AssertUnwindSafe(|| poll_once::<_>(future.as_mut()))).unwrap_err();
    assert_eq!(text(&*payload), "at once");
    drop(future);
}

#[test]
fn a_poll_after_ready_panics_and_says_so() {
    let mut future = Box::pin(bridge(|| 42));
    assert_eq!(poll_once(future.as_mut()), Poll::Ready(42));
    for _ in 0..2 {
        let panic = panic_of(|| poll_once(future.as_mut()));
        assert_eq!(
            panic.message,
            "a `Bridge` was polled after it was ready; make another one to run the closure again"
        );
    }
}

#[test]
fn a_poll_after_a_panic_panics_and_says_so() {
    let mut future = Box::pin(bridge(|| panic!("of the body")));
    assert!(unwinds(|| poll_once::<_>(future.as_mut())));
    let panic = panic_of(|| poll_once(future.as_mut()));
    assert_eq!(
        panic.message,
        "a `Bridge` was polled after it was ready; make another one to run the closure again"
    );
}

#[test]
fn a_body_that_panics_in_a_bridge_in_a_fiber_is_the_fibers_panic() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| bridge(|| panic!("of the bridge")).wait());
        let error = fiber.join().wait().unwrap_err();
        assert!(error.to_string().contains("of the bridge"));
    });
}

#[test]
fn a_body_that_rethrows_a_cancel_cancels_the_fiber_that_awaits_it() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| {
            current_fiber().unwrap().cancel_with("through the bridge");
            let cancelled = std::panic::catch_unwind(|| ready(()).wait()).unwrap_err();
            bridge(move || std::panic::resume_unwind(cancelled)).wait();
        });
        let error = fiber.join().wait().unwrap_err();
        assert_eq!(
            error.cancelled().unwrap().message(),
            Some("through the bridge")
        );
    });
}

// Dropped at any point.

#[test]
fn dropped_before_its_first_poll_it_drops_its_closure_and_runs_nothing() {
    let (drops, runs) = (Drops::new(), Count::new());
    let (token, ran) = (drops.token(), runs.clone());
    drop(bridge(move || {
        let _token = token;
        ran.add();
    }));
    assert_eq!((drops.count(), runs.get()), (1, 0));
}

#[test]
fn dropped_while_it_waits_it_unwinds() {
    let drops = Drops::new();
    for polls in 1..5 {
        let (captured, inner) = (drops.token(), drops.token());
        let mut future = Box::pin(bridge(move || {
            let _captured = captured;
            let _local = inner;
            loop {
                let mut polled = false;
                poll_fn(|_| match std::mem::replace(&mut polled, true) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .wait();
            }
        }));
        for _ in 0..polls {
            assert!(poll_once::<_>(future.as_mut()).is_pending());
        }
        drop(future);
        assert_eq!(drops.count(), 2 * polls);
    }
}

#[test]
fn dropped_after_its_end_it_drops_nothing_twice() {
    let drops = Drops::new();
    let token = drops.token();
    let mut future = Box::pin(bridge(move || token));
    let Poll::Ready(token) = poll_once(future.as_mut()) else {
        panic!("nothing to wait for");
    };
    drop(future);
    assert_eq!(drops.count(), 0);
    drop(token);
    assert_eq!(drops.count(), 1);
}

#[test]
fn dropped_by_a_select_it_unwinds() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let slow = bridge(move || {
            let _token = token;
            forever();
        });
        tokio::select! {
            () = slow => unreachable!("it never ends"),
            () = tokio::time::sleep(ms(1)) => {}
        }
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn dropped_by_a_cancelled_fiber_it_unwinds() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut fiber = spawn(move || {
            bridge(move || {
                let _token = token;
                bridge(forever).wait();
            })
            .wait();
        });
        settle().await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn dropped_while_the_thread_panics_it_unwinds() {
    let drops = Drops::new();
    let token = drops.token();
    let mut future = Box::pin(bridge(move || {
        let _token = token;
        forever();
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    assert!(unwinds(move || {
        let _future = future;
        panic!("around it");
    }));
    assert_eq!(drops.count(), 1);
    assert!(!thread::panicking());
}

#[test]
fn dropped_unpolled_while_the_thread_panics_it_drops_its_closure() {
    let drops = Drops::new();
    let token = drops.token();
    let future = bridge(move || drop(token));
    assert!(unwinds(move || {
        let _future = future;
        panic!("around it");
    }));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_wait_in_a_body_that_is_dropped_throws_a_cancel() {
    let message = Rc::new(RefCell::new(None));
    let theirs = message.clone();
    let mut future = Box::pin(bridge(move || {
        let cancelled = catch_cancel(forever).unwrap_err();
        theirs.replace(Some(cancelled.to_string()));
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    assert!(message.borrow().is_some());
}

#[test]
fn a_result_that_comes_while_it_is_dropped_is_dropped_with_it() {
    let drops = Drops::new();
    let token = drops.token();
    let mut future = Box::pin(bridge(move || {
        let _ = catch_cancel(forever);
        token
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_destructor_that_panics_while_it_is_dropped_ends_there() {
    let mut future = Box::pin(bridge(|| {
        let _ = catch_cancel(forever);
        OnDrop(|| panic!("of the result"))
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    let mut future = Box::pin(bridge(|| {
        let _ = catch_cancel(forever);
        panic!("of the body");
    }));
    assert!(poll_once::<_>(future.as_mut()).is_pending());
    drop(future);
}

#[test]
fn the_future_that_it_waits_for_is_dropped_with_it() {
    let drops = Drops::new();
    let token = drops.token();
    let mut future = Box::pin(bridge(move || {
        async {
            let _token = token;
            pending::<()>().await;
        }
        .wait();
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    assert_eq!(drops.count(), 1);
}

// Waits in destructors.

#[test]
fn a_destructor_that_waits_while_it_is_dropped_leaks_it_with_a_warning() {
    let child = in_child(|| {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut future = Box::pin(bridge(move || {
            let _guard = theirs.guard(|| sleep(ms(1)).wait());
            forever();
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        drop(future);
        marks.assert_stuck();
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.reported("its stack is leaked"), "{child:#?}");
    }
}

#[test]
fn the_warning_says_when_a_leaked_bridge_marks_the_thread() {
    let child = in_child(|| {
        let mut future = Box::pin(bridge(|| {
            let _guard = OnDrop(forever);
            forever();
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        drop(future);
        assert!(thread::panicking());
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.reported("counts as panicking"), "{child:#?}");
    }
}

#[test]
fn a_closure_whose_destructor_waits_when_it_is_dropped_unpolled_is_leaked() {
    watched(|| {
        let marks = InDrop::new();
        let guard = marks.guard(forever);
        drop(bridge(move || drop(guard)));
        // Told once, it unwinds; then there is nothing more to wait for.
        assert_eq!(marks.began.get(), 1);
        assert_eq!(marks.ended.get(), 0);
    });
}

#[test]
fn a_destructor_that_waits_while_the_body_panics_completes() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let local = LocalSet::new();
        let joined = local
            .run_until(async {
                tokio::task::spawn_local(bridge(move || {
                    let _guard = theirs.guard(|| sleep(ms(1)).wait());
                    panic!("of the body");
                }))
                .await
            })
            .await;
        assert!(joined.unwrap_err().is_panic());
        marks.assert_completed();
    });
}

#[test]
fn dropped_while_it_unwinds_it_is_leaked() {
    watched(|| {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut future = Box::pin(bridge(move || {
            let _guard = theirs.guard(forever);
            panic!("of the body");
        }));
        assert!(poll_once::<_>(future.as_mut()).is_pending());
        drop(future);
        marks.assert_stuck();
        // It is a marked thread, but other bridges work on it.
        let mut next = Box::pin(bridge(|| {
            yield_now().wait_or_cancelled().unwrap();
            42
        }));
        assert_eq!(futures::executor::block_on(next.as_mut()), 42);
    });
}

#[test]
fn what_returns_an_error_in_a_destructor_does_so_while_it_is_dropped() {
    let errors = Rc::new(Cell::new(0));
    let theirs = errors.clone();
    let mut future = Box::pin(bridge(move || {
        let _guard = OnDrop(|| {
            theirs.set(theirs.get() + i32::from(ready(()).wait_or_cancelled().is_err()));
            theirs.set(theirs.get() + i32::from(ready(()).wait_timeout(ms(1)).is_err()));
        });
        forever();
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    assert_eq!(errors.get(), 2);
}

// Borrowing.

#[test]
fn a_borrowing_bridge_borrows() {
    in_async(|| async {
        let mut list = vec![1, 2];
        // SAFETY: awaited here and nowhere else.
        let pushed = unsafe {
            bridge_borrowed(|| {
                sleep(ms(1)).wait();
                list.push(3);
                list.len()
            })
        }
        .await;
        assert_eq!((pushed, list), (3, vec![1, 2, 3]));
    });
}

#[test]
fn a_borrowing_bridge_that_is_dropped_lets_go_of_what_it_borrows() {
    let mut list = vec![1, 2];
    {
        // SAFETY: dropped at the end of this block.
        let future = unsafe {
            bridge_borrowed(|| {
                let _push = OnDrop(|| list.push(3));
                forever();
            })
        };
        let mut future = std::pin::pin!(future);
        assert!(poll_once(future.as_mut()).is_pending());
    }
    assert_eq!(list, [1, 2, 3]);
}

/// Aborts in a child, with the reason.
#[track_caller]
fn assert_aborts(body: impl FnOnce()) {
    if let Some(child) = in_child(body) {
        let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
        assert_eq!(signal, Some(6), "{child:#?}");
        assert!(child.reported("so the process is aborted"), "{child:#?}");
    }
}

#[test]
fn a_borrowing_bridge_that_waits_again_while_it_is_dropped_aborts() {
    assert_aborts(|| {
        let data = [1];
        // SAFETY: dropped below.
        let mut future = Box::pin(unsafe {
            bridge_borrowed(|| {
                let _guard = OnDrop(forever);
                forever();
                let _ = &data;
            })
        });
        assert!(poll_once(future.as_mut()).is_pending());
        drop(future);
    });
}

#[test]
fn a_borrowing_bridge_that_unwinds_when_it_is_dropped_aborts() {
    assert_aborts(|| {
        let data = [1];
        // SAFETY: dropped below.
        let mut future = Box::pin(unsafe {
            bridge_borrowed(|| {
                let _guard = OnDrop(forever);
                let _ = &data;
                panic!("of the body");
            })
        });
        assert!(poll_once::<_>(future.as_mut()).is_pending());
        drop(future);
    });
}

/// A waker whose last drop panics.
struct PanicsInDrop;

impl Wake for PanicsInDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("of a waker's drop");
    }
}

/// Polls a future once with such a waker, of which there is no other copy.
fn poll_once_with_panicking_waker<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(PanicsInDrop));
    future.poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_lets_no_borrowing_bridge_leak() {
    assert_aborts(|| {
        let data = [1];
        // SAFETY: dropped below.
        let mut future = Box::pin(unsafe {
            bridge_borrowed(|| {
                let _guard = OnDrop(|| yield_now().wait());
                forever();
                let _ = &data;
            })
        });
        assert!(poll_once_with_panicking_waker(future.as_mut()).is_pending());
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
        // Reached, the stack that borrows `data` has been leaked.
    });
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_does_not_keep_a_bridge_from_unwinding() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut future = Box::pin(bridge(move || {
            let _token = token;
            forever();
        }));
        assert!(poll_once_with_panicking_waker(future.as_mut()).is_pending());
        assert!(!unwinds(|| drop(future)));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_borrowing_bridge_that_is_dropped_by_its_child_aborts() {
    assert_aborts(|| {
        runtime().block_on(async {
            let slot: Rc<RefCell<Option<_>>> = Rc::default();
            let theirs = slot.clone();
            let body = move || {
                let data = [1];
                scope(|s| {
                    s.spawn(|| {
                        let _ = &data;
                        let parent: Option<std::pin::Pin<Box<dyn Future<Output = ()>>>> =
                            theirs.take();
                        drop(parent);
                    });
                    forever();
                });
            };
            // SAFETY: dropped by the child.
            let parent: std::pin::Pin<Box<dyn Future<Output = ()>>> =
                Box::pin(unsafe { bridge_borrowed(body) });
            slot.replace(Some(parent));
            assert!(poll_once(slot.borrow_mut().as_mut().unwrap().as_mut()).is_pending());
            settle().await;
        });
    });
}

#[test]
fn a_borrowing_bridge_whose_child_was_abandoned_aborts_when_it_is_dropped() {
    assert_aborts(|| {
        let data = [1];
        let rt = runtime();
        // SAFETY: dropped below.
        let mut parent = Box::pin(unsafe {
            bridge_borrowed(|| {
                scope(|s| {
                    s.spawn(|| {
                        let _ = &data;
                        loop {
                            let _ = catch_cancel(forever);
                        }
                    });
                });
            })
        });
        rt.block_on(async {
            assert!(poll_once(parent.as_mut()).is_pending());
            settle().await;
        });
        drop(rt); // abandons the child
        assert!(unwinds(|| poll_once(parent.as_mut())));
        drop(parent);
    });
}

// Forgotten.

#[test]
fn a_bridge_that_is_forgotten_half_way_is_left_alone_by_later_wakes() {
    in_async(|| async {
        let (tx, mut rx) = mpsc::channel::<i32>(4);
        let drops = Drops::new();
        let token = drops.token();
        let mut future = Box::pin(bridge(move || {
            let _token = token;
            while rx.recv().wait().is_some() {}
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        std::mem::forget(future);
        tx.send(1).await.unwrap();
        drop(tx);
        settle().await;
        assert_eq!(drops.count(), 0);
    });
}

// Other runtimes.

#[test]
fn a_wait_in_a_nested_block_on_is_refused() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let panic = bridge(|| {
                let inner = runtime();
                let panic = tokio::task::block_in_place(|| {
                    inner.block_on(async { panic_of(|| yield_now().wait()) })
                });
                inner.shutdown_background();
                yield_now().wait();
                panic
            });
            let panic = panic.await;
            assert!(
                panic
                    .message
                    .contains("would suspend that executor half way"),
                "{panic:?}"
            );
        });
    });
}

#[test]
fn a_guard_of_another_runtime_makes_a_wait_refused_and_not_the_next() {
    in_async(|| async {
        bridge(|| {
            let other = runtime();
            {
                let _entered = other.enter();
                assert!(unwinds(|| yield_now().wait()));
            }
            yield_now().wait();
            other.shutdown_background();
        })
        .await;
    });
}

#[test]
fn a_bridge_may_be_polled_in_another_runtime_than_before() {
    watched(|| {
        let (one, two) = (runtime(), runtime());
        let mut future = Box::pin(bridge(|| {
            let mut ids = Vec::new();
            for _ in 0..2 {
                ids.push(tokio::runtime::Handle::current().id());
                let mut polled = false;
                poll_fn(|_| match std::mem::replace(&mut polled, true) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .wait();
            }
            ids
        }));
        one.block_on(async { assert!(poll_once(future.as_mut()).is_pending()) });
        two.block_on(async { assert!(poll_once(future.as_mut()).is_pending()) });
        let Poll::Ready(ids) = poll_once(future.as_mut()) else {
            panic!("it has waited twice");
        };
        assert_eq!(ids, [one.handle().id(), two.handle().id()]);
    });
}

#[test]
fn a_hub_can_be_driven_inside_a_bridge() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let out = bridge(|| {
                Hub::run_until(async {
                    let mut fiber = spawn(body);
                    fiber.join().await.unwrap()
                })
                .wait()
            });
            assert_eq!(out.await, 42);
        });
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
    paused_local_runtime().block_on(async {
        let wakes = [0, 1].map(|_| Arc::new(Count(AtomicUsize::new(0))));
        let mut bridge = Box::pin(bridge(|| with_timeout(ms(5), || pending::<()>().wait())));
        for count in &wakes {
            let waker = Waker::from(count.clone());
            let polled = bridge.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        sleep(ms(10)).await;
        assert_eq!(wakes[0].0.load(Ordering::Relaxed), 0);
        assert_eq!(wakes[1].0.load(Ordering::Relaxed), 1);
        assert!(bridge.await.is_err());
    });
}
