//! A `SwitchBack` that has ended, however that came about, is inert: firing it
//! wakes nobody and changes nothing. Its end runs its cleanups, once, in order.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use switchback::{
    FiberHandle, Hub, SwitchBack, SwitchError, Switcher, catch_cancel, current_fiber, prelude::*,
    shield, sleep, spawn, with_timeout, yield_now,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::support::ending::{in_paused_fiber, poll_once, settle, unwinds};
use crate::support::{
    Drops, Log, OnDrop, in_async, in_child, in_root_fiber, ms, panic_of, runtime, watched,
};

/// A `SwitchBack` and one switcher for it.
fn pair<T>() -> (SwitchBack<T>, Switcher<T>) {
    let switch_back = SwitchBack::new();
    let switcher = switch_back.switcher();
    (switch_back, switcher)
}

fn own() -> FiberHandle {
    current_fiber().unwrap()
}

/// Firing does nothing: not to the fiber's next wait either.
#[track_caller]
fn assert_inert(switcher: &Switcher<u8>) {
    assert_inert_after("its end", switcher);
}

/// As [`assert_inert`], for what has ended by `end`.
#[track_caller]
fn assert_inert_after(end: &str, switcher: &Switcher<u8>) {
    assert!(!switcher.is_active(), "after {end}");
    let fired = switcher.clone();
    let fires = spawn(move || (fired.switch(1), fired.throw("up")));
    let begin = Instant::now();
    sleep(ms(50)).wait();
    assert_eq!(begin.elapsed().as_millis(), 50, "after {end}");
    assert_eq!(fires.wait().unwrap(), (false, false), "after {end}");
}

// Inert after its end.

#[test]
fn it_is_inert_after_its_wait_and_after_its_drop() {
    type End = fn(SwitchBack<u8>, &Switcher<u8>);
    let cases: [(&str, End); 6] = [
        ("its wait", |switch_back, switcher| {
            switcher.switch(0);
            switch_back.wait().unwrap();
        }),
        ("a cancel of its wait", |switch_back, _| {
            own().cancel();
            assert!(catch_cancel(|| switch_back.wait()).is_err());
        }),
        ("a `wait_timeout` that took it", |switch_back, _| {
            assert!(switch_back.wait_timeout(ms(10)).is_err());
        }),
        ("a deadline over its wait", |switch_back, _| {
            assert!(with_timeout(ms(10), || switch_back.wait()).is_err());
        }),
        ("its drop without a wait", |switch_back, _| {
            drop(switch_back)
        }),
        ("its drop by a panic", |switch_back, _| {
            assert!(unwinds(|| {
                let _held = switch_back;
                resume_unwind(Box::new("up"));
            }));
        }),
    ];
    in_paused_fiber(move || {
        for (end, ends) in cases {
            let (switch_back, switcher) = pair();
            ends(switch_back, &switcher);
            assert_inert_after(end, &switcher);
        }
    });
}

#[test]
fn it_is_inert_after_its_timeout() {
    in_paused_fiber(|| {
        let mut switch_back = SwitchBack::with_timeout(ms(10));
        let switcher = switch_back.switcher();
        (&mut switch_back).wait().unwrap_err();
        assert_inert(&switcher);
        drop(switch_back);
        assert_inert(&switcher);
    });
}

