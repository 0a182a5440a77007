//! Hubs on threads of their own: their start, their end, and how they are woken.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::cell::RefCell;
use std::env;
use std::future::{pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use switchback::{
    Fiber, Hub, HubHandle, HubThread, SwitchBack, Switcher, bridge, in_fiber, prelude::*, shield,
    sleep, spawn, yield_now,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc as channel, oneshot};

use crate::late;
use crate::support::ending::poll_once;
use crate::support::threads::{self, Wakes};
use crate::support::{
    Drops, OnDrop, Token, assert_panics, in_child, ms, multi_thread_runtime, panic_of, runtime,
    text, watched,
};

const WAITS_FOR_ITSELF: &str = "a fiber cannot wait for the end of its own hub's thread: it would \
                                wait for itself; close it from outside, or begin the close by \
                                dropping the `HubThread` or `HubPool`";

const JOB_WAITS_FOR_ITSELF: &str = "a blocking job cannot wait for the end of the hub's thread \
                                    that waits for its end; close it from outside, or begin the \
                                    close by dropping the `HubThread` or `HubPool`";

fn named(name: &str) -> HubThread {
    Hub::builder().name(name).start_thread().unwrap()
}

/// Runs a fiber on the hub, waits for it on this thread and returns its result.
fn ask<T: Send + 'static>(hub: &HubThread, f: impl FnOnce() -> T + Send + 'static) -> T {
    hub.spawn(f).unwrap().join().wait().unwrap()
}

/// A fiber on the hub that waits until it is cancelled.
fn waits_for_ever(hub: &HubThread) -> Fiber<()> {
    let (begins, has_begun) = oneshot::channel();
    let fiber = hub
        .spawn(move || {
            begins.send(()).unwrap();
            pending::<()>().wait();
        })
        .unwrap();
    has_begun.wait().unwrap();
    fiber
}

/// A fiber on the hub that nobody can cancel, until it is sent something.
fn shielded(hub: &HubThread) -> (Fiber<()>, oneshot::Sender<()>) {
    let (begins, has_begun) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let fiber = hub
        .spawn(move || {
            shield(|| {
                begins.send(()).unwrap();
                released.wait().unwrap();
            });
        })
        .unwrap();
    has_begun.wait().unwrap();
    (fiber, release)
}

fn wait_until(what: impl Fn() -> bool) {
    while !what() {
        thread::yield_now();
    }
}

// The start.

#[test]
fn a_hub_thread_runs_fibers_on_a_thread_with_the_hubs_name() {
    watched(|| {
        let hub = named("on-its-own");
        assert_eq!(hub.name(), "on-its-own");
        let (thread, fiber, name) = ask(&hub, || {
            let thread = thread::current().name().map(str::to_owned);
            (thread, in_fiber(), Hub::current().name().to_owned())
        });
        assert_eq!(thread.as_deref(), Some("on-its-own"));
        assert!(fiber);
        assert_eq!(name, "on-its-own");
    });
}

#[test]
fn its_fibers_wait_for_sockets_timers_and_local_tasks() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let answer = ask(&hub, || {
            let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
            let address = listener.local_addr().unwrap();
            let local = tokio::task::spawn_local(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::time::sleep(ms(1)).await;
                stream.write_all(b"hello").await.unwrap();
                Rc::new(1)
            });
            let mut stream = TcpStream::connect(address).wait().unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).wait().unwrap();
            assert_eq!(*local.wait().unwrap(), 1);
            answer
        });
        assert_eq!(answer, "hello");
    });
}

#[test]
fn it_is_idle_without_a_root_fiber() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        ask(&hub, || ());
        wait_until(|| hub.handle().metrics().live_fibers() == 0);
        assert!(!hub.handle().is_closed());
        ask(&hub, || ());
    });
}

