//! A hub as other threads see it: spawning, callbacks and closing from anywhere.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Context;
use std::thread;

use futures::future::FutureExt as _;
use switchback::{
    Fiber, Hub, HubClosed, HubHandle, bridge, catch_cancel, current_fiber, prelude::*, sleep,
    spawn, yield_now,
};

use crate::support::ending::{poll_once, settle};
use crate::support::{
    Drops, OnDrop, assert_panics, in_async, in_child, in_root_fiber, ms, multi_thread_runtime,
    runtime, watched,
};
use futures::task::noop_waker;

fn handle() -> HubHandle {
    Hub::current().handle()
}

/// Runs `f` on a thread of its own while the hub goes on.
fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).wait().unwrap()
}

/// A hub on a thread of its own, and what its root fiber waits for.
fn hub_thread() -> (HubHandle, thread::JoinHandle<Option<String>>) {
    let (tx, rx) = mpsc::channel();
    let thread = thread::spawn(move || {
        let ended = switchback::run(move || {
            tx.send(handle()).unwrap();
            pending::<()>().wait();
        });
        let error = ended.expect_err("the root waits for ever");
        error.cancelled().unwrap().message().map(str::to_owned)
    });
    (rx.recv().unwrap(), thread)
}

// Spawning.

#[test]
fn a_fiber_spawned_by_another_thread_runs_on_the_hubs() {
    in_root_fiber(|| {
        let (hub, here) = (handle(), thread::current().id());
        let ran_on = elsewhere(move || {
            let mut fiber = hub
                .spawn(|| {
                    assert!(current_fiber().is_some());
                    yield_now().wait();
                    thread::current().id()
                })
                .unwrap();
            fiber.join().wait().unwrap()
        });
        assert_eq!(ran_on, here);
    });
}

#[test]
fn it_is_awaited_from_another_runtime() {
    watched(|| {
        let (hub, thread) = hub_thread();
        multi_thread_runtime().block_on(async {
            let tasks: Vec<_> = (0..100)
                .map(|i| {
                    let hub = hub.clone();
                    tokio::spawn(async move {
                        let mut fiber = hub
                            .spawn(move || {
                                sleep(ms(1)).wait();
                                i
                            })
                            .unwrap();
                        fiber.join().await.unwrap()
                    })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), i);
            }
            hub.close().await;
        });
        assert_eq!(
            thread.join().unwrap().as_deref(),
            Some("the hub is closing")
        );
    });
}

#[test]
fn spawns_and_callbacks_of_one_thread_happen_in_its_order() {
    in_root_fiber(|| {
        let (hub, log) = (handle(), Arc::new(std::sync::Mutex::new(Vec::new())));
        let seen = log.clone();
        elsewhere(move || {
            for i in 0..1000 {
                let log = seen.clone();
                let push = move || log.lock().unwrap().push(i);
                match i % 2 {
                    0 => hub.run_callback(push).unwrap(),
                    _ => drop(hub.spawn(push).unwrap()),
                }
            }
        });
        // They are taken in by turns.
        while log.lock().unwrap().len() < 1000 {
            yield_now().wait();
        }
        let seen = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(seen, Vec::from_iter(0..1000));
    });
}

#[test]
fn on_the_hubs_own_thread_it_goes_through_the_same_queue() {
    in_root_fiber(|| {
        let (hub, log) = (handle(), Arc::new(std::sync::Mutex::new(Vec::new())));
        let entry = |what| {
            let log = log.clone();
            move || log.lock().unwrap().push(what)
        };
        spawn(entry("spawn"));
        hub.run_callback(entry("remote callback")).unwrap();
        Hub::current().run_callback(entry("callback"));
        let mut fiber = hub.spawn(entry("remote spawn")).unwrap();
        assert!(log.lock().unwrap().is_empty());
        fiber.join().wait().unwrap();
        let seen = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(
            seen,
            ["spawn", "remote callback", "callback", "remote spawn"]
        );
    });
}

#[test]
fn a_fiber_of_one_hub_spawns_on_another_and_waits_for_it() {
    watched(|| {
        let (hub, thread) = hub_thread();
        let there = hub.clone();
        switchback::run(move || {
            let here = thread::current().id();
            let mut fiber = there.spawn(|| thread::current().id()).unwrap();
            assert_ne!(fiber.join().wait().unwrap(), here);
        })
        .unwrap();
        hub.close().wait();
        thread.join().unwrap();
    });
}

#[test]
fn a_panic_of_a_fiber_spawned_elsewhere_reaches_its_joiner() {
    in_root_fiber(|| {
        let hub = handle();
        let error = elsewhere(move || {
            let mut fiber = hub.spawn(|| -> u8 { panic!("over there") }).unwrap();
            fiber.join().wait().unwrap_err()
        });
        assert!(error.is_panic());
        assert!(error.to_string().contains("over there"), "{error}");
    });
}