#[test]
fn it_is_inert_after_a_cancel_that_came_with_the_value() {
    in_paused_fiber(|| {
        let drops = Drops::new();
        let (switch_back, switcher) = pair();
        let (fires, fiber, token) = (switcher.clone(), own(), drops.token());
        spawn(move || {
            assert!(fires.switch(token));
            fiber.cancel();
        });
        assert!(catch_cancel(|| switch_back.wait()).is_err());
        assert_eq!(drops.count(), 1);
        assert!(!switcher.switch(drops.token()));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn it_is_inert_after_the_end_of_the_fiber_that_has_it() {
    in_paused_fiber(|| {
        let (hand_over, handed) = pair();
        let mut fiber = spawn(move || {
            let (_switch_back, switcher) = pair();
            handed.switch(switcher);
        });
        let switcher = hand_over.wait().unwrap();
        fiber.join().wait().unwrap();
        assert_inert(&switcher);
    });
}

#[test]
fn a_forgotten_one_is_inert_once_its_fiber_has_ended() {
    in_paused_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut fiber = spawn(|| {
            let (mut switch_back, switcher) = pair();
            switch_back.add_cleanup(move || drop(token));
            std::mem::forget(switch_back);
            assert!(switcher.is_active());
            switcher
        });
        let switcher = fiber.join().wait().unwrap();
        assert_inert(&switcher);
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn a_forgotten_one_that_is_fired_in_time_does_not_end_a_later_wait() {
    in_paused_fiber(|| {
        let (mut switch_back, switcher) = pair();
        assert!((&mut switch_back).wait_timeout(ms(1)).is_err());
        std::mem::forget(switch_back);
        spawn(move || assert!(switcher.switch(1)));
        let begin = Instant::now();
        sleep(ms(50)).wait();
        assert_eq!(begin.elapsed().as_millis(), 50);
    });
}

#[test]
fn one_that_outlives_its_fiber_elsewhere_is_inert() {
    in_paused_fiber(|| {
        let mut fiber = spawn(pair::<u8>);
        let (switch_back, switcher) = fiber.join().wait().unwrap();
        assert!(!switch_back.is_active());
        assert_inert(&switcher);
        // It will never be fired, so nobody waits for that.
        assert!(matches!(switch_back.wait(), Err(SwitchError::Dropped)));
    });
}

#[test]
fn what_was_fired_before_its_fiber_ended_is_there_elsewhere() {
    in_paused_fiber(|| {
        let mut fiber = spawn(|| {
            let (switch_back, switcher) = pair();
            switcher.switch(7);
            switch_back
        });
        let switch_back = fiber.join().wait().unwrap();
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn firing_one_whose_fiber_has_ended_tells_whoever_waits_elsewhere() {
    in_paused_fiber(|| {
        let (give, given) = oneshot::channel();
        let mut maker = spawn(move || {
            let (switch_back, switcher) = pair::<u8>();
            assert!(give.send(switch_back).is_ok());
            yield_now().wait();
            switcher
        });
        let waiter = spawn(move || given.wait().unwrap().wait());
        let switcher = maker.join().wait().unwrap();
        assert!(!switcher.switch(7));
        let result = waiter.wait().unwrap();
        assert!(matches!(result, Err(SwitchError::Dropped)));
        drop(switcher);
    });
}

#[test]
fn it_is_inert_after_the_abrupt_end_of_its_hub() {
    watched(|| {
        let runtime = runtime();
        let drops = Drops::new();
        let cleaned = drops.token();
        let switcher = runtime.block_on(async {
            let (hand_over, handed) = pair();
            drop(spawn(move || {
                let (mut switch_back, switcher) = pair();
                switch_back.add_cleanup(move || drop(cleaned));
                handed.switch(switcher);
                switch_back.wait().unwrap();
            }));
            hand_over.await.unwrap()
        });
        assert!(switcher.is_active());
        drop(runtime);
        assert_eq!(drops.count(), 1);
        assert!(!switcher.switch(drops.token()));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn it_is_inert_after_the_close_of_its_hub() {
    in_root_fiber(|| {
        let (hand_over, handed) = pair();
        let mut waiter = spawn(move || {
            let (switch_back, switcher) = pair();
            handed.switch(switcher);
            switch_back.wait()
        });
        let switcher = hand_over.wait().unwrap();
        Hub::current().close().wait();
        assert!(waiter.join().wait().unwrap_err().is_cancelled());
        assert!(!switcher.switch(7));
    });
}

#[test]
fn it_is_inert_when_its_fiber_was_abandoned() {
    watched(|| {
        let runtime = runtime();
        let switcher = runtime.block_on(async {
            let (hand_over, handed) = pair();
            drop(spawn(move || {
                let (_switch_back, switcher) = pair();
                handed.switch(switcher);
                let _again = OnDrop(|| pending::<()>().wait());
                pending::<()>().wait();
            }));
            hand_over.await.unwrap()
        });
        assert!(switcher.is_active());
        drop(runtime);
        assert!(!switcher.switch(7));
    });
}

#[test]
fn a_shield_lets_it_be_fired_though_a_cancel_is_pending() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        own().cancel();
        spawn(move || switcher.switch(7));
        assert_eq!(shield(|| switch_back.wait()).unwrap(), 7);
        assert!(catch_cancel(|| yield_now().wait()).is_err());
    });
}

#[test]
fn a_cancel_of_the_wait_leaves_a_borrowed_one_as_it_was() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        let fiber = own();
        spawn(move || {
            fiber.cancel();
            assert!(switcher.switch(7));
        });
        assert!(catch_cancel(|| (&mut switch_back).wait()).is_err());
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn wait_or_cancelled_returns_the_cancel_and_drops_it() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        own().cancel();
        assert!(switch_back.wait_or_cancelled().is_err());
        assert!(!switcher.switch(7));
    });
}

#[test]
fn a_wake_that_comes_late_does_not_end_the_wait_for_the_next_one() {
    in_paused_fiber(|| {
        // Both in one turn of the hub: the value, and a cancel that goes first.
        let (first, fires) = pair();
        let fiber = own();
        spawn(move || {
            fires.switch(1);
            fiber.cancel();
        });
        assert!(catch_cancel(|| first.wait()).is_err());
        let begin = Instant::now();
        let second = SwitchBack::<u8>::with_timeout(ms(30));
        let _switcher = second.switcher();
        assert!(matches!(second.wait(), Err(SwitchError::Timeout(_))));
        assert_eq!(begin.elapsed().as_millis(), 30);
    });
}

// Wakers.

/// A waker that does something when it is dropped, cloned wakers being counted.
struct OnWake<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

struct OnWakerDrop<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Drop for OnWakerDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for OnWakerDrop<F> {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn it_lets_go_of_its_waker_when_it_is_fired() {
    let (mut switch_back, switcher) = pair();
    let waker = Arc::new(OnWake(|| ()));
    let task = Waker::from(waker.clone());
    let mut poll = || Pin::new(&mut switch_back).poll(&mut Context::from_waker(&task));
    assert!(poll().is_pending());
    assert!(poll().is_pending());
    assert_eq!(Arc::strong_count(&waker), 3);
    switcher.switch(());
    assert_eq!(Arc::strong_count(&waker), 2);
    assert!(poll().is_ready());
}

#[test]
fn it_lets_go_of_its_waker_when_it_is_dropped() {
    let (mut switch_back, _switcher) = pair::<()>();
    let waker = Arc::new(OnWake(|| ()));
    let task = Waker::from(waker.clone());
    let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&task));
    assert!(polled.is_pending());
    drop(task);
    assert_eq!(Arc::strong_count(&waker), 2);
    drop(switch_back);
    assert_eq!(Arc::strong_count(&waker), 1);
}

#[test]
fn a_waker_whose_drop_fires_is_no_deadlock() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        let waker = Waker::from(Arc::new(OnWakerDrop(move || {
            switcher.switch(7);
        })));
        let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        // This poll's waker takes the place of that one.
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn a_waker_whose_drop_fires_it_finds_a_dropped_one_inert() {
    watched(|| {
        let drops = Drops::new();
        let (mut switch_back, switcher) = pair();
        let won = Arc::new(AtomicUsize::new(0));
        let wins = won.clone();
        let tokens = drops.clone();
        let waker = Waker::from(Arc::new(OnWakerDrop(move || {
            wins.fetch_add(
                1 + usize::from(switcher.switch(tokens.token())),
                Ordering::SeqCst,
            );
        })));
        let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        drop(switch_back);
        assert_eq!((won.load(Ordering::SeqCst), drops.count()), (1, 1));
    });
}

#[test]
fn a_waker_that_fires_it_again_gets_a_no() {
    watched(|| {
        let (mut switch_back, switcher) = pair();
        let again = switcher.clone();
        let won = Arc::new(AtomicUsize::new(0));
        let wins = won.clone();
        let waker = Waker::from(Arc::new(OnWake(move || {
            wins.fetch_add(1 + usize::from(again.switch(2)), Ordering::SeqCst);
        })));
        let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(switcher.switch(1));
        assert_eq!(won.load(Ordering::SeqCst), 1);
        assert_eq!(switch_back.wait().unwrap(), 1);
    });
}

#[test]
fn what_is_fired_in_the_poll_that_finds_the_time_over_wins() {
    in_paused_fiber(|| {
        let mut switch_back = SwitchBack::with_timeout(ms(10));
        let switcher = switch_back.switcher();
        let waker = Waker::from(Arc::new(OnWakerDrop(move || {
            assert!(switcher.switch(7));
        })));
        let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        sleep(ms(20)).wait();
        // After this poll has looked for a value, and before it looks at the time.
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn a_waker_whose_drop_panics_harms_nobody() {
    let child = in_child(|| {
        for replaced in [true, false] {
            let (mut switch_back, switcher) = pair();
            let waker = Waker::from(Arc::new(OnWakerDrop(|| panic!("a bad drop"))));
            let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            if replaced {
                assert!(poll_once(Pin::new(&mut switch_back)).is_pending());
                assert!(switcher.switch(7));
                assert_eq!(switch_back.wait().unwrap(), 7);
            } else {
                drop(switch_back);
                assert!(!switcher.switch(7));
            }
        }
    });
    if let Some(child) = child {
        child.assert_reported("the drop of a waker panicked, which is ignored", 2);
    }
}

#[test]
fn a_waker_that_panics_does_not_harm_whoever_fires() {
    let child = in_child(|| {
        let (mut switch_back, switcher) = pair();
        let waker = Waker::from(Arc::new(OnWake(|| panic!("in a waker"))));
        let polled = Pin::new(&mut switch_back).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
    if let Some(child) = child {
        child.assert_reported("a waker panicked, which is ignored", 1);
    }
}

// What is fired.

#[test]
fn a_value_whose_drop_fires_the_same_one_is_no_deadlock() {
    watched(|| {
        let (switch_back, switcher) = pair::<Box<dyn FnOnce()>>();
        /// Calls back in its drop.
        struct Again(Switcher<Box<dyn FnOnce()>>, Rc<Cell<u32>>);
        impl Drop for Again {
            fn drop(&mut self) {
                self.1.set(self.1.get() + 1);
                assert!(!self.0.switch(Box::new(|| ())));
            }
        }
        let count = Rc::new(Cell::new(0));
        let value = |switcher: &Switcher<Box<dyn FnOnce()>>| {
            let again = Again(switcher.clone(), count.clone());
            Box::new(move || drop(again))
        };
        assert!(switcher.switch(value(&switcher)));
        // A loser, then the winner that nobody takes.
        assert!(!switcher.switch(value(&switcher)));
        assert_eq!(count.get(), 1);
        drop(switch_back);
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn a_loser_whose_drop_panics_harms_its_own_caller_only() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair::<Option<OnDrop<fn()>>>();
        assert!(switcher.switch(None));
        let panic = panic_of(|| switcher.switch(Some(OnDrop(|| panic!("a bad drop")))));
        assert_eq!(panic.message, "a bad drop");
        assert!(switch_back.wait().unwrap().is_none());
    });
}

#[test]
fn a_value_that_nobody_takes_and_whose_drop_panics_is_reported() {
    let child = in_child(|| {
        let drops = Drops::new();
        let token = drops.token();
        let (mut switch_back, switcher) = pair();
        switch_back.add_cleanup(move || drop(token));
        assert!(switcher.switch(OnDrop(|| panic!("a bad drop"))));
        drop(switch_back);
        assert_eq!(drops.count(), 1);
    });
    if let Some(child) = child {
        child.assert_reported("the drop of what was fired panicked, which is ignored", 1);
    }
}

#[test]
fn a_thrown_error_that_nobody_takes_is_dropped_with_it() {
    #[derive(Debug)]
    struct Failure(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Failure {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failure")
        }
    }
    impl std::error::Error for Failure {}
    let (switch_back, switcher) = pair::<()>();
    let count = Arc::new(());
    assert!(switcher.throw(Failure(count.clone())));
    assert!(!switcher.throw(Failure(count.clone())));
    assert_eq!(Arc::strong_count(&count), 2);
    drop(switch_back);
    assert_eq!(Arc::strong_count(&count), 1);
}

// Cleanups.

/// Adds a cleanup that logs its number.
fn log_cleanup<T>(switch_back: &mut SwitchBack<T>, log: &Log<u32>, number: u32) {
    let log = log.clone();
    switch_back.add_cleanup(move || log.push(number));
}

#[test]
fn cleanups_run_in_the_order_in_which_they_were_added() {
    let log = Log::new();
    let mut switch_back = SwitchBack::<()>::new();
    for number in 0..4 {
        log_cleanup(&mut switch_back, &log, number);
    }
    drop(switch_back);
    assert_eq!(log.take(), [0, 1, 2, 3]);
}

#[test]
fn cleanups_run_once_however_it_ends() {
    in_paused_fiber(|| {
        type End = fn(SwitchBack<u8>, Switcher<u8>);
        let ends: [(&str, End); 7] = [
            ("fired", |switch_back, switcher| {
                switcher.switch(7);
                switch_back.wait().unwrap();
            }),
            ("thrown", |switch_back, switcher| {
                switcher.throw("up");
                switch_back.wait().unwrap_err();
            }),
            ("timed out", |switch_back, _switcher| {
                switch_back.wait().unwrap_err();
            }),
            ("dropped switchers", |switch_back, switcher| {
                drop(switcher);
                switch_back.wait().unwrap_err();
            }),
            ("cancelled", |switch_back, _switcher| {
                own().cancel();
                catch_cancel(|| switch_back.wait()).unwrap_err();
            }),
            ("never waited for", |switch_back, _switcher| {
                drop(switch_back);
            }),
            ("unwound", |switch_back, _switcher| {
                assert!(unwinds(|| {
                    let _held = switch_back;
                    resume_unwind(Box::new("up"));
                }));
            }),
        ];
        for (name, end) in ends {
            let log = Log::new();
            let mut switch_back = SwitchBack::with_timeout(ms(10));
            let switcher = switch_back.switcher();
            log_cleanup(&mut switch_back, &log, 1);
            log_cleanup(&mut switch_back, &log, 2);
            end(switch_back, switcher);
            assert_eq!(log.take(), [1, 2], "{name}");
        }
    });
}

#[test]
fn cleanups_have_run_when_wait_returns() {
    in_root_fiber(|| {
        let log = Log::new();
        let (mut switch_back, switcher) = pair();
        log_cleanup(&mut switch_back, &log, 1);
        spawn(move || switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
        assert_eq!(log.take(), [1]);
    });
}

#[test]
fn a_cleanup_finds_it_inert_and_its_value_dropped() {
    watched(|| {
        let drops = Drops::new();
        let (mut switch_back, switcher) = pair();
        let found = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let (found, drops, switcher) = (found.clone(), drops.clone(), switcher.clone());
            switch_back.add_cleanup(move || {
                let dropped = drops.count();
                let won = switcher.switch(drops.token());
                found
                    .borrow_mut()
                    .push((dropped, switcher.is_active(), won));
            });
        }
        switcher.switch(drops.token());
        drop(switch_back);
        assert_eq!(found.take(), [(1, false, false), (2, false, false)]);
    });
}

#[test]
fn a_cleanup_runs_in_the_fiber_that_waits() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        let ran_in = Rc::new(Cell::new(None));
        let seen = ran_in.clone();
        switch_back.add_cleanup(move || seen.set(current_fiber().map(|fiber| fiber.id())));
        spawn(move || switcher.switch(()));
        switch_back.wait().unwrap();
        assert_eq!(ran_in.get(), Some(own().id()));
    });
}

#[test]
fn one_in_a_fiber_local_is_cleaned_up_when_its_fiber_ends() {
    switchback::fiber_local! {
        static HELD: Cell<Option<SwitchBack<u8>>> = Cell::new(None);
    }
    in_paused_fiber(|| {
        let mut fiber = spawn(|| {
            let mut switch_back = SwitchBack::new();
            let (switcher, id) = (switch_back.switcher(), own().id());
            switch_back.add_cleanup(move || {
                sleep(ms(10)).wait();
                assert_eq!(own().id(), id);
            });
            HELD.set(Some(switch_back));
            switcher
        });
        let begin = Instant::now();
        let switcher = fiber.join().wait().unwrap();
        assert_eq!(begin.elapsed().as_millis(), 10);
        assert_inert(&switcher);
    });
}

#[test]
fn a_cleanup_that_panics_is_reported_and_the_rest_runs() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let log = Log::new();
            let (mut switch_back, switcher) = pair();
            log_cleanup(&mut switch_back, &log, 1);
            switch_back.add_cleanup(|| panic!("a bad cleanup"));
            log_cleanup(&mut switch_back, &log, 2);
            switch_back.add_cleanup(|| panic!("another one"));
            log_cleanup(&mut switch_back, &log, 3);
            switcher.switch(7);
            assert_eq!(switch_back.wait().unwrap(), 7);
            assert_eq!(log.take(), [1, 2, 3]);
        });
    });
    if let Some(child) = child {
        let report = "a cleanup of a `SwitchBack` panicked, which is ignored";
        child.assert_reported(report, 2);
    }
}

