//! Scopes: the parent's frame outlives its children, whatever happens.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::thread;

use switchback::{
    Bridge, Fiber, Hub, bridge, catch_cancel, check_cancelled, current_fiber, prelude::*, scope,
    shield, sleep, spawn, with_timeout, yield_now,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::ending::{Count, InDrop, in_paused_fiber, poll_once, settle, unwinds};
use crate::support::{
    Drops, Log, OnDrop, forever, in_async, in_child, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, paused_local_runtime, runtime, watched,
};

const CHILDREN: usize = 1000;

type PinnedBridge = Pin<Box<Bridge<()>>>;

/// Lives in the parent's frame, is borrowed by the children, and knows whether
/// all of them were done when it was dropped.
struct Borrowed {
    numbers: Vec<usize>,
    using: Cell<usize>,
    seen: Cell<usize>,
    left_too_early: Count,
    dropped: Count,
}

impl Borrowed {
    fn new(left_too_early: &Count, dropped: &Count) -> Borrowed {
        Borrowed {
            numbers: (0..CHILDREN).collect(),
            using: Cell::new(0),
            seen: Cell::new(0),
            left_too_early: left_too_early.clone(),
            dropped: dropped.clone(),
        }
    }

    /// Used until the guard is dropped, which reads it once more.
    fn used(&self, i: usize) -> OnDrop<impl FnMut()> {
        self.using.set(self.using.get() + 1);
        OnDrop(move || {
            assert_eq!(self.numbers[i], i);
            self.using.set(self.using.get() - 1);
            self.seen.set(self.seen.get() + 1);
        })
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.dropped.add();
        if self.using.get() != 0 {
            self.left_too_early.add();
        }
    }
}

/// A thousand children that use the parent's data for ever; `then` is the rest
/// of the scope's body. Returns when the parent has ended.
async fn thousand_borrowers(
    then: impl FnOnce() + 'static,
    after: impl AsyncFnOnce(&Fiber<()>),
) -> Result<(), switchback::JoinError> {
    let (early, dropped, seen) = (Count::new(), Count::new(), Rc::new(Cell::new(0)));
    let (early_too, dropped_too, seen_too) = (early.clone(), dropped.clone(), seen.clone());
    let mut parent = spawn(move || {
        let data = Borrowed::new(&early_too, &dropped_too);
        let _report = OnDrop(|| seen_too.set(data.seen.get()));
        scope(|s| {
            for i in 0..CHILDREN {
                let data = &data;
                s.spawn(move || {
                    let _used = data.used(i);
                    match i % 3 {
                        0 => forever(),
                        1 => shield(|| sleep(ms(1)).wait()),
                        _ => {
                            let _slow = OnDrop(|| sleep(ms(2)).wait());
                            forever();
                        }
                    }
                });
            }
            yield_now().wait();
            then();
        });
    });
    settle().await;
    after(&parent).await;
    let result = parent.join().await;
    assert_eq!((early.get(), dropped.get()), (0, 1));
    assert_eq!(seen.get(), CHILDREN);
    result
}

// The parent's data outlives a thousand children.

#[test]
fn a_parent_that_panics_leaves_when_all_children_have_ended() {
    in_paused(|| async {
        let result = thousand_borrowers(|| panic!("of the parent"), async |_| {}).await;
        assert!(result.unwrap_err().to_string().contains("of the parent"));
    });
}

#[test]
fn a_parent_that_is_cancelled_in_the_body_leaves_when_all_children_have_ended() {
    in_paused(|| async {
        let cancel = async |parent: &Fiber<()>| assert!(parent.cancel_with("in the body"));
        let error = thousand_borrowers(forever, cancel).await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("in the body"));
    });
}

#[test]
fn a_parent_that_is_cancelled_at_the_end_leaves_when_all_children_have_ended() {
    in_paused(|| async {
        let cancel = async |parent: &Fiber<()>| assert!(parent.cancel_with("at the end"));
        let error = thousand_borrowers(|| (), cancel).await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("at the end"));
    });
}