#[test]
fn a_fiber_cancelled_before_it_has_arrived_never_runs() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (hub, token) = (handle(), drops.token());
        // The hub's thread is kept busy, so that nothing arrives meanwhile.
        let mut fiber: Fiber<()> = thread::spawn(move || {
            let fiber = hub
                .spawn(move || {
                    let _token = token;
                    unreachable!("it was cancelled");
                })
                .unwrap();
            assert!(fiber.is_alive());
            assert!(fiber.cancel_with("too early"));
            fiber
        })
        .join()
        .unwrap();
        assert_eq!(drops.count(), 0);
        let error = fiber.join().wait().unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("too early"));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_fiber_detached_before_it_has_arrived_runs() {
    in_root_fiber(|| {
        let (hub, ran) = (handle(), Arc::new(AtomicBool::new(false)));
        let tell = ran.clone();
        thread::spawn(move || drop(hub.spawn(move || tell.store(true, Ordering::Relaxed))))
            .join()
            .unwrap();
        assert!(!ran.load(Ordering::Relaxed));
        yield_now().wait();
        assert!(ran.load(Ordering::Relaxed));
    });
}

// The end of the hub.

#[test]
fn a_closed_hub_refuses_and_drops_what_it_was_given() {
    in_async(|| async {
        let hub = handle();
        assert!(!hub.is_closed());
        Hub::current().close().await;
        let here = hub.clone();
        let check = move |hub: HubHandle| {
            let drops = Drops::new();
            let token = drops.token();
            let refused = hub.spawn(move || drop(token)).unwrap_err();
            assert_eq!(drops.count(), 1);
            let token = drops.token();
            assert_eq!(hub.run_callback(move || drop(token)), Err(refused));
            assert_eq!(drops.count(), 2);
            assert!(hub.is_closed());
        };
        check(here);
        thread::spawn(move || check(hub)).join().unwrap();
    });
}

#[test]
fn hub_closed_is_an_error_with_a_text() {
    watched(|| {
        let runtime = runtime();
        let hub = runtime.block_on(async { handle() });
        drop(runtime);
        let refused: HubClosed = hub.run_callback(|| ()).unwrap_err();
        let text = "the hub is closed: it takes no new fibers or callbacks; send them before it closes, or to another hub";
        assert_eq!(refused.to_string(), text);
        assert!(refused.source().is_none());
        let error = io::Error::from(refused);
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(error.to_string(), text);
    });
}

#[test]
fn a_closing_hub_refuses_fibers_and_takes_callbacks_while_fibers_are_left() {
    in_async(|| async {
        let hub = handle();
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = log.clone();
        let outcome = Rc::new(RefCell::new(None));
        let tell = outcome.clone();
        spawn(move || {
            let _ = catch_cancel(|| pending::<()>().wait());
            let there = thread::spawn(move || {
                let spawned = hub.spawn(|| ()).map(drop);
                let queued = hub.run_callback(move || seen.lock().unwrap().push("callback"));
                (spawned.is_ok(), queued.is_ok(), hub.is_closed())
            });
            *tell.borrow_mut() = Some(there.join().unwrap());
        });
        settle().await;
        Hub::current().close().await;
        assert_eq!(outcome.take(), Some((false, true, true)));
        assert_eq!(*log.lock().unwrap(), ["callback"]);
    });
}

#[test]
fn what_was_sent_before_an_abrupt_end_is_dropped_and_told() {
    watched(|| {
        let runtime = runtime();
        let drops = Drops::new();
        let hub = runtime.block_on(async { handle() });
        let (token, other) = (drops.token(), drops.token());
        let there = hub.clone();
        let mut fiber = thread::spawn(move || {
            there.run_callback(move || drop(other)).unwrap();
            there.spawn(move || drop(token)).unwrap()
        })
        .join()
        .unwrap();
        assert!(fiber.is_alive());
        let mut join = tokio_test::task::spawn(fiber.join());
        tokio_test::assert_pending!(join.poll());
        drop(runtime);
        assert!(join.is_woken());
        let error = tokio_test::assert_ready!(join.poll()).unwrap_err();
        assert!(error.is_cancelled());
        let why = error.cancelled().unwrap().message().unwrap();
        assert_eq!(why, "its hub ended before it had begun");
        assert_eq!(drops.count(), 2);
        assert!(hub.is_closed());
    });
}

