//! Sets of fibers: joined in the order in which they end, and ended together.
// A fiber is a future; here it is returned from closures to outlive them.
#![allow(clippy::async_yields_async)]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use switchback::{
    Builder, Fiber, FiberSet, Hub, HubPool, HubThread, JoinError, SpawnError, catch_cancel,
    current_fiber, prelude::*, shield, sleep, spawn, yield_now,
};

use crate::support::ending::{Count, in_paused_fiber, settle};
use crate::support::hostile::{Hostile, Method};
use crate::support::{
    Drops, OnDrop, in_async, in_root_fiber, ms, multi_thread_runtime, text, watched,
};

fn forever() {
    pending::<()>().wait();
}

#[test]
fn results_come_in_the_order_in_which_the_fibers_end() {
    in_paused_fiber(|| {
        let mut set = FiberSet::new();
        for n in [3, 1, 2] {
            set.spawn(move || {
                sleep(ms(n)).wait();
                n
            });
        }
        assert_eq!(set.len(), 3);
        assert!(set.try_join_next().is_none());
        for n in 1..=3 {
            assert_eq!(set.join_next().wait().unwrap().unwrap(), n);
        }
        assert!(set.is_empty());
        assert!(set.join_next().wait().is_none());
        assert!(set.try_join_next().is_none());
        // It can be used again.
        set.spawn(|| 4);
        assert_eq!(set.join_all().wait(), [4]);
    });
}

#[test]
fn a_set_has_fibers_of_several_hubs_and_goes_to_other_threads() {
    watched(|| {
        let (pool, hub) = (HubPool::new(2).unwrap(), HubThread::new().unwrap());
        multi_thread_runtime().block_on(async {
            let mut set = FiberSet::new();
            for i in 0..100 {
                set.spawn_on(&pool, move || {
                    yield_now().wait();
                    i
                })
                .unwrap();
                set.spawn_on(&hub.handle(), move || 100 + i).unwrap();
                set.spawn_on(&hub, move || 200 + i).unwrap();
            }
            let mut all = tokio::spawn(set.join_all()).await.unwrap();
            all.sort_unstable();
            assert_eq!(all, Vec::from_iter(0..300));
            hub.close().await;
            pool.close().await;
            let mut set = FiberSet::new();
            let drops = Drops::new();
            let (one, two) = (drops.token(), drops.token());
            let refused = [
                set.spawn_on(&hub, move || drop(one)).unwrap_err(),
                set.spawn_on(&pool, move || drop(two)).unwrap_err(),
            ];
            assert_eq!(refused, [SpawnError::Closed, SpawnError::Closed]);
            assert_eq!((drops.count(), set.len()), (2, 0));
        });
    });
}

