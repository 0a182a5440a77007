//! `cancel_everywhere`: its points, and what it finds.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{pending, ready};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use switchback::testing::cancel_everywhere;
use switchback::{
    Fiber, FiberSet, HubThread, SwitchBack, Switcher, catch_cancel, check_cancelled, prelude::*,
    scope, shield, sleep, spawn, try_scope, with_timeout, yield_now,
};
use tokio::sync::{Mutex, Semaphore, oneshot};

use crate::support::{Drops, OnDrop, ms};

/// The number of points of a fiber with this body.
fn points(body: impl Fn() + Clone + 'static) -> u64 {
    cancel_everywhere(move || (spawn(body.clone()), || ()))
}

/// The text with which `cancel_everywhere` fails.
#[track_caller]
fn failure<C: FnOnce() + 'static>(f: impl Fn() -> (Fiber<()>, C) + 'static) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| cancel_everywhere(f)));
    let payload = payload.expect_err("it fails");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().unwrap().to_string(),
    }
}

// Points.

#[test]
fn a_wait_has_a_point_before_each_poll_and_one_while_it_is_suspended() {
    assert_eq!(points(|| ()), 0);
    assert_eq!(points(|| ready(()).wait()), 1);
    assert_eq!(points(|| yield_now().wait()), 3);
    assert_eq!(points(|| sleep(ms(1)).wait()), 3);
    assert_eq!(points(|| (0..5).for_each(|_| yield_now().wait())), 15);
    assert_eq!(points(|| drop(sleep(ms(1)).wait_or_cancelled())), 3);
    assert_eq!(points(check_cancelled), 1);
}

#[test]
fn a_spurious_wake_has_points_too() {
    // Woken twice: for nothing, and for the value.
    let body = || {
        let (sender, mut receiver) = oneshot::channel();
        let me = switchback::current_fiber().unwrap();
        spawn(move || {
            me.unpark();
            yield_now().wait();
            let _ = sender.send(());
        });
        (&mut receiver).wait().unwrap();
    };
    // `unpark` wakes only a fiber that parks, or this fiber: in both cases, 3 or 5 points.
    let points = points(body);
    assert!(points == 3 || points == 5, "{points}");
}

#[test]
fn timeouts_count_as_the_waits_in_them() {
    assert_eq!(points(|| drop(sleep(ms(1)).wait_timeout(ms(5)))), 3);
    let in_time = || with_timeout(ms(5), || sleep(ms(1)).wait()).unwrap();
    assert_eq!(points(in_time), 3);
    // The third look finds the deadline, and the cancel comes first.
    let late = || assert!(with_timeout(ms(1), || sleep(ms(5)).wait()).is_err());
    assert_eq!(points(late), 3);
}

#[test]
fn a_shield_has_no_points_and_what_follows_has() {
    assert_eq!(points(|| shield(|| sleep(ms(1)).wait())), 0);
    let after = || {
        shield(|| sleep(ms(1)).wait());
        yield_now().wait();
    };
    assert_eq!(points(after), 3);
}

#[test]
fn the_end_of_a_scope_has_points_and_cancels_the_children() {
    let ended = || {
        scope(|s| {
            s.spawn(|| ());
        });
    };
    // Before it waits, and while it does.
    assert_eq!(points(ended), 2);
    let drops = Drops::new();
    let counted = drops.clone();
    let points = cancel_everywhere(move || {
        let before = counted.count();
        let tokens = counted.clone();
        let fiber = spawn(move || {
            scope(|s| {
                let token = tokens.token();
                s.spawn(move || {
                    let _token = token;
                    sleep(ms(1)).wait();
                });
            });
        });
        let counted = counted.clone();
        (fiber, move || assert!(counted.count() <= before + 1))
    });
    assert_eq!(points, 2);
    // Two runs without a cancel, one before the start, where there is no child.
    assert_eq!(drops.count() as u64, 2 + points);
    let fallible = || {
        let _: Result<(), ()> = try_scope(|s| {
            s.spawn(|| {
                yield_now().wait();
                Ok(())
            });
            Ok(())
        });
    };
    assert_eq!(self::points(fallible), 2);
}

