//! `with_timeout`: each call catches its own deadline, and nothing else's.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{Location, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use switchback::{
    bridge, catch_cancel, check_cancelled, current_fiber, prelude::*, scope, shield, sleep, spawn,
    with_timeout, yield_now,
};
use tokio::time::Instant;

use crate::support::ending::{Count, InDrop, in_paused_fiber, poll_once, settle, unwinds};
use crate::support::{
    Drops, OnDrop, forever, in_async, in_paused, ms, panic_of, paused_local_runtime, runtime, text,
    watched,
};

/// Since `start`, to the millisecond of the paused clock.
#[track_caller]
fn assert_after(start: Instant, expected: Duration) {
    let elapsed = start.elapsed();
    assert!(
        elapsed >= expected && elapsed <= expected + ms(2),
        "{elapsed:?} instead of {expected:?}",
    );
}

// Which deadline it was.

#[test]
fn an_inner_deadline_that_passes_first_ends_the_inner_body_only() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let outer = with_timeout(ms(100), || {
            assert!(with_timeout(ms(10), forever).is_err());
            assert_after(start, ms(10));
            sleep(ms(10)).wait();
            42
        });
        assert_eq!(outer, Ok(42));
        assert_after(start, ms(20));
    });
}

#[test]
fn an_outer_deadline_that_passes_first_is_not_caught_by_an_inner_one() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let came_back = Cell::new(false);
        let outer = with_timeout(ms(10), || {
            let _ = with_timeout(ms(100), forever);
            came_back.set(true);
        });
        assert!(outer.is_err());
        assert!(!came_back.get());
        assert_after(start, ms(10));
    });
}

#[test]
fn nested_equal_deadlines_end_the_outer_body() {
    in_paused_fiber(|| {
        let came_back = Cell::new(false);
        let outer = with_timeout(ms(10), || {
            let _ = with_timeout(ms(10), forever);
            came_back.set(true);
        });
        assert!(outer.is_err());
        assert!(!came_back.get());
    });
}

#[test]
fn the_third_of_five_deadlines_is_told_apart() {
    fn nest(durations: &[u64], level: usize, caught: &Cell<Option<usize>>) {
        let Some((first, rest)) = durations.split_first() else {
            return forever();
        };
        let result = with_timeout(ms(*first), || nest(rest, level + 1, caught));
        if result.is_err() && caught.get().is_none() {
            caught.set(Some(level));
        }
    }
    in_paused_fiber(|| {
        let caught = Cell::new(None);
        nest(&[90, 80, 5, 60, 70], 0, &caught);
        assert_eq!(caught.get(), Some(2));
    });
}

#[test]
fn a_deadline_that_one_fiber_rethrows_is_not_taken_for_that_of_another() {
    in_paused_fiber(|| {
        let mut thrower = spawn(|| {
            let payload = with_timeout(Duration::ZERO, || {
                catch_unwind(|| yield_now().wait()).unwrap_err()
            });
            resume_unwind(payload.unwrap());
        });
        assert!(unwinds(|| with_timeout(ms(100), || -> () {
            let error = thrower.join().wait().unwrap_err();
            resume_unwind(error.into_panic())
        })));
    });
}

#[test]
fn a_deadline_that_is_rethrown_after_its_end_is_not_caught_by_the_next_call() {
    in_paused_fiber(|| {
        let payload = with_timeout(Duration::ZERO, || {
            catch_unwind(|| yield_now().wait()).unwrap_err()
        });
        let payload = payload.unwrap();
        assert!(unwinds(|| with_timeout(ms(100), || -> () {
            resume_unwind(payload)
        })));
    });
}

// What an inner wait may not swallow.

#[test]
fn an_inner_sleep_ends_with_the_outer_deadline() {
    in_paused_fiber(|| {
        let start = Instant::now();
        assert!(with_timeout(ms(10), || sleep(ms(100)).wait()).is_err());
        assert_after(start, ms(10));
    });
}

#[test]
fn an_inner_wait_timeout_does_not_return_the_outer_deadline_as_its_own() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let came_back = Cell::new(false);
        let outer = with_timeout(ms(10), || {
            let _ = pending::<()>().wait_timeout(ms(100));
            came_back.set(true);
        });
        assert!(outer.is_err());
        assert!(!came_back.get());
        assert_after(start, ms(10));
    });
}