/// What a fiber of the set does, and what the join says.
type Way = (&'static str, fn(), fn(&Result<(), JoinError>) -> bool);

const WAYS: [Way; 4] = [
    ("returns", || (), |result| result.is_ok()),
    (
        "panics",
        || resume_unwind(Box::new("out of order")),
        |result| result.as_ref().is_err_and(JoinError::is_panic),
    ),
    (
        "is cancelled",
        || {
            current_fiber().unwrap().cancel();
            yield_now().wait();
        },
        |result| result.as_ref().is_err_and(JoinError::is_cancelled),
    ),
    (
        "runs out of time",
        || {
            switchback::with_timeout(Duration::ZERO, forever).unwrap_err();
        },
        |result| result.is_ok(),
    ),
];

#[test]
fn each_fiber_says_how_it_ended() {
    in_root_fiber(|| {
        for (what, body, is_right) in WAYS {
            let mut set = FiberSet::new();
            let handle = set.spawn(body);
            set.spawn(forever);
            let result = set.join_next().wait().unwrap();
            assert!(is_right(&result), "{what}: {result:?}");
            assert!(!handle.is_alive());
            assert_eq!(set.len(), 1);
        }
    });
}

#[test]
fn dropping_a_set_cancels_its_fibers_and_drops_their_results() {
    in_root_fiber(|| {
        for polled in [false, true] {
            let (drops, ended) = (Drops::new(), Count::new());
            let mut set = FiberSet::new();
            for i in 0..10 {
                let (token, ended) = (drops.token(), ended.clone());
                set.spawn(move || {
                    let _ended = OnDrop(move || ended.add());
                    if i % 2 == 0 {
                        forever();
                    }
                    token
                });
            }
            yield_now().wait();
            if polled {
                let waker = std::task::Waker::noop();
                let mut cx = Context::from_waker(waker);
                assert!(set.poll_join_next(&mut cx).is_ready());
            }
            drop(set);
            yield_now().wait();
            assert_eq!((ended.get(), drops.count()), (10, 10));
        }
    });
}

#[test]
fn a_set_that_is_forgotten_leaves_its_fibers_running() {
    in_root_fiber(|| {
        let ended = Count::new();
        let mut set = FiberSet::new();
        let told = ended.clone();
        set.spawn(move || {
            yield_now().wait();
            told.add();
        });
        std::mem::forget(set);
        for _ in 0..3 {
            yield_now().wait();
        }
        assert_eq!(ended.get(), 1);
    });
}

#[test]
fn fibers_are_let_go_of_together() {
    in_root_fiber(|| {
        let ended = Count::new();
        let mut set = FiberSet::new();
        for _ in 0..3 {
            let told = ended.clone();
            set.spawn(move || {
                yield_now().wait();
                told.add();
            });
        }
        set.detach_all();
        assert!(set.is_empty());
        drop(set);
        for _ in 0..3 {
            yield_now().wait();
        }
        assert_eq!(ended.get(), 3);
    });
}

#[test]
fn a_shutdown_ends_all_fibers_before_it_is_ready() {
    in_async(|| async {
        let (ended, drops) = (Count::new(), Drops::new());
        let mut set = FiberSet::new();
        for _ in 0..5 {
            let (told, token) = (ended.clone(), drops.token());
            set.spawn(move || {
                let _ended = OnDrop(move || {
                    yield_now().wait();
                    told.add();
                });
                forever();
                token
            });
        }
        settle().await;
        set.shutdown().await;
        assert_eq!((ended.get(), drops.count(), set.len()), (5, 5, 0));
    });
}

#[test]
fn join_all_resumes_the_first_panic_and_cancels_the_others() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let mut set = FiberSet::new();
        for _ in 0..3 {
            let token = drops.token();
            set.spawn(move || {
                let _token = token;
                forever();
            });
        }
        set.spawn(|| resume_unwind(Box::new("out of order")));
        let payload = catch_unwind(AssertUnwindSafe(|| set.join_all().wait())).unwrap_err();
        assert_eq!(text(&*payload), "out of order");
        yield_now().wait();
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_fiber_of_a_builder_joins_a_set_and_is_started_there() {
    in_root_fiber(|| {
        let mut set = FiberSet::new();
        let fiber = Builder::new().name("late").create(|| 1).unwrap();
        assert_eq!(set.insert(fiber).name(), "late");
        set.insert(Fiber::new(|| 2));
        let mut all = set.join_all().wait();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

#[test]
fn a_waker_that_panics_loses_no_result() {
    watched(|| {
        for method in Method::ALL {
            let pool = HubPool::new(1).unwrap();
            let hostile = Hostile::new(method, || resume_unwind(Box::new("in a waker")));
            let (go, gone) = tokio::sync::oneshot::channel::<()>();
            let mut set = FiberSet::new();
            set.spawn_on(&pool, move || gone.wait().unwrap()).unwrap();
            hostile.arm(true);
            let waker = hostile.waker();
            assert!(
                set.poll_join_next(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            go.send(()).unwrap();
            set.join_next().wait().unwrap().unwrap();
            hostile.arm(false);
        }
    });
}

#[test]
fn results_whose_drops_panic_harm_nobody() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let fill = || {
            let mut set = FiberSet::new();
            for _ in 0..3 {
                let token = drops.token();
                set.spawn(move || {
                    OnDrop(move || {
                        let _token = &token;
                        resume_unwind(Box::new("in a drop"));
                    })
                });
            }
            yield_now().wait();
            set
        };
        drop(fill());
        fill().detach_all();
        fill().shutdown().wait();
        assert_eq!(drops.count(), 9);
    });
}

#[test]
fn a_set_wakes_its_task_once_for_a_fiber_that_ends() {
    in_async(|| async {
        let mut set = FiberSet::new();
        for _ in 0..100 {
            set.spawn(forever);
        }
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        set.spawn(move || drop(gone.wait()));
        settle().await;
        let mut polls = 0;
        spawn(move || go.send(()).unwrap());
        let result = std::future::poll_fn(|cx| {
            polls += 1;
            match set.poll_join_next(cx) {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => Poll::Pending,
            }
        });
        result.await.unwrap().unwrap();
        assert_eq!(polls, 2);
    });
}

// Names and stacks of fibers that are sent.

#[test]
fn a_fiber_that_is_sent_has_the_name_and_the_stack_that_it_was_given() {
    /// Uses so much of the stack.
    fn deep(bytes: usize) -> usize {
        let page = std::hint::black_box([1_u8; 4096]);
        match bytes.checked_sub(page.len()) {
            Some(left) => usize::from(page[left % page.len()]) + deep(left),
            None => 0,
        }
    }
    watched(|| {
        let pool = Arc::new(HubPool::new(2).unwrap());
        let hub = Hub::builder().name("alone").start_thread().unwrap();
        assert_eq!(hub.handle().name(), "alone");
        assert_eq!(pool.handles().nth(1).unwrap().name(), "Hub-1");
        // Twice as much as by default is used.
        const LARGE: usize = if cfg!(target_pointer_width = "32") {
            2 << 20
        } else {
            16 << 20
        };
        let builder = || Builder::new().name("sent").stack_size(LARGE);
        let body = || {
            let name = current_fiber().unwrap().name().to_owned();
            (name, deep(LARGE / 4))
        };
        for fiber in [
            builder().spawn_on(&*pool, body),
            builder().spawn_on(&hub, body),
            builder().spawn_on(&hub.handle(), body),
        ] {
            let fiber = fiber.unwrap();
            assert_eq!(fiber.name(), "sent");
            let (name, used) = fiber.wait().unwrap();
            assert_eq!(name, "sent");
            assert!(used > 0);
        }
        // A stack that nobody has is an error of the join.
        let huge = Builder::new().stack_size(usize::MAX);
        let error = huge.spawn_on(&*pool, || ()).unwrap().wait().unwrap_err();
        assert!(error.is_cancelled());
    });
}

#[test]
fn a_join_that_is_refused_loses_no_fiber() {
    watched(|| {
        let runtime = crate::support::runtime();
        let mut set = FiberSet::new();
        runtime.block_on(async {
            set.spawn(|| {
                yield_now().wait();
                5
            });
        });
        {
            // On the hub's own thread, which would block its hub.
            let _guard = runtime.enter();
            let refused = catch_unwind(AssertUnwindSafe(|| set.join_next().wait()));
            refused.unwrap_err();
        }
        let joined = runtime.block_on(set.join_next());
        assert_eq!(joined.unwrap().unwrap(), 5);
    });
}

/// How a fiber drops the result of another.
#[derive(Clone, Copy, Debug)]
enum Dropped {
    WithTheSet,
    Detached,
    InACallOfAClosedPool,
}

#[test]
fn a_cancel_in_the_destructor_of_a_result_is_not_lost() {
    for how in [
        Dropped::WithTheSet,
        Dropped::Detached,
        Dropped::InACallOfAClosedPool,
    ] {
        in_root_fiber(move || {
            let is_waiting = Count::new();
            let begins = is_waiting.clone();
            let fiber = spawn(move || {
                let waits = OnDrop(move || {
                    begins.add();
                    forever();
                });
                match how {
                    Dropped::InACallOfAClosedPool => {
                        let pool = HubPool::new(1).unwrap();
                        pool.close().wait();
                        drop(pool.call(move || drop(waits)));
                    }
                    _ => {
                        let mut set = FiberSet::new();
                        set.insert(spawn(move || waits));
                        yield_now().wait();
                        yield_now().wait();
                        match how {
                            Dropped::Detached => set.detach_all(),
                            _ => drop(set),
                        }
                    }
                }
                forever();
            });
            while is_waiting.get() == 0 {
                yield_now().wait();
            }
            fiber.cancel();
            assert!(fiber.wait().unwrap_err().is_cancelled(), "{how:?}");
        });
    }
}

// The product of what happens first, what the others do, and how the set ends.

/// What happens first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Returns,
    Errs,
    Panics,
    IsCancelled,
    /// Nothing, and whoever waits gives up.
    TimesOut,
}

/// What the other fibers do when they are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Wait,
    AreShielded,
    WaitInDrop,
    CatchAndGoOn,
    CatchAndPanic,
}

/// How the set ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Shutdown,
    Drop,
    Unwind,
    CancelAndJoins,
    CancelAndJoinAll,
}