#[test]
fn three_lines_give_fibers_to_a_multi_thread_application() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let task = tokio::spawn(async {
                let hub = HubThread::new()?;
                let mut fiber = hub.spawn(|| {
                    sleep(ms(1)).wait();
                    42
                })?;
                io::Result::Ok(fiber.join().await?)
            });
            assert_eq!(task.await.unwrap().unwrap(), 42);
        });
    });
}

#[test]
fn a_name_that_no_thread_can_have_is_an_error() {
    let error = Hub::builder().name("a\0b").start_thread().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "the name of a hub's thread must not contain a zero byte"
    );
}

#[cfg(feature = "test-util")]
#[test]
fn a_hub_thread_can_run_on_the_virtual_clock() {
    watched(|| {
        let builder = Hub::builder().start_paused(true);
        let hub = builder.start_thread().unwrap();
        ask(&hub, || sleep(Duration::from_secs(1_000_000)).wait());
    });
}

// The close.

#[test]
fn a_close_cancels_the_fibers_and_is_ready_when_the_thread_is_gone() {
    watched(|| {
        for _ in 0..100 {
            let hub = named("gone");
            let mut fiber = waits_for_ever(&hub);
            threads::assert_there("gone");
            hub.close().wait();
            threads::assert_gone("gone");
            let error = fiber.join().wait().unwrap_err();
            let why = error.cancelled().unwrap().message();
            assert_eq!(why, Some("the hub is closing"));
            assert!(hub.spawn(|| ()).is_err());
        }
    });
}

#[test]
fn it_is_closed_from_a_fiber_of_another_hub_a_task_and_a_bridge() {
    watched(|| {
        let (one, two, three) = (named("close-1"), named("close-2"), named("close-3"));
        ask(&named("closer"), move || one.close().wait());
        threads::assert_gone("close-1");
        multi_thread_runtime().block_on(async {
            tokio::spawn(async move { two.close().await })
                .await
                .unwrap();
            threads::assert_gone("close-2");
            bridge(move || three.close().wait()).await;
            threads::assert_gone("close-3");
        });
    });
}

#[test]
fn everybody_who_closes_one_is_told_when_the_thread_is_gone() {
    watched(|| {
        for _ in 0..50 {
            let hub = Arc::new(named("told"));
            let closers: Vec<_> = (0..8)
                .map(|_| {
                    let hub = hub.clone();
                    thread::spawn(move || {
                        hub.close().wait();
                        threads::assert_gone("told");
                    })
                })
                .collect();
            closers.into_iter().for_each(|c| c.join().unwrap());
            hub.close().wait();
        }
    });
}

#[test]
fn a_close_begins_at_its_first_poll_and_goes_on_without_it() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let mut fiber = waits_for_ever(&hub);
        drop(hub.close());
        assert!(!hub.handle().is_closed());
        let mut close = Box::pin(hub.close());
        let _ = poll_once(close.as_mut());
        drop(close);
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        hub.close().wait();
    });
}

#[test]
fn a_close_outlives_what_it_closes() {
    watched(|| {
        let hub = named("outlived");
        let close = hub.close();
        drop(hub);
        close.wait();
        threads::assert_gone("outlived");
    });
}

#[test]
fn the_close_of_the_hub_by_a_handle_ends_the_thread() {
    watched(|| {
        let hub = named("by-handle");
        let mut fiber = waits_for_ever(&hub);
        let handle = hub.handle();
        handle.close().wait();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        hub.close().wait();
        threads::assert_gone("by-handle");
    });
}

#[test]
fn callbacks_that_were_accepted_run_before_the_thread_ends() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        for i in 0..1000 {
            let log = log.clone();
            hub.handle()
                .run_callback(move || log.lock().unwrap().push(i))
                .unwrap();
        }
        hub.close().wait();
        assert_eq!(*log.lock().unwrap(), Vec::from_iter(0..1000));
        assert!(hub.handle().run_callback(|| ()).is_err());
    });
}

