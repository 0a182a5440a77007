//! `Barrier`, `Once`, `OnceLock` and `LazyLock`: std's, and what is different.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use switchback::sync::{Barrier, LazyLock, Once, OnceLock};
use switchback::{assert_no_switchpoints, prelude::*, spawn, thread, yield_now};

use crate::support::{assert_panics, in_async, in_root_fiber, ms, panic_of, watched};
use crate::{compare, scripts};

scripts! {
    "scripts/once.rs":
    a_barrier_lets_all_go_on_together
    once_runs_one_closure
    a_panic_poisons_once_and_force_goes_on
    those_who_wait_for_once_go_on_after_it
    a_value_is_set_once
    one_makes_the_value_for_all
    a_lazy_value_is_made_at_its_first_use
    a_lazy_value_whose_maker_panics_is_poisoned
}

#[test]
fn threads_and_fibers_do_the_same() {
    compare(scripts());
}

#[test]
fn barrier_arrival_withdrawn() {
    in_root_fiber(|| {
        for asynchronous in [false, true] {
            let barrier = Rc::new(Barrier::new(3));
            let passed = Rc::new(Cell::new(0));
            let arrives = || {
                let (barrier, passed) = (barrier.clone(), passed.clone());
                spawn(move || {
                    match asynchronous {
                        false => drop(barrier.wait()),
                        true => drop(barrier.wait_async().wait()),
                    }
                    passed.set(passed.get() + 1);
                })
            };
            let first = arrives();
            yield_now().wait();
            first.cancel();
            assert!(first.wait().unwrap_err().is_cancelled());
            let others = [arrives(), arrives()];
            (0..3).for_each(|_| yield_now().wait());
            assert_eq!(passed.get(), 0, "two do not pass a barrier of three");
            let last = arrives();
            others
                .into_iter()
                .chain([last])
                .for_each(|fiber| fiber.wait().unwrap());
            assert_eq!(passed.get(), 3);
        }
    });
}

#[test]
fn one_who_is_cancelled_after_all_have_arrived_has_arrived() {
    in_root_fiber(|| {
        let barrier = Rc::new(Barrier::new(2));
        let other = barrier.clone();
        let first = spawn(move || {
            other.wait();
        });
        yield_now().wait();
        assert!(barrier.wait().is_leader());
        first.cancel();
        assert!(first.wait().unwrap_err().is_cancelled());
        let other = barrier.clone();
        let second = spawn(move || other.wait().is_leader());
        yield_now().wait();
        assert!(second.is_alive(), "the next round begins from the start");
        barrier.wait();
        second.wait().unwrap();
    });
}

#[test]
fn lazylock_deref_in_async() {
    static MADE: LazyLock<u32> = LazyLock::new(|| 1);
    static WAITS: LazyLock<u32> = LazyLock::new(|| {
        thread::park();
        2
    });
    in_async(|| async {
        assert_eq!(*MADE + *MADE, 2, "the first use makes it in place");
        let maker = thread::spawn(|| *WAITS);
        tokio::task::yield_now().await;
        switchback::sleep(ms(0)).await;
        let refused = "a use of a `LazyLock` would block the runtime; await \
            `LazyLock::force_async`, or move this code into `switchback::spawn` or `bridge`";
        assert_panics(refused, || *WAITS + 1);
        let mut forced = pin!(LazyLock::force_async(&WAITS));
        assert!(poll_fn(|cx| Poll::Ready(forced.as_mut().poll(cx).is_pending())).await);
        maker.thread().unpark();
        assert_eq!(forced.await, &2);
        assert_eq!(*WAITS, 2);
        assert_eq!(maker.await.unwrap(), 2);
    });
}

#[test]
fn what_makes_a_value_may_wait_but_not_in_async_code() {
    in_async(|| async {
        let lazy = LazyLock::new(|| {
            thread::yield_now();
            1
        });
        let panic = panic_of(|| *lazy);
        assert!(
            panic.message.contains("`thread::yield_now` would block"),
            "{panic:?}"
        );
        let lock = OnceLock::new();
        let panic = panic_of(|| *lock.get_or_init(|| thread::sleep(ms(1))));
        assert!(
            panic.message.contains("`thread::sleep` would block"),
            "{panic:?}"
        );
        assert_eq!(lock.get(), None);
    });
    watched(|| {
        let lock = OnceLock::new();
        assert_eq!(
            lock.get_or_init(|| async { 3 }.wait()),
            &3,
            "on a plain thread"
        );
    });
}

