//! The close of a hub whose fibers do not want to end.

use std::cell::Cell;
use std::future::pending;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use switchback::{
    Builder, Hub, HubThread, SwitchBack, catch_cancel, park, prelude::*, sleep, spawn,
    with_timeout, yield_now,
};

use crate::support::runtime;
use crate::support::table::{Case, Verdict, check_fact, check_table, ensure, within};

const KNOWN: &[&str] = &[];

type Step = (&'static str, fn());

/// What a fiber does again and again although it was told to end.
const STEPS: &[Step] = &[
    ("catch_cancel of a sleep", || {
        let _ = catch_cancel(|| sleep(Duration::from_secs(60)).wait());
    }),
    ("catch_cancel of a yield", || {
        let _ = catch_cancel(|| yield_now().wait());
    }),
    ("catch_cancel of pending", || {
        let _ = catch_cancel(|| pending::<()>().wait());
    }),
    ("catch_cancel of park", || {
        let _ = catch_cancel(park);
    }),
    ("catch_cancel of a switch back", || {
        let _ = catch_cancel(|| SwitchBack::<()>::with_timeout(Duration::from_secs(60)).wait());
    }),
    ("catch_unwind of a sleep", || {
        let _ = catch_unwind(|| sleep(Duration::from_secs(60)).wait());
    }),
    ("wait_or_cancelled", || {
        let _ = pending::<()>().wait_or_cancelled();
    }),
    ("wait_or_cancelled of a yield", || {
        let _ = yield_now().wait_or_cancelled();
    }),
    ("wait_timeout", || {
        let _ = catch_cancel(|| pending::<()>().wait_timeout(Duration::from_secs(60)));
    }),
    ("with_timeout", || {
        let _ = catch_cancel(|| with_timeout(Duration::from_secs(60), || pending::<()>().wait()));
    }),
];

/// How the hub is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Until the deadline, which names the fiber.
    Within,
    /// The fiber ends when a task tells it to.
    Close,
    RunEnds,
    RunUntilEnds,
    ThreadWithin,
    ThreadClose,
}

/// A fiber is told to end only after this many turns; one that does not give way never is.
const ENOUGH: usize = 20_000;

#[derive(Clone)]
struct Stop {
    told: Arc<AtomicBool>,
    turns: Arc<AtomicUsize>,
    enough: usize,
}

impl Stop {
    fn new() -> Stop {
        Stop {
            told: Arc::default(),
            turns: Arc::default(),
            enough: ENOUGH,
        }
    }

    /// The body of the fiber. What counts are the turns that it has while its hub closes.
    fn body(&self, step: fn()) -> impl FnOnce() + Send + use<> {
        let stop = self.clone();
        move || {
            let hub = Hub::current().handle();
            while !stop.told.load(Ordering::SeqCst) {
                step();
                if hub.is_closed() && stop.turns.fetch_add(1, Ordering::SeqCst) > stop.enough {
                    return;
                }
            }
        }
    }

    fn tell(&self) {
        self.told.store(true, Ordering::SeqCst);
    }

    /// Whether it gave way, at the end.
    fn verdict(&self) -> Verdict {
        let turns = self.turns.load(Ordering::SeqCst);
        ensure(
            turns <= self.enough,
            "it did not give way to the task that would have told it",
        )
    }

    /// In a runtime: a task that tells the fiber to end when it has had some turns itself
    /// since the close began.
    fn tell_soon(&self) {
        let (stop, hub) = (self.clone(), Hub::current().handle());
        tokio::spawn(async move {
            while !hub.is_closed() {
                tokio::task::yield_now().await;
            }
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            stop.tell();
        });
    }
}

fn stubborn(step: fn(), how: How) -> Verdict {
    let mut stop = Stop::new();
    if how == How::ThreadWithin {
        // Another thread looks at the clock, and tells it then.
        stop.enough = usize::MAX;
    }
    let body = stop.body(step);
    let start = |body: _| Builder::new().name("stubborn").spawn(body).unwrap();
    let names = |fibers: &[String]| {
        let known = fibers.iter().any(|name| name == "stubborn");
        ensure(known, format!("the error names {fibers:?}"))
    };
    match how {
        How::Within => runtime().block_on(async {
            let _fiber = start(body);
            yield_now().await;
            let closed = Hub::current().close_within(Duration::from_millis(1)).await;
            stop.tell();
            match closed {
                Ok(()) => Err("it is closed, and the fiber never ends".to_owned()),
                Err(e) => names(e.fibers()),
            }
        })?,
        How::Close => runtime().block_on(async {
            let _fiber = start(body);
            yield_now().await;
            stop.tell_soon();
            Hub::current().close().await;
        }),
        How::RunEnds => {
            let stop = stop.clone();
            switchback::run(move || {
                let _fiber = start(body);
                yield_now().wait();
                stop.tell_soon();
            })
            .map_err(|e| e.to_string())?;
        }
        How::RunUntilEnds => runtime().block_on(Hub::run_until(async {
            let _fiber = start(body);
            yield_now().await;
            stop.tell_soon();
        })),
        How::ThreadWithin => {
            let thread = HubThread::new().unwrap();
            let began = thread.spawn(move || drop(start(body))).unwrap();
            began.wait().map_err(|e| e.to_string())?;
            let closed = thread.close_within(Duration::from_millis(50)).wait();
            stop.tell();
            match closed {
                Ok(()) => return Err("it is closed, and the fiber never ends".to_owned()),
                Err(e) => names(e.fibers())?,
            }
            thread.close().wait();
        }
        How::ThreadClose => {
            let thread = HubThread::new().unwrap();
            let of_task = stop.clone();
            let began = thread
                .spawn(move || {
                    of_task.tell_soon();
                    drop(start(body));
                })
                .unwrap();
            began.wait().map_err(|e| e.to_string())?;
            thread.close().wait();
        }
    }
    stop.verdict()
}

