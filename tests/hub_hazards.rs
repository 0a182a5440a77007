//! Hazards of callbacks, closing and `HubHandle`: their products with drops, ends and wakers.
// Wakers with a clone of their own.
#![allow(unsafe_code)]
#![cfg(unix)]

mod support;

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use futures::FutureExt as _;
use futures::task::noop_waker;
use switchback::{Hub, catch_cancel, current_fiber, prelude::*, spawn, yield_now};

use support::ending::{poll_once, settle};
use support::{Drops, OnDrop, in_async, in_root_fiber, runtime, watched};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_callback_that_shuts_the_runtime_of_its_hub_down_returns() {
    watched(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {}));
            settle().await;
        });
        let handle = rt.handle().clone();
        let _runtime = handle.enter();
        futures::executor::block_on(Hub::run_until(async move {
            Hub::current().run_callback(move || rt.shutdown_background());
        }));
    });
}

#[test]
fn a_callback_that_was_accepted_runs_although_a_refused_closure_polls_the_close() {
    in_root_fiber(|| {
        let ran = Arc::new(AtomicUsize::new(0));
        let ran2 = ran.clone();
        let done = thread::spawn(move || {
            let rt = runtime();
            let ran = ran2.clone();
            rt.block_on(async move {
                let hub = Hub::current();
                drop(spawn(|| {}));
                settle().await;
                let handle = hub.handle();
                let again = handle.clone();
                let drops = OnDrop(move || {
                    let _ = again.close().now_or_never();
                });
                let ran = ran.clone();
                thread::spawn(move || {
                    drop(handle.spawn(move || drop(drops)).unwrap());
                    handle
                        .run_callback(move || {
                            ran.fetch_add(1, Ordering::SeqCst);
                        })
                        .unwrap();
                })
                .join()
                .unwrap();
                hub.close().await;
            });
        });
        let joined = tokio::task::spawn_blocking(|| done.join()).wait().unwrap();
        joined.unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    });
}

/// A waker whose clone calls a closure, and which counts its wakes.
struct OnClone {
    f: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    wakes: AtomicUsize,
}

fn on_clone(this: &Arc<OnClone>) -> Waker {
    fn borrow<'a>(p: *const ()) -> &'a OnClone {
        // SAFETY: `p` is that of an `Arc` which the waker that calls holds.
        unsafe { &*p.cast() }
    }
    fn own(p: *const ()) -> Arc<OnClone> {
        // SAFETY: as above, and the waker that calls gives it up.
        unsafe { Arc::from_raw(p.cast()) }
    }
    fn clone(p: *const ()) -> RawWaker {
        let f = borrow(p).f.lock().unwrap().take();
        if let Some(f) = f {
            f();
        }
        // SAFETY: as above; this is the count of the clone.
        unsafe { Arc::increment_strong_count(p.cast::<OnClone>()) };
        RawWaker::new(p, &TABLE)
    }
    fn wake(p: *const ()) {
        own(p).wakes.fetch_add(1, Ordering::SeqCst);
    }
    fn wake_by_ref(p: *const ()) {
        borrow(p).wakes.fetch_add(1, Ordering::SeqCst);
    }
    fn let_go(p: *const ()) {
        drop(own(p));
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, let_go);
    let p = Arc::into_raw(this.clone()).cast::<()>();
    // SAFETY: the table counts as an `Arc` does, from any thread.
    unsafe { Waker::from_raw(RawWaker::new(p, &TABLE)) }
}

#[test]
fn whoever_waits_for_a_close_is_woken_if_the_hub_fails_just_then() {
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async {
            drop(spawn(|| pending::<()>().wait()));
            settle().await;
            Hub::current()
        });
        let state = Arc::new(OnClone {
            f: Mutex::new(Some(Box::new(move || {
                thread::spawn(move || drop(rt)).join().unwrap();
            }))),
            wakes: AtomicUsize::new(0),
        });
        let waker = on_clone(&state);
        let mut close = pin!(hub.close());
        let polled = close.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            assert!(
                state.wakes.load(Ordering::SeqCst) > 0,
                "nobody wakes the one who waits"
            );
            assert!(close.poll(&mut Context::from_waker(&waker)).is_ready());
        }
    });
}

#[test]
fn fibers_go_on_while_a_run_until_beside_their_driver_is_not_polled() {
    in_async(|| async {
        let count = Rc::new(Cell::new(0));
        let counts = count.clone();
        drop(spawn(move || {
            loop {
                counts.set(counts.get() + 1);
                yield_now().wait();
            }
        }));
        settle().await;
        let mut run = Box::pin(Hub::run_until(pending::<()>()));
        let _ = poll_once(run.as_mut());
        tokio::time::sleep(ms(5)).await;
        let before = count.get();
        tokio::time::sleep(ms(20)).await;
        assert!(count.get() > before, "the fibers stand still");
    });
}