#[test]
fn tasks_and_thread_locals_of_the_thread_are_dropped_before_the_close_is_ready() {
    thread_local! {
        static KEPT: RefCell<Option<Token>> = const { RefCell::new(None) };
    }
    watched(|| {
        let drops = Drops::new();
        let hub = HubThread::new().unwrap();
        let (in_task, in_data, in_local) = (drops.token(), drops.token(), drops.token());
        ask(&hub, move || {
            KEPT.set(Some(in_local));
            Hub::current().data().insert(in_data);
            tokio::task::spawn_local(async move {
                let _kept = in_task;
                pending::<()>().await;
            });
            yield_now().wait();
        });
        assert_eq!(drops.count(), 0);
        hub.close().wait();
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn whoever_awaits_a_close_is_not_blocked_by_destructors_of_thread_locals() {
    thread_local! {
        static SLOW: RefCell<Option<Slow>> = const { RefCell::new(None) };
    }
    struct Slow(mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().unwrap();
        }
    }
    watched(|| {
        let hub = named("slow");
        let (release, released) = mpsc::channel();
        ask(&hub, move || SLOW.set(Some(Slow(released))));
        late(|| hub.close_within(ms(20)), &[], &["slow"]);
        release.send(()).unwrap();
        hub.close().wait();
    });
}

#[test]
fn a_task_of_the_thread_that_awaits_its_close_is_dropped_with_the_runtime() {
    watched(|| {
        let hub = Arc::new(named("closes-itself"));
        let there = hub.clone();
        let close = move || tokio::task::spawn_local(async move { there.close().await });
        let task = ask(&hub, close);
        assert!(task.wait().unwrap_err().is_cancelled());
        hub.close().wait();
        threads::assert_gone("closes-itself");
    });
}

// Dropping.

#[test]
fn dropping_it_begins_the_close_and_does_not_wait() {
    watched(|| {
        let hub = named("dropped");
        let handle = hub.handle();
        let (mut fiber, release) = shielded(&hub);
        drop(hub);
        wait_until(|| handle.is_closed());
        assert!(fiber.is_alive());
        release.send(()).unwrap();
        fiber.join().wait().unwrap();
        threads::assert_gone("dropped");
    });
}

#[test]
fn dropping_it_in_a_fiber_of_its_own_cancels_that_fiber() {
    watched(|| {
        let hub = named("drops-itself");
        let handle = hub.handle();
        let mut fiber = handle
            .spawn(move || {
                drop(hub);
                assert!(Hub::current().handle().is_closed());
                yield_now().wait();
            })
            .unwrap();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        threads::assert_gone("drops-itself");
    });
}

#[test]
fn dropping_it_in_a_callback_of_its_own_ends_the_thread() {
    watched(|| {
        let hub = named("drops-in-turn");
        hub.handle().run_callback(move || drop(hub)).unwrap();
        threads::assert_gone("drops-in-turn");
    });
}

// Waiting for itself.

#[test]
fn a_fiber_cannot_wait_for_the_end_of_its_own_thread() {
    watched(|| {
        let hub = Arc::new(HubThread::new().unwrap());
        let there = hub.clone();
        ask(&hub, move || {
            assert_panics(WAITS_FOR_ITSELF, || there.close());
            assert_panics(WAITS_FOR_ITSELF, || {
                there.close_within(Duration::from_secs(1))
            });
            let there = there.clone();
            let polled = panic_of(|| async move { there.close().await }.wait());
            assert_eq!(polled.message, WAITS_FOR_ITSELF);
            assert!(!Hub::current().handle().is_closed());
        });
        hub.close().wait();
    });
}

#[test]
fn a_close_made_outside_is_refused_in_a_fiber_of_the_thread() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let close = hub.close();
        ask(&hub, move || {
            let refused = panic_of(|| close.wait());
            assert_eq!(refused.message, WAITS_FOR_ITSELF);
        });
        assert!(!hub.handle().is_closed());
    });
}

