//! Orders and answers that are promised.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use switchback::{Fiber, Hub, prelude::*, sleep, sleep_until, spawn, yield_now};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

use crate::support::ending::settle;
use crate::support::table::{Case, Verdict, check_table, ensure, within};
use crate::support::{paused_runtime, runtime};

const KNOWN: &[&str] = &[];

/// Where those that wait are, and who drives their hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Fibers,
    FibersInRunUntil,
    FibersInLocalSet,
    Tasks,
    TasksInRunUntil,
}

/// What they wait for, all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    SleepZero,
    YieldNow,
    SameInstant,
    SameNotify,
}

async fn wait(what: For, notify: Arc<Notify>, at: tokio::time::Instant) {
    match what {
        For::SleepZero => sleep(Duration::ZERO).await,
        For::YieldNow => yield_now().await,
        For::SameInstant => sleep_until(at).await,
        For::SameNotify => notify.notified().await,
    }
}

/// They begin in some order, and go on in the same.
async fn all_wait(place: Place, what: For, count: usize) -> Verdict {
    let began = Rc::new(RefCell::new(Vec::new()));
    let went_on = Rc::new(RefCell::new(Vec::new()));
    let notify = Arc::new(Notify::new());
    let at = tokio::time::Instant::now() + Duration::from_millis(10);
    drop(Hub::current());
    for index in (0..count).map(|index| (index * 3 + 2) % count) {
        let (began, went_on) = (began.clone(), went_on.clone());
        let notify = notify.clone();
        let is_task = matches!(place, Place::Tasks | Place::TasksInRunUntil);
        if is_task {
            drop(spawn_local(async move {
                began.borrow_mut().push(index);
                wait(what, notify, at).await;
                went_on.borrow_mut().push(index);
            }));
        } else {
            drop(spawn(move || {
                began.borrow_mut().push(index);
                match what {
                    // As it is written in a fiber.
                    For::SleepZero => sleep(Duration::ZERO).wait(),
                    For::YieldNow => yield_now().wait(),
                    _ => wait(what, notify, at).wait(),
                }
                went_on.borrow_mut().push(index);
            }));
        }
    }
    if what == For::SameNotify {
        settle().await;
        notify.notify_waiters();
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (began, went_on) = (began.borrow(), went_on.borrow());
    ensure(began.len() == count, format!("only {began:?} began"))?;
    ensure(
        *began == *went_on,
        format!("{began:?} began, and went on as {went_on:?}"),
    )
}

#[test]
fn who_waits_for_the_same_goes_on_in_order() {
    let mut cases = Vec::new();
    for place in [
        Place::Fibers,
        Place::FibersInRunUntil,
        Place::FibersInLocalSet,
        Place::Tasks,
        Place::TasksInRunUntil,
    ] {
        for what in [
            For::SleepZero,
            For::YieldNow,
            For::SameInstant,
            For::SameNotify,
        ] {
            for count in [2, 4, 7, 50] {
                let name = format!("{place:?}/{what:?}/{count}");
                cases.push(Case::new(name, move || {
                    let all = all_wait(place, what, count);
                    let runtime = paused_runtime();
                    match place {
                        Place::FibersInRunUntil => runtime.block_on(Hub::run_until(all)),
                        Place::TasksInRunUntil => {
                            LocalSet::new().block_on(&runtime, Hub::run_until(all))
                        }
                        Place::FibersInLocalSet => {
                            LocalSet::new().block_on(&runtime, Hub::run_until(all))
                        }
                        Place::Tasks => LocalSet::new().block_on(&runtime, all),
                        Place::Fibers => runtime.block_on(all),
                    }
                }));
            }
        }
    }
    let test = "order::who_waits_for_the_same_goes_on_in_order";
    check_table(test, KNOWN, cases);
}

type Before = (&'static str, fn(&Fiber<u8>), bool);

/// What was done with a fiber that was not started, and whether it can be started then.
const BEFORE: &[Before] = &[
    ("nothing", |_| (), true),
    ("start", |fiber| assert!(fiber.start()), false),
    ("cancel", |fiber| assert!(fiber.cancel()), false),
    (
        "cancel_with",
        |fiber| assert!(fiber.cancel_with("over")),
        false,
    ),
    (
        "cancel of its handle",
        |fiber| assert!(fiber.handle().cancel()),
        false,
    ),
    (
        "start and cancel",
        |fiber| {
            fiber.start();
            fiber.cancel();
        },
        false,
    ),
    (
        "unpark",
        |fiber| {
            fiber.handle().unpark();
        },
        true,
    ),
];

#[test]
fn a_start_says_whether_it_starts() {
    let mut cases = Vec::new();
    for (name, before, starts) in BEFORE {
        for later in [false, true] {
            let time = if later { "later" } else { "at once" };
            let (before, starts) = (*before, *starts);
            cases.push(Case::new(format!("{name}/{time}"), move || {
                runtime().block_on(async {
                    let fiber = Fiber::new(|| 1);
                    before(&fiber);
                    if later {
                        settle().await;
                    }
                    let said = fiber.start();
                    ensure(said == starts, format!("`start` returns {said}"))?;
                    let joined = within(Duration::from_millis(500), fiber).await;
                    ensure(joined.is_some(), "the join hangs")
                })
            }));
        }
    }
    let closes = || {
        runtime().block_on(async {
            let fiber = Fiber::new(|| 1);
            Hub::current().close().await;
            ensure(!fiber.start(), "`start` returns true")
        })
    };
    cases.push(Case::new("the hub is closed/later", closes));
    check_table("order::a_start_says_whether_it_starts", KNOWN, cases);
}