#[test]
fn a_cancel_in_the_destructor_of_a_refused_callback_is_not_lost() {
    in_root_fiber(|| {
        let hub = Hub::current();
        hub.close().wait();
        let me = current_fiber().unwrap();
        let guard = OnDrop(move || {
            me.cancel();
            yield_now().wait();
        });
        let result = catch_cancel(|| {
            let _ = hub.handle().run_callback(move || drop(guard));
            yield_now().wait();
        });
        assert!(result.is_err(), "the cancel is lost");
    });
}

#[test]
fn a_cancel_in_the_destructor_of_a_refused_fibers_closure_is_not_lost() {
    in_root_fiber(|| {
        let hub = Hub::current();
        hub.close().wait();
        let me = current_fiber().unwrap();
        let guard = OnDrop(move || {
            me.cancel();
            yield_now().wait();
        });
        let result = catch_cancel(|| {
            assert!(hub.handle().spawn(move || drop(guard)).is_err());
            yield_now().wait();
        });
        assert!(result.is_err(), "the cancel is lost");
    });
}

#[test]
fn a_hub_takes_no_fibers_of_a_thread_that_has_begun_to_close_it() {
    in_async(|| async {
        let hub = Hub::current().handle();
        drop(spawn(|| {}));
        settle().await;
        let closed = thread::spawn(move || {
            let mut close = pin!(hub.close());
            let _ = close.as_mut().poll(&mut Context::from_waker(&noop_waker()));
            (hub.is_closed(), hub.spawn(|| {}).is_err())
        });
        assert_eq!(closed.join().unwrap(), (true, true));
    });
}

#[test]
fn a_hub_that_has_ended_has_no_live_fibers() {
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async {
            let hub = Hub::current();
            for _ in 0..3 {
                drop(spawn(|| {}));
            }
            hub
        });
        drop(rt);
        assert_eq!(hub.metrics().live_fibers(), 0);
        assert_eq!(hub.handle().metrics().live_fibers(), 0);
        assert_eq!(hub.metrics().ready(), 0);
    });
}

#[test]
fn a_refused_callback_is_dropped_alike_here_and_elsewhere() {
    in_root_fiber(|| {
        let hub = Hub::current();
        let handle = hub.handle();
        hub.close().wait();
        let attempt = move |handle: switchback::HubHandle| {
            let guard = OnDrop(|| panic!("in a destructor"));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                handle.run_callback(move || drop(guard)).is_err()
            }))
            .is_err()
        };
        let there = handle.clone();
        let here = attempt(handle);
        let there = thread::spawn(move || attempt(there)).join().unwrap();
        assert_eq!(here, there, "whether it panics");
    });
}

#[test]
fn a_close_from_another_thread_does_not_wait_for_the_future_of_a_run_until() {
    watched(|| {
        runtime().block_on(Hub::run_until(async {
            let hub = Hub::current().handle();
            let drops = Drops::new();
            let token = drops.token();
            drop(spawn(move || {
                let _token = token;
                pending::<()>().wait();
            }));
            let closes = tokio::task::spawn_blocking(move || hub.close().wait());
            closes.await.unwrap();
            assert_eq!(drops.count(), 1);
        }));
    });
}

#[test]
fn a_descriptors_callback_that_shuts_the_runtime_of_its_hub_down_returns() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    watched(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {}));
            settle().await;
        });
        let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        far.write_all(b"x").unwrap();
        let handle = rt.handle().clone();
        let hub = rt.block_on(async { Hub::current() });
        let mut rt = Some(rt);
        hub.poll()
            .add(
                near.as_raw_fd(),
                switchback::Events::READABLE,
                move |_, _| {
                    if let Some(rt) = rt.take() {
                        rt.shutdown_background();
                    }
                },
            )
            .unwrap();
        let _runtime = handle.enter();
        let mut run = Box::pin(Hub::run_until(async {}));
        let _ = poll_once(run.as_mut());
    });
}

#[test]
fn a_callback_may_drive_its_hub_and_close_it() {
    in_async(|| async {
        let hub = Hub::current();
        let ran = Rc::new(Cell::new(0));
        let seen = ran.clone();
        hub.run_callback(move || {
            let seen2 = seen.clone();
            futures::executor::block_on(Hub::run_until(async move {
                let s = seen2.clone();
                Hub::current().run_callback(move || s.set(s.get() + 1));
                let mut fiber = spawn(|| yield_now().wait());
                fiber.join().await.unwrap();
                let s = seen2.clone();
                Hub::current().run_callback(move || s.set(s.get() + 1));
                let _ = Hub::current().close().now_or_never();
            }));
            seen.set(seen.get() + 10);
        });
        settle().await;
        hub.close().await;
        assert_eq!(ran.get(), 12);
    });
}

