//! Kinds of bugs that first-in first-out order hides: each is found within a thousand schedules, and
//! its mended version passes. `SWITCHBACK_SCHEDULES=10000` in the environment runs the mended ones
//! longer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use switchback::testing::{Explorer, Report, Schedule};
use switchback::{Hub, prelude::*, scope, shield, sleep, spawn, with_timeout, yield_now};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::spawn_local;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn yields(count: usize) {
    (0..count).for_each(|_| yield_now().wait());
}

/// Whether the program is the one with the bug.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Broken,
    Mended,
}

use Kind::{Broken, Mended};

/// Runs both as fibers and joins them.
fn both(one: impl FnOnce() + 'static, other: impl FnOnce() + 'static) {
    let (one, other) = (spawn(one), spawn(other));
    one.wait().unwrap();
    other.wait().unwrap();
}

/// A counter that is read before a wait and written after it. While one fiber is in that wait, the
/// other one gets through `window` waits, and writes.
fn lost_update(kind: Kind, window: usize) {
    let count = Rc::new(Cell::new(0));
    let (other, result) = (count.clone(), count.clone());
    both(
        move || match kind {
            Broken => {
                let seen = count.get();
                yields(1);
                count.set(seen + 1);
            }
            Mended => {
                yields(1);
                count.set(count.get() + 1);
            }
        },
        move || {
            yields(window + 1);
            other.set(other.get() + 1);
        },
    );
    assert_eq!(result.get(), 2);
}

/// A counter that is read a number of waits before it is written.
fn wide_update(kind: Kind, width: usize) {
    let count = Rc::new(Cell::new(0));
    let update = move |kind, count: Rc<Cell<u32>>| {
        let seen = count.get();
        yields(width);
        count.set(1 + if kind == Broken { seen } else { count.get() });
    };
    let other = count.clone();
    let result = count.clone();
    both(
        move || update(kind, count),
        move || {
            yields(width + 2);
            update(kind, other);
        },
    );
    assert_eq!(result.get(), 2);
}

fn update_over_sleeps(kind: Kind) {
    let count = Rc::new(Cell::new(0));
    let update = move |kind, count: &Cell<u32>| {
        let seen = count.get();
        sleep(ms(3)).wait();
        count.set(1 + if kind == Broken { seen } else { count.get() });
    };
    let (one, other) = (count.clone(), count.clone());
    both(
        move || {
            sleep(ms(5)).wait();
            update(kind, &one);
        },
        move || {
            sleep(ms(20)).wait();
            update(kind, &other);
        },
    );
    assert_eq!(count.get(), 2);
}

/// In order, the second fiber follows the first at once, and the task comes after both.
fn update_against_task(kind: Kind) {
    let count = Rc::new(Cell::new(0));
    let (by_task, by_fiber) = (count.clone(), count.clone());
    let task = spawn_local(async move { by_task.set(by_task.get() + 1) });
    let (sender, mut receiver) = mpsc::unbounded_channel();
    both(
        move || {
            let seen = by_fiber.get();
            receiver.recv().wait();
            by_fiber.set(1 + if kind == Broken { seen } else { by_fiber.get() });
        },
        move || sender.send(()).unwrap(),
    );
    task.wait().unwrap();
    assert_eq!(count.get(), 2);
}

fn check_then_act(kind: Kind) {
    let slot = Rc::new(Cell::new(None));
    let made = Rc::new(Cell::new(0));
    let fill = move |slot: &Cell<Option<u32>>, made: &Cell<u32>| {
        if slot.get().is_none() {
            if kind == Mended {
                slot.set(Some(0)); // taken, before the wait
            }
            yields(1);
            made.set(made.get() + 1);
            slot.set(Some(made.get()));
        }
    };
    let (slot_too, made_too) = (slot.clone(), made.clone());
    let result = made.clone();
    both(
        move || fill(&slot, &made),
        move || {
            yields(3);
            fill(&slot_too, &made_too);
        },
    );
    assert_eq!(result.get(), 1);
}

fn lock_order(kind: Kind) {
    let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
    let (a_too, b_too) = (a.clone(), b.clone());
    both(
        move || {
            let _a = a.lock().wait();
            yields(1);
            let _b = b.lock().wait();
        },
        move || {
            yields(4);
            let (first, second) = match kind {
                Broken => (b_too, a_too),
                Mended => (a_too, b_too),
            };
            let _first = first.lock().wait();
            yields(1);
            let _second = second.lock().wait();
        },
    );
}

fn notify_before_wait(kind: Kind) {
    let notify = Rc::new(Notify::new());
    let is_ready = Rc::new(Cell::new(false));
    let (notify_too, is_ready_too) = (notify.clone(), is_ready.clone());
    both(
        move || {
            // This counts what comes from now on, so it has to come before the check.
            let early = (kind == Mended).then(|| notify.notified());
            if !is_ready.get() {
                yields(1); // say, a line in a log
                early.unwrap_or_else(|| notify.notified()).wait();
            }
        },
        move || {
            yields(4);
            is_ready_too.set(true);
            notify_too.notify_waiters();
        },
    );
}

fn double_close(kind: Kind) {
    #[derive(Default)]
    struct Resource {
        is_open: Cell<bool>,
        closes: Cell<u32>,
    }

    let close = move |resource: &Resource| {
        if resource.is_open.get() {
            if kind == Mended {
                resource.is_open.set(false);
            }
            yields(1); // a flush
            resource.closes.set(resource.closes.get() + 1);
            resource.is_open.set(false);
        }
    };
    let resource = Rc::new(Resource::default());
    resource.is_open.set(true);
    let (one, other) = (resource.clone(), resource.clone());
    both(
        move || close(&one),
        move || {
            yields(3);
            close(&other);
        },
    );
    assert_eq!(resource.closes.get(), 1);
}

