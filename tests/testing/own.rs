//! What this crate itself promises, under many schedules: scopes, `SwitchBack`, streams, sets, joins,
//! cancels and deadlines. `SWITCHBACK_SCHEDULES=10000` in the environment searches longer.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{catch_unwind, resume_unwind};
use std::rc::Rc;

use futures::SinkExt;
use futures::channel::mpsc;
use futures::stream::{FusedStream, StreamExt};
use switchback::stream::from_iter;
use switchback::testing::{Explorer, cancel_everywhere};
use switchback::{
    Fiber, FiberHandle, FiberSet, Hub, SwitchBack, SwitchError, Switcher, bridge, catch_cancel,
    current_fiber, park, prelude::*, scope, shield, sleep, spawn, try_scope, with_timeout,
    yield_now,
};
use tokio::task::spawn_local;

use crate::support::{Drops, OnDrop, ms};

#[track_caller]
pub(crate) fn holds(program: impl Fn() + 'static) {
    let report = Explorer::new().schedules(150).run(program);
    assert_eq!(report.failure(), None, "{report}");
    assert!(report.is_replayable(), "{report}");
    assert!(report.different() > 20, "{report}");
}

pub(crate) fn yields(count: usize) {
    (0..count).for_each(|_| yield_now().wait());
}

// Scopes.

#[test]
fn a_scope_outlives_its_children() {
    holds(|| {
        let borrowed = Cell::new(0);
        let sum = scope(|s| {
            let children = [3, 0, 2].map(|n| {
                s.spawn({
                    let borrowed = &borrowed;
                    move || {
                        yields(n);
                        borrowed.set(borrowed.get() + 1);
                        scope(|s| {
                            s.spawn(move || sleep(ms(n as u64)).wait());
                        });
                        n
                    }
                })
            });
            children
                .into_iter()
                .map(|child| child.wait().unwrap())
                .sum::<usize>()
        });
        assert_eq!((sum, borrowed.get()), (5, 3));
    });
}

#[test]
fn a_cancelled_scope_leaves_after_its_children() {
    holds(|| {
        let using = Rc::new(Cell::new(0));
        let of_parent = using.clone();
        let mut parent = spawn(move || {
            let data = OnDrop(|| assert_eq!(of_parent.get(), 0, "a child still uses the data"));
            scope(|s| {
                for n in 0..3 {
                    let (_data, using) = (&data, of_parent.clone());
                    s.spawn(move || {
                        using.set(using.get() + 1);
                        let _done = OnDrop(|| {
                            // A destructor that waits, while it unwinds or not.
                            let _ = sleep(ms(1)).wait_or_cancelled();
                            using.set(using.get() - 1);
                        });
                        match n {
                            0 => yields(3),
                            1 => shield(|| yields(4)),
                            _ => drop(catch_cancel(|| sleep(ms(5)).wait())),
                        }
                    });
                }
                yields(2);
            });
        });
        yields(3);
        parent.cancel();
        let ended = parent.join().wait();
        assert!(ended.is_ok() || ended.unwrap_err().is_cancelled());
        assert_eq!(using.get(), 0);
    });
}

#[test]
fn a_child_that_panics_tells_its_joiner_and_ends_no_other() {
    holds(|| {
        let ended = Cell::new(0);
        let results = scope(|s| {
            let children = [0, 1, 2].map(|n| {
                let ended = &ended;
                s.spawn(move || {
                    yields(n);
                    ended.set(ended.get() + 1);
                    if n == 1 {
                        resume_unwind(Box::new("on purpose"));
                    }
                })
            });
            yields(1);
            children.map(|child| child.wait().is_ok())
        });
        assert_eq!((results, ended.get()), ([true, false, true], 3));
    });
}

#[test]
fn a_try_scope_returns_its_first_failure_and_ends_the_rest() {
    holds(|| {
        let first = Cell::new(None);
        let live = Cell::new(0);
        let result: Result<(), usize> = try_scope(|s| {
            for n in 0..3_usize {
                let (first, live) = (&first, &live);
                s.spawn(move || {
                    live.set(live.get() + 1);
                    let _ended = OnDrop(|| live.set(live.get() - 1));
                    yields(n);
                    sleep(ms(n as u64)).wait();
                    first.set(first.get().or(Some(n)));
                    Err::<(), _>(n)
                });
            }
            yields(50);
            sleep(ms(100)).wait();
            Ok(())
        });
        assert_eq!(result.err(), first.get());
        assert_eq!(live.get(), 0);
    });
}

