//! What makes a run fail, and where no run can be made.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::catch_unwind;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use switchback::testing::{Explorer, Report, cancel_everywhere, explore};
use switchback::{Builder, Fiber, Hub, prelude::*, sleep, spawn, yield_now};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::support::{Panic, in_async, in_root_fiber, ms, panic_of};

fn run(program: impl Fn() + 'static) -> Report {
    Explorer::new().schedules(20).run(program)
}

#[track_caller]
fn assert_fails(what: &str, program: impl Fn() + 'static) {
    let report = run(program);
    let failure = report.failure().expect("it fails");
    assert!(failure.contains(what), "{failure}");
    assert_eq!((report.schedules(), report.seed()), (1, Some(0)));
    assert!(report.is_replayable());
}

#[test]
fn a_run_in_which_nothing_can_go_on_fails_at_once_with_the_dump() {
    let begin = Instant::now();
    let report = run(|| {
        let reader = Builder::new().name("reader");
        let reader = reader.spawn(|| pending::<()>().wait()).unwrap();
        let _later = Builder::new().name("later").create(|| ()).unwrap();
        sleep(Duration::from_secs(3600)).wait();
        reader.wait().unwrap();
    });
    let failure = report.failure().unwrap();
    for line in [
        "nothing can go on any more: no fiber is ready, and no timer is set\n",
        "3 fibers: 2 waiting, 1 not started\n",
        " 'Root', waiting\n    for the end of fiber ",
        " 'reader', waiting\n",
        "at tests/testing/runs.rs:",
    ] {
        assert!(failure.contains(line), "{line}: {failure}");
    }
    // Far less than the hour, even here.
    assert!(begin.elapsed() < Duration::from_secs(600));
}

#[test]
fn a_fiber_that_holds_up_the_close_is_told() {
    assert_fails(
        "nothing can go on any more: fibers only give way, and no timer is set\nhub",
        || {
            let stubborn = || while switchback::catch_cancel(|| pending::<()>().wait()).is_err() {};
            drop(Builder::new().name("stubborn").spawn(stubborn).unwrap());
            yield_now().wait();
            switchback::shield(|| sleep(ms(1)).wait());
        },
    );
}

#[test]
fn a_run_without_end_fails() {
    assert_fails("does not end", || {
        loop {
            spawn(|| ()).wait().unwrap();
        }
    });
}

/// Three loops that go on until a fiber has run that may come last.
fn loops(waits: fn(Rc<Cell<bool>>)) -> Report {
    Explorer::new().schedules(60).depth(1).run(move || {
        let is_over = Rc::new(Cell::new(false));
        let loops = [(); 3].map(|()| {
            let is_over = is_over.clone();
            spawn(move || waits(is_over))
        });
        spawn(move || is_over.set(true)).wait().unwrap();
        loops.into_iter().for_each(|fiber| fiber.wait().unwrap());
    })
}