#[test]
fn a_parent_whose_time_is_over_leaves_when_all_children_have_ended() {
    in_paused_fiber(|| {
        let (early, dropped) = (Count::new(), Count::new());
        let result = with_timeout(ms(10), || {
            let data = Borrowed::new(&early, &dropped);
            scope(|s| {
                for i in 0..CHILDREN {
                    let data = &data;
                    s.spawn(move || {
                        let _used = data.used(i);
                        let _slow = OnDrop(|| sleep(ms(2)).wait());
                        forever();
                    });
                }
                forever();
            });
        });
        assert!(result.is_err());
        assert_eq!((early.get(), dropped.get()), (0, 1));
    });
}

#[test]
fn a_parent_whose_hub_closes_leaves_when_all_children_have_ended() {
    in_paused(|| async {
        let close = async |_: &Fiber<()>| Hub::current().close().await;
        assert!(thousand_borrowers(forever, close).await.is_err());
    });
}

#[test]
fn a_hub_that_closes_at_the_end_of_a_scope_ends_it() {
    in_paused(|| async {
        let close = async |_: &Fiber<()>| Hub::current().close().await;
        assert!(thousand_borrowers(|| (), close).await.is_err());
    });
}

// Results and panics.

#[test]
fn a_scope_returns_the_value_of_its_body_after_its_children() {
    in_root_fiber(|| {
        let log = Log::new();
        let value = scope(|s| {
            s.spawn(|| {
                sleep(ms(1)).wait();
                log.push("child");
            });
            log.push("body");
            42
        });
        assert_eq!(value, 42);
        assert_eq!(log.take(), ["body", "child"]);
    });
}

#[test]
fn a_scope_without_children_does_not_wait() {
    in_root_fiber(|| {
        let runs = Count::new();
        let ran = runs.clone();
        let mut other = spawn(move || ran.add());
        scope(|_| ());
        assert_eq!(runs.get(), 0);
        other.join().wait().unwrap();
    });
}

#[test]
fn a_child_that_panics_and_is_not_joined_makes_the_scope_panic() {
    in_root_fiber(|| {
        let panic = panic_of(|| {
            scope(|s| {
                s.spawn(|| std::panic::resume_unwind(Box::new("of the child")));
            });
        });
        assert_eq!(panic.message, "a scoped fiber panicked");
        assert_eq!(panic.file, file!());
    });
}

#[test]
fn a_child_that_panics_and_is_joined_does_not() {
    in_root_fiber(|| {
        let value = scope(|s| {
            let mut child = s.spawn(|| panic!("of the child"));
            assert!(child.join().wait().unwrap_err().is_panic());
            42
        });
        assert_eq!(value, 42);
    });
}

#[test]
fn a_child_that_is_cancelled_does_not_make_the_scope_panic() {
    in_root_fiber(|| {
        scope(|s| {
            let child = s.spawn(forever);
            yield_now().wait();
            assert!(child.cancel());
        });
    });
}

#[test]
fn a_result_that_nobody_claims_may_wait_and_read_the_parents_frame_when_it_is_dropped() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        {
            let frame = vec![1, 2, 3];
            scope(|s| {
                let (frame, marks) = (&frame, &marks);
                drop(s.spawn(move || {
                    marks.guard(move || {
                        sleep(ms(2)).wait();
                        assert_eq!(frame.iter().sum::<i32>(), 6);
                    })
                }));
            });
            marks.assert_completed();
        }
    });
}

#[test]
fn a_result_that_is_done_when_its_handle_is_dropped_may_wait_there() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        let frame = vec![1, 2, 3];
        scope(|s| {
            let (frame, marks) = (&frame, &marks);
            let child = s.spawn(move || {
                marks.guard(move || {
                    sleep(ms(2)).wait();
                    assert_eq!(frame.len(), 3);
                })
            });
            while child.is_alive() {
                yield_now().wait();
            }
            drop(child);
        });
        marks.assert_completed();
    });
}