#[test]
fn a_fiber_that_unwinds_may_close_its_own_thread_in_a_destructor() {
    watched(|| {
        let hub = Arc::new(HubThread::new().unwrap());
        let there = hub.clone();
        let mut fiber = hub
            .spawn(move || {
                let _closes = OnDrop(|| assert!(there.close().wait_or_cancelled().is_err()));
                resume_unwind(Box::new("the first panic"));
            })
            .unwrap();
        assert!(fiber.join().wait().unwrap_err().is_panic());
        hub.close().wait();
    });
}

#[test]
fn a_blocking_job_of_its_runtime_cannot_wait_for_the_end_of_the_thread() {
    watched(|| {
        let hub = Arc::new(HubThread::new().unwrap());
        let there = hub.clone();
        let refused = ask(&hub, move || {
            let runtime = Hub::current().runtime().clone();
            let job = runtime.spawn_blocking(move || panic_of(|| there.close().wait()));
            job.wait().unwrap()
        });
        assert_eq!(refused.message, JOB_WAITS_FOR_ITSELF);
        hub.close().wait();
    });
}

// Closing in time.

#[test]
fn a_close_that_is_in_time_is_no_error() {
    watched(|| {
        let hub = named("in-time");
        let mut fiber = waits_for_ever(&hub);
        hub.close_within(Duration::from_secs(3600)).wait().unwrap();
        threads::assert_gone("in-time");
        assert!(fiber.join().wait().is_err());
    });
}

#[test]
fn a_close_that_is_late_names_the_fibers_that_are_left_and_goes_on() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let _ends = waits_for_ever(&hub);
        let (mut one, release_one) = shielded(&hub);
        let (mut other, release_other) = shielded(&hub);
        let names = [&*one.name().to_owned(), &*other.name().to_owned()];
        let error = late(|| hub.close_within(ms(20)), &names, &[]);
        let text = error.to_string();
        let begins = "the hub did not close within 20ms; still alive: ";
        assert!(text.starts_with(begins), "{text}");
        for name in names {
            assert!(
                text.contains(&format!("{name} (spawned at tests/")),
                "{text}"
            );
        }
        release_one.send(()).unwrap();
        one.join().wait().unwrap();
        late(|| hub.close_within(ms(1)), &names[1..], &[]);
        release_other.send(()).unwrap();
        other.join().wait().unwrap();
        hub.close().wait();
    });
}

#[test]
fn a_close_that_is_late_names_a_thread_that_is_busy() {
    watched(|| {
        let hub = named("computes");
        let (begins, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let mut fiber = hub
            .spawn(move || {
                begins.send(()).unwrap();
                released.recv().unwrap(); // blocks the thread
            })
            .unwrap();
        has_begun.recv().unwrap();
        let late = late(|| hub.close_within(ms(20)), &[], &["computes"]);
        assert_eq!(
            late.to_string(),
            "the hub did not close within 20ms; busy threads: computes"
        );
        release.send(()).unwrap();
        fiber.join().wait().unwrap();
        hub.close().wait();
    });
}

#[test]
fn a_close_waits_for_blocking_jobs_and_names_the_thread_when_it_is_late() {
    watched(|| {
        let hub = named("has-a-job");
        let done = Arc::new(AtomicBool::new(false));
        let (begins, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let tell = done.clone();
        ask(&hub, move || {
            tokio::task::spawn_blocking(move || {
                begins.send(()).unwrap();
                released.recv().unwrap();
                tell.store(true, Ordering::SeqCst);
            });
        });
        has_begun.recv().unwrap();
        late(|| hub.close_within(ms(20)), &[], &["has-a-job"]);
        release.send(()).unwrap();
        hub.close().wait();
        assert!(done.load(Ordering::SeqCst));
    });
}

// Panics of the thread.

#[test]
fn a_panic_of_a_fiber_or_a_callback_leaves_the_thread_as_it_is() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let mut fiber = hub
            .spawn(|| -> () { resume_unwind(Box::new("in a fiber")) })
            .unwrap();
        let error = fiber.join().wait().unwrap_err();
        assert!(error.is_panic());
        hub.handle()
            .run_callback(|| resume_unwind(Box::new("in a callback")))
            .unwrap();
        ask(&hub, || ());
        hub.close().wait();
    });
}

