//! `Mutex`, `RwLock` and `Condvar`: std's, and what is different.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use switchback::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard, nonpoison};
use switchback::{
    HubPool, assert_no_switchpoints, bridge, prelude::*, shield, spawn, thread, with_timeout,
    yield_now,
};
use tokio::sync::oneshot;

use crate::support::hostile::{Hostile, Method};
use crate::support::{
    OnDrop, assert_panics, forever, in_async, in_child, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, runtime, watched,
};
use crate::{compare, scripts};

scripts! {
    "scripts/locks.rs":
    a_mutex_keeps_sums_right
    a_mutex_is_poisoned_by_a_panic
    a_guard_from_a_destructor_does_not_poison
    a_mutex_tells_what_it_holds
    readers_share_and_writers_do_not
    a_writer_poisons_and_a_reader_does_not
    a_condition_wakes_one_or_all
    a_wait_for_a_condition_ends_with_its_time
    a_wait_tells_that_the_mutex_was_poisoned
}

#[test]
fn threads_and_fibers_do_the_same() {
    compare(scripts());
}

const LONG: std::time::Duration = ms(3_600_000);

#[test]
fn a_fiber_that_waits_with_a_lock_lets_others_run_and_be_served_in_turn() {
    in_root_fiber(|| {
        let lock = Rc::new(Mutex::new(Vec::new()));
        let beside = Rc::new(Cell::new(0));
        let fibers: Vec<_> = (0..5)
            .map(|n| {
                let lock = lock.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        let mut log = lock.lock().unwrap();
                        yield_now().wait();
                        log.push(n);
                    }
                })
            })
            .collect();
        let count = beside.clone();
        let runs = thread::spawn(move || {
            for _ in 0..10 {
                count.set(count.get() + 1);
                yield_now().wait();
            }
        });
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(*lock.lock().unwrap(), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
        assert!(beside.get() > 5, "another fiber ran meanwhile");
        runs.join().unwrap();
    });
}

#[test]
fn cancelled_at_each_wait_with_a_lock_it_leaves_the_lock_free_and_poisoned() {
    const WAITS: usize = 6;
    in_root_fiber(|| {
        // How far the fiber gets before it is cancelled.
        for stop in 0..=WAITS {
            let lock = Rc::new(Mutex::new(0));
            let other = lock.clone();
            let fiber = spawn(move || {
                yield_now().wait(); // without the lock
                let mut value = other.lock().unwrap();
                for _ in 0..WAITS {
                    yield_now().wait();
                    *value += 1;
                }
            });
            yield_now().wait();
            (0..stop).for_each(|_| yield_now().wait());
            assert!(fiber.cancel());
            assert!(fiber.wait().unwrap_err().is_cancelled());
            let is_free = lock.try_lock();
            let is_free = !matches!(is_free, Err(std::sync::TryLockError::WouldBlock));
            assert!(is_free, "cancelled at wait {stop}");
            assert_eq!(lock.is_poisoned(), stop > 0, "cancelled at wait {stop}");
        }
    });
}

#[test]
fn a_shield_keeps_a_section_from_being_cut_short() {
    in_root_fiber(|| {
        let lock = Rc::new(Mutex::new(0));
        let other = lock.clone();
        let fiber = spawn(move || {
            shield(|| {
                let mut value = other.lock().unwrap();
                yield_now().wait();
                *value = 1;
            });
        });
        yield_now().wait();
        fiber.cancel();
        drop(fiber.wait());
        assert_eq!(*lock.lock().unwrap(), 1);
    });
}

/// Calls a section with a lock.
type WithLock = dyn Fn(&dyn Fn());

