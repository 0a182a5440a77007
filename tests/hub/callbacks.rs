//! Callbacks of a hub: their order, what they may do, and what ends them.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::future::FutureExt as _;
use switchback::{Hub, current_fiber, in_fiber, park, prelude::*, shield, sleep, spawn, yield_now};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::support::ending::settle;
use crate::support::{
    Drops, Log, OnDrop, in_async, in_child, in_paused, in_root_fiber, ms, multi_thread_runtime,
    panic_of, runtime, watched,
};

const CLOSED: &str = "the hub is closed: it takes no new callbacks; queue them before its last \
    fiber has ended";

/// Queues `f` on the current hub.
#[track_caller]
fn call(f: impl FnOnce() + 'static) {
    Hub::current().run_callback(f);
}

// Order.

#[test]
fn callbacks_run_in_order_with_starts_and_wakes() {
    in_root_fiber(|| {
        let log = Log::new();
        let parked = spawn({
            let log = log.clone();
            move || {
                log.push("parked");
                park();
                log.push("unparked");
            }
        });
        yield_now().wait();
        log.take();
        let entry = |what| {
            let log = log.clone();
            move || log.push(what)
        };
        call(entry("first"));
        spawn(entry("fiber"));
        call(entry("second"));
        parked.handle().unpark();
        call(entry("third"));
        assert_eq!(log.len(), 0, "nothing runs inside the call");
        sleep(Duration::ZERO).wait();
        assert_eq!(
            log.take(),
            ["first", "fiber", "second", "unparked", "third"]
        );
    });
}

#[test]
fn a_callback_queued_by_a_callback_comes_behind_everything() {
    in_root_fiber(|| {
        let log = Log::new();
        let (outer, inner, last) = (log.clone(), log.clone(), log.clone());
        call(move || {
            outer.push("outer");
            call(move || inner.push("inner"));
        });
        call(move || last.push("last"));
        sleep(Duration::ZERO).wait();
        assert_eq!(log.take(), ["outer", "last", "inner"]);
    });
}

#[test]
fn async_code_queues_callbacks_too() {
    in_async(|| async {
        let log = Log::new();
        let callback = log.clone();
        call(move || callback.push("callback"));
        log.push("task");
        settle().await;
        assert_eq!(log.take(), ["task", "callback"]);
    });
}

#[test]
fn a_hub_driven_in_a_task_of_a_multi_thread_runtime_runs_callbacks() {
    watched(|| {
        multi_thread_runtime().block_on(Hub::run_until(async {
            let (tx, rx) = tokio::sync::oneshot::channel();
            let here = thread::current().id();
            call(move || tx.send(thread::current().id()).unwrap());
            assert_eq!(rx.await.unwrap(), here);
        }));
    });
}

// Where they run.

#[test]
fn a_callback_runs_on_the_hub_outside_of_any_fiber() {
    in_root_fiber(|| {
        let seen = Rc::new(Cell::new(false));
        let (tell, thread) = (seen.clone(), thread::current().id());
        call(move || {
            assert!(current_fiber().is_none());
            assert!(!in_fiber());
            assert_eq!(thread::current().id(), thread);
            assert!(Hub::try_current().is_some());
            tell.set(true);
        });
        yield_now().wait();
        assert!(seen.get());
    });
}

#[test]
fn a_callback_may_spawn_unpark_and_cancel() {
    in_root_fiber(|| {
        let mut parked = spawn(park);
        let mut forever = spawn(|| pending::<()>().wait());
        yield_now().wait();
        let spawned = Rc::new(RefCell::new(None));
        let (slot, unpark, cancel) = (spawned.clone(), parked.handle(), forever.handle());
        call(move || {
            *slot.borrow_mut() = Some(spawn(|| {
                yield_now().wait();
                42
            }));
            unpark.unpark();
            assert!(cancel.cancel());
        });
        parked.join().wait().unwrap();
        assert!(forever.join().wait().unwrap_err().is_cancelled());
        let mut spawned = spawned.take().unwrap();
        assert_eq!(spawned.join().wait().unwrap(), 42);
    });
}

#[test]
fn a_wait_in_a_callback_panics_with_the_reason() {
    in_root_fiber(|| {
        call(|| {
            panic_of(|| yield_now().wait()).assert(
                "`.wait()` in a callback of the hub would stop every fiber; spawn a fiber that \
                 waits",
                std::panic::Location::caller(),
            );
        });
        let (tx, rx) = tokio::sync::oneshot::channel();
        call(move || tx.send(()).unwrap());
        rx.wait().unwrap();
    });
}

#[test]
fn a_callback_that_panics_is_reported_and_the_hub_goes_on() {
    let Some(child) = in_child(|| {
        switchback::run(|| {
            call(|| panic!("in a callback"));
            let (tx, rx) = tokio::sync::oneshot::channel();
            call(move || tx.send(6 * 7).unwrap());
            assert_eq!(rx.wait().unwrap(), 42);
            assert_eq!(spawn(|| 1).join().wait().unwrap(), 1);
            assert_eq!(Hub::current().metrics().callbacks(), 2);
        })
        .unwrap();
    }) else {
        return;
    };
    child.assert_reported("a callback of the hub panicked, which is ignored", 1);
}

// Fairness.

/// A callback that queues itself again until the hub takes it no more.
fn for_ever(runs: Rc<Cell<u64>>) {
    runs.set(runs.get() + 1);
    call(move || for_ever(runs));
}