const FIRSTS: [First; 5] = [
    First::Returns,
    First::Errs,
    First::Panics,
    First::IsCancelled,
    First::TimesOut,
];
const OTHERS: [Others; 5] = [
    Others::Wait,
    Others::AreShielded,
    Others::WaitInDrop,
    Others::CatchAndGoOn,
    Others::CatchAndPanic,
];
const ENDS: [End; 5] = [
    End::Shutdown,
    End::Drop,
    End::Unwind,
    End::CancelAndJoins,
    End::CancelAndJoinAll,
];

fn other(others: Others) -> Result<(), &'static str> {
    match others {
        Others::Wait => forever(),
        Others::AreShielded => shield(|| sleep(ms(50)).wait()),
        Others::WaitInDrop => {
            let _slow = OnDrop(|| sleep(ms(50)).wait());
            forever();
        }
        Others::CatchAndGoOn => {
            catch_cancel(forever).unwrap_err();
            sleep(ms(50)).wait();
        }
        Others::CatchAndPanic => {
            catch_cancel(forever).unwrap_err();
            resume_unwind(Box::new("late"));
        }
    }
    Ok(())
}

#[test]
fn a_set_ends_all_its_fibers_whatever_comes_first_and_whatever_they_do() {
    in_paused_fiber(|| {
        for first in FIRSTS {
            for others in OTHERS {
                for end in ENDS {
                    check_end(
                        &format!("{first:?}, {others:?}, {end:?}"),
                        first,
                        others,
                        end,
                    );
                }
            }
        }
    });
}