#[test]
fn a_callback_that_is_dropped_at_the_end_may_close_the_hub() {
    watched(|| {
        let rt = runtime();
        let drops = Drops::new();
        let hub = rt.block_on(async { Hub::current() });
        for _ in 0..3 {
            let (again, token) = (hub.clone(), drops.token());
            let guard = OnDrop(move || {
                let _token = &token;
                let _ = again.close().now_or_never();
                let _ = again.handle().run_callback(|| {});
            });
            hub.run_callback(move || drop(guard));
        }
        drop(rt);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_refused_callback_that_queues_itself_when_dropped_ends() {
    in_root_fiber(|| {
        let hub = Hub::current();
        hub.close().wait();
        let count = Rc::new(Cell::new(0));
        struct Again(Hub, Rc<Cell<u32>>);
        impl Drop for Again {
            fn drop(&mut self) {
                self.1.set(self.1.get() + 1);
                if self.1.get() < 5 {
                    let again = Again(self.0.clone(), self.1.clone());
                    self.0.run_callback(move || drop(again));
                }
            }
        }
        let again = Again(hub.clone(), count.clone());
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            hub.run_callback(move || drop(again));
        }));
        assert!(refused.is_err());
        assert_eq!(count.get(), 5);
    });
}

#[test]
fn a_task_gives_way_although_the_hub_finds_just_then_that_it_was_closed() {
    in_async(|| async {
        let hub = Hub::current().handle();
        drop(spawn(|| {}));
        settle().await;
        thread::spawn(move || {
            let mut close = pin!(hub.close());
            let _ = close.as_mut().poll(&mut Context::from_waker(&noop_waker()));
        })
        .join()
        .unwrap();
        let state = Arc::new(OnClone {
            f: Mutex::new(None),
            wakes: AtomicUsize::new(0),
        });
        let waker = on_clone(&state);
        let mut gives_way = pin!(yield_now());
        let polled = gives_way.as_mut().poll(&mut Context::from_waker(&waker));
        settle().await;
        assert!(
            polled.is_ready() || state.wakes.load(Ordering::SeqCst) > 0,
            "it waits in the queue of a hub that has ended"
        );
    });
}

#[test]
fn a_cancel_in_the_destructor_of_a_descriptors_callback_is_not_lost() {
    use std::os::fd::AsRawFd as _;
    watched(|| {
        let one = runtime();
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let hub = one.block_on(async { Hub::current() });
        switchback::run({
            let fd = near.as_raw_fd();
            move || {
                let me = current_fiber().unwrap();
                let guard = OnDrop(move || {
                    me.cancel();
                    yield_now().wait();
                });
                let added = hub
                    .poll()
                    .add(fd, switchback::Events::READABLE, move |_, _| {
                        let _ = &guard;
                    });
                added.unwrap();
                one.shutdown_background();
                let result = catch_cancel(|| {
                    drop(hub);
                    yield_now().wait();
                });
                assert!(result.is_err(), "the cancel is lost");
            }
        })
        .unwrap();
    });
}

#[test]
fn a_run_until_closes_its_own_hub_and_goes_on_with_another() {
    watched(|| {
        runtime().block_on(Hub::run_until(async {
            let hub = Hub::current();
            let mut fiber = spawn(|| pending::<()>().wait());
            hub.close().await;
            assert!(fiber.join().await.unwrap_err().is_cancelled());
            let n = Hub::run_until(async {
                let mut fiber = spawn(|| 42);
                fiber.join().await.unwrap()
            });
            assert_eq!(n.await, 42);
        }));
    });
}

#[test]
fn two_run_untils_beside_each_other_end_when_one_is_closed_by_a_handle() {
    in_async(|| async {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let one = Hub::run_until(async {
            drop(spawn(|| pending::<()>().wait()));
            tx.send(Hub::current().handle()).unwrap();
            settle().await;
        });
        let two = Hub::run_until(async {
            let hub = rx.await.unwrap();
            hub.close().await;
            assert!(hub.is_closed());
            Hub::run_until(async { spawn(|| 1).await.unwrap() }).await
        });
        assert_eq!(tokio::join!(one, two).1, 1);
    });
}

#[test]
fn callbacks_from_threads_that_race_with_the_close_run_or_are_refused() {
    for _ in 0..50 {
        watched(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let accepted = Arc::new(AtomicUsize::new(0));
            let dropped = Drops::new();
            let mut threads = Vec::new();
            let (r, a, d) = (ran.clone(), accepted.clone(), dropped.clone());
            let rt = runtime();
            let mut sent = rt.block_on(async move {
                drop(spawn(|| {}));
                settle().await;
                let hub = Hub::current();
                for _ in 0..3 {
                    let (hub, r, a, d) = (hub.handle(), r.clone(), a.clone(), d.clone());
                    threads.push(thread::spawn(move || {
                        let mut n = 0;
                        loop {
                            n += 1;
                            let (r, token) = (r.clone(), d.token());
                            let ok = hub.run_callback(move || {
                                r.fetch_add(1, Ordering::SeqCst);
                                drop(token);
                            });
                            if ok.is_err() {
                                return n;
                            }
                            a.fetch_add(1, Ordering::SeqCst);
                        }
                    }));
                }
                tokio::time::sleep(ms(1)).await;
                hub.close().await;
                threads
            });
            let n: usize = sent.drain(..).map(|t| t.join().unwrap()).sum();
            assert_eq!(ran.load(Ordering::SeqCst), accepted.load(Ordering::SeqCst));
            assert_eq!(dropped.count(), n);
            drop(rt);
        });
    }
}