#[test]
fn a_forgotten_handle_does_not_keep_the_scope_open() {
    in_root_fiber(|| {
        let frame = vec![1, 2, 3];
        scope(|s| {
            let frame = &frame;
            std::mem::forget(s.spawn(move || {
                sleep(ms(1)).wait();
                frame
            }));
        });
    });
}

#[test]
fn a_forgotten_join_does_not_keep_the_scope_open() {
    in_root_fiber(|| {
        scope(|s| {
            let mut child = s.spawn(|| sleep(ms(1)).wait());
            let mut join = Box::pin(child.join());
            assert!(poll_once(join.as_mut()).is_pending());
            std::mem::forget(join);
        });
    });
}

// Cancelling.

#[test]
fn a_cancel_that_the_scope_passes_on_is_delivered_to_the_parent_once() {
    in_async(|| async {
        let mut parent = spawn(|| {
            let cancelled = catch_cancel(|| {
                scope(|s| {
                    s.spawn(forever);
                });
            })
            .unwrap_err();
            yield_now().wait();
            cancelled
        });
        settle().await;
        parent.cancel_with("once");
        let cancelled = parent.join().await.unwrap();
        assert_eq!(cancelled.message(), Some("once"));
    });
}

#[test]
fn a_cancel_that_comes_while_a_panic_waits_for_the_children_is_not_lost() {
    in_async(|| async {
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        let mut parent = spawn(move || {
            let panicked = unwinds(|| {
                scope(|s| {
                    s.spawn(|| shield(|| gate.notified().wait()));
                    yield_now().wait();
                    panic!("of the parent");
                });
            });
            assert!(panicked);
            ready(()).wait();
        });
        settle().await;
        assert!(parent.cancel_with("meanwhile"));
        settle().await;
        go_on.notify_one();
        let error = parent.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("meanwhile"));
    });
}

#[test]
fn a_second_cancel_at_the_end_of_a_scope_is_not_lost() {
    in_async(|| async {
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        let mut parent = spawn(move || {
            let first = catch_cancel(|| {
                scope(|s| {
                    s.spawn(|| shield(|| gate.notified().wait()));
                    forever();
                });
            });
            assert_eq!(first.unwrap_err().message(), Some("first"));
            ready(()).wait();
        });
        settle().await;
        assert!(parent.cancel_with("first"));
        settle().await;
        assert!(parent.cancel_with("second"));
        settle().await;
        go_on.notify_one();
        let error = parent.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("second"));
    });
}

#[test]
fn a_child_that_is_spawned_after_the_scope_began_to_unwind_is_cancelled_too() {
    in_async(|| async {
        let mut parent = spawn(|| {
            scope(|s| {
                s.spawn(|| {
                    let _ = catch_cancel(forever);
                    s.spawn(forever);
                });
                yield_now().wait();
                panic!("of the parent");
            });
        });
        assert!(parent.join().await.unwrap_err().is_panic());
    });
}