#[test]
fn a_cleanup_that_panics_while_the_fiber_unwinds_does_not_abort() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let log = Log::new();
            let mut fiber = {
                let log = log.clone();
                spawn(move || {
                    let mut switch_back = SwitchBack::<()>::new();
                    switch_back.add_cleanup(|| panic!("a bad cleanup"));
                    log_cleanup(&mut switch_back, &log, 1);
                    resume_unwind(Box::new("up"));
                })
            };
            assert!(fiber.join().wait().unwrap_err().is_panic());
            assert_eq!(log.take(), [1]);
        });
    });
    if let Some(child) = child {
        let report = "a cleanup of a `SwitchBack` panicked, which is ignored";
        child.assert_reported(report, 1);
    }
}

#[test]
fn a_cleanup_may_wait() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let (mut switch_back, switcher) = pair();
        for _ in 0..2 {
            switch_back.add_cleanup(|| sleep(ms(10)).wait());
        }
        switcher.switch(7);
        assert_eq!(switch_back.wait().unwrap(), 7);
        assert_eq!(begin.elapsed().as_millis(), 20);
    });
}

#[test]
fn a_cleanup_may_wait_after_a_cancel() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut switch_back = SwitchBack::<()>::new();
        switch_back.add_cleanup(|| sleep(ms(10)).wait());
        own().cancel_with("once");
        let cancelled = catch_cancel(|| switch_back.wait()).unwrap_err();
        assert_eq!(cancelled.message(), Some("once"));
        assert_eq!(begin.elapsed().as_millis(), 10);
    });
}