#[test]
fn a_loop_that_waits_for_another_fiber_gets_to_its_end() {
    let wakes_itself = loops(|is_over| {
        poll_fn(|cx| {
            if is_over.get() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .wait();
    });
    let yields = loops(|is_over| {
        while !is_over.get() {
            yield_now().wait();
        }
    });
    let spawns = loops(|is_over| {
        while !is_over.get() {
            spawn(|| ()).wait().unwrap();
        }
    });
    let calls_back = loops(|is_over| {
        fn again(is_over: Rc<Cell<bool>>) {
            if !is_over.get() {
                Hub::current().run_callback(move || again(is_over));
            }
        }
        again(is_over);
    });
    for report in [wakes_itself, yields, spawns, calls_back] {
        assert_eq!(report.failure(), None, "{report}");
        assert!(report.is_replayable());
    }
}

#[test]
fn a_panic_that_nobody_joins_fails_the_run() {
    assert_fails(
        "panicked with message \"alone\", and nobody joins it",
        || {
            drop(spawn(|| panic!("alone")));
            sleep(ms(1)).wait();
        },
    );
    assert_fails("a callback of the hub panicked", || {
        Hub::current().run_callback(|| panic!("in the hub"));
        sleep(ms(1)).wait();
    });
    // One that is joined is the program's to judge.
    let report = run(|| assert!(spawn(|| panic!("joined")).wait().is_err()));
    assert_eq!(report.failure(), None);
}

#[test]
fn a_root_that_panics_or_is_cancelled_fails_the_run() {
    assert_fails("fiber 'Root' panicked with message \"wrong\"", || {
        panic!("wrong")
    });
    assert_fails("fiber 'Root' was cancelled", || {
        switchback::current_fiber().unwrap().cancel();
        yield_now().wait();
    });
    let payload = catch_unwind(|| explore(|| panic!("wrong"))).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    let test = "runs::a_root_that_panics_or_is_cancelled_fails_the_run";
    let alone = format!("to run it alone: SWITCHBACK_SEED=0 cargo test {test}");
    assert!(message.contains(&alone), "{message}");
}

#[test]
fn a_far_timer_is_waited_for() {
    let report = run(|| sleep(Duration::from_secs(364 * 86_400)).wait());
    assert_eq!(report.failure(), None);
}

#[test]
fn a_late_thread_does_not_count_as_nothing() {
    let run = || {
        run(|| {
            let (sender, receiver) = oneshot::channel();
            thread::spawn(move || sender.send(()));
            receiver.wait().unwrap();
        })
    };
    // A thread may be very late on a busy machine, but not each time.
    let report = (0..20)
        .map(|_| run())
        .find(|report| report.failure().is_none());
    assert!(!report.expect("it passes").is_replayable());
}

#[test]
fn a_late_thread_may_wake_a_task() {
    let run = || {
        run(|| {
            let (wake_task, woken) = oneshot::channel();
            let (wake_fiber, receiver) = oneshot::channel();
            tokio::spawn(async move {
                woken.await.unwrap();
                wake_fiber.send(()).unwrap();
            });
            thread::spawn(move || {
                thread::sleep(ms(5));
                wake_task.send(()).unwrap();
            });
            receiver.wait().unwrap();
        })
    };
    assert!((0..20).any(|_| run().failure().is_none()));
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_hides_no_failure() {
    struct Payload;

    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("in a payload");
        }
    }

    assert_fails("fiber 'Root' panicked", || {
        std::panic::panic_any(Payload);
    });
    let program = || (spawn(|| std::panic::panic_any(Payload)), || ());
    let payload = catch_unwind(|| cancel_everywhere(program)).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    let begin = "without a cancel: fiber 'Fiber-";
    assert!(message.starts_with(begin), "{message}");
}

#[test]
fn a_time_limit_ends_the_search() {
    let none = Explorer::new().time_limit(Duration::ZERO);
    let report = none.run(|| thread::sleep(ms(1)));
    assert_eq!(report.schedules(), 1, "{report}");
    let one = Explorer::new().time_limit(ms(1));
    let report = one.run(|| thread::sleep(ms(3)));
    assert_eq!(report.schedules(), 1);
}

#[test]
fn sockets_work_if_they_are_asked_for() {
    let bind = || drop(TcpListener::bind("127.0.0.1:0").wait().unwrap());
    let with = Explorer::new().schedules(2).enable_io(true).run(bind);
    assert_eq!(with.failure(), None);
    let without = Explorer::new().schedules(2).run(bind);
    assert!(
        without.failure().unwrap().contains("IO is disabled"),
        "{without}"
    );
}

#[test]
fn no_run_is_made_inside_of_a_runtime() {
    let says = |panic: Panic, call: &str| {
        assert_eq!(
            panic.message,
            format!(
                "{call} makes a runtime for each run, so it cannot be called inside of one; call \
                 it in a plain `#[test]`"
            )
        );
    };
    let try_both = move || {
        says(panic_of(|| explore(|| ())), "an explorer");
        let program = || (spawn(|| ()), || ());
        says(
            panic_of(|| cancel_everywhere(program)),
            "`cancel_everywhere`",
        );
    };
    in_root_fiber(try_both);
    in_async(move || async move { try_both() });
}

#[test]
fn what_is_left_is_dropped_before_the_next_run() {
    use crate::support::Drops;

    let drops = Drops::new();
    let counted = drops.clone();
    let before = Cell::new(0);
    let report = run(move || {
        assert_eq!(counted.count(), before.get());
        before.set(before.get() + 2);
        let (one, two) = (counted.token(), counted.token());
        tokio::spawn(async move {
            let _one = one;
            pending::<()>().await;
        });
        let _two: Fiber<()> = spawn(move || {
            let _two = two;
            pending::<()>().wait();
        });
        yield_now().wait();
    });
    assert!(
        report.failure().is_none_or(|f| f.contains("left == right")),
        "{report}"
    );
    assert_eq!(report.failure(), None);
    assert!(drops.count() > 40);
}