#[test]
fn barging_starves_nobody_in_a_hub() {
    const SECTIONS: usize = 300;
    in_root_fiber(|| {
        let locks: [Rc<WithLock>; 3] = [
            {
                let lock = Mutex::new(());
                Rc::new(move |section: &dyn Fn()| {
                    let _guard = lock.lock().unwrap();
                    section();
                })
            },
            {
                let lock = RwLock::new(());
                Rc::new(move |section: &dyn Fn()| {
                    let _guard = lock.write().unwrap();
                    section();
                })
            },
            {
                let lock = nonpoison::Mutex::new(());
                Rc::new(move |section: &dyn Fn()| {
                    let _guard = lock.lock();
                    section();
                })
            },
        ];
        for with_lock in locks {
            let log = Rc::new(RefCell::new(Vec::new()));
            let fibers = [0, 1, 2].map(|n| {
                let (with_lock, log) = (with_lock.clone(), log.clone());
                thread::spawn(move || {
                    while log.borrow().len() < SECTIONS {
                        // It is given back, and asked for again, without a yield in between.
                        with_lock(&|| {
                            yield_now().wait();
                            log.borrow_mut().push(n);
                        });
                    }
                })
            });
            fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
            for (at, n) in log.borrow().iter().enumerate() {
                assert_eq!(*n, at % 3, "first in, first out");
            }
        }
    });
}

#[test]
fn a_lock_that_threads_fight_for_comes_to_a_fiber_too() {
    watched(|| {
        let lock = Arc::new(Mutex::new(0_u64));
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let threads = [(); 2].map(|()| {
            let (lock, done) = (lock.clone(), done.clone());
            std::thread::spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    *lock.lock().unwrap() += 1;
                }
            })
        });
        let of_fibers = lock.clone();
        switchback::run(move || {
            let fibers = [(); 2].map(|()| {
                let lock = of_fibers.clone();
                thread::spawn(move || {
                    for _ in 0..100 {
                        let mut guard = lock.lock().unwrap();
                        let before = *guard;
                        yield_now().wait();
                        assert_eq!(*guard, before);
                        *guard += 1;
                    }
                })
            });
            fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        })
        .unwrap();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn poison_while_another_unwinds() {
    in_root_fiber(|| {
        let (go_on, waits) = oneshot::channel::<()>();
        let own = Rc::new(Mutex::new(()));
        let (of_fiber, mut waits) = (own.clone(), Some(waits));
        let unwinds = spawn(move || {
            let _waits = OnDrop(move || drop(waits.take().unwrap().wait()));
            let _guard = of_fiber.lock().unwrap(); // dropped first
            panic!("it unwinds");
        });
        yield_now().wait();
        assert!(std::thread::panicking(), "it waits in its destructor");
        assert!(own.is_poisoned(), "that was its own unwinding");

        let (ours, stds) = (Rc::new(Mutex::new(0)), Rc::new(std::sync::Mutex::new(0)));
        let (lock, std_lock) = (ours.clone(), stds.clone());
        let locked_before = own.lock().unwrap_or_else(|e| e.into_inner());
        let healthy = thread::spawn(move || {
            *lock.lock().unwrap() += 1;
            let guard = lock.lock().unwrap();
            yield_now().wait();
            drop(guard);
            // std's counts for the thread. (It was locked while the thread was calm.)
            drop(std_lock.lock());
        });
        healthy.join().unwrap();
        assert!(!ours.is_poisoned());
        let rw = RwLock::new(0);
        *rw.write().unwrap() += 1;
        assert!(!rw.is_poisoned());
        own.clear_poison();
        drop(locked_before);
        assert!(!own.is_poisoned());
        go_on.send(()).unwrap();
        assert!(unwinds.wait().unwrap_err().is_panic());
        drop(stds);
    });
}