#[test]
fn a_cleanup_may_wait_while_the_fiber_unwinds() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut fiber = spawn(|| {
            let mut switch_back = SwitchBack::<()>::new();
            switch_back.add_cleanup(|| sleep(ms(10)).wait());
            resume_unwind(Box::new("up"));
        });
        assert!(fiber.join().wait().unwrap_err().is_panic());
        assert_eq!(begin.elapsed().as_millis(), 10);
    });
}

#[test]
fn a_cleanup_that_waits_in_async_code_is_refused_and_reported() {
    let child = in_child(|| {
        in_async(|| async {
            let log = Log::new();
            let mut switch_back = SwitchBack::<()>::new();
            switch_back.add_cleanup(|| sleep(ms(10)).wait());
            log_cleanup(&mut switch_back, &log, 1);
            drop(switch_back);
            assert_eq!(log.take(), [1]);
        });
    });
    if let Some(child) = child {
        let report = "a cleanup of a `SwitchBack` panicked, which is ignored";
        child.assert_reported(report, 1);
    }
}

// A cancel that arrives in a cleanup.

/// A `SwitchBack` that was fired with 7, and whose first cleanup of two is
/// cancelled in its wait; logs 1 where that did not happen, 2 in the second.
fn cancelled_in_cleanup(log: &Log<u32>, second: impl FnOnce() + 'static) -> SwitchBack<u8> {
    let (mut switch_back, switcher) = pair();
    let (first, then) = (log.clone(), log.clone());
    switch_back.add_cleanup(move || {
        own().cancel_with("in a cleanup");
        yield_now().wait();
        first.push(1);
    });
    switch_back.add_cleanup(move || {
        second();
        then.push(2);
    });
    switcher.switch(7);
    switch_back
}