#[test]
fn a_callback_that_queues_itself_for_ever_starves_no_fiber_task_or_socket() {
    in_async(|| async {
        let runs = Rc::new(Cell::new(0));
        let counter = runs.clone();
        call(move || for_ever(counter));
        settle().await;
        let before = runs.get();
        assert!(before > 0);
        let mut fiber = spawn(|| {
            for _ in 0..10 {
                yield_now().wait();
                sleep(Duration::ZERO).wait();
            }
        });
        fiber.join().await.unwrap();
        tokio::spawn(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut [0; 1]).unwrap_err();
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut ping = [0; 4];
        stream.read_exact(&mut ping).await.unwrap();
        drop(stream);
        client.join().unwrap();
        tokio::time::sleep(ms(2)).await;
        assert!(runs.get() > before);
    });
}

#[test]
fn a_callback_that_queues_itself_for_ever_does_not_keep_a_close() {
    let Some(child) = in_child(|| {
        runtime().block_on(async {
            call(|| for_ever(Rc::default()));
            settle().await;
            Hub::current().close().await;
        });
    }) else {
        return;
    };
    // The callback that comes too late.
    child.assert_reported("a callback of the hub panicked, which is ignored", 1);
}

// The end of the hub.

#[test]
fn callbacks_that_are_queued_run_before_the_hub_has_closed() {
    in_async(|| async {
        let runs = Rc::new(Cell::new(0));
        for _ in 0..1000 {
            let runs = runs.clone();
            call(move || runs.set(runs.get() + 1));
        }
        Hub::current().close().await;
        assert_eq!(runs.get(), 1000);
    });
}

#[test]
fn callbacks_that_are_queued_run_before_the_root_sees_the_close() {
    in_root_fiber(|| {
        let runs = Rc::new(Cell::new(0));
        for _ in 0..1000 {
            let runs = runs.clone();
            call(move || runs.set(runs.get() + 1));
        }
        Hub::current().close().wait();
        assert_eq!(runs.get(), 1000);
        panic_of(|| call(|| ())).assert(CLOSED, std::panic::Location::caller());
    });
}

#[test]
fn callbacks_that_are_queued_run_before_run_returns() {
    watched(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        switchback::run(move || {
            for _ in 0..1000 {
                let counter = counter.clone();
                call(move || {
                    counter.fetch_add(1, Ordering::Relaxed);
                });
            }
        })
        .unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1000);
    });
}

#[test]
fn a_closing_hub_takes_callbacks_while_fibers_are_left() {
    in_async(|| async {
        let log = Log::new();
        let fiber = log.clone();
        spawn(move || {
            shield(|| {
                yield_now().wait();
                yield_now().wait();
                let callback = fiber.clone();
                call(move || callback.push("callback"));
                fiber.push("fiber");
            });
        });
        settle().await;
        let hub = Hub::current();
        hub.close().await;
        assert_eq!(log.take(), ["fiber", "callback"]);
        panic_of(|| hub.run_callback(|| ())).assert(CLOSED, std::panic::Location::caller());
    });
}

#[test]
fn a_destructor_of_a_closing_hubs_last_fiber_may_queue_a_callback() {
    in_async(|| async {
        let log = Log::new();
        let fiber = log.clone();
        spawn(move || {
            let _guard = OnDrop(move || {
                let callback = fiber.clone();
                call(move || callback.push("callback"));
            });
            pending::<()>().wait();
        });
        settle().await;
        Hub::current().close().await;
        assert_eq!(log.take(), ["callback"]);
    });
}

#[test]
fn a_refused_callback_is_dropped_with_a_report_while_the_thread_is_panicking() {
    let Some(child) = in_child(|| {
        runtime().block_on(async {
            let hub = Hub::current();
            hub.close().await;
            let drops = Drops::new();
            let token = drops.token();
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _guard = OnDrop(|| {
                    let token = drops.token();
                    hub.run_callback(move || drop(token));
                });
                panic!("on purpose");
            }));
            assert!(caught.is_err());
            assert_eq!(drops.count(), 1);
            drop(token);
        });
    }) else {
        return;
    };
    child.assert_reported(CLOSED, 1);
}

#[test]
fn callbacks_of_a_hub_that_ends_abruptly_are_dropped_on_its_thread() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let (tx, rx) = mpsc::channel();
        runtime.block_on(async {
            let token = drops.token();
            let on_drop = OnDrop(move || tx.send(thread::current().id()).unwrap());
            call(move || {
                let _captured = (token, on_drop);
                unreachable!("the hub has no turn left");
            });
        });
        assert_eq!(drops.count(), 0);
        drop(runtime);
        assert_eq!(drops.count(), 1);
        assert_eq!(rx.recv().unwrap(), thread::current().id());
    });
}

#[test]
fn a_callback_whose_drop_panics_harms_nobody() {
    let Some(child) = in_child(|| {
        let runtime = runtime();
        let drops = Drops::new();
        runtime.block_on(async {
            let bomb = OnDrop(|| panic!("in a drop"));
            call(move || drop(bomb));
            let token = drops.token();
            call(move || drop(token));
        });
        drop(runtime);
        assert_eq!(drops.count(), 1);
    }) else {
        return;
    };
    child.assert_reported("the drop of a callback panicked, which is ignored", 1);
}

#[test]
fn a_callback_that_blocks_for_a_while_delays_nothing_for_ever() {
    in_paused(|| async {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let mut fiber = spawn(move || {
            sleep(Duration::from_secs(1)).wait();
            rx.wait().unwrap()
        });
        settle().await;
        call(move || tx.send(7).unwrap());
        assert_eq!(fiber.join().await.unwrap(), 7);
    });
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