#[test]
fn an_inner_wait_timeout_that_passes_first_returns() {
    in_paused_fiber(|| {
        let outer = with_timeout(ms(100), || pending::<()>().wait_timeout(ms(10)));
        assert!(outer.unwrap().is_err());
    });
}

#[test]
fn a_sleep_that_is_over_at_the_same_time_loses() {
    in_paused_fiber(|| {
        assert!(with_timeout(ms(10), || sleep(ms(10)).wait()).is_err());
    });
}

#[test]
fn a_body_that_catches_panics_ends_at_its_next_wait() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let caught = Count::new();
        let result = with_timeout(ms(10), || {
            for _ in 0..5 {
                if unwinds(forever) {
                    caught.add();
                }
            }
            sleep(ms(1)).wait();
            unreachable!("the deadline has passed");
        });
        assert!(result.is_err());
        assert_eq!(caught.get(), 5);
        assert_after(start, ms(10));
    });
}

#[test]
fn check_cancelled_delivers_a_deadline() {
    in_paused_fiber(|| {
        let result = with_timeout(Duration::ZERO, || {
            for _ in 0..1_000_000 {
                check_cancelled();
            }
            unreachable!("the deadline has passed");
        });
        assert!(result.is_err());
    });
}

// What is left behind.

#[test]
fn a_body_that_ends_first_leaves_no_deadline_behind() {
    in_paused_fiber(|| {
        assert_eq!(with_timeout(ms(10), || 42), Ok(42));
        sleep(ms(100)).wait();
        assert_eq!(with_timeout(ms(10), || sleep(ms(5)).wait()), Ok(()));
        sleep(ms(100)).wait();
        check_cancelled();
    });
}

#[test]
fn a_body_that_panics_leaves_no_deadline_behind() {
    in_paused_fiber(|| {
        let payload = catch_unwind(|| with_timeout(ms(10), || panic!("in the body"))).unwrap_err();
        assert_eq!(text(&*payload), "in the body");
        sleep(ms(100)).wait();
    });
}

#[test]
fn a_deadline_that_passed_unnoticed_is_over_with_its_body() {
    in_paused_fiber(|| {
        let result = with_timeout(ms(10), || {
            shield(|| sleep(ms(50)).wait());
            42
        });
        assert_eq!(result, Ok(42));
        sleep(ms(1)).wait();
    });
}

#[test]
fn a_call_that_panics_for_want_of_a_timer_leaves_no_deadline_behind() {
    watched(|| {
        let rt = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        rt.block_on(async {
            let mut fiber = spawn(|| {
                let refused = unwinds(|| with_timeout(ms(1), || ()));
                yield_now().wait();
                refused
            });
            assert!(fiber.join().await.unwrap());
        });
    });
}

#[test]
fn the_destructors_of_the_body_run_once() {
    in_paused_fiber(|| {
        let drops = Drops::new();
        let result = with_timeout(ms(10), || {
            let _local = drops.token();
            let inner = drops.token();
            async move {
                let _inner = inner;
                pending::<()>().await;
            }
            .wait();
        });
        assert!(result.is_err());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_destructor_that_waits_while_the_deadline_unwinds_completes() {
    in_paused_fiber(|| {
        let marks = InDrop::new();
        let start = Instant::now();
        let result = with_timeout(ms(10), || {
            let _guard = marks.guard(|| sleep(ms(20)).wait());
            forever();
        });
        assert!(result.is_err());
        marks.assert_completed();
        assert_after(start, ms(30));
    });
}

#[test]
fn a_deadline_that_passes_while_the_body_unwinds_leaves_the_panic_alone() {
    in_paused_fiber(|| {
        let marks = InDrop::new();
        let payload = catch_unwind(|| {
            with_timeout(ms(10), || {
                let _guard = marks.guard(|| sleep(ms(20)).wait());
                panic!("in the body");
            })
        });
        assert_eq!(text(&*payload.unwrap_err()), "in the body");
        marks.assert_completed();
        sleep(ms(1)).wait();
    });
}

#[test]
fn a_call_in_a_destructor_that_unwinds_returns_what_its_body_does() {
    in_paused_fiber(|| {
        let result = Cell::new(None);
        assert!(unwinds(|| {
            let _guard = OnDrop(|| result.set(Some(with_timeout(ms(10), || 42))));
            panic!("its own");
        }));
        assert_eq!(result.take(), Some(Ok(42)));
    });
}

// Bounds.

#[test]
fn a_duration_of_zero_lets_the_body_run_to_its_first_wait() {
    in_paused_fiber(|| {
        assert_eq!(with_timeout(Duration::ZERO, || 42), Ok(42));
        let began = Cell::new(false);
        let result = with_timeout(Duration::ZERO, || {
            began.set(true);
            ready(()).wait();
        });
        assert!(result.is_err());
        assert!(began.get());
    });
}

#[test]
fn the_longest_duration_is_no_deadline() {
    in_paused_fiber(|| {
        let result = with_timeout(Duration::MAX, || {
            sleep(Duration::from_secs(1000)).wait();
            42
        });
        assert_eq!(result, Ok(42));
    });
}

// With shields.

#[test]
fn a_shield_inside_defers_the_deadline_to_the_first_wait_after_it() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let after = Cell::new(false);
        let result = with_timeout(ms(10), || {
            shield(|| sleep(ms(50)).wait());
            after.set(true);
            ready(()).wait();
        });
        assert!(result.is_err());
        assert!(after.get());
        assert_after(start, ms(50));
    });
}