#[test]
fn a_std_lock_is_poisoned_where_ours_is_not() {
    in_root_fiber(|| {
        let (go_on, waits) = oneshot::channel::<()>();
        let (stds, ours) = (Rc::new(std::sync::Mutex::new(0)), Rc::new(Mutex::new(0)));
        let (std_lock, our_lock) = (stds.clone(), ours.clone());
        // It locks both while the thread is calm, and gives them back while another one unwinds.
        let healthy = thread::spawn(move || {
            let guards = (std_lock.lock().unwrap(), our_lock.lock().unwrap());
            thread::park();
            drop(guards);
        });
        yield_now().wait();
        let mut waits = Some(waits);
        let unwinds = spawn(move || {
            let _waits = OnDrop(move || drop(waits.take().unwrap().wait()));
            panic!("it unwinds");
        });
        yield_now().wait();
        healthy.thread().unpark();
        healthy.join().unwrap();
        assert!(stds.is_poisoned());
        assert!(!ours.is_poisoned());
        go_on.send(()).unwrap();
        drop(unwinds.wait());
    });
}

#[test]
fn abandoned_holder_is_named() {
    static LOCK: Mutex<()> = Mutex::new(());
    let Some(child) = in_child(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let keeper = switchback::Builder::new().name("keeper");
            let fiber = keeper.spawn(|| {
                let _guard = LOCK.lock().unwrap();
                let _waits_again = OnDrop(forever);
                forever();
            });
            drop(fiber.unwrap());
            switchback::sleep(ms(0)).await;
        });
        drop(runtime);
        assert!(LOCK.try_lock().is_err(), "it keeps the lock");
        watched(|| drop(LOCK.lock_async().wait_timeout(ms(1))));
    }) else {
        return;
    };
    child.assert_success();
    if cfg!(debug_assertions) {
        child.assert_reported("fiber 'keeper' waited again while it was being ended", 1);
        child.assert_reported("; it keeps locks of `switchback::sync` for ever: 1", 1);
        let waits = "a lock of `switchback::sync` is waited for in vain: fiber 'keeper' held it when \
                     its stack was abandoned";
        child.assert_reported(waits, 1);
    }
}

#[test]
fn notify_passed_on_from_relock() {
    in_root_fiber(|| {
        for all in [false, true] {
            let shared = Rc::new((Mutex::new(0), Condvar::new()));
            let waiter = || {
                let shared = shared.clone();
                spawn(move || {
                    let guard = shared.0.lock().unwrap();
                    let mut guard = shared.1.wait(guard).unwrap();
                    *guard += 1;
                })
            };
            let (first, second) = (waiter(), waiter());
            yield_now().wait();
            let guard = shared.0.lock().unwrap();
            match all {
                false => shared.1.notify_one(),
                true => shared.1.notify_all(),
            }
            yield_now().wait();
            yield_now().wait(); // the first one waits for the mutex
            first.cancel();
            yield_now().wait();
            assert!(!first.is_alive());
            drop(guard);
            second.wait().unwrap();
            assert_eq!(*shared.0.lock().unwrap(), 1);
        }
    });
}

#[test]
fn a_notification_for_one_who_is_cancelled_before_it_runs_is_passed_on() {
    in_root_fiber(|| {
        let shared = Rc::new((Mutex::new(()), Condvar::new()));
        let waiter = |timed: bool| {
            let shared = shared.clone();
            spawn(move || {
                let guard = shared.0.lock().unwrap();
                match timed {
                    false => drop(shared.1.wait(guard).unwrap()),
                    true => assert!(!shared.1.wait_timeout(guard, LONG).unwrap().1.timed_out()),
                }
            })
        };
        for timed in [false, true] {
            let (first, second) = (waiter(timed), waiter(timed));
            yield_now().wait();
            shared.1.notify_one();
            first.cancel();
            assert!(first.wait().unwrap_err().is_cancelled());
            second.wait().unwrap();
        }
    });
}

#[test]
fn a_notification_for_nobody_is_lost_and_a_condition_is_tested_first() {
    in_root_fiber(|| {
        let (mutex, condition) = (Mutex::new(1), Condvar::new());
        condition.notify_one();
        condition.notify_all();
        let guard = mutex.lock().unwrap();
        let (guard, result) = condition.wait_timeout(guard, ms(1)).unwrap();
        assert!(result.timed_out());
        // It is true already, so nobody waits.
        let guard = condition.wait_while(guard, |n| *n == 0).unwrap();
        let waited = condition
            .wait_timeout_while(guard, LONG, |n| *n == 0)
            .unwrap();
        assert!(!waited.1.timed_out());
    });
}