#[test]
fn a_fiber_sent_to_a_hub_whose_thread_ends_is_told() {
    watched(|| {
        let drops = Drops::new();
        let (tx, rx) = mpsc::channel();
        let (send_back, back) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // Never dropped: the hub ends with its thread.
            let runtime = std::mem::ManuallyDrop::new(runtime());
            tx.send(runtime.block_on(async { handle() })).unwrap();
            back.recv().unwrap();
        });
        let hub = rx.recv().unwrap();
        let token = drops.token();
        let mut fiber = hub.spawn(move || drop(token)).unwrap();
        send_back.send(()).unwrap();
        thread.join().unwrap();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        assert!(hub.spawn(|| ()).is_err());
        assert!(hub.is_closed());
    });
}

#[test]
fn a_closure_whose_drop_panics_on_a_hub_that_has_ended_harms_nobody() {
    let Some(child) = in_child(|| {
        let runtime = runtime();
        let hub = runtime.block_on(async { handle() });
        let bomb = OnDrop(|| panic!("in a drop"));
        let mut fiber = thread::spawn(move || hub.spawn(move || drop(bomb)).unwrap())
            .join()
            .unwrap();
        drop(runtime);
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
    }) else {
        return;
    };
    child.assert_reported(
        "the drop of a fiber's closure panicked, which is ignored",
        1,
    );
}

// Closing from elsewhere.

#[test]
fn a_close_from_another_thread_cancels_the_root_too_and_waits_for_all() {
    watched(|| {
        let (hub, thread) = hub_thread();
        let drops = Drops::new();
        let token = drops.token();
        hub.spawn(move || {
            let _token = token;
            pending::<()>().wait();
        })
        .unwrap();
        hub.close().wait();
        assert_eq!(drops.count(), 1);
        assert!(hub.is_closed());
        assert_eq!(
            thread.join().unwrap().as_deref(),
            Some("the hub is closing")
        );
    });
}

#[test]
fn a_close_begins_at_its_first_poll_and_goes_on_without_it() {
    watched(|| {
        let (hub, thread) = hub_thread();
        drop(hub.close());
        assert!(!hub.is_closed());
        let mut close = Box::pin(hub.close());
        let _ = poll_once(close.as_mut());
        drop(close);
        assert_eq!(
            thread.join().unwrap().as_deref(),
            Some("the hub is closing")
        );
    });
}

#[test]
fn everybody_who_closes_one_hub_is_told() {
    watched(|| {
        for _ in 0..50 {
            let (hub, thread) = hub_thread();
            let closers: Vec<_> = (0..8)
                .map(|_| {
                    let hub = hub.clone();
                    thread::spawn(move || hub.close().wait())
                })
                .collect();
            closers.into_iter().for_each(|c| c.join().unwrap());
            thread.join().unwrap();
        }
    });
}

#[test]
fn everybody_who_waits_for_a_close_that_makes_progress_is_told() {
    in_async(|| async {
        let hub = Hub::current();
        let release = Rc::new(Cell::new(false));
        let keeper = release.clone();
        spawn(move || {
            while !keeper.get() {
                let _ = catch_cancel(|| yield_now().wait());
            }
        });
        settle().await;
        let mut closers: Vec<_> = (0..4).map(|_| Box::pin(hub.close())).collect();
        for closer in &mut closers {
            assert!(poll_once(closer.as_mut()).is_pending());
        }
        // Polled again in another order, as by wakes that were for nothing.
        for closer in closers.iter_mut().rev() {
            assert!(poll_once(closer.as_mut()).is_pending());
        }
        release.set(true);
        futures::future::join_all(closers).await;
    });
}

#[test]
fn a_hub_without_fibers_is_closed_from_another_thread() {
    in_async(|| async {
        let hub = handle();
        let there = hub.clone();
        let closed = tokio::task::spawn_blocking(move || there.close().wait());
        closed.await.unwrap();
        assert!(hub.is_closed());
        assert!(hub.spawn(|| ()).is_err());
    });
}