#[test]
fn a_second_cancel_reaches_the_children_that_caught_the_first() {
    in_async(|| async {
        let mut parent = spawn(|| {
            scope(|s| {
                s.spawn(|| {
                    let _ = catch_cancel(forever);
                    forever();
                });
            });
        });
        settle().await;
        parent.cancel();
        settle().await;
        parent.cancel();
        assert!(parent.join().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_child_that_never_ran_is_cancelled_from_another_thread_before_the_parent_leaves() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        let frame = vec![1, 2, 3];
        scope(|s| {
            let (frame, marks) = (&frame, &marks);
            let guard = marks.guard(move || {
                sleep(ms(2)).wait();
                assert_eq!(frame.len(), 3);
            });
            let child = s.spawn(move || drop(guard));
            let handle = child.handle();
            thread::spawn(move || assert!(handle.cancel()))
                .join()
                .unwrap();
        });
        marks.assert_completed();
    });
}

#[test]
fn a_scope_in_a_shield_waits_for_its_children_through_a_cancel() {
    in_paused(|| async {
        let done = Count::new();
        let theirs = done.clone();
        let mut parent = spawn(move || {
            shield(|| {
                scope(|s| {
                    s.spawn(|| {
                        sleep(ms(2)).wait();
                        theirs.add();
                    });
                });
            });
            ready(()).wait();
        });
        settle().await;
        parent.cancel();
        assert!(parent.join().await.unwrap_err().is_cancelled());
        assert_eq!(done.get(), 1);
    });
}

// Shapes.

#[test]
fn children_spawn_siblings() {
    in_root_fiber(|| {
        let runs = Count::new();
        scope(|s| {
            let runs = &runs;
            s.spawn(move || {
                runs.add();
                yield_now().wait();
                s.spawn(move || {
                    yield_now().wait();
                    s.spawn(move || {
                        sleep(ms(1)).wait();
                        runs.add();
                    });
                    runs.add();
                });
            });
        });
        assert_eq!(runs.get(), 3);
    });
}

#[test]
fn nested_scopes_end_from_the_inside() {
    in_root_fiber(|| {
        let log = Log::new();
        let outer_data = String::from("outer");
        scope(|outer| {
            let (log, outer_data) = (&log, &outer_data);
            outer.spawn(move || {
                let inner_data = String::from("inner");
                scope(|inner| {
                    let inner_data = &inner_data;
                    inner.spawn(move || {
                        sleep(ms(2)).wait();
                        log.push(format!("{inner_data} of {outer_data}"));
                    });
                    outer.spawn(move || log.push("sibling".to_owned()));
                });
                log.push("child".to_owned());
            });
        });
        assert_eq!(log.take(), ["sibling", "inner of outer", "child"]);
    });
}

#[test]
fn a_cancel_goes_down_through_nested_scopes() {
    fn nest(level: usize, drops: &Count) {
        let data = level;
        let _guard = OnDrop(|| drops.add());
        scope(|s| {
            s.spawn(|| {
                if data > 0 {
                    nest(data - 1, drops);
                }
                forever();
            });
        });
    }
    in_async(|| async {
        let drops = Count::new();
        let theirs = drops.clone();
        let mut parent = spawn(move || nest(20, &theirs));
        settle().await;
        settle().await;
        parent.cancel();
        assert!(parent.join().await.unwrap_err().is_cancelled());
        assert_eq!(drops.get(), 21);
    });
}

#[test]
fn a_scope_in_a_destructor_that_unwinds_waits_for_its_children() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        assert!(unwinds(|| {
            let _guard = marks.guard(|| {
                let done = Count::new();
                scope(|s| {
                    s.spawn(|| {
                        sleep(ms(1)).wait();
                        done.add();
                    });
                    s.spawn(|| done.add());
                });
                assert_eq!(done.get(), 2);
            });
            panic!("its own");
        }));
        marks.assert_completed();
    });
}

#[test]
fn a_cancel_at_the_end_of_a_scope_in_a_destructor_that_unwinds_comes_later() {
    in_async(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        let mut fiber = spawn(move || {
            assert!(unwinds(|| {
                let _guard = theirs.guard(|| {
                    scope(|s| {
                        s.spawn(|| shield(|| gate.notified().wait()));
                    });
                });
                panic!("its own");
            }));
            ready(()).wait();
        });
        settle().await;
        fiber.cancel_with("in the scope");
        settle().await;
        go_on.notify_one();
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("in the scope"));
        marks.assert_completed();
    });
}