#[test]
fn a_condition_that_becomes_true_as_the_time_passes_has_not_timed_out() {
    in_paused(|| async {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let other = shared.clone();
        let waiter = thread::spawn(move || {
            let guard = other.0.lock().unwrap();
            let (guard, result) = other
                .1
                .wait_timeout_while(guard, ms(10), |n| *n == 0)
                .unwrap();
            (*guard, result.timed_out())
        });
        let sets = thread::spawn(move || {
            thread::sleep(ms(5));
            *shared.0.lock().unwrap() = 1; // without a notification
        });
        sets.await.unwrap();
        assert_eq!(waiter.await.unwrap(), (1, false));
    });
}

#[test]
fn a_holder_that_asks_again_with_a_deadline_keeps_its_lock() {
    in_root_fiber(|| {
        let lock = Mutex::new(());
        let guard = lock.lock().unwrap();
        assert!(with_timeout(ms(1), || drop(lock.lock())).is_err());
        assert!(lock.try_lock().is_err(), "it is still held");
        assert!(lock.lock_async().wait_timeout(ms(1)).is_err());
        assert!(lock.try_lock().is_err(), "it is still held");
        drop(guard);
        assert!(lock.try_lock().is_ok());
    });
}

#[test]
fn those_who_end_in_the_line_leave_it_to_the_others() {
    in_root_fiber(|| {
        // Which of four in the line are cancelled, before or after the lock was given back.
        for cancelled in 0..16_u32 {
            for late in [false, true] {
                let lock = Rc::new(RwLock::new(()));
                let guard = lock.write().unwrap();
                let fibers: Vec<_> = (0..4)
                    .map(|n| {
                        let lock = lock.clone();
                        spawn(move || match n % 2 {
                            0 => drop(lock.write().unwrap()),
                            _ => drop(lock.read().unwrap()),
                        })
                    })
                    .collect();
                yield_now().wait();
                if late {
                    drop(guard);
                    for n in (0..4).filter(|n| cancelled & (1 << n) != 0) {
                        fibers[n].cancel();
                    }
                } else {
                    for n in (0..4).filter(|n| cancelled & (1 << n) != 0) {
                        fibers[n].cancel();
                    }
                    yield_now().wait();
                    drop(guard);
                }
                for (n, fiber) in fibers.into_iter().enumerate() {
                    let is_cancelled = cancelled & (1 << n) != 0;
                    assert_eq!(fiber.wait().is_err(), is_cancelled);
                }
                assert!(lock.try_write().is_ok(), "{cancelled:b} {late}");
            }
        }
    });
}

#[test]
fn readers_next_to_each_other_get_it_together_and_a_writer_is_not_passed() {
    in_root_fiber(|| {
        let lock = Rc::new(RwLock::new(()));
        let log = Rc::new(RefCell::new(Vec::new()));
        let first = lock.read().unwrap();
        let of = |name: &'static str| {
            let (lock, log) = (lock.clone(), log.clone());
            spawn(move || {
                let guards = match name.starts_with('w') {
                    true => (Some(lock.write().unwrap()), None),
                    false => (None, Some(lock.read().unwrap())),
                };
                log.borrow_mut().push(format!("{name} in"));
                yield_now().wait();
                log.borrow_mut().push(format!("{name} out"));
                drop(guards);
            })
        };
        let fibers = ["w1", "r1", "r2", "w2"].map(of);
        yield_now().wait();
        assert!(lock.try_read().is_err(), "a writer waits");
        assert!(log.borrow().is_empty());
        drop(first);
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        let expected = [
            "w1 in", "w1 out", "r1 in", "r2 in", "r1 out", "r2 out", "w2 in", "w2 out",
        ];
        assert_eq!(*log.borrow(), expected);
    });
}

