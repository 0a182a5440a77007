//! A `SwitchBack` is given its value by the first that fires it, from anywhere, and hands it
//! to the fiber, task or thread that waits for it.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use switchback::{
    Hub, SwitchBack, SwitchError, Switcher, assert_no_switchpoints, bridge, current_fiber,
    prelude::*, sleep, spawn, with_timeout, yield_now,
};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::support::ending::{in_paused_fiber, poll_once, settle};
use crate::support::{
    Drops, Log, assert_panics, in_async, in_child, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, runtime, watched,
};

/// A `SwitchBack` and one switcher for it.
fn pair<T>() -> (SwitchBack<T>, Switcher<T>) {
    let switch_back = SwitchBack::new();
    let switcher = switch_back.switcher();
    (switch_back, switcher)
}

#[track_caller]
fn assert_timeout<T: fmt::Debug>(result: Result<T, SwitchError>) {
    assert!(matches!(result, Err(SwitchError::Timeout(_))), "{result:?}");
}

#[track_caller]
fn assert_dropped<T: fmt::Debug>(result: Result<T, SwitchError>) {
    assert!(matches!(result, Err(SwitchError::Dropped)), "{result:?}");
}

// Who fires.

#[test]
fn it_is_fired_from_anywhere() {
    type Fire = Box<dyn FnOnce() + Send>;
    type Place = fn(Fire);
    let cases: [(&str, Place); 10] = [
        ("the fiber that waits", |fire| fire()),
        ("another fiber", |fire| drop(spawn(fire))),
        ("async code", |fire| drop(tokio::spawn(async { fire() }))),
        ("another thread", |fire| {
            thread::spawn(move || {
                thread::sleep(ms(5));
                fire();
            });
        }),
        ("a thread of `spawn_blocking`", |fire| {
            drop(tokio::task::spawn_blocking(fire));
        }),
        ("a callback of the hub", |fire| {
            Hub::current().run_callback(fire)
        }),
        ("a callback that another thread has sent", |fire| {
            let hub = Hub::current().handle();
            thread::spawn(move || hub.run_callback(fire).unwrap());
        }),
        ("a fiber of another hub", |fire| {
            thread::spawn(move || switchback::run(fire).unwrap());
        }),
        ("a block where nothing may wait", |fire| {
            assert_no_switchpoints(fire);
        }),
        ("a future that the fiber polls", |fire| {
            async { fire() }.wait()
        }),
    ];
    in_root_fiber(move || {
        for (place, fire_there) in cases {
            let (switch_back, switcher) = pair();
            let (tell, told) = oneshot::channel();
            fire_there(Box::new(move || tell.send(switcher.switch(7)).unwrap()));
            assert_eq!(switch_back.wait().unwrap(), 7, "fired by {place}");
            assert!(told.wait().unwrap(), "fired by {place}");
        }
    });
}

#[test]
fn it_is_fired_by_a_future_that_is_joined_with_it() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        let joined = async { tokio::join!(switch_back, async move { switcher.switch(7) }) };
        let (result, won) = joined.wait();
        assert_eq!((result.unwrap(), won), (7, true));
    });
}