#[test]
fn waits_of_destructors_count_unless_they_unwind() {
    let calm = || drop(OnDrop(|| yield_now().wait()));
    assert_eq!(points(calm), 3);
    let unwinds = || {
        let _caught = catch_unwind(|| {
            let _guard = OnDrop(|| drop(yield_now().wait_or_cancelled()));
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    };
    assert_eq!(points(unwinds), 0);
}

#[test]
fn the_points_are_those_of_the_returned_fiber() {
    let points = cancel_everywhere(|| {
        let mut other = spawn(|| (0..10).for_each(|_| yield_now().wait()));
        let fiber = spawn(|| yield_now().wait());
        (fiber, move || other.join().wait().unwrap())
    });
    assert_eq!(points, 3);
}

#[test]
fn a_fiber_that_was_not_started_is_started_by_the_join() {
    let points = cancel_everywhere(|| (Fiber::new(|| yield_now().wait()), || ()));
    assert_eq!(points, 3);
}

#[test]
fn each_point_is_cancelled_once_and_one_run_before_the_start() {
    let seen = Rc::new(RefCell::new(HashMap::new()));
    let counts = seen.clone();
    let points = cancel_everywhere(move || {
        let (begun, step) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let (begun_too, step_too) = (begun.clone(), step.clone());
        let fiber = spawn(move || {
            begun_too.set(true);
            for _ in 0..3 {
                yield_now().wait();
                step_too.set(step_too.get() + 1);
            }
        });
        let counts = counts.clone();
        let asserts = move || {
            let case = (begun.get(), step.get());
            *counts.borrow_mut().entry(case).or_insert(0) += 1;
        };
        (fiber, asserts)
    });
    assert_eq!(points, 9);
    let seen = seen.borrow();
    // Three points for each step; two runs without a cancel.
    let expected = [
        ((false, 0), 1),
        ((true, 0), 3),
        ((true, 1), 3),
        ((true, 2), 3),
        ((true, 3), 2),
    ];
    assert_eq!(*seen, HashMap::from(expected));
}

// Failures.

#[test]
fn a_failure_names_the_point_and_its_place() {
    let text = failure(|| {
        let ended = Rc::new(Cell::new(false));
        let ends = ended.clone();
        let fiber = spawn(move || {
            yield_now().wait();
            yield_now().wait();
            ends.set(true);
        });
        (fiber, move || assert!(ended.get(), "it did not end"))
    });
    // Before the start is the first.
    let what = "fiber 'Root' panicked with message \"it did not end\"";
    assert_eq!(text, format!("cancelled before it has begun: {what}"));
    let line = Rc::new(Cell::new(0));
    let of_wait = line.clone();
    let text = failure(move || {
        let step = Rc::new(Cell::new(0));
        let (steps, line) = (step.clone(), line.clone());
        let fiber = spawn(move || {
            yield_now().wait();
            steps.set(1);
            line.set(line!() + 1);
            yield_now().wait();
            steps.set(2);
        });
        (fiber, move || assert_ne!(step.get(), 1, "half done"))
    });
    let place = format!("tests/testing/cancel.rs:{}:", of_wait.get());
    let begin = format!("cancelled at point 4 of 6, before a poll at {place}");
    assert!(
        text.starts_with(&begin) && text.contains("half done"),
        "{text}"
    );
}

#[test]
fn what_happens_to_the_fiber_itself_is_a_failure() {
    let text = failure(|| {
        let body = || assert!(catch_cancel(|| yield_now().wait()).is_ok(), "told");
        (spawn(body), || ())
    });
    assert!(text.contains("panicked with message \"told\""), "{text}");
    let text = failure(|| (spawn(|| panic!("always")), || ()));
    assert!(text.starts_with("without a cancel: "), "{text}");
    let text = failure(|| {
        let body = || {
            let _waits = OnDrop(|| pending::<()>().wait());
            if catch_cancel(|| yield_now().wait()).is_err() {
                return;
            }
            std::mem::forget(_waits);
        };
        (spawn(body), || ())
    });
    assert!(text.contains("nothing can go on any more"), "{text}");
}

#[test]
fn a_program_that_differs_the_second_time_is_told() {
    let runs = Cell::new(0);
    let text = failure(move || {
        runs.set(runs.get() + 1);
        let yields = runs.get();
        (
            spawn(move || (0..yields).for_each(|_| yield_now().wait())),
            || (),
        )
    });
    let said = "the fiber has 3 points, and 6 the second time: the program is not replayable, so \
                points cannot be told apart";
    assert_eq!(text, said);
}

#[test]
fn a_program_that_differs_later_is_told() {
    // Two runs without a cancel, and one before the start.
    let program = |same: usize, asserts: fn()| {
        let runs = Cell::new(0);
        move || {
            runs.set(runs.get() + 1);
            let (yields, asserts) = match runs.get() <= same {
                true => (3, (|| ()) as fn()),
                false => (1, asserts),
            };
            let fiber = spawn(move || (0..yields).for_each(|_| yield_now().wait()));
            (fiber, asserts)
        }
    };
    assert_eq!(
        failure(program(2, || ())),
        "the fiber has not reached point 4 of 9: the program is not replayable"
    );
    let text = failure(program(6, || panic!("later")));
    let what = "fiber 'Root' panicked with message \"later\"";
    assert_eq!(
        text,
        format!("the fiber has not reached point 4 of 9: {what}")
    );
}

#[test]
fn a_fiber_that_cannot_be_watched_is_refused() {
    let text = failure(|| (spawn(|| (0..4000).for_each(|_| yield_now().wait())), || ()));
    assert_eq!(
        text,
        "the fiber has 12000 points, more than 10000: let it do less"
    );
    let text = failure(|| {
        let fiber = spawn(|| ());
        yield_now().wait();
        (fiber, || ())
    });
    assert!(
        text.contains("the fiber has ended before it could be cancelled"),
        "{text}"
    );
    let thread = HubThread::new().unwrap();
    let hub = thread.handle();
    let text = failure(move || (hub.spawn(|| pending::<()>().wait()).unwrap(), || ()));
    assert!(text.contains("the fiber is on another hub"), "{text}");
    thread.close().wait();
}

// Five programs, each with a leak and without it.

/// Whether the program has its leak.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Leaky,
    Tight,
}

use Kind::{Leaky, Tight};

/// A connection that is taken out of a pool, set up with a wait, and given back.
fn checkout(kind: Kind) -> (Fiber<()>, impl FnOnce()) {
    struct Pool {
        idle: RefCell<Vec<u32>>,
        permits: Semaphore,
    }

    struct Lease<'a>(&'a Pool, u32);

    impl Drop for Lease<'_> {
        fn drop(&mut self) {
            self.0.idle.borrow_mut().push(self.1);
        }
    }

    let pool = Rc::new(Pool {
        idle: RefCell::new(vec![1, 2]),
        permits: Semaphore::new(2),
    });
    let used = pool.clone();
    let fiber = spawn(move || {
        let _permit = used.permits.acquire().wait().unwrap();
        let connection = used.idle.borrow_mut().pop().unwrap();
        let lease = match kind {
            Leaky => {
                yield_now().wait(); // a ping
                Lease(&used, connection)
            }
            Tight => {
                let lease = Lease(&used, connection);
                yield_now().wait();
                lease
            }
        };
        sleep(ms(1)).wait();
        drop(lease);
    });
    (fiber, move || assert_eq!(pool.idle.borrow().len(), 2))
}