#[test]
fn a_deadline_inside_a_shield_works() {
    in_paused_fiber(|| {
        let start = Instant::now();
        assert!(shield(|| with_timeout(ms(10), forever)).is_err());
        assert_after(start, ms(10));
    });
}

#[test]
fn a_shield_holds_off_the_deadlines_around_it_only() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let result = with_timeout(ms(10), || {
            shield(|| {
                sleep(ms(20)).wait();
                assert!(with_timeout(ms(10), forever).is_err());
                assert_after(start, ms(30));
            });
            forever();
        });
        assert!(result.is_err());
        assert_after(start, ms(30));
    });
}

// With cancels.

#[test]
fn a_cancel_passes_through_as_a_cancel() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            let _ = with_timeout(ms(100), forever);
            unreachable!("a cancel is no timeout");
        });
        settle().await;
        fiber.cancel_with("through");
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("through"));
    });
}

#[test]
fn a_cancel_that_is_pending_with_a_deadline_comes_first_and_the_deadline_next() {
    in_paused_fiber(|| {
        let cancelled = Cell::new(false);
        let result = with_timeout(Duration::ZERO, || {
            current_fiber().unwrap().cancel();
            cancelled.set(catch_cancel(|| ready(()).wait()).is_err());
            ready(()).wait();
        });
        assert!(cancelled.get());
        assert!(result.is_err());
        ready(()).wait();
    });
}

#[test]
fn a_cancel_that_comes_with_an_expired_deadline_is_still_there_after_it() {
    in_paused_fiber(|| {
        let me = current_fiber().unwrap();
        let result = with_timeout(Duration::ZERO, || {
            let _guard = OnDrop(|| assert!(me.cancel()));
            ready(()).wait();
        });
        assert!(result.is_err());
        assert!(catch_cancel(|| ready(()).wait()).is_err());
    });
}

// In other places than a plain fiber.

#[test]
fn a_deadline_ends_the_wait_for_a_join_and_not_the_fiber() {
    in_paused_fiber(|| {
        let mut child = spawn(|| {
            sleep(ms(50)).wait();
            42
        });
        assert!(with_timeout(ms(10), || child.join().wait()).is_err());
        assert_eq!(child.join().wait().unwrap(), 42);
    });
}

#[test]
fn each_fiber_has_deadlines_of_its_own() {
    in_paused_fiber(|| {
        let result = with_timeout(ms(10), || {
            let mut child = spawn(|| sleep(ms(50)).wait());
            shield(|| child.join().wait())
        });
        assert!(result.unwrap().is_ok());
    });
}

#[test]
fn a_deadline_works_in_a_bridge() {
    in_paused(|| async {
        let start = Instant::now();
        let result = bridge(|| {
            let inner = with_timeout(ms(10), forever);
            sleep(ms(10)).wait();
            inner
        })
        .await;
        assert!(result.is_err());
        assert_after(start, ms(20));
    });
}

#[test]
fn a_deadline_works_in_a_bridge_without_a_runtime() {
    watched(|| {
        let expired = bridge(|| with_timeout(ms(5), forever).is_err());
        assert!(futures::executor::block_on(expired));
    });
}