#[test]
fn it_is_fired_on_a_plain_thread_before_the_wait() {
    watched(|| {
        let (switch_back, switcher) = pair();
        assert!(switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

/// What the ancestor documents: wait for SIGHUP, but no longer than ten seconds.
#[cfg(unix)]
mod ancestor {
    use super::*;
    use std::process::Command;
    use tokio::signal::unix::{SignalKind, signal};

    /// Its example; says whether its cleanup ran.
    fn switch_back_example(ready: impl FnOnce()) -> (Result<&'static str, SwitchError>, bool) {
        let mut hangups = signal(SignalKind::hangup()).unwrap();
        let mut switch_back = SwitchBack::with_timeout(Duration::from_secs(10));
        let switcher = switch_back.switcher();
        let watcher = tokio::spawn(async move {
            if hangups.recv().await.is_some() {
                switcher.switch("SIGHUP");
            }
        });
        let cleaned = Rc::new(Cell::new(false));
        let is_cleaned = cleaned.clone();
        switch_back.add_cleanup(move || {
            watcher.abort();
            cleaned.set(true);
        });
        ready();
        (switch_back.wait(), is_cleaned.get())
    }

    #[test]
    fn switch_back_with_a_signal_and_a_timeout_gives_the_signal() {
        in_root_fiber(|| {
            let (result, cleaned) = switch_back_example(|| {
                thread::spawn(|| {
                    let kill = format!("kill -HUP {}", std::process::id());
                    Command::new("sh").args(["-c", &kill]).status().unwrap();
                });
            });
            assert_eq!(result.unwrap(), "SIGHUP");
            assert!(cleaned);
        });
    }

    #[test]
    fn switch_back_with_a_signal_and_a_timeout_gives_the_timeout() {
        // Alone in its process: the other test's signal is everybody's.
        let child = in_child(|| {
            in_paused_fiber(|| {
                let begin = Instant::now();
                let (result, cleaned) = switch_back_example(|| ());
                assert_timeout(result);
                assert_eq!(begin.elapsed().as_secs(), 10);
                assert!(cleaned);
            });
        });
        if let Some(child) = child {
            child.assert_success();
        }
    }
}

// When it is fired.

#[test]
fn a_value_that_is_there_is_taken_without_giving_way() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        let ran = Rc::new(Cell::new(false));
        let runs = ran.clone();
        spawn(move || runs.set(true));
        switcher.switch(());
        switch_back.wait().unwrap();
        assert!(!ran.get());
    });
}

#[test]
fn firing_does_not_run_the_woken_fiber() {
    in_root_fiber(|| {
        let log = Log::new();
        let (switch_back, switcher) = pair();
        let waits = {
            let log = log.clone();
            move || {
                switch_back.wait().unwrap();
                log.push("woken");
            }
        };
        let mut waiter = spawn(waits);
        yield_now().wait();
        assert!(switcher.switch(()));
        log.push("fired");
        waiter.join().wait().unwrap();
        assert_eq!(log.take(), ["fired", "woken"]);
    });
}

#[test]
fn fibers_are_woken_in_the_order_in_which_they_were_fired() {
    in_root_fiber(|| {
        let log = Log::new();
        let mut switchers = Vec::new();
        let fibers: Vec<_> = (0..4)
            .map(|n| {
                let log = log.clone();
                let switch_back = SwitchBack::new();
                switchers.push(switch_back.switcher());
                // Made by the root, which lives on.
                spawn(move || {
                    switch_back.wait().unwrap();
                    log.push(n);
                })
            })
            .collect();
        yield_now().wait();
        for n in [2, 0, 3, 1] {
            switchers[n].switch(());
        }
        for fiber in fibers {
            fiber.wait().unwrap();
        }
        assert_eq!(log.take(), [2, 0, 3, 1]);
    });
}

#[test]
fn the_second_value_is_not_taken_and_is_dropped_at_once() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (switch_back, switcher) = pair();
        assert!(switcher.switch(drops.token()));
        assert_eq!(drops.count(), 0);
        assert!(!switcher.switch(drops.token()));
        assert_eq!(drops.count(), 1);
        drop(switch_back.wait().unwrap());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_value_after_the_wait_is_not_taken() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (switch_back, switcher) = pair();
        switcher.switch(drops.token());
        drop(switch_back.wait().unwrap());
        assert!(!switcher.switch(drops.token()));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_value_after_the_drop_is_not_taken() {
    let drops = Drops::new();
    let (switch_back, switcher) = pair();
    drop(switch_back);
    assert!(!switcher.switch(drops.token()));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_value_that_nobody_takes_is_dropped_with_it() {
    let drops = Drops::new();
    let (switch_back, switcher) = pair();
    assert!(switcher.switch(drops.token()));
    drop(switch_back);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_clone_fires_the_same_one() {
    let (switch_back, switcher) = pair();
    let clone = switcher.clone();
    assert!(clone.switch(1));
    assert!(!switcher.switch(2));
    assert_eq!(switch_back.wait().unwrap(), 1);
}

#[test]
fn a_value_that_is_not_sendable_stays_on_its_thread() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        let value = Rc::new(7);
        let same = value.clone();
        spawn(move || switcher.switch(same));
        assert!(Rc::ptr_eq(&switch_back.wait().unwrap(), &value));
    });
}

// Errors.

