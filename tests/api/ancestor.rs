//! The names of Gruvi's "Fibers and the Hub", one test for each row of the table in
//! the crate's documentation; its published examples; and its known defects, each
//! shown not to be here.
//!
//! What Ctrl-C does, and `ignore_interrupt`, need a main thread of their own:
//! tests/interrupt has them.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchback::{
    Builder, Fiber, Hub, SwitchBack, SwitchError, assert_no_switchpoints, current_fiber,
    fiber_local, prelude::*, sleep, spawn, switchpoint, with_timeout, yield_now,
};
use tokio::time::Instant;

use crate::support::ending::{in_paused_fiber, settle};
use crate::support::{
    Drops, Log, forever, in_async, in_child, in_paused, in_root_fiber, ms, panic_of, runtime,
};

const TEN_SECONDS: Duration = Duration::from_secs(10);

// The names.

#[test]
fn get_hub_is_hub_current() {
    in_root_fiber(|| {
        // Every fiber gets the same one.
        Hub::current().data().insert("the one");
        let mut fiber = spawn(|| Hub::current().data().get::<&str>().map(|name| *name));
        assert_eq!(fiber.join().wait().unwrap(), Some("the one"));
    });
}

#[test]
fn hub_loop_is_hub_runtime() {
    in_async(|| async {
        let hub = Hub::current();
        assert_eq!(hub.runtime().id(), tokio::runtime::Handle::current().id());
    });
}

#[test]
fn hub_switch_is_the_wait_of_a_switch_back() {
    in_root_fiber(|| {
        let back = SwitchBack::new();
        let switcher = back.switcher();
        Hub::current().run_callback(move || assert!(switcher.switch(42)));
        assert_eq!(back.wait().unwrap(), 42);
    });
}

#[test]
fn hub_run_callback_is_the_same() {
    in_root_fiber(|| {
        let log = Log::new();
        for i in 0..3 {
            let log = log.clone();
            Hub::current().run_callback(move || log.push(i));
        }
        sleep(Duration::ZERO).wait();
        assert_eq!(log.take(), [0, 1, 2]);
    });
}

#[test]
fn hub_run_callback_from_another_thread_is_that_of_a_handle() {
    in_root_fiber(|| {
        let back = SwitchBack::new();
        let (hub, switcher) = (Hub::current().handle(), back.switcher());
        thread::spawn(move || {
            let here = thread::current().id();
            hub.run_callback(move || assert!(switcher.switch((here, thread::current().id()))))
        });
        let (queued, ran) = back.wait().unwrap();
        assert_ne!(queued, ran);
        assert_eq!(ran, thread::current().id());
    });
}

#[test]
fn hub_data_is_typed() {
    in_root_fiber(|| {
        Hub::current().data().insert(10_i32);
        let mut fiber = spawn(|| *Hub::current().data().get::<i32>().unwrap());
        assert_eq!(fiber.join().wait().unwrap(), 10);
    });
}

#[test]
#[cfg(unix)]
fn hub_poll_is_the_same() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use switchback::Events;
    in_root_fiber(|| {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let hub = Hub::current();
        let back = SwitchBack::new();
        let switcher = back.switcher();
        let handle = hub
            .poll()
            .add(ours.as_raw_fd(), Events::READABLE, move |fd, events| {
                switcher.switch((fd, events));
            })
            .unwrap();
        theirs.write_all(b"x").unwrap();
        assert_eq!(back.wait().unwrap(), (ours.as_raw_fd(), Events::READABLE));
        assert!(hub.poll().remove(&handle));
    });
}

#[test]
fn hub_close_is_the_same() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        spawn(move || {
            let _token = token;
            forever();
        });
        yield_now().wait();
        Hub::current().close().wait();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn hub_name_is_the_same() {
    in_root_fiber(|| assert_eq!(Hub::current().name(), "Hub"));
}

#[test]
fn fiber_with_a_target_and_a_name_is_a_builder() {
    in_root_fiber(|| {
        let mut fiber: Fiber<String> = Builder::new()
            .name("worker")
            .create(|| current_fiber().unwrap().name().to_owned())
            .unwrap();
        yield_now().wait();
        assert_eq!(fiber.join().wait().unwrap(), "worker");
    });
}