fn check_end(case: &str, first: First, others: Others, end: End) {
    const OTHER_FIBERS: usize = 3;
    let (ended, drops) = (Count::new(), Drops::new());
    let mut set = FiberSet::new();
    for _ in 0..OTHER_FIBERS {
        let (told, token) = (ended.clone(), drops.token());
        set.spawn(move || {
            let _ended = OnDrop(move || told.add());
            other(others).map(|()| token)
        });
    }
    let (told, token) = (ended.clone(), drops.token());
    let fails = set.spawn(move || {
        let _ended = OnDrop(move || told.add());
        sleep(ms(10)).wait();
        match first {
            First::Returns => Ok(token),
            First::Errs => Err("first"),
            First::Panics => resume_unwind(Box::new("first")),
            First::IsCancelled | First::TimesOut => {
                forever();
                Err("never")
            }
        }
    });
    if first == First::IsCancelled {
        sleep(ms(5)).wait();
        fails.cancel_with("first");
    }
    // Those that are shielded end by themselves, later.
    let joined = set.join_next().wait_timeout(ms(20));
    let joined = joined.map(|joined| joined.unwrap());
    match (first, joined) {
        (First::Returns, Ok(Ok(Ok(_)))) | (First::Errs, Ok(Ok(Err("first")))) => {}
        (First::Panics, Ok(Err(error))) => assert_eq!(text(&*error.into_panic()), "first"),
        (First::IsCancelled, Ok(Err(error))) => {
            assert_eq!(
                error.cancelled().unwrap().message(),
                Some("first"),
                "{case}"
            );
        }
        (First::TimesOut, Err(_)) => {}
        (_, joined) => panic!("{case}: {:?}", joined.map(|result| result.map(drop))),
    }
    let left = OTHER_FIBERS + usize::from(first == First::TimesOut);
    assert_eq!(set.len(), left, "{case}");
    match end {
        End::Shutdown => {
            set.shutdown().wait();
            assert_eq!(ended.get(), OTHER_FIBERS + 1, "{case}");
        }
        End::Drop => drop(set),
        End::Unwind => {
            let unwound = catch_unwind(AssertUnwindSafe(move || {
                let _set = set;
                resume_unwind(Box::new("elsewhere"));
            }));
            unwound.unwrap_err();
        }
        End::CancelAndJoins => {
            set.cancel_all();
            let mut count = 0;
            while let Some(result) = set.join_next().wait() {
                count += 1;
                if let Err(error) = result {
                    let is_late = others == Others::CatchAndPanic && error.is_panic();
                    assert!(is_late || error.is_cancelled(), "{case}: {error}");
                }
            }
            assert_eq!((count, ended.get()), (left, OTHER_FIBERS + 1), "{case}");
        }
        End::CancelAndJoinAll => {
            set.cancel_all();
            let all = catch_unwind(AssertUnwindSafe(|| set.join_all().wait()));
            // One that shields itself is cancelled only at a later wait, of which it has none.
            let come_to_their_end = matches!(others, Others::AreShielded | Others::CatchAndGoOn);
            let is_well = come_to_their_end && first != First::TimesOut;
            assert_eq!(all.is_ok(), is_well, "{case}");
        }
    }
    sleep(ms(200)).wait();
    assert_eq!(ended.get(), OTHER_FIBERS + 1, "{case}");
    assert_eq!(drops.count(), OTHER_FIBERS + 1, "{case}");
}