#[test]
fn a_thrown_error_ends_the_wait() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair::<()>();
        spawn(move || assert!(switcher.throw(io::Error::from(io::ErrorKind::NotFound))));
        let Err(SwitchError::Thrown(error)) = switch_back.wait() else {
            panic!("it was thrown");
        };
        let error = error.downcast::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_text_can_be_thrown() {
    let (switch_back, switcher) = pair::<()>();
    assert!(switcher.throw("out of paper"));
    let error = switch_back.wait().unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "out of paper");
}

#[test]
fn a_throw_after_a_switch_is_not_taken() {
    let (switch_back, switcher) = pair();
    assert!(switcher.switch(7));
    assert!(!switcher.throw("late"));
    assert_eq!(switch_back.wait().unwrap(), 7);
}

#[test]
fn a_switch_after_a_throw_is_not_taken() {
    let (switch_back, switcher) = pair();
    assert!(switcher.throw("early"));
    assert!(!switcher.switch(7));
    assert!(matches!(switch_back.wait(), Err(SwitchError::Thrown(_))));
}

#[test]
fn errors_become_io_errors_of_a_fitting_kind() {
    fn thrown(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
        SwitchError::Thrown(error.into()).into()
    }
    let own = thrown(io::Error::new(io::ErrorKind::AddrInUse, "port 80"));
    assert_eq!(own.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(own.to_string(), "port 80");
    let other = thrown("out of paper");
    assert_eq!(other.kind(), io::ErrorKind::Other);
    assert_eq!(other.to_string(), "out of paper");
    let dropped = io::Error::from(SwitchError::Dropped);
    assert_eq!(dropped.kind(), io::ErrorKind::BrokenPipe);
    assert!(dropped.get_ref().unwrap().is::<SwitchError>());
    in_paused_fiber(|| {
        let error = SwitchBack::<()>::with_timeout(ms(1)).wait().unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn errors_say_what_happened_and_have_a_source() {
    let dropped = SwitchError::Dropped;
    assert!(dropped.to_string().contains("dropped"), "{dropped}");
    assert!(dropped.source().is_none());
    let thrown = SwitchError::Thrown(io::Error::other("inner").into());
    assert!(thrown.to_string().contains("threw"), "{thrown}");
    assert!(thrown.source().unwrap().is::<io::Error>());
    in_paused_fiber(|| {
        let timeout = SwitchBack::<()>::with_timeout(ms(1)).wait().unwrap_err();
        assert!(timeout.to_string().contains("in time"), "{timeout}");
        assert!(timeout.source().unwrap().is::<switchback::Elapsed>());
    });
}

// Where it is waited for.

#[test]
fn it_is_awaited_in_a_task() {
    in_async(|| async {
        let (switch_back, switcher) = pair();
        spawn(move || switcher.switch(7));
        assert_eq!(switch_back.await.unwrap(), 7);
    });
}

#[test]
fn it_is_awaited_on_the_main_task_of_a_multi_thread_runtime() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let (switch_back, switcher) = pair();
            tokio::spawn(async move { switcher.switch(7) });
            assert_eq!(switch_back.await.unwrap(), 7);
            let switch_back = SwitchBack::<()>::with_timeout(ms(5));
            assert_timeout(switch_back.await);
        });
    });
}

#[test]
fn it_is_awaited_in_a_local_set() {
    watched(|| {
        let body = async {
            let (switch_back, switcher) = pair();
            tokio::task::spawn_local(async move { switcher.switch(7) });
            assert_eq!(switch_back.await.unwrap(), 7);
        };
        LocalSet::new().block_on(&runtime(), body);
    });
}

#[test]
fn it_is_waited_for_in_a_bridge() {
    in_async(|| async {
        let (switch_back, switcher) = pair();
        tokio::spawn(async move { switcher.switch(7) });
        assert_eq!(bridge(|| switch_back.wait().unwrap()).await, 7);
    });
}