#[test]
fn children_that_wait_in_destructors_are_waited_for_while_the_parent_unwinds() {
    in_root_fiber(|| {
        let (one, two) = (InDrop::new(), InDrop::new());
        assert!(unwinds(|| {
            let data = vec![1, 2, 3];
            scope(|s| {
                let data = &data;
                for marks in [&one, &two] {
                    s.spawn(move || {
                        let _guard = marks.guard(|| {
                            sleep(ms(2)).wait();
                            assert_eq!(data.len(), 3);
                        });
                        forever();
                    });
                }
                yield_now().wait();
                panic!("of the parent");
            });
        }));
        one.assert_completed();
        two.assert_completed();
        assert!(!thread::panicking());
    });
}

#[test]
fn a_scope_is_refused_where_it_could_not_wait_without_running_its_body() {
    in_async(|| async {
        let ran = Count::new();
        assert!(
            panic_of(|| scope(|_| ran.add()))
                .message
                .starts_with("`scope` would block")
        );
        let theirs = ran.clone();
        let mut fiber = spawn(move || async { panic_of(|| scope(|_| theirs.add())) }.wait());
        let panic = fiber.join().await.unwrap();
        assert!(
            panic
                .message
                .starts_with("`scope` inside a future's `poll`")
        );
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn a_scope_on_a_plain_thread_is_refused() {
    let panic = thread::spawn(|| panic_of(|| scope(|_| ()))).join().unwrap();
    assert!(
        panic
            .message
            .starts_with("`scope` was called on a plain thread")
    );
}

#[test]
fn a_child_runs_on_the_parents_hub_while_another_runtime_is_entered() {
    in_root_fiber(|| {
        let other = runtime();
        let home = Hub::current();
        let runtime_of_child = scope(|s| {
            let entered = other.enter();
            let mut child = s.spawn(|| Hub::current().runtime().id());
            drop(entered);
            child.join().wait().unwrap()
        });
        assert_eq!(runtime_of_child, home.runtime().id());
        drop(spawn(move || {
            sleep(ms(1)).wait();
        }));
        other.shutdown_background();
    });
}

// In a bridge.

#[test]
fn a_scope_in_a_bridge_waits_for_its_children() {
    in_async(|| async {
        let value = bridge(|| {
            let data = [1, 2, 3];
            scope(|s| {
                let mut child = s.spawn(|| {
                    sleep(ms(1)).wait();
                    data.len()
                });
                child.join().wait().unwrap()
            })
        });
        assert_eq!(value.await, 3);
    });
}

#[test]
fn a_bridge_that_is_dropped_ends_the_children_of_its_scope() {
    in_async(|| async {
        let drops = Count::new();
        let theirs = drops.clone();
        let mut parent = Box::pin(bridge(move || {
            let data = OnDrop(|| theirs.add());
            scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| {
                        let _guard = OnDrop(|| theirs.add());
                        let _ = &data;
                        forever();
                    });
                }
                s.spawn(|| {
                    let _ = &data;
                    theirs.add();
                });
                forever();
            });
        }));
        assert!(poll_once(parent.as_mut()).is_pending());
        settle().await;
        assert_eq!(drops.get(), 1);
        drop(parent);
        assert_eq!(drops.get(), 5);
    });
}