#[test]
fn callbacks_sent_before_a_close_from_the_same_thread_run() {
    watched(|| {
        let (hub, thread) = hub_thread();
        let runs = Arc::new(AtomicUsize::new(0));
        for _ in 0..1000 {
            let runs = runs.clone();
            hub.run_callback(move || {
                runs.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        }
        hub.close().wait();
        assert_eq!(runs.load(Ordering::Relaxed), 1000);
        thread.join().unwrap();
    });
}

#[test]
fn a_callback_that_was_accepted_runs_however_the_close_comes() {
    watched(|| {
        for _ in 0..200 {
            let (hub, thread) = hub_thread();
            let runs = Arc::new(AtomicUsize::new(0));
            let sender = {
                let (hub, runs) = (hub.clone(), runs.clone());
                thread::spawn(move || {
                    let mut accepted = 0;
                    loop {
                        let counts = runs.clone();
                        let run = move || {
                            counts.fetch_add(1, Ordering::Relaxed);
                        };
                        match hub.run_callback(run) {
                            Ok(()) => accepted += 1,
                            Err(_) => break accepted,
                        }
                        // They all run before the hub has closed, and a busy sender is
                        // faster than a hub.
                        while accepted > runs.load(Ordering::Relaxed) + 1000 {
                            thread::yield_now();
                        }
                    }
                })
            };
            hub.close().wait();
            let accepted = sender.join().unwrap();
            thread.join().unwrap();
            assert_eq!(runs.load(Ordering::Relaxed), accepted);
        }
    });
}

#[test]
fn a_fiber_that_was_accepted_ends_however_the_close_comes() {
    watched(|| {
        for _ in 0..200 {
            let (hub, thread) = hub_thread();
            let sender = {
                let hub = hub.clone();
                thread::spawn(move || {
                    // As fast as the hub takes them: each has a stack.
                    let mut fibers = Vec::new();
                    while let Ok(fiber) = hub.spawn(|| ()) {
                        fibers.push(fiber);
                        while fibers
                            .iter()
                            .rev()
                            .take(100)
                            .filter(|f| f.is_alive())
                            .count()
                            == 100
                        {
                            thread::yield_now();
                        }
                    }
                    fibers
                })
            };
            hub.close().wait();
            for mut fiber in sender.join().unwrap() {
                if let Err(error) = fiber.join().wait() {
                    assert!(error.is_cancelled(), "{error}");
                }
            }
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_fiber_cannot_wait_for_the_close_of_its_own_hub_through_a_handle() {
    in_root_fiber(|| {
        let hub = handle();
        let mut fiber = spawn(move || {
            assert_panics(
                "a fiber cannot wait for the close of its own hub: it would wait for itself; \
                 close it from its root fiber or from async code",
                || hub.close(),
            );
        });
        fiber.join().wait().unwrap();
    });
}

#[test]
fn the_root_closes_its_hub_through_a_handle_and_goes_on() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| pending::<()>().wait());
        handle().close().wait();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        yield_now().wait();
    });
}

#[test]
fn a_bridge_on_another_runtime_closes_a_hub() {
    watched(|| {
        let (hub, thread) = hub_thread();
        multi_thread_runtime().block_on(bridge(move || hub.close().wait()));
        thread.join().unwrap();
    });
}

// Many.

#[test]
fn a_million_callbacks_from_four_threads_arrive_complete_and_in_order() {
    watched(|| {
        const PRODUCERS: usize = 4;
        const EACH: usize = 250_000;
        thread_local! {
            static NEXT: [Cell<usize>; PRODUCERS] = const { [const { Cell::new(0) }; PRODUCERS] };
        }
        let (hub, thread) = hub_thread();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let hub = hub.clone();
                thread::spawn(move || {
                    for i in 0..EACH {
                        let arrive = move || {
                            NEXT.with(|next| assert_eq!(next[producer].replace(i + 1), i));
                        };
                        hub.run_callback(arrive).unwrap();
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|p| p.join().unwrap());
        let mut counts = hub
            .spawn(|| NEXT.with(|next| next.each_ref().map(Cell::get)))
            .unwrap();
        assert_eq!(counts.join().wait().unwrap(), [EACH; PRODUCERS]);
        hub.close().wait();
        assert_eq!(hub.metrics().callbacks(), (PRODUCERS * EACH) as u64);
        thread.join().unwrap();
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

#[test]
fn a_cancel_in_the_destructor_of_a_refused_closure_is_not_lost() {
    type Refused = fn(&HubHandle, Box<dyn FnOnce() + Send>) -> bool;
    let cases: [(&str, Refused); 2] = [
        ("of a callback", |hub, closure| {
            hub.run_callback(closure).is_err()
        }),
        ("of a fiber", |hub, closure| hub.spawn(closure).is_err()),
    ];
    in_root_fiber(move || {
        let hub = Hub::current();
        hub.close().wait();
        for (whose, refused) in cases {
            let me = current_fiber().unwrap();
            let guard = OnDrop(move || {
                me.cancel();
                yield_now().wait();
            });
            let result = catch_cancel(|| {
                assert!(
                    refused(&hub.handle(), Box::new(move || drop(guard))),
                    "{whose}"
                );
                yield_now().wait();
            });
            assert!(result.is_err(), "the cancel is lost in the closure {whose}");
        }
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
                            let (counts, token) = (r.clone(), d.token());
                            let ok = hub.run_callback(move || {
                                counts.fetch_add(1, Ordering::SeqCst);
                                drop(token);
                            });
                            if ok.is_err() {
                                return n;
                            }
                            // What has been accepted runs before the hub has closed. Three
                            // busy threads could send more than one thread can run.
                            let sent = a.fetch_add(1, Ordering::SeqCst);
                            while sent > r.load(Ordering::SeqCst) + 1000 {
                                thread::sleep(ms(1));
                            }
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
