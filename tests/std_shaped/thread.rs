//! `thread`: std's, and what is different.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use switchback::{
    Cancelled, assert_no_switchpoints, bridge, catch_cancel, prelude::*, thread, yield_now,
};
use tokio::sync::oneshot;

use crate::support::{
    OnDrop, assert_panics, forever, in_async, in_paused, in_root_fiber, multi_thread_runtime,
    panic_of, watched,
};
use crate::{compare, scripts};

scripts! {
    "scripts/thread.rs":
    a_join_returns_the_result_or_the_panic
    a_handle_tells_whether_it_has_finished
    names_are_those_that_were_given
    ids_tell_one_from_another
    a_token_is_kept_for_one_park
    parked_ones_are_unparked_from_elsewhere
    a_scope_borrows_and_waits_for_all
    a_scope_panics_for_a_child_that_was_not_joined
    each_has_its_own_locals
    one_that_is_detached_goes_on
    a_sleep_is_no_shorter_than_was_asked_for
    panicking_is_told_in_destructors
    parallelism_is_known
}

#[test]
fn threads_and_fibers_do_the_same() {
    compare(scripts());
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn closures_need_not_be_send() {
    in_root_fiber(|| {
        let count = Rc::new(Cell::new(1));
        let other = count.clone();
        let handle = thread::spawn(move || {
            other.set(2);
            other
        });
        assert!(Rc::ptr_eq(&handle.join().unwrap(), &count));
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn a_cancelled_fiber_joins_as_cancelled() {
    in_root_fiber(|| {
        let handle = thread::spawn(forever);
        let fiber = handle.into_fiber();
        fiber.cancel_with("enough");
        assert!(fiber.wait().unwrap_err().is_cancelled());

        thread::scope(|s| {
            let (send, id) = mpsc::channel();
            let child = s.spawn(move || {
                send.send(switchback::current_fiber().unwrap()).unwrap();
                forever();
            });
            yield_now().wait();
            id.recv().unwrap().cancel_with("enough");
            let payload = child.join().unwrap_err();
            let cancelled = payload.downcast::<Cancelled>().unwrap();
            assert_eq!(cancelled.message(), Some("enough"));
        });
    });
}

#[test]
fn a_fiber_that_lost_its_hub_joins_as_cancelled() {
    let (send, handle) = mpsc::channel();
    watched(move || {
        let runtime = crate::support::runtime();
        runtime.block_on(async { send.send(thread::spawn(forever)).unwrap() });
        // It never ran, or runs, and its runtime is dropped.
    });
    let payload = watched(move || handle.recv().unwrap().join().unwrap_err());
    assert!(payload.is::<Cancelled>());
}

#[test]
fn a_handle_is_awaited_in_async_code() {
    in_async(|| async {
        assert_eq!(thread::spawn(|| 1).await.unwrap(), 1);
        let panics = thread::spawn(|| -> () { panic!("in a fiber") });
        assert!(panics.await.unwrap_err().is::<&str>());
    });
}

#[test]
fn what_waits_is_refused_in_async_code_and_names_what_to_await() {
    let elsewhere = [
        "move this code into `switchback::spawn` or `bridge`",
        "send this code to a `HubPool`",
    ];
    let check = |elsewhere: &str| {
        let refused =
            |call, instead: &str| format!("`{call}` would block the runtime; {instead}{elsewhere}");
        let notify = "await a `tokio::sync::Notify`, or ";
        assert_panics(&refused("thread::park", notify), || thread::park());
        assert_panics(&refused("thread::park_timeout", notify), || {
            thread::park_timeout(HOUR);
        });
        assert_panics(
            &refused("thread::sleep", "await a `switchback::sleep`, or "),
            || thread::sleep(HOUR),
        );
        assert_panics(
            &refused(
                "thread::sleep_until",
                "await a `switchback::sleep_until`, or ",
            ),
            || thread::sleep_until(Instant::now()),
        );
        assert_panics(
            &refused("thread::yield_now", "await a `switchback::yield_now`, or "),
            || thread::yield_now(),
        );
        assert_panics(&refused("thread::scope", ""), || thread::scope(|_| ()));
    };
    in_async(move || async move {
        check(elsewhere[0]);
        let handle = thread::spawn(|| ());
        let text = format!(
            "`JoinHandle::join` would block the runtime; use `.await`, or {}",
            elsewhere[0]
        );
        assert_panics(&text, || handle.join());
    });
    watched(move || multi_thread_runtime().block_on(async { check(elsewhere[1]) }));
}

#[test]
fn on_a_plain_thread_spawn_and_scope_name_run() {
    for panic in [
        panic_of(|| thread::spawn(|| ())),
        panic_of(|| thread::Builder::new().spawn(|| ())),
        panic_of(|| thread::scope(|_| ())),
    ] {
        assert!(panic.message.contains("`switchback::run`"), "{panic:?}");
        assert!(panic.file.ends_with("std_shaped/thread.rs"), "{panic:?}");
    }
}

#[test]
fn what_waits_is_a_switchpoint_even_if_it_would_not_wait() {
    in_root_fiber(|| {
        let forbidden = |call| {
            format!(
                "`{call}` is a switchpoint and was called inside `assert_no_switchpoints`; wait \
                 before or after that block"
            )
        };
        let check = |call, f: &mut dyn FnMut()| {
            let panic = panic_of(|| assert_no_switchpoints(f));
            assert_eq!(panic.message, forbidden(call));
        };
        thread::current().unpark();
        check("thread::park", &mut thread::park);
        check("thread::park_timeout", &mut || thread::park_timeout(HOUR));
        thread::park(); // the token is still there
        check("thread::sleep", &mut || thread::sleep(Duration::ZERO));
        check("thread::sleep_until", &mut || {
            thread::sleep_until(Instant::now())
        });
        check("thread::yield_now", &mut thread::yield_now);
        check("thread::scope", &mut || thread::scope(|_| ()));
        let mut ended = Some(thread::spawn(|| ()));
        yield_now().wait();
        check("JoinHandle::join", &mut || {
            drop(ended.take().unwrap().join())
        });
        assert_no_switchpoints(|| {
            let handle = thread::spawn(|| ());
            handle.thread().unpark();
            assert!(!handle.is_finished());
            assert!(!thread::panicking());
        });
    });
}

#[test]
fn fibers_use_the_clock_of_their_runtime() {
    in_paused(|| async {
        let fiber = thread::spawn(|| {
            let begin = tokio::time::Instant::now();
            thread::sleep(HOUR);
            thread::park_timeout(HOUR);
            assert_eq!(begin.elapsed(), 2 * HOUR);
        });
        fiber.await.unwrap();
    });
}

/// The place that is asked for, and its ID.
fn id() -> thread::ThreadId {
    thread::current().id()
}

#[test]
fn each_place_is_somebody() {
    in_async(|| async {
        let in_task = id();
        assert_eq!(id(), in_task, "async code is its thread");
        let (in_fiber, in_poll) = thread::spawn(|| (id(), async { id() }.wait()))
            .await
            .unwrap();
        assert_eq!(in_fiber, in_poll, "a future is its fiber");
        let (in_bridge, again) = bridge(|| (id(), id())).await;
        assert_eq!(in_bridge, again);
        let in_other = bridge(id).await;
        let in_thread = std::thread::spawn(|| (id(), id())).join().unwrap();
        assert_eq!(in_thread.0, in_thread.1);
        let ids = [in_task, in_fiber, in_bridge, in_other, in_thread.0];
        for (n, id) in ids.iter().enumerate() {
            assert!(!ids[..n].contains(id), "{ids:?}");
        }
        let name = bridge(|| thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, None);
    });
    let name = watched(|| thread::current().name().map(str::to_owned));
    assert_eq!(
        name.as_deref(),
        Some(std::thread::current().name().unwrap())
    );
}

#[test]
fn whoever_parks_is_unparked_by_whomever() {
    in_async(|| async {
        let (send, parked) = mpsc::channel();
        let unparks = Arc::new(AtomicBool::new(false));
        let park = {
            let unparks = unparks.clone();
            move || {
                send.send(thread::current()).unwrap();
                thread::park();
                assert!(unparks.load(Ordering::Acquire), "it waited");
            }
        };
        let plain = std::thread::spawn(park.clone());
        let fiber = thread::spawn(park.clone());
        let mut bridge = pin!(bridge(park));
        // It begins, and waits.
        assert!(poll_fn(|cx| Poll::Ready(bridge.as_mut().poll(cx).is_pending())).await);
        switchback::sleep(Duration::ZERO).await;
        std::thread::spawn(move || {
            let all: Vec<_> = parked.iter().take(3).collect();
            unparks.store(true, Ordering::Release);
            all.iter().for_each(thread::Thread::unpark);
        });
        bridge.await;
        fiber.await.unwrap();
        switchback::blocking(|| plain.join().unwrap()).await;
    });
}

#[test]
fn a_wait_in_between_takes_no_token_of_a_plain_thread() {
    watched(|| {
        let this = thread::current();
        this.unpark();
        let (send, receive) = oneshot::channel();
        let other = std::thread::spawn(move || {
            this.unpark();
            send.send(()).unwrap();
        });
        receive.wait().unwrap();
        other.join().unwrap();
        thread::park(); // the token is still there
    });
}

#[test]
fn a_cancelled_park_takes_no_token() {
    in_root_fiber(|| {
        let fiber = thread::spawn(|| {
            let cancelled = catch_cancel(thread::park);
            assert!(cancelled.is_err());
            thread::park();
        })
        .into_fiber();
        yield_now().wait();
        fiber.cancel();
        fiber.handle().unpark();
        fiber.wait().unwrap();
    });
}

/// Suspends in a destructor while it unwinds, until it is told to go on.
fn unwinds_until(
    go_on: oneshot::Receiver<()>,
    tells: impl FnMut() + 'static,
) -> switchback::Fiber<()> {
    let mut go_on = Some(go_on);
    let mut tells = tells;
    switchback::spawn(move || {
        let _waits = OnDrop(|| {
            tells();
            let _ = go_on.take().unwrap().wait();
            tells();
        });
        panic!("it unwinds");
    })
}

#[test]
fn another_fibers_unwinding_is_not_panicking() {
    in_root_fiber(|| {
        let told = Rc::new(Cell::new(0));
        let counts = told.clone();
        let (go_on, waits) = oneshot::channel();
        let unwinds = unwinds_until(waits, move || {
            // After its wait it may be another one that unwinds.
            assert!(counts.get() == 1 || thread::panicking());
            counts.set(counts.get() + 1);
        });
        yield_now().wait();
        assert_eq!(told.get(), 1, "it is in its destructor");
        assert!(std::thread::panicking(), "std counts for the whole thread");
        assert!(!thread::panicking());
        let other = thread::spawn(thread::panicking);
        assert!(!other.join().unwrap());
        assert!(!async { thread::panicking() }.wait());
        go_on.send(()).unwrap();
        assert!(unwinds.wait().unwrap_err().is_panic());
        assert_eq!(told.get(), 2);
        assert!(!std::thread::panicking());
    });
}

#[test]
fn async_code_beside_a_fiber_that_unwinds_is_not_panicking() {
    in_async(|| async {
        let (go_on, waits) = oneshot::channel();
        let unwinds = unwinds_until(waits, || ());
        switchback::sleep(Duration::ZERO).await;
        assert!(std::thread::panicking());
        assert!(!thread::panicking());
        go_on.send(()).unwrap();
        assert!(unwinds.await.unwrap_err().is_panic());
        let own = Cell::new(false);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _told = OnDrop(|| own.set(thread::panicking()));
            panic!("async code unwinds");
        }));
        let caught: Result<(), _> = caught;
        assert!(caught.is_err() && own.get());
    });
}

#[test]
fn it_may_be_asked_who_it_is_in_any_destructor() {
    struct Asks(Option<thread::ThreadId>);
    impl Drop for Asks {
        fn drop(&mut self) {
            assert_ne!(Some(thread::current().id()), self.0.take());
            thread::current().unpark();
        }
    }
    thread_local! {
        static ASKS: Cell<Asks> = const { Cell::new(Asks(None)) };
    }
    watched(|| {
        // Registered first, and so dropped last, when its own is gone.
        ASKS.set(Asks(None));
        ASKS.set(Asks(Some(thread::current().id())));
    });
}

#[test]
fn a_cancelled_parent_cancels_the_children_of_its_scope() {
    in_root_fiber(|| {
        let ended = Rc::new(Cell::new(false));
        let tells = ended.clone();
        let parent = thread::spawn(move || {
            thread::scope(|s| {
                s.spawn(|| {
                    let _ended = OnDrop(|| tells.set(true));
                    forever();
                });
            });
        })
        .into_fiber();
        yield_now().wait();
        yield_now().wait();
        parent.cancel();
        assert!(parent.wait().unwrap_err().is_cancelled());
        assert!(ended.get());
    });
}