#[test]
fn a_bridge_that_is_dropped_before_its_children_ran_drops_their_closures() {
    in_async(|| async {
        let drops = Count::new();
        let theirs = drops.clone();
        let mut parent = Box::pin(bridge(move || {
            let data = [1];
            scope(|s| {
                let guard = OnDrop(|| theirs.add());
                let data = &data;
                s.spawn(move || {
                    let _guard = guard;
                    let _ = data;
                });
                forever();
            });
        }));
        assert!(poll_once(parent.as_mut()).is_pending());
        drop(parent);
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn a_fiber_that_is_cancelled_ends_the_children_of_a_scope_in_its_bridge() {
    in_async(|| async {
        let drops = Drops::new();
        let tokens = drops.clone();
        let mut fiber = spawn(move || {
            bridge(move || {
                let data = tokens.token();
                scope(|s| {
                    let (data, token) = (&data, tokens.token());
                    s.spawn(move || {
                        let _borrows = (data, token);
                        forever();
                    });
                    forever();
                });
            })
            .wait();
        });
        settle().await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_child_that_drops_its_parents_bridge_leaves_the_parent_for_ever() {
    let child = in_child(|| {
        runtime().block_on(async {
            let slot: Rc<RefCell<Option<PinnedBridge>>> = Rc::default();
            let (theirs, left, done) = (slot.clone(), Count::new(), Count::new());
            let (left_too, done_too) = (left.clone(), done.clone());
            slot.replace(Some(Box::pin(bridge(move || {
                let data = [1, 2, 3];
                let _guard = OnDrop(|| left_too.add());
                scope(|s| {
                    s.spawn(|| {
                        drop(theirs.take());
                        // The parent's frame is still there, in the next turn too.
                        shield(|| yield_now().wait());
                        assert_eq!(data.len(), 3);
                        done_too.add();
                    });
                    forever();
                });
            }))));
            assert!(poll_once(slot.borrow_mut().as_mut().unwrap().as_mut()).is_pending());
            settle().await;
            assert!(slot.borrow().is_none());
            assert_eq!((done.get(), left.get()), (1, 0));
        });
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.reported("its stack is leaked"), "{child:#?}");
    }
}

#[test]
fn a_bridge_whose_child_was_abandoned_cannot_go_on() {
    watched(|| {
        let rt = runtime();
        let mut parent = rt.block_on(async {
            let mut parent = Box::pin(bridge(|| {
                scope(|s| {
                    s.spawn(|| {
                        loop {
                            let _ = catch_cancel(forever);
                        }
                    });
                });
            }));
            assert!(poll_once(parent.as_mut()).is_pending());
            settle().await;
            parent
        });
        drop(rt); // abandons the child
        let panic = panic_of(|| poll_once(parent.as_mut()));
        assert!(panic.message.contains("abandoned"), "{panic:?}");
        let panic = panic_of(|| poll_once(parent.as_mut()));
        assert!(panic.message.contains("abandoned"), "{panic:?}");
    });
}

// When the hub ends abruptly.

/// Drops a runtime with a parent in it, after `turns` turns.
fn dropped_with_a_parent(turns: usize, parent: impl FnOnce() + 'static) {
    let rt = runtime();
    rt.block_on(async {
        drop(spawn(parent));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    });
    drop(rt);
}

#[test]
fn a_runtime_dropped_with_parents_in_the_body_ends_their_children_first() {
    for turns in 0..6 {
        watched(move || {
            let (early, dropped) = (Count::new(), Count::new());
            let (early_too, dropped_too) = (early.clone(), dropped.clone());
            dropped_with_a_parent(turns, move || {
                let data = Borrowed::new(&early_too, &dropped_too);
                scope(|s| {
                    for i in 0..10 {
                        let data = &data;
                        s.spawn(move || {
                            let _used = data.used(i);
                            forever();
                        });
                    }
                    forever();
                });
            });
            assert_eq!(early.get(), 0);
            assert_eq!(dropped.get(), usize::from(turns > 0));
        });
    }
}

#[test]
fn a_runtime_dropped_with_parents_that_wait_for_their_children_ends_these_first() {
    for turns in 1..6 {
        watched(move || {
            let (early, dropped) = (Count::new(), Count::new());
            let (early_too, dropped_too) = (early.clone(), dropped.clone());
            dropped_with_a_parent(turns, move || {
                let data = Borrowed::new(&early_too, &dropped_too);
                scope(|s| {
                    for i in 0..10 {
                        let data = &data;
                        s.spawn(move || {
                            let _used = data.used(i);
                            if i % 2 == 0 {
                                scope(|inner| {
                                    inner.spawn(|| {
                                        let _used = data.used(i);
                                        forever();
                                    });
                                });
                            }
                            forever();
                        });
                    }
                });
            });
            assert_eq!((early.get(), dropped.get()), (0, 1));
        });
    }
}

#[test]
fn a_runtime_dropped_with_a_child_that_waits_again_abandons_the_parent_too() {
    watched(|| {
        let (early, dropped) = (Count::new(), Count::new());
        let (early_too, dropped_too) = (early.clone(), dropped.clone());
        dropped_with_a_parent(5, move || {
            let data = Borrowed::new(&early_too, &dropped_too);
            scope(|s| {
                s.spawn(|| {
                    let _used = data.used(0);
                    loop {
                        let _ = catch_cancel(forever);
                    }
                });
                forever();
            });
        });
        assert_eq!((early.get(), dropped.get()), (0, 0));
    });
}

#[test]
fn a_runtime_dropped_with_a_child_that_waits_in_its_destructor_abandons_the_parent_too() {
    watched(|| {
        let (early, dropped) = (Count::new(), Count::new());
        let (early_too, dropped_too) = (early.clone(), dropped.clone());
        dropped_with_a_parent(5, move || {
            let data = Borrowed::new(&early_too, &dropped_too);
            scope(|s| {
                s.spawn(|| {
                    let _used = data.used(0);
                    let _guard = OnDrop(forever);
                    forever();
                });
            });
        });
        assert_eq!((early.get(), dropped.get()), (0, 0));
    });
}

#[test]
fn a_scope_in_a_destructor_when_the_runtime_is_dropped_does_not_abort() {
    let child = in_child(|| {
        dropped_with_a_parent(5, || {
            let _guard = OnDrop(|| scope(|_| ()));
            forever();
        });
        println!("survived");
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("survived"));
    }
}

#[test]
fn a_scoped_spawn_in_a_destructor_when_the_runtime_is_dropped_does_not_abort() {
    let child = in_child(|| {
        dropped_with_a_parent(5, || {
            scope(|s| {
                let _guard = OnDrop(|| drop(s.spawn(|| ())));
                forever();
            });
        });
        println!("survived");
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("survived"));
    }
}

#[test]
fn a_scoped_spawn_in_a_destructor_while_the_hub_closes_does_not_abort() {
    let child = in_child(|| {
        runtime().block_on(async {
            drop(spawn(|| {
                scope(|s| {
                    let _guard = OnDrop(|| drop(s.spawn(|| ())));
                    forever();
                });
            }));
            settle().await;
            Hub::current().close().await;
        });
        println!("survived");
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("survived"));
    }
}

#[test]
fn a_scope_in_a_hub_on_a_multi_thread_runtime_is_ended_with_it() {
    watched(|| {
        let (early, dropped) = (Count::new(), Count::new());
        let (early_too, dropped_too) = (early.clone(), dropped.clone());
        let rt = multi_thread_runtime();
        rt.block_on(async {
            let mut driven = Box::pin(Hub::run_until(async {
                drop(spawn(move || {
                    let data = Borrowed::new(&early_too, &dropped_too);
                    scope(|s| {
                        s.spawn(|| {
                            let _used = data.used(1);
                            forever();
                        });
                    });
                }));
                pending::<()>().await;
            }));
            for _ in 0..5 {
                assert!(poll_once(driven.as_mut()).is_pending());
            }
            drop(driven);
        });
        assert_eq!((early.get(), dropped.get()), (0, 1));
    });
}

// The rest of the parent's life.

#[test]
fn the_parent_is_told_of_the_end_once_more_after_a_scope_that_it_interrupted() {
    watched(|| {
        let after = Count::new();
        let theirs = after.clone();
        dropped_with_a_parent(5, move || {
            let _guard = OnDrop(|| theirs.add());
            scope(|s| {
                s.spawn(forever);
            });
            check_cancelled();
            theirs.add(); // not reached
        });
        assert_eq!(after.get(), 1);
    });
}

#[test]
fn the_current_fiber_is_right_around_and_in_a_scope() {
    in_root_fiber(|| {
        let parent = current_fiber().unwrap().id();
        scope(|s| {
            assert_eq!(current_fiber().unwrap().id(), parent);
            let mut child = s.spawn(|| current_fiber().unwrap().id());
            let id = child.id();
            assert_eq!(child.join().wait().unwrap(), id);
            assert_ne!(id, parent);
        });
        assert_eq!(current_fiber().unwrap().id(), parent);
    });
}

#[test]
fn a_value_of_the_body_is_dropped_when_the_end_is_interrupted() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut parent = spawn(move || {
            scope(|s| {
                s.spawn(forever);
                token
            })
        });
        settle().await;
        parent.cancel();
        assert!(parent.join().await.is_err());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_cancel_that_reaches_a_panicking_scope_is_not_lost() {
    in_paused_fiber(|| {
        let mut fiber = spawn(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    let _child = s.spawn(|| shield(|| sleep(ms(10)).wait()));
                    yield_now().wait();
                    std::panic::resume_unwind(Box::new("the body panics"));
                });
            }));
            assert!(caught.is_err());
            catch_cancel(|| yield_now().wait()).is_err()
        });
        sleep(ms(3)).wait();
        assert!(fiber.cancel());
        let delivered = fiber.join().wait().unwrap();
        assert!(delivered, "the cancel is delivered after the scope");
    });
}