#[test]
fn it_is_waited_for_on_a_plain_thread() {
    watched(|| {
        let (switch_back, switcher) = pair();
        thread::spawn(move || switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn its_timeout_works_on_a_plain_thread() {
    watched(|| {
        let switch_back = SwitchBack::<()>::with_timeout(ms(5));
        let _switcher = switch_back.switcher();
        assert_timeout(switch_back.wait());
    });
}

#[test]
fn it_is_a_branch_of_select_and_can_lose_there() {
    in_paused(|| async {
        let (mut switch_back, switcher) = pair();
        spawn(move || {
            sleep(ms(25)).wait();
            switcher.switch(7)
        });
        let mut ticks = 0;
        let value = loop {
            tokio::select! {
                value = &mut switch_back => break value,
                () = tokio::time::sleep(ms(10)) => ticks += 1,
            }
        };
        assert_eq!((value.unwrap(), ticks), (7, 2));
    });
}

#[test]
fn whoever_polls_last_is_woken() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        assert!(poll_once(Pin::new(&mut switch_back)).is_pending());
        spawn(move || switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn it_can_be_moved_between_polls() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut switch_back).poll(cx))).wait();
        assert!(first.is_pending());
        let mut boxed = Box::new(switch_back);
        spawn(move || switcher.switch(7));
        assert_eq!((&mut *boxed).wait().unwrap(), 7);
    });
}

#[test]
fn waiting_again_after_it_was_ready_panics_and_says_why() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        switcher.switch(7);
        assert_eq!((&mut switch_back).wait().unwrap(), 7);
        let panic = panic_of(|| (&mut switch_back).wait());
        assert!(panic.message.contains("fired once"), "{panic:?}");
    });
}

#[test]
fn a_loop_over_ready_ones_lets_other_tasks_run() {
    in_async(|| async {
        let ran = Rc::new(Cell::new(false));
        let runs = ran.clone();
        let task = async move { runs.set(true) };
        let looping = async {
            for _ in 0..1000 {
                let (switch_back, switcher) = pair();
                switcher.switch(());
                switch_back.await.unwrap();
            }
            assert!(ran.get());
        };
        LocalSet::new()
            .run_until(async {
                tokio::task::spawn_local(task);
                looping.await;
            })
            .await;
    });
}

// Timeouts.

#[test]
fn it_times_out_and_takes_nothing_after_that() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut switch_back = SwitchBack::with_timeout(ms(30));
        let switcher = switch_back.switcher();
        assert_timeout((&mut switch_back).wait());
        assert_eq!(begin.elapsed().as_millis(), 30);
        assert!(!switch_back.is_active());
        assert!(!switcher.switch(7));
        assert!(!switcher.throw("late"));
    });
}

#[test]
fn a_timeout_without_switchers_is_a_timeout() {
    in_paused_fiber(|| assert_timeout(SwitchBack::<()>::with_timeout(ms(30)).wait()));
}

#[test]
fn a_timeout_of_zero_is_soon() {
    in_paused_fiber(|| assert_timeout(SwitchBack::<()>::with_timeout(Duration::ZERO).wait()));
}

#[test]
fn a_timeout_that_is_too_long_to_tell_is_no_hindrance() {
    in_root_fiber(|| {
        let switch_back = SwitchBack::with_timeout(Duration::MAX);
        let switcher = switch_back.switcher();
        spawn(move || switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn the_time_is_counted_from_the_call() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let switch_back = SwitchBack::<()>::with_timeout(ms(100));
        sleep(ms(60)).wait();
        assert_timeout(switch_back.wait());
        assert_eq!(begin.elapsed().as_millis(), 100);
    });
}

#[test]
fn what_was_fired_before_the_wait_wins_over_a_time_that_is_over() {
    in_paused_fiber(|| {
        let switch_back = SwitchBack::with_timeout(ms(10));
        let switcher = switch_back.switcher();
        sleep(ms(20)).wait();
        assert!(switch_back.is_active());
        assert!(switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn what_is_fired_in_time_wins() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let switch_back = SwitchBack::with_timeout(ms(30));
        let switcher = switch_back.switcher();
        spawn(move || {
            sleep(ms(20)).wait();
            assert!(switcher.switch(7));
        });
        assert_eq!(switch_back.wait().unwrap(), 7);
        assert_eq!(begin.elapsed().as_millis(), 20);
    });
}

#[test]
fn its_timeout_ends_its_own_wait_only() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut switch_back = SwitchBack::<()>::with_timeout(ms(10));
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut switch_back).poll(cx))).wait();
        assert!(polled.is_pending());
        // Its timer wakes the fiber in here.
        sleep(ms(50)).wait();
        assert_eq!(begin.elapsed().as_millis(), 50);
        assert_timeout(switch_back.wait());
    });
}

