//! The product of the ways in which a fiber can end, be stopped and be joined:
//! each combination is run, and compared with a model that is written out plainly.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use crate::support::ms;
use switchback::prelude::*;
use switchback::{
    Fiber, Hub, JoinError, catch_cancel, shield, sleep, spawn, with_timeout, yield_now,
};
use tokio::runtime::{Builder, LocalOptions};

/// How the body ends if nothing stops it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    Returns,
    Panics,
}

/// What the body does about a cancel.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Catch {
    Nothing,
    Cancels,
}

/// How it waits from 0 to 20 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    Open,
    /// In a shield, with an open wait after it.
    Shielded,
}

/// When it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cancel {
    Never,
    BeforeStart,
    /// Started, not run yet.
    Queued,
    /// After 2 ms.
    Waiting,
    Ended,
}

/// The deadline around its wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deadline {
    Never,
    /// 5 ms.
    Early,
    /// 1 s.
    Late,
}

/// Who joins it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Join {
    Task,
    Fiber,
    /// A first join is dropped after 1 ms.
    Twice,
    /// Nobody: the handle is dropped after 1 ms.
    Dropped,
    /// Nobody: the handle is dropped when the fiber has ended.
    DroppedLate,
    /// Nobody, and the result is lost.
    Forgotten,
}

/// How the hub ends, after 3 ms or with everything else.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Late,
    Closed,
    Dropped,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    body: Body,
    catch: Catch,
    wait: Wait,
    cancel: Cancel,
    deadline: Deadline,
    join: Join,
    end: End,
}

/// What a fiber comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Returned,
    TimedOut,
    Caught,
    Panicked,
    Cancelled,
    NeverRan,
}

/// What must come of it.
fn model(case: Case) -> Outcome {
    if matches!(case.cancel, Cancel::BeforeStart | Cancel::Queued) {
        return Outcome::NeverRan;
    }
    let stopped = match case.catch {
        Catch::Nothing => Outcome::Cancelled,
        Catch::Cancels => Outcome::Caught,
    };
    let cancelled = case.cancel == Cancel::Waiting;
    let late = case.deadline == Deadline::Early;
    if case.wait == Wait::Open {
        // Whatever comes first: at 2, at 3, at 5 ms.
        if cancelled || case.end != End::Late {
            return stopped;
        }
        if late {
            return Outcome::TimedOut;
        }
    } else {
        // The end of the hub goes through shields. All else is there when the
        // shield is over, and is delivered in this order.
        if case.end == End::Dropped || cancelled {
            return stopped;
        }
        if late {
            return Outcome::TimedOut;
        }
        if case.end == End::Closed {
            return stopped;
        }
    }
    match case.body {
        Body::Returns => Outcome::Returned,
        Body::Panics => Outcome::Panicked,
    }
}

/// Adds one when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Default)]
struct Drops {
    captured: Arc<AtomicUsize>,
    local: Arc<AtomicUsize>,
    result: Arc<AtomicUsize>,
    made: Rc<Cell<usize>>,
}

impl Drops {
    /// The result, or the panic.
    fn result(&self) -> Counted {
        self.made.set(self.made.get() + 1);
        Counted(self.result.clone())
    }
}

type Output = (Outcome, Counted);

fn program(case: Case, drops: &Drops) -> impl FnOnce() -> Output + use<> {
    let captured = Counted(drops.captured.clone());
    let drops = drops.clone();
    move || {
        let _captured = captured;
        let _local = Counted(drops.local.clone());
        let work = || {
            match case.wait {
                Wait::Open => sleep(ms(20)).wait(),
                Wait::Shielded => shield(|| sleep(ms(20)).wait()),
            }
            yield_now().wait();
            if case.body == Body::Panics {
                resume_unwind(Box::new(drops.result()));
            }
        };
        let in_time = || match case.deadline {
            Deadline::Never => {
                work();
                Outcome::Returned
            }
            Deadline::Early => with_timeout(ms(5), work).map_or(Outcome::TimedOut, returned),
            Deadline::Late => with_timeout(ms(1000), work).map_or(Outcome::TimedOut, returned),
        };
        let outcome = match case.catch {
            Catch::Nothing => in_time(),
            Catch::Cancels => catch_cancel(in_time).unwrap_or_else(|_| {
                if case.end == End::Late {
                    // It was delivered, and is over.
                    yield_now().wait();
                }
                Outcome::Caught
            }),
        };
        (outcome, drops.result())
    }
}

fn returned(_: ()) -> Outcome {
    Outcome::Returned
}

fn outcome(case: Case, joined: Result<Output, JoinError>) -> Outcome {
    match joined {
        Ok((outcome, _)) => outcome,
        Err(error) if error.is_panic() => {
            assert!(error.into_panic().is::<Counted>(), "{case:?}");
            Outcome::Panicked
        }
        Err(error) => {
            assert!(error.cancelled().is_some(), "{case:?}: {error}");
            Outcome::Cancelled
        }
    }
}