#[test]
fn another_panic_of_the_thread_is_resumed_by_the_first_close_and_reported() {
    let Some(child) = in_child(|| {
        let hub = named("fragile");
        ask(&hub, || {
            Hub::current()
                .data()
                .insert(OnDrop(|| panic!("the hub's data go")));
        });
        let close = || catch_unwind(AssertUnwindSafe(|| hub.close().wait()));
        let payload = close().unwrap_err();
        assert_eq!(text(&*payload), "the hub's data go");
        close().unwrap();
        threads::assert_gone("fragile");
    }) else {
        return;
    };
    child.assert_reported("the thread 'fragile' of a hub panicked", 1);
}

#[test]
fn a_thread_over_an_abandoned_stack_parks_for_ever() {
    let Some(child) = in_child(|| {
        let hub = named("over-a-stack");
        ask(&hub, || {
            // Dropped with the runtime, when nobody wakes it any more.
            tokio::task::spawn_local(bridge(|| {
                let _waits = OnDrop(|| pending::<()>().wait());
                pending::<()>().wait();
            }));
            yield_now().wait();
        });
        hub.close().wait();
        threads::assert_there("over-a-stack");
        // And so it stays.
        hub.close_within(Duration::ZERO).wait().unwrap();
        threads::assert_there("over-a-stack");
    }) else {
        return;
    };
    child.assert_reported(
        "the thread 'over-a-stack' of a hub stays parked for ever, since 1 of its stacks could \
         not be unwound and what is on them may still be in use",
        1,
    );
}

#[test]
fn a_thread_over_a_forgotten_bridge_parks_for_ever() {
    let Some(child) = in_child(|| {
        let hub = named("forgets");
        ask(&hub, || {
            let mut bridge = Box::pin(bridge(|| pending::<()>().wait()));
            let mut cx = Context::from_waker(Waker::noop());
            let poll = poll_fn(|_| Poll::Ready(bridge.as_mut().poll(&mut cx).is_pending()));
            assert!(poll.wait());
            std::mem::forget(bridge);
        });
        hub.close().wait();
        threads::assert_there("forgets");
    }) else {
        return;
    };
    child.assert_reported("the thread 'forgets' of a hub stays parked for ever", 1);
}

// Wakes.

/// Polls a hub by hand that is driven by nothing else, with a waker that counts.
fn driven_by_hand(body: impl FnOnce(&mut dyn FnMut(), HubHandle, &Wakes)) {
    runtime().block_on(async {
        let wakes = Wakes::new();
        let waker = wakes.waker();
        let mut driver = pin!(Hub::run_until(pending::<()>()));
        let mut drive = || {
            // Apart from the runtime, which would poll it for its own reasons.
            let mut cx = Context::from_waker(&waker);
            assert!(driver.as_mut().poll(&mut cx).is_pending());
        };
        drive();
        let hub = Hub::current().handle();
        body(&mut drive, hub, &wakes);
    });
}

#[test]
fn a_burst_of_callbacks_wakes_a_sleeping_hub_once() {
    watched(|| {
        driven_by_hand(|drive, hub, wakes| {
            for burst in 1..=3 {
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        let hub = hub.clone();
                        thread::spawn(move || {
                            for _ in 0..1000 {
                                hub.run_callback(|| ()).unwrap();
                            }
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|t| t.join().unwrap());
                assert_eq!(wakes.count(), burst);
                for _ in 0..4000 / 128 + 1 {
                    drive();
                }
                assert_eq!(hub.metrics().callbacks(), burst as u64 * 4000);
            }
        });
    });
}

#[test]
fn a_burst_of_wakes_of_many_fibers_wakes_a_sleeping_hub_once() {
    watched(|| {
        driven_by_hand(|drive, hub, wakes| {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..40).map(|_| oneshot::channel::<()>()).unzip();
            let fibers: Vec<_> = receivers
                .into_iter()
                .map(|r| spawn(move || r.wait().unwrap()))
                .collect();
            drive();
            let before = wakes.count();
            thread::spawn(|| senders.into_iter().for_each(|s| s.send(()).unwrap()))
                .join()
                .unwrap();
            assert_eq!(wakes.count(), before + 1);
            drive();
            assert!(fibers.iter().all(|fiber| !fiber.is_alive()));
            assert_eq!(hub.metrics().live_fibers(), 0);
        });
    });
}