#[test]
fn children_that_are_spawned_by_children_are_waited_for() {
    holds(|| {
        let count = Cell::new(0);
        scope(|s| {
            let count = &count;
            for _ in 0..2 {
                s.spawn(move || {
                    yields(1);
                    scope(|inner| {
                        for n in 0..2 {
                            inner.spawn(move || {
                                yields(n);
                                count.set(count.get() + 1);
                            });
                        }
                    });
                });
            }
        });
        assert_eq!(count.get(), 4);
    });
}

// `SwitchBack`.

#[test]
fn one_of_switch_throw_and_timeout_wins() {
    holds(|| {
        let drops = Drops::new();
        let cleaned = Rc::new(Cell::new(0));
        let winners = Rc::new(Cell::new(0));
        let mut switch_back = SwitchBack::with_timeout(ms(3));
        let cleans = cleaned.clone();
        switch_back.add_cleanup(move || cleans.set(cleans.get() + 1));
        let fire = |then: fn(&Switcher<_>, crate::support::Token) -> bool, after: u64| {
            let (switcher, token) = (switch_back.switcher(), drops.token());
            let winners = winners.clone();
            spawn(move || {
                sleep(ms(after)).wait();
                yields(1);
                if then(&switcher, token) {
                    winners.set(winners.get() + 1);
                }
            })
        };
        let fibers = [
            fire(|switcher, token| switcher.switch(token), 2),
            fire(|switcher, token| switcher.switch(token), 3),
            fire(|switcher, _| switcher.throw(io::Error::other("thrown")), 2),
        ];
        let result = switch_back.wait();
        assert_eq!(cleaned.get(), 1);
        let timed_out = matches!(result, Err(SwitchError::Timeout(_)));
        drop(result);
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        assert_eq!(winners.get(), u32::from(!timed_out));
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_switch_back_is_told_that_nobody_can_fire_it() {
    holds(|| {
        let switch_back = SwitchBack::<u32>::new();
        let switchers = [(); 3].map(|()| switch_back.switcher());
        let fibers = switchers.map(|switcher| {
            spawn(move || {
                yields(2);
                drop(switcher);
            })
        });
        assert!(matches!(switch_back.wait(), Err(SwitchError::Dropped)));
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
    });
}

#[test]
fn what_is_fired_at_a_switch_back_that_ends_is_dropped_once() {
    holds(|| {
        let drops = Drops::new();
        let token = drops.token();
        let shared = Rc::new(RefCell::new(None));
        let gives = shared.clone();
        let waiter = spawn(move || {
            let switch_back = SwitchBack::new();
            *gives.borrow_mut() = Some(switch_back.switcher());
            drop(switch_back.wait());
        });
        let fires = spawn(move || {
            yields(2);
            let switcher: Option<Switcher<crate::support::Token>> = shared.borrow_mut().take();
            if let Some(switcher) = switcher {
                switcher.switch(token);
            }
        });
        let canceller = waiter.handle();
        let cancels = spawn(move || {
            yields(2);
            canceller.cancel();
        });
        fires.wait().unwrap();
        cancels.wait().unwrap();
        let _ = waiter.wait();
        assert_eq!(drops.count(), 1);
    });
}

// Streams.

fn numbers(count: u32) -> impl FusedStream<Item = u32> + Unpin {
    from_iter(move || {
        (0..count).inspect(|n| match n % 2 {
            0 => yield_now().wait(),
            _ => sleep(ms(1)).wait(),
        })
    })
}

#[test]
fn a_stream_keeps_its_order_through_fibers_and_tasks() {
    holds(|| {
        let (mut sender, receiver) = mpsc::channel(1);
        let sends = spawn(move || {
            for n in numbers(6).wait_iter() {
                sender.send(n).wait().unwrap();
            }
        });
        let (mut passes, passed) = mpsc::channel(0);
        let task = spawn_local(async move {
            let mut doubled = receiver.map(|n| 2 * n);
            while let Some(n) = doubled.next().await {
                passes.send(n).await.unwrap();
            }
        });
        let all: Vec<_> = passed.wait_iter().collect();
        assert_eq!(all, [0, 2, 4, 6, 8, 10]);
        sends.wait().unwrap();
        task.wait().unwrap();
    });
}

#[test]
fn a_stream_that_is_dropped_unwinds_its_iterator() {
    holds(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut stream = from_iter(move || {
            let _token = token;
            (0..10).inspect(move |_| {
                let _keeps = &_token;
                yields(1);
            })
        });
        let reads = spawn(move || {
            for n in 0..3 {
                assert_eq!(stream.next().wait(), Some(n));
            }
            sleep(ms(5)).wait();
            assert_eq!(stream.next().wait(), Some(3));
        });
        yields(6);
        reads.cancel();
        let _ = reads.wait();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn two_streams_are_merged_without_a_loss() {
    holds(|| {
        let merged = futures::stream::select(numbers(4), numbers(4).map(|n| 10 + n));
        let mut all: Vec<_> = merged.wait_iter().collect();
        let from_first: Vec<_> = all.iter().copied().filter(|n| *n < 10).collect();
        assert_eq!(from_first, [0, 1, 2, 3]);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 10, 11, 12, 13]);
        // For there to be many schedules.
        let fibers = [2, 3, 4].map(|n| spawn(move || yields(n)));
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
    });
}

// Sets.

#[test]
fn a_set_gives_each_result_once() {
    holds(|| {
        let mut set = FiberSet::new();
        for n in 0..4_usize {
            set.spawn(move || {
                yields(n);
                sleep(ms(n as u64 % 2)).wait();
                if n == 3 {
                    resume_unwind(Box::new("on purpose"));
                }
                n
            });
        }
        yields(2);
        let mut all = Vec::from_iter(set.try_join_next().map(|r| r.ok()));
        while let Some(ended) = set.join_next().wait() {
            all.push(ended.ok());
        }
        all.sort_unstable();
        assert_eq!(all, [None, Some(0), Some(1), Some(2)]);
        assert!(set.is_empty() && set.try_join_next().is_none());
    });
}

#[test]
fn a_set_that_is_dropped_or_shut_down_ends_its_fibers() {
    holds(|| {
        let drops = Drops::new();
        let fill = |set: &mut FiberSet<()>| {
            for n in 0..3 {
                let token = drops.token();
                set.spawn(move || {
                    let _token = token;
                    yields(n);
                    sleep(ms(50)).wait();
                });
            }
        };
        let mut dropped = FiberSet::new();
        fill(&mut dropped);
        yields(2);
        drop(dropped);
        let mut shut = FiberSet::new();
        fill(&mut shut);
        yields(1);
        shut.shutdown().wait();
        assert!(drops.count() >= 3);
        assert!(shut.is_empty());
        sleep(ms(1)).wait();
        assert_eq!(drops.count(), 6);
    });
}

#[test]
fn a_join_of_a_set_that_is_cancelled_loses_nothing() {
    holds(|| {
        let mut set = FiberSet::new();
        for n in 0..3 {
            set.spawn(move || {
                sleep(ms(n)).wait();
                n
            });
        }
        let mut all = Vec::new();
        while !set.is_empty() {
            match set.join_next().wait_timeout(ms(1)) {
                Ok(Some(ended)) => all.push(ended.unwrap()),
                Ok(None) => break,
                Err(_) => yields(1),
            }
        }
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    });
}

// Joins, cancels, deadlines.

#[test]
fn a_result_is_taken_once_by_whoever_joins() {
    holds(|| {
        let drops = Drops::new();
        let fibers: Vec<Fiber<_>> = (0..4)
            .map(|n| {
                let token = drops.token();
                spawn(move || {
                    yields(n);
                    token
                })
            })
            .collect();
        let mut fibers = fibers.into_iter();
        let (mut one, two, three, four) = (
            fibers.next().unwrap(),
            fibers.next().unwrap(),
            fibers.next().unwrap(),
            fibers.next().unwrap(),
        );
        let by_task = spawn_local(async move { drop(two.await.unwrap()) });
        let by_fiber = spawn(move || drop(three.wait().unwrap()));
        drop(four);
        while one.join().wait_timeout(ms(1)).is_err() {}
        by_task.wait().unwrap();
        by_fiber.wait().unwrap();
        sleep(ms(1)).wait();
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn a_cancel_is_delivered_once_or_comes_too_late() {
    holds(|| {
        let caught = Rc::new(Cell::new(0));
        let counts = caught.clone();
        let fiber = spawn(move || {
            for _ in 0..3 {
                if catch_cancel(|| yields(2)).is_err() {
                    counts.set(counts.get() + 1);
                }
            }
        });
        let cancel = |handle: FiberHandle, after| {
            spawn(move || {
                yields(after);
                u32::from(handle.cancel())
            })
        };
        let cancels = [cancel(fiber.handle(), 1), cancel(fiber.handle(), 4)];
        let accepted: u32 = cancels.into_iter().map(|c| c.wait().unwrap()).sum();
        match fiber.wait() {
            Ok(()) => assert!(caught.get() <= accepted),
            // Before it began.
            Err(e) => assert!(e.is_cancelled() && caught.get() == 0),
        }
    });
}

#[test]
fn a_deadline_ends_its_own_frame() {
    holds(|| {
        let done = Rc::new(RefCell::new(Vec::new()));
        let fibers = [1, 2, 3].map(|n| {
            let done = done.clone();
            spawn(move || {
                let outer = with_timeout(ms(2 * n), || {
                    let inner = with_timeout(ms(n), || {
                        yields(n as usize);
                        sleep(ms(n)).wait();
                    });
                    sleep(ms(n)).wait();
                    inner.is_ok()
                });
                // No deadline is left behind.
                sleep(ms(10)).wait();
                done.borrow_mut().push((n, outer.is_ok()));
            })
        });
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        assert_eq!(done.borrow().len(), 3);
    });
}

#[test]
fn an_unpark_is_not_lost() {
    holds(|| {
        let turns = Rc::new(Cell::new(0));
        let counts = turns.clone();
        let parks = spawn(move || {
            while counts.get() < 3 {
                park();
            }
        });
        let handle = parks.handle();
        let unparks = spawn(move || {
            for _ in 0..3 {
                yields(1);
                turns.set(turns.get() + 1);
                handle.unpark();
            }
        });
        unparks.wait().unwrap();
        parks.wait().unwrap();
    });
}

#[test]
fn a_close_ends_everything_and_refuses_the_rest() {
    holds(|| {
        let drops = Drops::new();
        for n in 0..3 {
            let token = drops.token();
            drop(spawn(move || {
                let _token = token;
                yields(n);
                let _ = catch_cancel(|| sleep(ms(20)).wait());
                yields(n); // a close is delivered again
            }));
        }
        Hub::current().run_callback(|| ());
        yields(2);
        Hub::current().close().wait();
        assert_eq!(drops.count(), 3);
        assert_eq!(Hub::current().metrics().live_fibers(), 1);
        assert!(
            catch_unwind(|| Hub::current().handle().spawn(|| ()))
                .unwrap()
                .is_err()
        );
    });
}

#[test]
fn a_bridge_waits_beside_the_fiber_that_polls_it() {
    holds(|| {
        let log = Rc::new(RefCell::new(0));
        let of_bridge = log.clone();
        let joined = futures::future::join(
            bridge(move || {
                yields(3);
                sleep(ms(1)).wait();
                *of_bridge.borrow_mut() += 1;
                1
            }),
            sleep(ms(2)),
        );
        let others = [1, 2].map(|n| spawn(move || yields(n)));
        assert_eq!(joined.wait().0, 1);
        others.into_iter().for_each(|fiber| fiber.wait().unwrap());
        assert_eq!(*log.borrow(), 1);
    });
}

// A cancel at every wait.

#[test]
fn nothing_of_ours_is_lost_by_a_cancel() {
    let points = cancel_everywhere(|| {
        let values = Rc::new(());
        let token = values.clone();
        let fiber = spawn(move || {
            let _own = token.clone();
            let mut set = FiberSet::new();
            for n in 0..2 {
                let token = token.clone();
                set.spawn(move || {
                    yields(n);
                    token
                });
            }
            scope(|s| {
                let token = token.clone();
                s.spawn(move || {
                    let _token = token;
                    sleep(ms(1)).wait();
                });
                yields(1);
            });
            while set.join_next().wait().is_some() {}
            let switch_back = SwitchBack::new();
            let (switcher, token) = (switch_back.switcher(), token.clone());
            spawn(move || switcher.switch(token));
            drop(switch_back.wait());
            let _ = with_timeout(ms(1), || sleep(ms(2)).wait());
            for n in numbers(3).wait_iter() {
                assert!(n < 3);
            }
            assert!(current_fiber().is_some());
        });
        (fiber, move || {
            sleep(ms(5)).wait();
            assert_eq!(Rc::strong_count(&values), 1);
        })
    });
    assert!(points > 20, "{points}");
}