#[test]
fn a_deadline_in_a_bridge_wakes_the_task_that_polls_it_now() {
    in_paused(|| async {
        let mut future = Box::pin(bridge(|| with_timeout(ms(10), forever)));
        assert!(poll_once(future.as_mut()).is_pending());
        // Another task, with another waker.
        let local = tokio::task::LocalSet::new();
        let result = local.run_until(tokio::task::unconstrained(future)).await;
        assert!(result.is_err());
    });
}

#[test]
fn a_deadline_of_the_fiber_ends_the_bridge_that_it_awaits() {
    in_paused_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        let result = with_timeout(ms(10), || {
            bridge(move || {
                let _token = token;
                let _ = with_timeout(ms(100), forever);
            })
            .wait();
        });
        assert!(result.is_err());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_deadline_ends_a_scope_in_its_body() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let drops = Drops::new();
        let result = with_timeout(ms(10), || {
            scope(|s| {
                let token = drops.token();
                s.spawn(move || {
                    let _token = token;
                    forever();
                });
                forever();
            });
        });
        assert!(result.is_err());
        assert_eq!(drops.count(), 1);
        assert_after(start, ms(10));
    });
}

#[test]
fn a_deadline_ends_a_scope_that_waits_for_its_children() {
    in_paused_fiber(|| {
        let start = Instant::now();
        let drops = Drops::new();
        let came_back = Cell::new(false);
        let result = with_timeout(ms(10), || {
            scope(|s| {
                let token = drops.token();
                s.spawn(move || {
                    let _token = token;
                    forever();
                });
            });
            came_back.set(true);
        });
        assert!(result.is_err());
        assert!(!came_back.get());
        assert_eq!(drops.count(), 1);
        assert_after(start, ms(10));
    });
}

#[test]
fn a_deadline_in_a_scope_is_not_caught_by_the_scope() {
    in_paused_fiber(|| {
        let came_back = Cell::new(false);
        let value = scope(|s| {
            let mut child = s.spawn(|| with_timeout(ms(10), forever).is_err());
            let inner = with_timeout(ms(20), || scope(|_| forever()));
            came_back.set(true);
            inner.is_err() && child.join().wait().unwrap()
        });
        assert!(value);
        assert!(came_back.get());
    });
}

#[test]
fn a_deadline_that_passes_while_the_fiber_is_ready_ends_it_at_its_wait() {
    in_paused(|| async {
        let notify = Rc::new(tokio::sync::Notify::new());
        let theirs = notify.clone();
        let mut fiber = spawn(move || with_timeout(ms(10), || theirs.notified().wait()).is_err());
        settle().await;
        tokio::time::advance(ms(20)).await;
        notify.notify_one();
        let expired = fiber.join().await.unwrap();
        let left = futures::future::FutureExt::now_or_never(notify.notified()).is_some();
        assert!(expired == left, "the notification was lost or doubled");
    });
}

// Where it is refused.

#[test]
fn it_is_refused_in_async_code_with_the_callers_line() {
    in_async(|| async {
        let place = Location::caller();
        let panic = panic_of(|| with_timeout(ms(1), || ()));
        assert!(
            panic
                .message
                .starts_with("`with_timeout` was called outside of a fiber")
        );
        assert_eq!(panic.file, place.file());
    });
}

#[test]
fn it_is_refused_on_a_plain_thread_without_running_the_body() {
    let ran = Count::new();
    let theirs = ran.clone();
    let panic = thread::spawn(move || panic_of(|| with_timeout(ms(1), || theirs.add())))
        .join()
        .unwrap();
    assert!(
        panic
            .message
            .starts_with("`with_timeout` was called outside of a fiber")
    );
    assert_eq!(panic.file, file!());
    assert_eq!(ran.get(), 0);
}

#[test]
fn it_is_refused_in_a_poll_of_a_fiber() {
    let rt = runtime();
    let panic = rt.block_on(async {
        let mut fiber = spawn(|| async { panic_of(|| with_timeout(ms(1), || ())) }.wait());
        fiber.join().await.unwrap()
    });
    assert!(
        panic
            .message
            .starts_with("`with_timeout` was called outside of a fiber")
    );
}

#[test]
fn of_two_deadlines_that_have_passed_the_outer_one_counts() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            let went_on = Cell::new(false);
            let outer = with_timeout(ms(5), || {
                let _ = with_timeout(ms(5), || sleep(ms(60_000)).wait());
                went_on.set(true);
            });
            outer.is_err() && !went_on.get()
        });
        assert!(fiber.join().await.unwrap());
    });
}