#[test]
fn a_cancel_takes_a_value_from_nobody() {
    in_root_fiber(|| {
        let lazy = Rc::new(LazyLock::new(|| {
            yield_now().wait();
            1
        }));
        let (of_maker, of_waiter) = (lazy.clone(), lazy.clone());
        let maker = spawn(move || **of_maker);
        yield_now().wait();
        let waiter = spawn(move || **of_waiter);
        yield_now().wait();
        maker.cancel();
        assert_eq!(waiter.wait().unwrap(), 1);
        drop(maker.wait());
        assert_eq!(**lazy, 1);

        // Whoever is cancelled while it makes the value of a `OnceLock` leaves that to the next.
        let lock = Rc::new(OnceLock::new());
        let makes = |value: u32| {
            let lock = lock.clone();
            spawn(move || {
                *lock.get_or_init(|| {
                    yield_now().wait();
                    value
                })
            })
        };
        let (first, second) = (makes(1), makes(2));
        yield_now().wait();
        yield_now().wait();
        first.cancel();
        assert!(first.wait().is_err() || lock.get() == Some(&1));
        second.wait().unwrap();
        assert!(lock.get().is_some());
    });
}

#[test]
fn they_are_switchpoints_only_while_somebody_else_initialises() {
    in_root_fiber(|| {
        let (once, lock, lazy) = (Once::new(), OnceLock::new(), LazyLock::new(|| 1));
        assert_no_switchpoints(|| {
            once.call_once(|| ());
            assert_eq!(lock.get_or_init(|| 2), &2);
            assert_eq!(lock.set(3), Err(3));
            assert_eq!(*lazy, 1);
            once.wait();
            lock.wait();
        });
        let shared = Rc::new((Once::new(), OnceLock::new()));
        let other = shared.clone();
        let fiber = thread::spawn(move || {
            other.0.call_once(thread::park);
            other.1.get_or_init(thread::park);
        });
        yield_now().wait();
        for step in 0..2 {
            let panic = panic_of(|| {
                assert_no_switchpoints(|| match step {
                    0 => shared.0.call_once(|| ()),
                    _ => drop(shared.1.set(())),
                });
            });
            assert!(panic.message.contains("is a switchpoint"), "{panic:?}");
            assert!(panic.file.ends_with("std_shaped/once.rs"), "{panic:?}");
            fiber.thread().unpark();
            yield_now().wait();
        }
        fiber.join().unwrap();
        let panic = panic_of(|| assert_no_switchpoints(|| Barrier::new(1).wait()));
        assert!(panic.message.contains("is a switchpoint"), "{panic:?}");
    });
}

#[test]
fn threads_tasks_and_fibers_make_one_value() {
    watched(|| {
        let runtime = crate::support::multi_thread_runtime();
        let lock = Arc::new(OnceLock::new());
        let pool = switchback::HubPool::new(2).unwrap();
        runtime.block_on(async {
            let fibers: Vec<_> = (0..4_u64)
                .map(|n| {
                    let lock = lock.clone();
                    let make = move || {
                        thread::yield_now();
                        n
                    };
                    pool.spawn_by_key(n, move || *lock.get_or_init(make))
                        .unwrap()
                })
                .collect();
            let plain = {
                let lock = lock.clone();
                std::thread::spawn(move || *lock.get_or_init(|| 9))
            };
            let waits = tokio::spawn({
                let lock = lock.clone();
                async move { *lock.wait_async().await }
            });
            let value = waits.await.unwrap();
            for fiber in fibers {
                assert_eq!(fiber.await.unwrap(), value);
            }
            assert_eq!(tokio::task::block_in_place(|| plain.join().unwrap()), value);
            pool.close().await;
        });
    });
}