#[test]
fn the_deadline_of_with_timeout_ends_the_wait_from_outside() {
    in_paused_fiber(|| {
        let (switch_back, switcher) = pair();
        assert!(with_timeout(ms(10), || switch_back.wait()).is_err());
        assert!(!switcher.switch(7));
    });
}

#[test]
fn the_shorter_of_two_timeouts_counts() {
    in_paused_fiber(|| {
        let outer = with_timeout(ms(100), || {
            assert_timeout(SwitchBack::<()>::with_timeout(ms(10)).wait());
            7
        });
        assert_eq!(outer, Ok(7));
    });
}

#[test]
fn wait_timeout_gives_it_back_to_a_later_wait() {
    in_paused_fiber(|| {
        let (mut switch_back, switcher) = pair();
        assert!((&mut switch_back).wait_timeout(ms(10)).is_err());
        assert!(switch_back.is_active());
        assert!(switcher.switch(7));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn a_runtime_without_timers_is_named_at_the_call() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let place = Location::caller();
        let panic = panic_of(|| SwitchBack::<()>::with_timeout(ms(10)));
        panic.assert_at(place);
    });
}

// Nobody fires.

#[test]
fn the_last_switcher_that_goes_ends_the_wait() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair::<()>();
        let clone = switcher.clone();
        spawn(move || drop(switcher));
        spawn(move || drop(clone));
        assert_dropped(switch_back.wait());
    });
}

#[test]
fn the_last_switcher_that_goes_on_another_thread_ends_the_wait() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair::<()>();
        thread::spawn(move || {
            thread::sleep(ms(5));
            drop(switcher);
        });
        assert_dropped(switch_back.wait());
    });
}

#[test]
fn switchers_that_went_before_the_wait_end_it_at_once() {
    let (switch_back, switcher) = pair::<()>();
    drop(switcher);
    assert_dropped(switch_back.wait());
}

#[test]
fn one_switcher_that_is_left_keeps_the_wait_alive() {
    in_root_fiber(|| {
        let (switch_back, switcher) = pair();
        drop(switcher.clone());
        let mut waiter = spawn(move || switch_back.wait());
        yield_now().wait();
        assert!(switcher.switch(7));
        assert_eq!(waiter.join().wait().unwrap().unwrap(), 7);
    });
}

#[test]
fn a_switcher_that_fires_and_goes_leaves_its_value() {
    let (switch_back, switcher) = pair();
    switcher.switch(7);
    drop(switcher);
    assert_eq!(switch_back.wait().unwrap(), 7);
}

#[test]
fn a_new_switcher_before_the_wait_counts_though_the_others_went() {
    let (switch_back, switcher) = pair();
    drop(switcher);
    assert!(switch_back.is_active());
    let switcher = switch_back.switcher();
    assert!(switcher.switch(7));
    assert_eq!(switch_back.wait().unwrap(), 7);
}

#[test]
fn without_any_switcher_it_waits() {
    in_paused_fiber(|| {
        let mut switch_back = SwitchBack::<u8>::new();
        assert!((&mut switch_back).wait_timeout(ms(10)).is_err());
        assert!(switch_back.is_active());
        switch_back.switcher().switch(7);
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn a_forgotten_switcher_counts_as_there() {
    in_paused_fiber(|| {
        let switch_back = SwitchBack::<()>::with_timeout(ms(10));
        std::mem::forget(switch_back.switcher());
        assert_timeout(switch_back.wait());
    });
}

#[test]
fn a_closure_that_is_dropped_uncalled_ends_the_wait() {
    in_async(|| async {
        let (switch_back, switcher) = pair();
        let task = tokio::spawn(async move {
            pending::<()>().await;
            switcher.switch(7);
        });
        settle().await;
        task.abort();
        assert_dropped(switch_back.await);
    });
}

// What can be asked.

#[test]
fn it_is_active_until_it_is_fired() {
    let (switch_back, switcher) = pair();
    assert!(switch_back.is_active() && switcher.is_active());
    switcher.switch(());
    assert!(!switch_back.is_active() && !switcher.is_active());
}

#[test]
fn it_is_not_active_after_its_drop() {
    let (switch_back, switcher) = pair::<()>();
    drop(switch_back);
    assert!(!switcher.is_active());
}

#[test]
fn it_knows_the_fiber_that_made_it() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        let own = current_fiber().unwrap().id();
        assert_eq!(switch_back.fiber().unwrap().id(), own);
        // The ancestor forgets it here.
        switcher.switch(());
        (&mut switch_back).wait().unwrap();
        assert_eq!(switch_back.fiber().unwrap().id(), own);
    });
    in_root_fiber(|| {
        let mut made = spawn(|| (SwitchBack::<()>::new(), current_fiber().unwrap().id()));
        let (switch_back, maker) = made.join().wait().unwrap();
        assert_eq!(switch_back.fiber().unwrap().id(), maker);
    });
}