#[test]
fn fiber_start_is_the_same() {
    in_root_fiber(|| {
        let ran = Rc::new(Cell::new(false));
        let tell = ran.clone();
        let fiber = Fiber::new(move || tell.set(true));
        sleep(Duration::ZERO).wait();
        assert!(!ran.get());
        fiber.start();
        assert!(!ran.get());
        sleep(Duration::ZERO).wait();
        assert!(ran.get());
    });
}

#[test]
fn fiber_cancel_is_the_same() {
    in_root_fiber(|| {
        let mut fiber = spawn(forever);
        yield_now().wait();
        assert!(fiber.cancel_with("enough"));
        let error = fiber.join().wait().unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("enough"));
    });
}

#[test]
fn fiber_join_is_the_same_and_gives_the_result() {
    in_root_fiber(|| assert_eq!(spawn(|| 42).join().wait().unwrap(), 42));
}

#[test]
fn fiber_name_is_numbered_by_default() {
    in_root_fiber(|| {
        let fiber = spawn(|| ());
        assert_eq!(fiber.name(), format!("Fiber-{}", fiber.id()));
    });
}

#[test]
fn fiber_alive_is_is_alive() {
    in_root_fiber(|| {
        let fiber = Fiber::new(|| ());
        assert!(fiber.is_alive(), "from when it is made");
        fiber.start();
        yield_now().wait();
        assert!(!fiber.is_alive());
    });
}

#[test]
fn switch_back_switch_is_that_of_its_switcher() {
    in_root_fiber(|| {
        let back = SwitchBack::new();
        assert!(back.switcher().switch("value"));
        assert_eq!(back.wait().unwrap(), "value");
    });
}