#[test]
fn a_hub_is_woken_with_no_lock_held() {
    /// Does to the hub what takes its lock.
    struct Curious(Mutex<Option<HubHandle>>, AtomicBool);
    impl Wake for Curious {
        fn wake(self: Arc<Self>) {
            let hub = self.0.lock().unwrap().clone();
            if let Some(hub) = hub {
                assert!(!hub.is_closed());
                hub.run_callback(|| ()).unwrap();
                drop(hub.spawn(|| ()).unwrap());
                self.1.store(true, Ordering::SeqCst);
            }
        }
    }
    watched(|| {
        runtime().block_on(async {
            let curious = Arc::new(Curious(Mutex::new(None), AtomicBool::new(false)));
            let waker = Waker::from(curious.clone());
            let mut driver = pin!(Hub::run_until(pending::<()>()));
            assert!(
                driver
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            let hub = Hub::current().handle();
            *curious.0.lock().unwrap() = Some(hub.clone());
            thread::spawn(move || hub.run_callback(|| ()).unwrap())
                .join()
                .unwrap();
            assert!(curious.1.load(Ordering::SeqCst));
            // It would close the hub once more.
            curious.0.lock().unwrap().take();
        });
    });
}

// Bursts of new fibers.

/// Keeps the hub's thread busy until what is returned is dropped.
fn busy(hub: &HubThread) -> mpsc::Sender<()> {
    let (end, ends) = mpsc::channel::<()>();
    let (begin, begins) = mpsc::channel();
    let block = move || {
        begin.send(()).unwrap();
        let _ = ends.recv();
    };
    hub.handle().run_callback(block).unwrap();
    begins.recv().unwrap();
    end
}

#[test]
fn a_turn_takes_in_as_many_new_fibers_as_it_can_run() {
    watched(|| {
        driven_by_hand(|drive, hub, _| {
            let send = hub.clone();
            let fibers = thread::spawn(move || {
                let spawn = |_| send.spawn(|| pending::<()>().wait()).unwrap();
                (0..200).map(spawn).collect::<Vec<_>>()
            });
            let _fibers = fibers.join().unwrap();
            let live = [(); 3].map(|()| {
                drive();
                hub.metrics().live_fibers()
            });
            assert_eq!(live, [128, 200, 200]);
        });
    });
}

#[test]
fn fibers_that_have_begun_go_on_and_end_before_a_burst_has_begun() {
    watched(|| {
        driven_by_hand(|drive, hub, _| {
            let send = hub.clone();
            let call = || (0..3).for_each(|_| yield_now().wait());
            let burst = thread::spawn(move || {
                let spawn = |_| send.spawn(call).unwrap();
                (0..10_000).map(spawn).collect::<Vec<_>>()
            });
            let burst = burst.join().unwrap();
            let mut most = 0;
            while burst.iter().any(|fiber| fiber.is_alive()) {
                drive();
                most = most.max(hub.metrics().live_fibers());
            }
            assert!(most < 200, "{most}");
        });
    });
}

#[test]
fn a_hub_comes_back_by_itself_for_what_is_left_of_a_burst() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let busy = busy(&hub);
        let burst: Vec<_> = (0..200).map(|n| hub.spawn(move || n).unwrap()).collect();
        drop(busy);
        for (n, mut fiber) in burst.into_iter().enumerate() {
            assert_eq!(fiber.join().wait().unwrap(), n);
        }
    });
}