#[test]
fn where_no_fiber_made_it_it_has_none() {
    assert!(SwitchBack::<()>::new().fiber().is_none());
    in_async(|| async {
        assert!(SwitchBack::<()>::new().fiber().is_none());
        let in_bridge = bridge(|| SwitchBack::<()>::new().fiber().is_none());
        assert!(in_bridge.await);
    });
    in_root_fiber(|| {
        let in_poll = async { SwitchBack::<()>::new().fiber().is_none() };
        assert!(in_poll.wait());
    });
}

/// The ancestor's turns into the error, even of a timer that has lost.
#[test]
fn the_timeout_stays_what_it_was() {
    in_paused_fiber(|| {
        let mut switch_back = SwitchBack::<()>::with_timeout(ms(10));
        assert_eq!(switch_back.timeout(), Some(ms(10)));
        assert_timeout((&mut switch_back).wait());
        assert_eq!(switch_back.timeout(), Some(ms(10)));
        assert_eq!(SwitchBack::<()>::new().timeout(), None);
    });
}

#[test]
fn the_default_is_a_new_one() {
    let switch_back = SwitchBack::default();
    assert!(switch_back.switcher().switch(7));
    assert_eq!(switch_back.wait().unwrap(), 7);
}

#[test]
fn debug_tells_the_state_and_nothing_of_the_value() {
    struct NoDebug;
    let mut switch_back = SwitchBack::new();
    switch_back.add_cleanup(|| ());
    let switcher = switch_back.switcher();
    let text = format!("{switch_back:?}");
    assert_eq!(
        text,
        "SwitchBack { state: Waiting, switchers: 1, fiber: None, timeout: None, cleanups: 1 }"
    );
    switcher.switch(NoDebug);
    let text = format!("{switcher:?}");
    assert_eq!(
        text,
        "Switcher { state: Switched, switchers: 1, fiber: None }"
    );
    drop(switch_back);
    assert!(format!("{switcher:?}").contains("Over"));
    let (_switch_back, switcher) = pair::<()>();
    switcher.throw("up");
    assert!(format!("{switcher:?}").contains("Thrown"));
}

#[test]
fn debug_names_the_fiber() {
    in_root_fiber(|| {
        let text = format!("{:?}", SwitchBack::<()>::new());
        assert!(text.contains("Root"), "{text}");
    });
}

// What ends the wait otherwise.

#[test]
fn waiting_in_async_code_is_refused_and_loses_nothing() {
    in_async(|| async {
        let (mut switch_back, switcher) = pair();
        assert_panics(
            "`.wait()` would block the runtime; use `.await`, or move this code into \
             `switchback::spawn` or `bridge`",
            || (&mut switch_back).wait(),
        );
        switcher.switch(7);
        assert_eq!(switch_back.await.unwrap(), 7);
    });
}

#[test]
fn a_wait_that_is_not_allowed_loses_nothing_of_a_borrowed_one() {
    in_root_fiber(|| {
        let (mut switch_back, switcher) = pair();
        switcher.switch(7);
        panic_of(|| assert_no_switchpoints(|| (&mut switch_back).wait()));
        assert_eq!(switch_back.wait().unwrap(), 7);
    });
}

#[test]
fn a_fiber_that_waits_for_one_is_cancelled_by_the_close_of_its_hub() {
    in_root_fiber(|| {
        let mut waiter = spawn(|| {
            let (switch_back, _switcher) = pair::<()>();
            switch_back.wait()
        });
        yield_now().wait();
        Hub::current().close().wait();
        assert!(waiter.join().wait().unwrap_err().is_cancelled());
    });
}