/// Spawns in a scope when it is dropped.
struct ScopeInDrop;

impl Drop for ScopeInDrop {
    fn drop(&mut self) {
        scope(|s| {
            s.spawn(|| ());
        });
    }
}

#[test]
fn a_scope_in_a_destructor_does_not_abort_on_a_closed_hub() {
    let child = in_child(|| {
        paused_local_runtime().block_on(async {
            let mut fiber = spawn(|| {
                let _scope = ScopeInDrop;
                pending::<()>().wait();
            });
            sleep(ms(1)).await;
            Hub::current().close().await;
            assert!(fiber.join().await.unwrap_err().is_cancelled());
        });
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_shielded_scope_does_not_pass_a_cancel_on() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            shield(|| {
                scope(|s| {
                    let _child = s.spawn(|| assert!(sleep(ms(10)).wait_or_cancelled().is_ok()));
                });
            });
            catch_cancel(|| yield_now().wait()).is_err()
        });
        sleep(ms(1)).await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap());
    });
}

#[test]
fn a_scope_that_unwinds_cancels_its_children() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            scope(|s| {
                let _child = s.spawn(|| pending::<()>().wait());
                resume_unwind(Box::new("a panic"));
            })
        });
        let joined = timeout(ms(60_000), fiber.join()).await;
        assert!(joined.expect("it ends").unwrap_err().is_panic());
    });
}