#[test]
fn a_cancel_in_a_cleanup_is_delivered_at_the_next_wait() {
    in_root_fiber(|| {
        let log = Log::new();
        let result = catch_cancel(|| cancelled_in_cleanup(&log, || ()).wait().unwrap());
        // What was fired is not lost with it.
        assert_eq!(result.unwrap(), 7);
        assert_eq!(log.take(), [2]);
        let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
        assert_eq!(cancelled.message(), Some("in a cleanup"));
        // Once.
        yield_now().wait();
    });
}

#[test]
fn a_cancel_in_a_cleanup_does_not_end_the_waits_of_the_next_one() {
    in_root_fiber(|| {
        let log = Log::new();
        let waits = || {
            yield_now().wait();
            yield_now().wait_or_cancelled().unwrap();
        };
        cancelled_in_cleanup(&log, waits).wait().unwrap();
        assert_eq!(log.take(), [2]);
        assert!(catch_cancel(|| yield_now().wait()).is_err());
    });
}

#[test]
fn two_cancels_in_two_cleanups_are_one() {
    in_root_fiber(|| {
        let log = Log::new();
        let again = || {
            own().cancel_with("the second");
            yield_now().wait();
        };
        cancelled_in_cleanup(&log, again).wait().unwrap();
        assert_eq!(log.take(), []);
        let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
        assert_eq!(cancelled.message(), Some("in a cleanup"));
        yield_now().wait();
    });
}