#[test]
fn a_writer_that_becomes_a_reader_lets_the_next_readers_in() {
    in_root_fiber(|| {
        let lock = Rc::new(RwLock::new(0));
        let mut writer = lock.write().unwrap();
        let of_reader = lock.clone();
        let reader = thread::spawn(move || *of_reader.read().unwrap());
        yield_now().wait();
        *writer = 1;
        let own = RwLockWriteGuard::downgrade(writer);
        assert_eq!(reader.join().unwrap(), 1);
        assert!(lock.try_write().is_err());
        drop(own);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn a_guard_goes_to_other_threads_and_tasks() {
    fn is_send<T: Send>(_: &T) {}
    watched(|| {
        multi_thread_runtime().block_on(async {
            let lock = Arc::new(Mutex::new(0));
            let guard = lock.lock_async().await.unwrap();
            is_send(&guard);
            is_send(&RwLock::new(0).write_async().await.unwrap());
            is_send(&RwLock::new(0).read_async().await.unwrap());
            let pool = HubPool::new(1).unwrap();
            let other = lock.clone();
            let waits = pool.spawn(move || *other.lock().unwrap());
            tokio::task::yield_now().await;
            // A guard that ends on another thread than it began.
            let lock: &'static Mutex<i32> = Box::leak(Box::new(Mutex::new(0)));
            let own: MutexGuard<'static, i32> = lock.lock_async().await.unwrap();
            let drops = tokio::spawn(async move {
                let mut own = own;
                *own += 1;
                tokio::task::yield_now().await;
            });
            assert_eq!(
                pool.spawn(|| *lock.lock().unwrap()).unwrap().await.unwrap(),
                1
            );
            drops.await.unwrap();
            drop(guard);
            assert_eq!(waits.unwrap().await.unwrap(), 0);
            pool.close().await;
        });
    });
}

#[test]
fn what_waits_is_refused_in_async_code_and_names_its_twin() {
    in_async(|| async {
        let text = |call: &str, twin: &str| {
            format!(
                "`{call}` would block the runtime; await `{twin}`, or move this code into \
                 `switchback::spawn` or `bridge`"
            )
        };
        let (mutex, rw, condition) = (Mutex::new(0), RwLock::new(0), Condvar::new());
        assert_panics(&text("Mutex::lock", "lock_async"), || drop(mutex.lock()));
        assert_panics(&text("RwLock::read", "read_async"), || drop(rw.read()));
        assert_panics(&text("RwLock::write", "write_async"), || drop(rw.write()));
        let guard = mutex.lock_async().await.unwrap();
        assert_panics(&text("Condvar::wait", "wait_async"), || {
            drop(condition.wait(guard));
        });
        // The guard went with the unwinding.
        assert!(mutex.is_poisoned());
        mutex.clear_poison();
        let guard = mutex.try_lock().unwrap();
        assert_panics(&text("Condvar::wait_timeout", "wait_async"), || {
            drop(condition.wait_timeout(guard, LONG));
        });
        // In a bridge it waits.
        mutex.clear_poison();
        assert_eq!(bridge(move || *mutex.lock().unwrap()).await, 0);
    });
}

#[test]
fn what_waits_is_a_switchpoint_even_if_it_would_not_wait() {
    in_root_fiber(|| {
        let (mutex, rw, condition) = (Mutex::new(0), RwLock::new(0), Condvar::new());
        for panic in [
            panic_of(|| assert_no_switchpoints(|| drop(mutex.lock()))),
            panic_of(|| assert_no_switchpoints(|| drop(rw.read()))),
            panic_of(|| assert_no_switchpoints(|| drop(rw.write()))),
        ] {
            assert!(panic.message.contains("is a switchpoint"), "{panic:?}");
            assert!(panic.file.ends_with("std_shaped/locks.rs"), "{panic:?}");
        }
        assert_no_switchpoints(|| {
            *mutex.try_lock().unwrap() += 1;
            drop(rw.try_read().unwrap());
            *rw.try_write().unwrap() += 1;
            condition.notify_one();
            condition.notify_all();
        });
        let guard = mutex.lock().unwrap();
        let _ = catch_unwind(AssertUnwindSafe(|| {
            assert_no_switchpoints(|| drop(condition.wait_while(guard, |_| false)));
        }));
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn a_hostile_waker_keeps_no_other_from_being_served() {
    for method in Method::ALL {
        watched(move || {
            let lock = Mutex::new(());
            let hostile = Hostile::new(method, || panic!("a hostile waker"));
            let guard = lock.try_lock().unwrap();
            let mut first = pin!(lock.lock_async());
            let mut second = pin!(lock.lock_async());
            hostile.arm(true);
            let waker = hostile.waker();
            let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            assert!(
                second
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            drop(guard);
            hostile.arm(false);
            let polled = first.as_mut().poll(&mut Context::from_waker(&waker));
            let Poll::Ready(own) = polled else {
                panic!("it was handed the lock: {method:?}");
            };
            drop(own);
            let polled = second
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready(), "{method:?}");
        });
    }
}

#[test]
fn a_waker_that_locks_finds_the_lock_usable() {
    watched(|| {
        let lock = Arc::new(Mutex::new(0));
        let inner = lock.clone();
        let locks = move || {
            // It is handed over to the one who is woken.
            assert!(inner.try_lock().is_err());
        };
        let hostile = Hostile::new(Method::Wake, locks);
        hostile.arm(true);
        let guard = lock.try_lock().unwrap();
        let mut next = pin!(lock.lock_async());
        let waker = hostile.waker();
        assert!(
            next.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(guard);
        assert!(hostile.was_woken());
        assert!(
            next.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        );
    });
}

#[test]
fn futures_that_are_forgotten_harm_nobody_else() {
    in_async(|| async {
        let lock = Mutex::new(());
        let guard = lock.lock_async().await.unwrap();
        let mut kept = Box::pin(lock.lock_async());
        assert!(poll_fn(|cx| Poll::Ready(kept.as_mut().poll(cx).is_pending())).await);
        drop(guard);
        // It was handed the lock and never takes it, as with tokio's.
        mem::forget(kept);
        assert!(lock.try_lock().is_err());
        mem::forget(lock);

        let condition = Condvar::new();
        let mutex = Mutex::new(());
        let mut kept = Box::pin(condition.wait_async(mutex.lock_async().await.unwrap()));
        assert!(poll_fn(|cx| Poll::Ready(kept.as_mut().poll(cx).is_pending())).await);
        assert!(mutex.try_lock().is_ok(), "it was given back");
    });
}

#[test]
fn without_poisoning_nobody_is_told() {
    in_root_fiber(|| {
        let shared = Rc::new((nonpoison::Mutex::new(0), nonpoison::Condvar::new()));
        let other = shared.clone();
        let fiber = spawn(move || {
            let mut guard = other.0.lock();
            *guard = 1;
            forever();
        });
        yield_now().wait();
        assert_eq!(shared.0.try_lock().map(drop), Err(nonpoison::WouldBlock));
        fiber.cancel();
        drop(fiber.wait());
        assert_eq!(*shared.0.lock(), 1);
        let waiter = shared.clone();
        let waits = thread::spawn(move || *waiter.1.wait_while(waiter.0.lock(), |n| *n == 1));
        yield_now().wait();
        *shared.0.lock() = 2;
        shared.1.notify_one();
        assert_eq!(waits.join().unwrap(), 2);
        let (guard, result) = shared.1.wait_timeout(shared.0.lock(), ms(1));
        assert!(result.timed_out() && *guard == 2);
    });
}