/// A file that is written beside the old one and then takes its place.
fn two_phases(kind: Kind) -> (Fiber<()>, impl FnOnce()) {
    /// Each write waits.
    struct File(Rc<RefCell<Vec<u8>>>);

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            yield_now().wait();
            self.0.borrow_mut().extend_from_slice(&bytes[..1]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            yield_now().wait();
            Ok(())
        }
    }

    let file = Rc::new(RefCell::new(b"old".to_vec()));
    let target = file.clone();
    let fiber = spawn(move || {
        let written = Rc::new(RefCell::new(Vec::new()));
        match kind {
            Leaky => {
                target.borrow_mut().clear();
                File(target).write_all(b"new").unwrap();
            }
            Tight => {
                let mut file = File(written.clone());
                file.write_all(b"new").unwrap();
                file.flush().unwrap();
                target.replace(written.take());
            }
        }
    });
    let whole = move || assert!([&b"old"[..], b"new"].contains(&&**file.borrow()));
    (fiber, whole)
}

/// An operation that calls back, and that has to be stopped if nobody waits any more. It goes on in a
/// fiber of its own, which is left if it is not.
fn switch_back(kind: Kind) -> (Fiber<()>, impl FnOnce()) {
    fn begin(switcher: Switcher<u32>) -> Fiber<()> {
        spawn(move || {
            (0..3).for_each(|_| sleep(ms(1)).wait());
            switcher.switch(1);
            sleep(ms(5)).wait(); // cleans up
        })
    }

    let fiber = spawn(move || {
        let mut switch_back = SwitchBack::new();
        let operation = begin(switch_back.switcher());
        if kind == Tight {
            switch_back.add_cleanup(move || {
                operation.cancel();
            });
        } else {
            drop(operation);
        }
        assert_eq!(switch_back.wait().unwrap(), 1);
        sleep(ms(10)).wait();
    });
    (fiber, || ())
}