#[test]
fn a_burst_begins_although_other_fibers_are_always_ready() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let handle = hub.handle();
        ask(&hub, move || {
            // From here they do not count as new.
            for _ in 0..200 {
                drop(handle.spawn(|| {
                    loop {
                        yield_now().wait();
                    }
                }));
            }
        });
        let burst: Vec<_> = (0..1000).map(|n| hub.spawn(move || n).unwrap()).collect();
        for (n, mut fiber) in burst.into_iter().enumerate() {
            assert_eq!(fiber.join().wait().unwrap(), n);
        }
    });
}

#[test]
fn what_a_thread_asks_for_in_a_burst_happens_in_its_order() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let busy = busy(&hub);
        for n in 0..1000 {
            let log = log.clone();
            let push = move || log.lock().unwrap().push(n);
            match n % 3 {
                0 => hub.handle().run_callback(push).unwrap(),
                _ => drop(hub.spawn(push).unwrap()),
            }
        }
        let mut last = hub.spawn(|| ()).unwrap();
        drop(busy);
        last.join().wait().unwrap();
        assert!(log.lock().unwrap().iter().copied().eq(0..1000));
    });
}

#[test]
fn a_close_that_follows_a_burst_ends_all_of_it_before_it_has_begun() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let (begun, drops) = (Drops::new(), Drops::new());
        let busy = busy(&hub);
        for _ in 0..1000 {
            let (begins, token) = (begun.token(), drops.token());
            drop(hub.spawn(move || {
                let _token = token;
                std::mem::forget(begins);
                pending::<()>().wait();
            }));
        }
        let mut close = pin!(hub.close());
        assert!(poll_once(close.as_mut()).is_pending());
        drop(busy);
        close.wait();
        // Both were dropped with the closures, which were not called.
        assert_eq!((begun.count(), drops.count()), (1000, 1000));
    });
}

// Many messages.

/// How many messages go round: a million in a release build, fewer in others, or
/// what `SWITCHBACK_RING_MESSAGES` says.
fn messages() -> u64 {
    match env::var("SWITCHBACK_RING_MESSAGES") {
        Ok(count) => count.parse().expect("a number"),
        Err(_) if cfg!(debug_assertions) => 50_000,
        Err(_) => 1_000_000,
    }
}

#[test]
fn a_ring_of_four_hubs_passes_every_message_on_in_order() {
    watched(|| {
        let hubs: Vec<_> = (0..4).map(|_| HubThread::new().unwrap()).collect();
        let count = messages();
        let (first, mut receiver) = channel::channel::<u64>(64);
        let mut fibers = Vec::new();
        for hub in &hubs {
            let (sender, next) = channel::channel(64);
            let mut from = std::mem::replace(&mut receiver, next);
            let pass_on = move || {
                let mut expected = 0;
                while let Some(message) = from.recv().wait() {
                    assert_eq!(message, expected);
                    expected += 1;
                    sender.send(message).wait().unwrap();
                }
                expected
            };
            fibers.push(hub.spawn(pass_on).unwrap());
        }
        let feed = move || (0..count).for_each(|message| first.send(message).wait().unwrap());
        let mut feeder = hubs[2].spawn(feed).unwrap();
        for expected in 0..count {
            assert_eq!(receiver.recv().wait(), Some(expected));
        }
        assert_eq!(receiver.recv().wait(), None);
        feeder.join().wait().unwrap();
        for fiber in &mut fibers {
            assert_eq!(fiber.join().wait().unwrap(), count);
        }
        hubs.iter().for_each(|hub| hub.close().wait());
    });
}

/// Fires a message at the fiber that waits at the other end, when one does.
struct Handover {
    waiting: channel::UnboundedReceiver<Switcher<u64>>,
}

impl Handover {
    /// Both ends.
    fn new() -> (Handover, channel::UnboundedSender<Switcher<u64>>) {
        let (ask, waiting) = channel::unbounded_channel();
        (Handover { waiting }, ask)
    }