/// Runs a case; what its joiner saw, if it has one.
fn run(case: Case, drops: &Drops) -> Option<Outcome> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let (fiber, joiner) = runtime.block_on(async {
        let fiber = Fiber::new(program(case, drops));
        let handle = fiber.handle();
        if case.cancel == Cancel::BeforeStart {
            assert!(handle.cancel());
        }
        // What was cancelled before is over.
        assert_eq!(
            fiber.start(),
            case.cancel != Cancel::BeforeStart,
            "{case:?}"
        );
        assert!(!fiber.start(), "{case:?}");
        if case.cancel == Cancel::Queued {
            assert!(handle.cancel());
        }
        let mut fiber = Some(fiber);
        let mut joiner = None;
        if case.join == Join::Fiber {
            let mut fiber = fiber.take().unwrap();
            joiner = Some(spawn(move || outcome(case, fiber.join().wait())));
        }
        sleep(ms(1)).await;
        match case.join {
            Join::Twice => {
                let mut join = pin!(fiber.as_mut().unwrap().join());
                let seen = join.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                // Ready only if it never ran: then it was joined.
                if let Poll::Ready(joined) = seen {
                    assert_eq!(outcome(case, joined), Outcome::Cancelled);
                    joiner = Some(spawn(|| Outcome::Cancelled));
                    fiber = None;
                }
            }
            Join::Dropped => drop(fiber.take()),
            Join::Forgotten => std::mem::forget(fiber.take()),
            _ => {}
        }
        sleep(ms(1)).await;
        if case.cancel == Cancel::Waiting {
            assert!(handle.cancel() && handle.cancel());
        }
        sleep(ms(1)).await;
        match case.end {
            End::Late => sleep(ms(100)).await,
            End::Closed => {
                Hub::current().close().await;
                assert!(!handle.is_alive());
            }
            End::Dropped => return (fiber, joiner),
        }
        assert!(!handle.is_alive(), "{case:?}");
        if case.cancel == Cancel::Ended {
            assert!(!handle.cancel());
        }
        (fiber, joiner)
    });
    drop(runtime);
    if case.join == Join::DroppedLate {
        return None;
    }
    let mut cx = Context::from_waker(Waker::noop());
    let mut now = |mut fiber: Fiber<Output>| match pin!(fiber.join()).poll(&mut cx) {
        Poll::Ready(joined) => outcome(case, joined),
        Poll::Pending => panic!("{case:?}: it does not end"),
    };
    match (fiber, joiner) {
        (Some(fiber), _) => Some(now(fiber)),
        (None, Some(mut joiner)) => match pin!(joiner.join()).poll(&mut cx) {
            Poll::Ready(joined) => joined.ok(),
            Poll::Pending => panic!("{case:?}: its joiner does not end"),
        },
        (None, None) => None,
    }
}

fn check(case: Case) {
    let drops = Drops::default();
    let seen = run(case, &drops);
    let expected = model(case);
    let visible = match expected {
        Outcome::NeverRan => Outcome::Cancelled,
        outcome => outcome,
    };
    match case.join {
        Join::Task | Join::Twice => assert_eq!(seen, Some(visible), "{case:?}"),
        // The joiner is a fiber of the same hub, which may have ended it.
        Join::Fiber if case.end == End::Late => assert_eq!(seen, Some(visible), "{case:?}"),
        _ => {}
    }
    let count = |drops: &AtomicUsize| drops.load(Ordering::Relaxed);
    assert_eq!(count(&drops.captured), 1, "{case:?}");
    let ran = usize::from(expected != Outcome::NeverRan);
    assert_eq!(count(&drops.local), ran, "{case:?}");
    let results = match expected {
        Outcome::Cancelled | Outcome::NeverRan => 0,
        _ => 1,
    };
    assert_eq!(drops.made.get(), results, "{case:?}");
    let lost = usize::from(case.join == Join::Forgotten);
    assert_eq!(
        count(&drops.result),
        results - results.min(lost),
        "{case:?}"
    );
}

#[test]
fn every_combination_ends_as_the_model_says() {
    let mut cases = 0;
    for body in [Body::Returns, Body::Panics] {
        for catch in [Catch::Nothing, Catch::Cancels] {
            for wait in [Wait::Open, Wait::Shielded] {
                for cancel in [
                    Cancel::Never,
                    Cancel::BeforeStart,
                    Cancel::Queued,
                    Cancel::Waiting,
                    Cancel::Ended,
                ] {
                    for deadline in [Deadline::Never, Deadline::Early, Deadline::Late] {
                        for join in [
                            Join::Task,
                            Join::Fiber,
                            Join::Twice,
                            Join::Dropped,
                            Join::DroppedLate,
                            Join::Forgotten,
                        ] {
                            for end in [End::Late, End::Closed, End::Dropped] {
                                // There is no later then.
                                if cancel == Cancel::Ended && end == End::Dropped {
                                    continue;
                                }
                                cases += 1;
                                check(Case {
                                    body,
                                    catch,
                                    wait,
                                    cancel,
                                    deadline,
                                    join,
                                    end,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 2 * 2 * 2 * (5 * 3 - 1) * 3 * 6);
}