#[test]
fn a_cancel_in_the_drop_of_a_value_is_delivered_at_the_next_wait() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        switcher.switch(OnDrop(|| {
            own().cancel();
            yield_now().wait();
        }));
        assert!(catch_cancel(|| drop(switch_back)).is_ok());
        assert!(catch_cancel(|| yield_now().wait()).is_err());
    });
}

#[test]
fn a_cancel_in_a_cleanup_of_a_cancelled_wait_comes_after_that_one() {
    in_root_fiber(|| {
        let mut switch_back = SwitchBack::<()>::new();
        switch_back.add_cleanup(|| {
            own().cancel_with("the second");
            yield_now().wait();
        });
        own().cancel_with("the first");
        let first = catch_cancel(|| switch_back.wait()).unwrap_err();
        assert_eq!(first.message(), Some("the first"));
        let second = catch_cancel(|| yield_now().wait()).unwrap_err();
        assert_eq!(second.message(), Some("the second"));
    });
}

#[test]
fn a_cancel_in_a_cleanup_while_another_fiber_unwinds_is_put_off_until_that_is_over() {
    in_root_fiber(|| {
        let log = Log::new();
        let mut fiber = {
            let log = log.clone();
            spawn(move || {
                let mut switch_back = SwitchBack::<()>::new();
                // Begins its wait while nobody unwinds, so a cancel reaches it.
                switch_back.add_cleanup(|| pending::<()>().wait());
                drop(switch_back);
                log.push(("cleaned up", thread::panicking()));
                let again = catch_cancel(|| pending::<()>().wait());
                log.push(("cancelled", thread::panicking()));
                assert!(again.is_err());
            })
        };
        yield_now().wait();
        let (unblocks, unblock) = pair::<()>();
        let mut unwinding = spawn(move || {
            let unblocks = Cell::new(Some(unblocks));
            // Suspends while it unwinds, so the thread counts a panic.
            let _waits = OnDrop(|| unblocks.take().unwrap().wait().unwrap());
            resume_unwind(Box::new("up"));
        });
        yield_now().wait();
        fiber.cancel();
        yield_now().wait();
        yield_now().wait();
        assert_eq!(log.len(), 1);
        unblock.switch(());
        assert!(unwinding.join().wait().unwrap_err().is_panic());
        fiber.join().wait().unwrap();
        assert_eq!(log.take(), [("cleaned up", true), ("cancelled", false)]);
    });
}