/// Workers of a set: they end with it, but not if they were detached.
fn fiber_set(kind: Kind) -> (Fiber<()>, impl FnOnce()) {
    let fiber = spawn(move || {
        let mut set = FiberSet::new();
        for n in 1..=3 {
            set.spawn(move || sleep(ms(n)).wait());
        }
        if kind == Leaky {
            let mut left = Vec::new();
            // Kept apart while they are waited for, and detached by a cancel.
            left.extend((1..=3).map(|n| spawn(move || sleep(ms(n)).wait())));
            left.into_iter().for_each(|fiber| fiber.wait().unwrap());
        }
        while let Some(ended) = set.join_next().wait() {
            ended.unwrap();
        }
    });
    (fiber, || ())
}

/// A cache that is filled once. One that is cancelled while it fills must not leave the others waiting
/// for ever.
fn cache(kind: Kind) -> (Fiber<()>, impl FnOnce()) {
    #[derive(Default)]
    struct Cache {
        is_filling: Cell<bool>,
        value: Cell<Option<u32>>,
        lock: Mutex<()>,
    }

    impl Cache {
        fn get(&self, kind: Kind) -> u32 {
            let _lock = (kind == Tight).then(|| self.lock.lock().wait());
            if let Some(value) = self.value.get() {
                return value;
            }
            if kind == Leaky && self.is_filling.replace(true) {
                // Whoever fills it will be done soon.
                return std::iter::from_fn(|| {
                    sleep(ms(1)).wait();
                    Some(self.value.get())
                })
                .take(100)
                .find_map(|value| value)
                .expect("the cache is filled");
            }
            sleep(ms(2)).wait();
            self.value.set(Some(7));
            7
        }
    }

    let cache = Rc::new(Cache::default());
    let used = cache.clone();
    let fiber = spawn(move || assert_eq!(used.get(kind), 7));
    (fiber, move || assert_eq!(cache.get(kind), 7))
}

#[test]
fn the_leak_of_each_program_is_found() {
    let text = failure(|| checkout(Leaky));
    assert!(text.contains("left: 1\\n right: 2"), "{text}");
    let text = failure(|| two_phases(Leaky));
    assert!(text.contains("assertion failed: [&b\\\"old\\\""), "{text}");
    let text = failure(|| switch_back(Leaky));
    assert!(
        text.contains("1 fibers are left, and 0 without a cancel: Fiber-"),
        "{text}"
    );
    let text = failure(|| fiber_set(Leaky));
    assert!(
        text.contains("2 fibers are left, and 0 without a cancel"),
        "{text}"
    );
    let text = failure(|| cache(Leaky));
    assert!(text.contains("the cache is filled"), "{text}");
}

#[test]
fn the_programs_without_a_leak_pass() {
    assert!(cancel_everywhere(|| checkout(Tight)) > 5);
    assert!(cancel_everywhere(|| two_phases(Tight)) > 10);
    assert!(cancel_everywhere(|| switch_back(Tight)) > 5);
    assert!(cancel_everywhere(|| fiber_set(Tight)) > 5);
    assert!(cancel_everywhere(|| cache(Tight)) > 3);
}