fn message_lost_by_cancel(kind: Kind) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let done = Rc::new(RefCell::new(Vec::new()));
    let result = done.clone();
    both(
        move || {
            for n in 0..3 {
                sleep(ms(5)).wait();
                sender.send(n).unwrap();
            }
        },
        move || {
            let mut is_over = false;
            while !is_over {
                let handled = with_timeout(ms(12), || {
                    let Some(message) = receiver.recv().wait() else {
                        return true;
                    };
                    let handle = || {
                        sleep(ms(3)).wait();
                        done.borrow_mut().push(message);
                    };
                    match kind {
                        Broken => handle(),
                        Mended => shield(handle),
                    }
                    false
                });
                is_over = handled == Ok(true);
            }
        },
    );
    assert_eq!(*result.borrow(), [0, 1, 2]);
}

/// A child fails if the place that it needs is taken at that moment.
fn forgotten_error(kind: Kind) {
    let is_free = Cell::new(true);
    let done = Cell::new(0);
    let work = |before: usize| {
        yields(before);
        if kind == Mended {
            while !is_free.get() {
                yields(1);
            }
        }
        if !is_free.replace(false) {
            return Err("busy");
        }
        yields(1);
        is_free.set(true);
        done.set(done.get() + 1);
        Ok(())
    };
    scope(|s| {
        let children = [0, 3, 6].map(|before| s.spawn(move || work(before)));
        for child in children {
            let _ = child.wait(); // the child's own result is forgotten
        }
    });
    assert_eq!(done.get(), 3);
}

/// A list of free objects, popped in two steps. Between them, another fiber takes two and gives the
/// first back.
fn aba(kind: Kind) {
    #[derive(Default)]
    struct Pool {
        head: Cell<Option<usize>>,
        next: [Cell<Option<usize>>; 3],
        in_use: [Cell<bool>; 3],
        version: Cell<u64>,
    }

    impl Pool {
        fn pop(&self, kind: Kind, waits: usize) -> Option<usize> {
            loop {
                let (head, version) = (self.head.get()?, self.version.get());
                let next = self.next[head].get();
                yields(waits);
                let unchanged = match kind {
                    Broken => self.head.get() == Some(head),
                    Mended => self.version.get() == version,
                };
                if unchanged {
                    self.head.set(next);
                    self.version.set(version + 1);
                    assert!(!self.in_use[head].replace(true), "{head} is used twice");
                    return Some(head);
                }
            }
        }

        fn push(&self, object: usize) {
            self.in_use[object].set(false);
            self.next[object].set(self.head.replace(Some(object)));
            self.version.set(self.version.get() + 1);
        }
    }

    let pool = Rc::new(Pool::default());
    (0..3).for_each(|object| pool.push(object));
    let other = pool.clone();
    both(
        move || {
            let popped = [pool.pop(kind, 1), pool.pop(kind, 1)];
            yields(8);
            popped.into_iter().flatten().for_each(|n| pool.push(n));
        },
        move || {
            yields(3);
            let first = other.pop(kind, 0);
            let second = other.pop(kind, 0);
            first.into_iter().for_each(|n| other.push(n));
            yields(8);
            second.into_iter().for_each(|n| other.push(n));
        },
    );
}

/// A program by its name.
type Program = (&'static str, fn(Kind));

const PROGRAMS: [Program; 15] = [
    ("lost update, 1 wait", |kind| lost_update(kind, 1)),
    ("lost update, 8 waits", |kind| lost_update(kind, 8)),
    ("lost update, 15 waits", |kind| lost_update(kind, 15)),
    ("update 1 wait wide", |kind| wide_update(kind, 1)),
    ("update 8 waits wide", |kind| wide_update(kind, 8)),
    ("update 15 waits wide", |kind| wide_update(kind, 15)),
    ("update over sleeps", update_over_sleeps),
    ("update against a task", update_against_task),
    ("check, then act", check_then_act),
    ("lock order", lock_order),
    ("notify before the wait", notify_before_wait),
    ("double close", double_close),
    ("message lost by a cancel", message_lost_by_cancel),
    ("forgotten error", forgotten_error),
    ("ABA", aba),
];

fn explore(schedules: u64, seed: u64, program: fn(Kind), kind: Kind) -> Report {
    let explorer = Explorer::new().schedules(schedules).seed(seed);
    explorer.run(move || program(kind))
}

/// What went wrong, without the numbers of fibers, which are those of the process.
fn without_ids(report: &Report) -> Option<String> {
    let failure = report.failure()?;
    Some(failure.replace(|c: char| c.is_ascii_digit(), ""))
}

#[test]
fn each_bug_is_found_and_its_seed_replays_alone() {
    for (name, program) in PROGRAMS {
        let found = explore(1000, 0, program, Broken);
        let seed = found.seed().unwrap_or_else(|| panic!("{name}: {found}"));
        assert!(found.is_replayable(), "{name}: {found}");
        println!("{name}: {found}");
        let again = explore(1, seed, program, Broken);
        assert_eq!(without_ids(&again), without_ids(&found), "{name}");
        assert!(
            found
                .to_string()
                .contains(&format!("SWITCHBACK_SEED={seed} "))
        );
    }
}

#[test]
fn no_bug_shows_in_order() {
    for (name, program) in PROGRAMS {
        let hub = Hub::builder().start_paused(true).schedule(Schedule::Fifo);
        hub.run(move || program(Broken))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn mended_programs_pass() {
    for (name, program) in PROGRAMS {
        let passed = explore(300, 0, program, Mended);
        assert_eq!(passed.failure(), None, "{name}: {passed}");
        assert!(passed.is_replayable(), "{name}");
    }
}