#[test]
fn a_cancel_thrown_by_hand_where_no_fiber_is_is_reported() {
    let child = in_child(|| {
        in_root_fiber(|| {
            own().cancel();
            let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
            let thrown = thread::spawn(|| {
                let mut switch_back = SwitchBack::<()>::new();
                switch_back.add_cleanup(move || resume_unwind(Box::new(cancelled)));
                drop(switch_back);
            });
            thrown.join().unwrap();
        });
    });
    if let Some(child) = child {
        let report = "a cleanup of a `SwitchBack` panicked, which is ignored";
        child.assert_reported(report, 1);
    }
}

#[test]
fn a_deadline_in_a_cleanup_is_delivered_at_the_next_wait() {
    let body = || {
        let log = Log::new();
        let ran_on = Cell::new(false);
        let result = with_timeout(ms(10), || {
            let (mut switch_back, switcher) = pair();
            switch_back.add_cleanup(|| pending::<()>().wait());
            log_cleanup(&mut switch_back, &log, 1);
            switcher.switch(7);
            assert_eq!(switch_back.wait().unwrap(), 7);
            ran_on.set(true);
            yield_now().wait();
            unreachable!("the time is over");
        });
        assert!(result.is_err());
        assert!(ran_on.get());
        assert_eq!(log.take(), [1]);
    };
    if let Some(child) = in_child(|| in_paused_fiber(body)) {
        child.assert_reported("panicked", 0);
    }
}