#[test]
fn a_cancel_at_the_end_of_a_scope_goes_to_the_children_and_then_to_the_parent() {
    paused_local_runtime().block_on(async {
        let went_on = Rc::new(Cell::new(false));
        let seen = went_on.clone();
        let mut fiber = spawn(move || {
            scope(|s| {
                let _child = s.spawn(|| pending::<()>().wait());
            });
            seen.set(true);
        });
        sleep(ms(1)).await;
        fiber.cancel();
        let joined = timeout(ms(60_000), fiber.join()).await;
        assert!(joined.expect("it ends").unwrap_err().is_cancelled());
        assert!(!went_on.get());
    });
}

#[test]
fn a_child_that_panics_and_is_not_joined_is_heard_of() {
    paused_local_runtime().block_on(async {
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
    paused_local_runtime().block_on(async {
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
            sleep(ms(1)).await;
            OUT.with(|out| out.set(Some(task)));
            pending::<()>().await;
        }));
        thread_local! {
            static OUT: Cell<Option<tokio::task::JoinHandle<()>>> = const { Cell::new(None) };
        }
        let _ = timeout(ms(5), &mut hub).await;
        drop(hub);
        let task = OUT.take().unwrap();
        let ended = timeout(ms(60_000), task).await.expect("it does not hang");
        assert!(ended.unwrap_err().is_panic());
        assert!(!left.get(), "its frames are left alone");
    });
}