    /// Fails when the other end is gone.
    fn give(&mut self, message: u64) -> Option<()> {
        let switcher = self.waiting.recv().wait()?;
        assert!(switcher.switch(message));
        Some(())
    }
}

/// Waits for the next message; `None` if the one that had to fire it is gone.
fn take(from: &channel::UnboundedSender<Switcher<u64>>) -> Option<u64> {
    let switch_back = SwitchBack::new();
    from.send(switch_back.switcher()).ok()?;
    switch_back.wait().ok()
}

#[test]
fn a_ring_of_four_hubs_hands_every_message_over_by_switch_back() {
    /// Side by side, since each message waits for the one before it to be taken.
    const LANES: u64 = 50;
    watched(|| {
        let hubs: Vec<_> = (0..4).map(|_| HubThread::new().unwrap()).collect();
        let count = messages() / LANES;
        let lanes: Vec<_> = (0..LANES).map(|_| switch_back_ring(&hubs, count)).collect();
        for mut fiber in lanes.into_iter().flatten() {
            assert_eq!(fiber.join().wait().unwrap(), count);
        }
    });
}

/// Fibers that pass `count` messages on: one on each hub, then the one that takes
/// them last and the one that gives them first. Each counts them.
fn switch_back_ring(hubs: &[HubThread], count: u64) -> Vec<Fiber<u64>> {
    let (mut first, mut ask) = Handover::new();
    let mut fibers = Vec::new();
    for hub in hubs {
        let (mut to, next) = Handover::new();
        let from = std::mem::replace(&mut ask, next);
        let pass_on = move || {
            let mut expected = 0;
            while let Some(message) = take(&from) {
                assert_eq!(message, expected);
                expected += 1;
                to.give(message).unwrap();
            }
            expected
        };
        fibers.push(hub.spawn(pass_on).unwrap());
    }
    let last = move || {
        let mut expected = 0;
        while let Some(message) = take(&ask) {
            assert_eq!(message, expected);
            expected += 1;
        }
        expected
    };
    fibers.push(hubs[0].spawn(last).unwrap());
    let feed = move || {
        (0..count).for_each(|message| first.give(message).unwrap());
        count
    };
    fibers.push(hubs[2].spawn(feed).unwrap());
    fibers
}

#[test]
fn one_message_at_a_time_goes_round_a_ring_of_four_sleeping_hubs() {
    watched(|| {
        let hubs: Vec<_> = (0..4).map(|_| HubThread::new().unwrap()).collect();
        let rounds = messages() / 100;
        let (first, mut receiver) = channel::unbounded_channel::<u64>();
        let mut fibers = Vec::new();
        for hub in &hubs {
            let (sender, next) = channel::unbounded_channel();
            let mut from = std::mem::replace(&mut receiver, next);
            let pass_on = move || {
                while let Some(message) = from.recv().wait() {
                    sender.send(message + 1).unwrap();
                }
            };
            fibers.push(hub.spawn(pass_on).unwrap());
        }
        for round in 0..rounds {
            first.send(4 * round).unwrap();
            assert_eq!(receiver.recv().wait(), Some(4 * (round + 1)));
        }
        drop(first);
        fibers.iter_mut().for_each(|f| f.join().wait().unwrap());
    });
}

#[test]
fn two_hubs_join_each_others_fibers() {
    watched(|| {
        let (one, other) = (HubThread::new().unwrap(), HubThread::new().unwrap());
        let (one, other) = (one.handle(), other.handle());
        fn down(here: HubHandle, there: HubHandle, depth: u32) -> u32 {
            if depth == 0 {
                return 0;
            }
            let next = there.clone();
            let mut fiber = next.spawn(move || down(there, here, depth - 1)).unwrap();
            fiber.join().wait().unwrap() + 1
        }
        let mut fiber = one.clone().spawn(move || down(one, other, 500)).unwrap();
        assert_eq!(fiber.join().wait().unwrap(), 500);
    });
}