#[test]
fn a_close_in_a_cleanup_ends_the_fiber_at_its_next_wait() {
    in_root_fiber(|| {
        let log = Log::new();
        let mut fiber = {
            let log = log.clone();
            spawn(move || {
                let (mut switch_back, switcher) = pair();
                switch_back.add_cleanup(|| pending::<()>().wait());
                log_cleanup(&mut switch_back, &log, 1);
                switcher.switch(7);
                assert_eq!(switch_back.wait().unwrap(), 7);
                log.push(2);
                yield_now().wait();
                log.push(3);
            })
        };
        yield_now().wait();
        Hub::current().close().wait();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(log.take(), [1, 2]);
    });
}

#[test]
fn an_abrupt_end_in_a_cleanup_unwinds_the_fiber_and_leaks_nothing() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        runtime.block_on(async {
            let tokens = drops.clone();
            drop(spawn(move || {
                let _on_stack = tokens.token();
                let mut switch_back = SwitchBack::<()>::new();
                for _ in 0..2 {
                    let token = tokens.token();
                    switch_back.add_cleanup(move || {
                        let _token = token;
                        pending::<()>().wait();
                    });
                }
                drop(switch_back);
                // Told in the cleanup, and again here.
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(runtime);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_loop_over_cleanups_that_wait_ends_with_its_hub() {
    watched(|| {
        let runtime = runtime();
        let rounds = Rc::new(Cell::new(0));
        runtime.block_on(async {
            let rounds = rounds.clone();
            drop(spawn(move || {
                loop {
                    rounds.set(rounds.get() + 1);
                    let mut switch_back = SwitchBack::<()>::new();
                    switch_back.add_cleanup(|| pending::<()>().wait());
                    drop(switch_back);
                }
            }));
            settle().await;
        });
        drop(runtime);
        assert!(rounds.get() > 1);
    });
}

#[test]
fn an_io_error_comes_out_of_a_fiber_by_a_question_mark() {
    fn read(switch_back: SwitchBack<Vec<u8>>) -> io::Result<Vec<u8>> {
        Ok(switch_back.wait()?)
    }
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        switcher.throw(io::Error::from(io::ErrorKind::ConnectionReset));
        let error = read(switch_back).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn it_is_dropped_by_a_task_that_is_aborted() {
    in_async(|| async {
        let (mut switch_back, switcher) = pair::<u8>();
        assert!(poll_once(Pin::new(&mut switch_back)).is_pending());
        let set = tokio::task::LocalSet::new();
        let task = set.spawn_local(switch_back);
        set.run_until(settle()).await;
        task.abort();
        set.await;
        assert!(!switcher.switch(7));
    });
}