#[test]
fn switch_back_throw_is_that_of_its_switcher() {
    in_root_fiber(|| {
        let back = SwitchBack::<()>::new();
        assert!(back.switcher().throw(io::Error::other("refused")));
        match back.wait().unwrap_err() {
            SwitchError::Thrown(error) => assert_eq!(error.to_string(), "refused"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn switch_back_active_is_is_active() {
    in_root_fiber(|| {
        let back = SwitchBack::new();
        let switcher = back.switcher();
        assert!(back.is_active() && switcher.is_active());
        switcher.switch(());
        assert!(!back.is_active() && !switcher.is_active());
    });
}

#[test]
fn switch_back_fiber_is_the_one_that_made_it() {
    in_root_fiber(|| {
        let back = SwitchBack::<()>::new();
        let fiber = back.fiber().unwrap();
        assert_eq!(fiber.id(), current_fiber().unwrap().id());
    });
}

#[test]
fn switch_back_timeout_is_an_error_of_the_wait() {
    in_paused_fiber(|| {
        let back = SwitchBack::<()>::with_timeout(TEN_SECONDS);
        assert_eq!(back.timeout(), Some(TEN_SECONDS));
        let began = Instant::now();
        let error = back.wait().unwrap_err();
        assert!(matches!(error, SwitchError::Timeout(_)));
        assert_eq!(began.elapsed().as_secs(), 10);
    });
}

#[test]
fn switch_back_add_cleanup_is_the_same() {
    in_root_fiber(|| {
        let log = Log::new();
        let mut back = SwitchBack::new();
        for i in 0..3 {
            let log = log.clone();
            back.add_cleanup(move || log.push(i));
        }
        back.switcher().switch(());
        assert_eq!(log.len(), 0);
        back.wait().unwrap();
        assert_eq!(log.take(), [0, 1, 2]);
    });
}

#[test]
fn switchpoint_marks_a_function() {
    fn may_wait() {
        switchpoint();
    }
    in_root_fiber(|| {
        may_wait();
        assert!(catch_unwind(|| assert_no_switchpoints(may_wait)).is_err());
    });
}

#[test]
fn current_fiber_is_the_same() {
    in_root_fiber(|| {
        let fiber = spawn(|| current_fiber().unwrap().id());
        let id = fiber.id();
        let mut fiber = fiber;
        assert_eq!(fiber.join().wait().unwrap(), id);
    });
}

#[test]
fn spawn_is_the_same() {
    in_root_fiber(|| {
        let ran = Rc::new(Cell::new(false));
        let tell = ran.clone();
        spawn(move || tell.set(true));
        assert!(!ran.get());
        sleep(Duration::ZERO).wait();
        assert!(ran.get());
    });
}

#[test]
fn sleep_is_the_same() {
    in_paused_fiber(|| {
        let began = Instant::now();
        sleep(TEN_SECONDS).wait();
        assert_eq!(began.elapsed().as_secs(), 10);
    });
}

#[test]
fn local_is_fiber_local() {
    fiber_local! {
        static X: Cell<i32> = Cell::new(0);
    }
    in_root_fiber(|| {
        X.set(10);
        assert_eq!(spawn(|| X.get()).join().wait().unwrap(), 0);
        assert_eq!(X.get(), 10);
    });
}

#[test]
fn the_io_pool_is_blocking() {
    in_root_fiber(|| {
        let here = thread::current().id();
        let ran_on = switchback::blocking(|| thread::current().id()).wait();
        assert_ne!(ran_on, here);
    });
}

#[test]
#[cfg(feature = "compute")]
fn the_cpu_pool_is_compute() {
    in_root_fiber(|| {
        let here = thread::current().id();
        let ran_on = switchback::compute(|| thread::current().id()).wait();
        assert_ne!(ran_on, here);
    });
}

// Its published examples.

#[test]
fn the_example_of_a_fiber_that_says_hello() {
    in_root_fiber(|| {
        let lines = Log::new();
        let hello = lines.clone();
        let fiber = Fiber::new(move || hello.push("Hello, there!"));
        fiber.start();
        lines.push("Starting fiber");
        sleep(Duration::ZERO).wait();
        lines.push("Back in root fiber");
        assert_eq!(
            lines.take(),
            ["Starting fiber", "Hello, there!", "Back in root fiber"]
        );
    });
}

/// Waits for a SIGHUP, but no longer than ten seconds.
#[cfg(unix)]
fn wait_for_hangup(closed: &Rc<Cell<bool>>) -> Result<(), SwitchError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut back = SwitchBack::with_timeout(TEN_SECONDS);
    let switcher = back.switcher();
    let mut hangup = signal(SignalKind::hangup()).unwrap();
    let watcher = tokio::spawn(async move {
        hangup.recv().await;
        switcher.switch(());
    });
    let closed = closed.clone();
    back.add_cleanup(move || {
        watcher.abort();
        closed.set(true);
    });
    (&mut back).wait()
}

#[test]
#[cfg(unix)]
fn the_example_of_a_switch_back_that_waits_for_a_signal() {
    let child = in_child(|| {
        switchback::run(|| {
            let closed = Rc::new(Cell::new(false));
            // It runs when this fiber waits, and so after this one listens.
            let mut sender = spawn(|| {
                let me = std::process::id().to_string();
                let mut kill = std::process::Command::new("kill");
                assert!(kill.args(["-HUP", &me]).status().unwrap().success());
            });
            wait_for_hangup(&closed).unwrap();
            assert!(closed.get(), "its cleanup has run");
            sender.join().wait().unwrap();
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
#[cfg(unix)]
fn the_example_of_a_switch_back_times_out_without_a_signal() {
    in_paused_fiber(|| {
        let (closed, began) = (Rc::new(Cell::new(false)), Instant::now());
        let error = wait_for_hangup(&closed).unwrap_err();
        assert!(matches!(error, SwitchError::Timeout(_)));
        assert_eq!(began.elapsed().as_secs(), 10);
        assert!(closed.get(), "its cleanup has run");
    });
}

#[test]
fn the_example_of_a_block_without_switchpoints() {
    in_root_fiber(|| {
        let log = Log::new();
        let other = log.clone();
        spawn(move || other.push("somebody else"));
        assert_no_switchpoints(|| {
            log.push("do something");
            log.push("do something else");
        });
        assert_eq!(log.take(), ["do something", "do something else"]);
        let here = std::panic::Location::caller();
        panic_of(|| assert_no_switchpoints(|| sleep(Duration::ZERO).wait())).assert_at(here);
        assert_eq!(log.len(), 0, "and there was no switch");
    });
}

#[test]
fn the_example_of_data_that_each_fiber_has_for_itself() {
    fiber_local! {
        static MYDATA: RefCell<Option<i32>> = RefCell::new(None);
    }
    in_root_fiber(|| {
        let fibers = [10, 20].map(|x| {
            spawn(move || {
                assert_eq!(MYDATA.with_borrow(|x| *x), None);
                MYDATA.set(Some(x));
                yield_now().wait();
                MYDATA.with_borrow_mut(|mine| *mine = mine.map(|mine| mine + 1));
                yield_now().wait();
                MYDATA.take()
            })
        });
        let seen = fibers.map(|mut fiber| fiber.join().wait().unwrap());
        assert_eq!(seen, [Some(11), Some(21)]);
        assert_eq!(MYDATA.take(), None, "unset in the root");
    });
}

// Its defects.

#[test]
fn a_switch_back_fired_after_its_end_wakes_nobody() {
    in_root_fiber(|| {
        let back = SwitchBack::new();
        let switcher = back.switcher();
        drop(back);
        let before = Hub::current().metrics().switches();
        let mut fiber = spawn(move || assert!(!switcher.switch(1)));
        let waiting = with_timeout(ms(5), forever);
        assert!(waiting.is_err(), "it waited until its own deadline");
        fiber.join().wait().unwrap();
        // The other fiber once, this one for its deadline.
        assert_eq!(Hub::current().metrics().switches() - before, 2);
    });
}

#[test]
fn a_stale_wake_never_ends_a_later_wait() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            let back = SwitchBack::with_timeout(Duration::from_secs(1));
            let switcher = back.switcher();
            let late = spawn(move || {
                sleep(Duration::from_secs(2)).wait();
                switcher.switch(())
            });
            assert!(back.wait().is_err());
            let began = Instant::now();
            sleep(TEN_SECONDS).wait();
            assert_eq!(began.elapsed().as_secs(), 10);
            { late }.join().wait().unwrap()
        });
        assert!(!fiber.join().await.unwrap(), "and the late one is told");
    });
}

#[test]
fn a_wake_and_a_cancel_together_end_one_wait_each() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| {
            let back = SwitchBack::new();
            let (me, switcher) = (current_fiber().unwrap(), back.switcher());
            Hub::current().run_callback(move || {
                me.cancel();
                switcher.switch(());
            });
            let first = switchback::catch_cancel(|| drop(back.wait())).is_err();
            let second = with_timeout(ms(5), forever).is_err();
            (first, second)
        });
        assert_eq!(fiber.join().wait().unwrap(), (true, true));
    });
}