#[test]
fn a_fiber_that_catches_the_close_gives_way() {
    let mut cases = Vec::new();
    for (name, step) in STEPS {
        for how in [
            How::Within,
            How::Close,
            How::RunEnds,
            How::RunUntilEnds,
            How::ThreadWithin,
            How::ThreadClose,
        ] {
            let step = *step;
            cases.push(Case::new(format!("{name}/{how:?}"), move || {
                stubborn(step, how)
            }));
        }
    }
    let test = "closing::a_fiber_that_catches_the_close_gives_way";
    check_table(test, KNOWN, cases);
}

/// How long it takes is for the benches.
#[test]
fn a_close_ends_five_thousand_fibers() {
    let test = "closing::a_close_ends_five_thousand_fibers";
    check_fact(test, KNOWN, || {
        const COUNT: usize = 5_000;
        let ended = std::rc::Rc::new(Cell::new(0));
        let of_hub = ended.clone();
        runtime().block_on(async move {
            for _ in 0..COUNT {
                let ended = of_hub.clone();
                let body = move || {
                    let _ = catch_cancel(|| pending::<()>().wait());
                    ended.set(ended.get() + 1);
                };
                let fiber = Builder::new().stack_size(64 * 1024).spawn(body);
                drop(fiber.unwrap());
            }
            while Hub::current().metrics().ready() > 0 {
                yield_now().await;
            }
            Hub::current().close().await;
        });
        ensure(ended.get() == COUNT, format!("{} have ended", ended.get()))
    });
}

/// Fibers that other threads have sent, and that have not begun, get no stack to be
/// refused on: that would be a page each, and more.
#[test]
#[cfg(target_os = "linux")]
fn a_close_over_a_backlog_makes_no_stacks() {
    use crate::support::linux::status;
    let test = "closing::a_close_over_a_backlog_makes_no_stacks";
    check_fact(test, KNOWN, || {
        const COUNT: usize = 5_000;
        let thread = HubThread::new().unwrap();
        let (go, gate) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel::<()>();
        let blocks = thread
            .spawn(move || {
                tell.send(()).unwrap();
                let _ = gate.recv();
            })
            .unwrap();
        // The others come after this one has begun, so none of them is taken in before the close.
        told.recv().unwrap();
        let began = Arc::new(AtomicUsize::new(0));
        let fibers: Vec<_> = (0..COUNT)
            .map(|_| {
                let began = began.clone();
                let body = move || began.fetch_add(1, Ordering::SeqCst);
                thread.spawn(body).unwrap()
            })
            .collect();
        let mut close = Box::pin(thread.close());
        let _ = crate::support::ending::poll_once(close.as_mut());
        let before = status("VmHWM");
        drop(go);
        close.wait();
        drop(blocks);
        let grown = status("VmHWM") - before;
        for fiber in fibers {
            let joined = is_cancelled(fiber);
            ensure(joined, "a fiber of the backlog is not refused")?;
        }
        ensure(began.load(Ordering::SeqCst) == 0, "some have begun")?;
        ensure(
            grown < COUNT * 2,
            format!("the memory grew by {grown} KiB for {COUNT} fibers"),
        )
    });
}

/// Whether a join fails since the fiber was cancelled.
fn is_cancelled<T: Send + 'static>(fiber: switchback::Fiber<T>) -> bool {
    fiber.wait().is_err_and(|e| e.is_cancelled())
}

#[test]
fn what_a_hub_that_closes_does_with_others_goes_on_beside_a_stubborn_fiber() {
    let test = "closing::what_a_hub_that_closes_does_with_others_goes_on_beside_a_stubborn_fiber";
    check_fact(test, KNOWN, || {
        let stop = Stop::new();
        let body = stop.body(|| {
            let _ = catch_cancel(|| pending::<()>().wait());
        });
        runtime().block_on(async {
            let other = spawn(|| {
                let _ = catch_cancel(|| pending::<()>().wait());
                7
            });
            drop(spawn(body));
            yield_now().await;
            let mut close = Box::pin(Hub::current().close());
            let _ = crate::support::ending::poll_once(close.as_mut());
            let joined = within(Duration::from_secs(1), other).await;
            stop.tell();
            close.await;
            ensure(
                joined.is_some_and(|joined| joined.is_ok_and(|value| value == 7)),
                "the other fiber does not end",
            )
        })?;
        stop.verdict()
    });
}