#[test]
fn the_first_of_switch_throw_and_timeout_wins_and_the_others_return_false() {
    in_paused_fiber(|| {
        for first in ["switch", "throw", "timeout"] {
            let back = SwitchBack::with_timeout(TEN_SECONDS);
            let switcher = back.switcher();
            let mut back = Box::pin(back);
            let outcome = match first {
                "switch" => {
                    assert!(switcher.switch(1));
                    back.as_mut().wait()
                }
                "throw" => {
                    assert!(switcher.throw("thrown"));
                    back.as_mut().wait()
                }
                _ => back.as_mut().wait(),
            };
            assert!(!switcher.switch(2), "after {first}");
            assert!(!switcher.throw("again"), "after {first}");
            match (first, outcome) {
                ("switch", Ok(1))
                | ("throw", Err(SwitchError::Thrown(_)))
                | ("timeout", Err(SwitchError::Timeout(_))) => {}
                (_, outcome) => panic!("after {first}: {outcome:?}"),
            }
        }
    });
}

#[test]
fn cancelling_an_unstarted_fiber_completes_it() {
    in_root_fiber(|| {
        let mut fiber: Fiber<()> = Fiber::new(|| unreachable!());
        assert!(fiber.cancel());
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(spawn(|| 1).join().wait().unwrap(), 1, "the hub lives");
    });
}

#[test]
fn a_double_start_does_nothing() {
    in_root_fiber(|| {
        let mut fiber = Fiber::new(|| with_timeout(ms(5), forever).is_err());
        assert!(fiber.start());
        assert!(!fiber.start(), "before it ran");
        yield_now().wait();
        assert!(!fiber.start(), "while it waits");
        assert!(fiber.join().wait().unwrap(), "and no start ends its wait");
        assert!(!fiber.start(), "after its end");
    });
}

#[test]
fn sleep_never_swallows_anothers_timeout() {
    in_paused_fiber(|| {
        let began = Instant::now();
        let outcome = with_timeout(Duration::from_secs(1), || sleep(TEN_SECONDS).wait());
        assert!(outcome.is_err());
        assert_eq!(began.elapsed().as_secs(), 1);
    });
}

#[test]
fn a_panicking_callback_is_logged_and_the_hub_lives() {
    let child = in_child(|| {
        switchback::run(|| {
            Hub::current().run_callback(|| panic!("oops"));
            sleep(Duration::ZERO).wait();
            assert_eq!(spawn(|| 1).join().wait().unwrap(), 1);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_reported("a callback of the hub panicked, which is ignored", 1);
    }
}

#[test]
fn a_bad_input_gets_a_named_error_never_a_hang() {
    in_async(|| async {
        let hub = Hub::current();
        // A time that has passed: a duration cannot be negative.
        let past = Instant::now() - Duration::from_secs(1);
        switchback::sleep_until(past).await;
        let mut fiber = spawn(move || pending::<()>().wait_until(past).is_err());
        assert!(fiber.join().await.unwrap());
        // The wrong thread.
        let elsewhere = tokio::task::spawn_blocking(|| panic_of(|| drop(Hub::current())));
        let panic = elsewhere.await.unwrap();
        assert!(panic.message.contains("does not drive the runtime"));
        // A closed hub.
        hub.close().await;
        assert!(
            panic_of(|| drop(spawn(|| ())))
                .message
                .contains("the hub is closed")
        );
        assert!(
            panic_of(|| hub.run_callback(|| ()))
                .message
                .contains("the hub is closed")
        );
        assert!(hub.handle().spawn(|| ()).is_err());
        hub.close().await;
    });
    // No runtime.
    assert!(
        panic_of(|| drop(spawn(|| ())))
            .message
            .contains("there is no tokio runtime here")
    );
}

#[test]
#[cfg(unix)]
fn poll_works_and_removing_twice_is_harmless_and_the_last_remove_frees_the_watcher() {
    use std::os::fd::AsRawFd as _;
    use switchback::Events;
    /// Descriptors that the process's epoll instances watch.
    fn watched_by_epoll(fd: i32) -> usize {
        let entries = std::fs::read_dir("/proc/self/fdinfo").unwrap();
        let infos = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        let target = format!("tfd: {fd:8} ");
        infos.map(|info| info.matches(&target).count()).sum()
    }
    in_root_fiber(|| {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let fd = ours.as_raw_fd();
        let hub = Hub::current();
        let calls = Rc::new(Cell::new(0));
        let add = || {
            let calls = calls.clone();
            let count = move |_, _| calls.set(calls.get() + 1);
            hub.poll().add(fd, Events::READABLE, count).unwrap()
        };
        let handles = [add(), add()];
        drop(theirs);
        sleep(Duration::ZERO).wait();
        sleep(Duration::ZERO).wait();
        assert!(calls.get() >= 2, "an end of file is readable");
        if cfg!(target_os = "linux") {
            assert_eq!(watched_by_epoll(fd), 1);
        }
        assert!(hub.poll().remove(&handles[0]));
        assert!(!hub.poll().remove(&handles[0]));
        assert!(hub.poll().remove(&handles[1]));
        if cfg!(target_os = "linux") {
            assert_eq!(watched_by_epoll(fd), 0);
        }
        let before = calls.get();
        sleep(Duration::ZERO).wait();
        sleep(Duration::ZERO).wait();
        assert_eq!(calls.get(), before);
    });
}

#[test]
fn a_callback_that_queues_itself_starves_neither_tasks_nor_timers() {
    fn again(stop: Arc<Mutex<bool>>) {
        if !*stop.lock().unwrap() {
            Hub::current().run_callback(move || again(stop));
        }
    }
    in_async(|| async {
        let stop = Arc::new(Mutex::new(false));
        again(stop.clone());
        tokio::time::sleep(ms(2)).await;
        let mut fiber = spawn(|| sleep(ms(1)).wait());
        fiber.join().await.unwrap();
        *stop.lock().unwrap() = true;
        settle().await;
    });
}

#[test]
fn live_fibers_are_unwound_when_the_hub_ends() {
    let drops = Drops::new();
    let token = drops.token();
    let runtime = runtime();
    runtime.block_on(async {
        spawn(move || {
            let _token = token;
            forever();
        });
        settle().await;
    });
    assert_eq!(drops.count(), 0);
    drop(runtime);
    assert_eq!(drops.count(), 1);
}
