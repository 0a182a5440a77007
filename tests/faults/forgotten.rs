//! Drivers, bridges and futures that are forgotten, kept for ever, dropped late, or
//! dropped on another thread, while others wait for what they were for.
//!
//! Whoever waits is told by a named error, or gets what it waits for. Nobody hangs.

use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use switchback::{
    Bridge, Fiber, Hub, HubHandle, HubThread, SwitchBack, blocking, bridge, catch_cancel,
    prelude::*, run, scope, sleep, spawn, yield_now,
};
use tokio::runtime::Runtime;

use crate::support::ending::poll_once;
use crate::support::table::{
    Case, LONG, Verdict, any_text, check_fact, check_table, ensure, within,
};
use crate::support::{multi_thread_runtime, runtime};

const KNOWN: &[&str] = &[];

/// What becomes of whoever drives the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing: what is asked of it is possible at all.
    RunsOn,
    RunUntilForgotten,
    RunUntilKept,
    RunUntilDropped,
    RunUntilDroppedLate,
    /// One that is polled no more, and another that has come to its end.
    RunUntilForgottenBesideAnother,
    RunUntilForgottenWhileItCloses,
    TaskAndRunUntilForgotten,
    RunUntilForgottenRuntimeDropped,
    RunUntilForgottenRuntimeDroppedElsewhere,
    RuntimeForgottenThreadEnds,
    RuntimeDroppedElsewhere,
    RuntimeDropped,
}

const WAYS: [Way; 13] = [
    Way::RunsOn,
    Way::RunUntilForgotten,
    Way::RunUntilKept,
    Way::RunUntilDropped,
    Way::RunUntilDroppedLate,
    Way::RunUntilForgottenBesideAnother,
    Way::RunUntilForgottenWhileItCloses,
    Way::TaskAndRunUntilForgotten,
    Way::RunUntilForgottenRuntimeDropped,
    Way::RunUntilForgottenRuntimeDroppedElsewhere,
    Way::RuntimeForgottenThreadEnds,
    Way::RuntimeDroppedElsewhere,
    Way::RuntimeDropped,
];

/// How somebody waits for that hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Join,
    Close,
    RunUntilEnds,
    SpawnLater,
    SpawnInRunUntil,
    ScopeEnds,
    HandleSpawn,
    HandleSpawnElsewhere,
    YieldNow,
}

const WAITS: [Waits; 9] = [
    Waits::Join,
    Waits::Close,
    Waits::RunUntilEnds,
    Waits::SpawnLater,
    Waits::SpawnInRunUntil,
    Waits::ScopeEnds,
    Waits::HandleSpawn,
    Waits::HandleSpawnElsewhere,
    Waits::YieldNow,
];

/// What is left of a hub.
struct Left {
    runtime: Option<Runtime>,
    hub: HubHandle,
    fiber: Fiber<()>,
    late: Option<Pin<Box<dyn Future<Output = ()>>>>,
    kept: Option<Box<dyn Any>>,
}

fn come_to(way: Way) -> Left {
    if way == Way::RuntimeForgottenThreadEnds {
        let thread = thread::spawn(|| {
            let left = come_to(Way::RunsOn);
            mem::forget(left.runtime);
            (left.hub, left.fiber)
        });
        let (hub, fiber) = thread.join().unwrap();
        return Left {
            runtime: None,
            hub,
            fiber,
            late: None,
            kept: None,
        };
    }
    let runtime = runtime();
    let body = || sleep(Duration::from_millis(5)).wait();
    let by_task = matches!(
        way,
        Way::RunsOn
            | Way::TaskAndRunUntilForgotten
            | Way::RuntimeDropped
            | Way::RuntimeDroppedElsewhere
    );
    let mut found = None;
    if by_task {
        runtime.block_on(async {
            found = Some((Hub::current().handle(), spawn(body)));
            yield_now().await;
        });
    }
    let mut driver = None;
    if !matches!(
        way,
        Way::RunsOn | Way::RuntimeDropped | Way::RuntimeDroppedElsewhere
    ) {
        let _guard = runtime.enter();
        let (tell, told) = std::sync::mpsc::channel();
        let mut future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(Hub::run_until(async move {
            let _ = tell.send((Hub::current().handle(), spawn(body)));
            pending::<()>().await;
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        found = Some(told.recv().unwrap());
        driver = Some(future);
    }
    let (hub, fiber) = found.unwrap();
    let mut left = Left {
        runtime: Some(runtime),
        hub,
        fiber,
        late: None,
        kept: None,
    };
    match way {
        Way::RunUntilForgotten | Way::TaskAndRunUntilForgotten => mem::forget(driver),
        Way::RunUntilKept => left.kept = Some(Box::new(driver)),
        Way::RunUntilDropped => drop(driver),
        Way::RunUntilDroppedLate => left.late = driver,
        Way::RunUntilForgottenBesideAnother => {
            let other = Hub::run_until(async { yield_now().await });
            let runtime = left.runtime.as_ref().unwrap();
            let _ = runtime.block_on(within(Duration::from_millis(200), other));
            mem::forget(driver);
        }
        Way::RunUntilForgottenWhileItCloses => {
            let _ = poll_once(Pin::new(&mut left.hub.close()));
            mem::forget(driver);
        }
        Way::RuntimeDropped => left.runtime = None,
        Way::RunUntilForgottenRuntimeDropped => {
            mem::forget(driver);
            left.runtime = None;
        }
        Way::RuntimeDroppedElsewhere | Way::RunUntilForgottenRuntimeDroppedElsewhere => {
            mem::forget(driver);
            let runtime = left.runtime.take();
            thread::spawn(move || drop(runtime)).join().unwrap();
        }
        _ => {}
    }
    left
}

/// A refusal has a text.
fn refused<T>(result: thread::Result<T>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(payload) => match any_text(&*payload) {
            text if text == "(no text)" => Err("it is refused without a name".to_owned()),
            _ => Ok(None),
        },
    }
}

/// Polls what may panic, and takes that for an answer.
async fn answer<F: Future>(future: F) {
    let mut future = Box::pin(future);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(()), |polled| polled.map(drop))
    })
    .await;
}

async fn wait(waits: Waits, hub: HubHandle, fiber: Fiber<()>) -> Verdict {
    match waits {
        Waits::Join => drop(fiber.await),
        Waits::Close => answer(hub.close()).await,
        Waits::RunUntilEnds => answer(Hub::run_until(async {})).await,
        Waits::SpawnLater => {
            if let Some(fiber) = refused(catch_unwind(|| spawn(|| 1)))? {
                let _ = fiber.await;
            }
        }
        Waits::SpawnInRunUntil => answer(Hub::run_until(async { spawn(|| 1).await })).await,
        Waits::ScopeEnds => {
            answer(bridge(|| {
                scope(|s| {
                    s.spawn(|| ());
                });
            }))
            .await;
        }
        Waits::HandleSpawn => {
            if let Ok(fiber) = hub.spawn(|| 1) {
                let _ = fiber.await;
            }
        }
        Waits::HandleSpawnElsewhere => {
            let fiber = thread::spawn(move || hub.spawn(|| 1)).join().unwrap();
            if let Ok(fiber) = fiber {
                let _ = fiber.await;
            }
        }
        Waits::YieldNow => yield_now().await,
    }
    Ok(())
}

fn nobody_hangs(way: Way, waits: Waits) -> Verdict {
    let left = come_to(way);
    let mut late = left.late;
    let body = async {
        let mut waiting = Box::pin(wait(waits, left.hub, left.fiber));
        // It waits already when what it waits for goes.
        let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx)));
        let polled = polled.await;
        drop(late.take());
        match polled {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => waiting.await,
        }
    };
    let fallback = runtime();
    let runtime = left.runtime.as_ref().unwrap_or(&fallback);
    let verdict = runtime.block_on(within(LONG, body));
    mem::forget(left.kept);
    verdict.unwrap_or_else(|| Err("it hangs".to_owned()))
}

#[test]
fn whoever_waits_for_a_hub_is_told_whatever_becomes_of_its_driver() {
    let mut cases = Vec::new();
    for way in WAYS {
        for waits in WAITS {
            let name = format!("{way:?}/{waits:?}");
            cases.push(Case::new(name, move || nobody_hangs(way, waits)));
        }
    }
    let test = "forgotten::whoever_waits_for_a_hub_is_told_whatever_becomes_of_its_driver";
    check_table(test, KNOWN, cases);
}

/// A bridge that waits in a destructor while it unwinds.
fn unwinding_bridge() -> Bridge<()> {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            pending::<()>().wait();
        }
    }
    let mut bridge = bridge(|| {
        let _waits = Waits;
        std::panic::resume_unwind(Box::new(1));
    });
    assert!(poll_once(Pin::new(&mut bridge)).is_pending());
    bridge
}

fn polled<F: Future + 'static>(future: F) -> Box<dyn Any>
where
    F::Output: 'static,
{
    let mut future = Box::pin(future);
    let _ = poll_once(future.as_mut());
    Box::new(future)
}

type Made = (&'static str, fn() -> Box<dyn Any>);

/// What can be forgotten on a hub.
const THINGS: &[Made] = &[
    ("a bridge that unwinds", || Box::new(unwinding_bridge())),
    ("a bridge that waits", || {
        polled(bridge(|| pending::<()>().wait()))
    }),
    ("a bridge that joins", || {
        polled(bridge(|| spawn(|| pending::<()>().wait()).wait()))
    }),
    ("a bridge with a scope", || {
        polled(bridge(|| {
            scope(|s| {
                s.spawn(|| pending::<()>().wait());
            });
        }))
    }),
    ("a fiber", || Box::new(spawn(|| pending::<()>().wait()))),
    ("a fiber not started", || Box::new(Fiber::new(|| ()))),
    ("a join", || polled(spawn(|| pending::<()>().wait()))),
    ("a switch back", || polled(SwitchBack::<()>::new())),
    ("a sleep", || polled(sleep(Duration::from_secs(60)))),
    ("a yield", || polled(yield_now())),
    ("a blocking job", || polled(blocking(|| ()))),
    ("a handle", || Box::new(Hub::current().handle())),
    ("a hub", || Box::new(Hub::current())),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Forgotten,
    Kept,
    DroppedAfterTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Run,
    RunPanics,
    RunUntil,
    RuntimeDropped,
    ThreadClosed,
}

/// A hub on which such a thing is left comes to its end.
fn the_end_comes(make: fn() -> Box<dyn Any>, fate: Fate, ending: Ending) -> Verdict {
    thread_local! {
        static KEPT: std::cell::RefCell<Vec<Box<dyn Any>>> = const {
            std::cell::RefCell::new(Vec::new())
        };
    }
    let leave = move || {
        let thing = make();
        match fate {
            Fate::Forgotten => mem::forget(thing),
            Fate::Kept => drop(Box::leak(Box::new(thing))),
            Fate::DroppedAfterTheEnd => KEPT.with_borrow_mut(|kept| kept.push(thing)),
        }
        drop(spawn(|| pending::<()>().wait()));
    };
    match ending {
        Ending::Run => {
            let result = run(move || {
                leave();
                yield_now().wait();
            });
            result.map_err(|e| e.to_string())?;
        }
        Ending::RunPanics => {
            let result = catch_unwind(move || {
                run(move || {
                    leave();
                    yield_now().wait();
                    std::panic::resume_unwind(Box::new("on purpose"));
                })
            });
            ensure(result.is_err(), "the panic is lost")?;
        }
        Ending::RunUntil => runtime().block_on(Hub::run_until(async move {
            leave();
            yield_now().await;
        })),
        Ending::RuntimeDropped => runtime().block_on(async move {
            leave();
            yield_now().await;
        }),
        Ending::ThreadClosed => {
            let thread = HubThread::new().unwrap();
            let fiber = thread.spawn(leave).unwrap();
            fiber.wait().map_err(|e| e.to_string())?;
            thread.close().wait();
        }
    }
    drop(KEPT.take());
    Ok(())
}

#[test]
fn a_hub_ends_whatever_was_left_on_it() {
    let mut cases = Vec::new();
    for (name, make) in THINGS {
        for fate in [Fate::Forgotten, Fate::Kept, Fate::DroppedAfterTheEnd] {
            for ending in [
                Ending::Run,
                Ending::RunPanics,
                Ending::RunUntil,
                Ending::RuntimeDropped,
                Ending::ThreadClosed,
            ] {
                // A thread that ends with it is for `thread_end`.
                if fate == Fate::DroppedAfterTheEnd && ending == Ending::ThreadClosed {
                    continue;
                }
                let name = format!("{name}/{fate:?}/{ending:?}");
                let make = *make;
                cases.push(Case::new(name, move || the_end_comes(make, fate, ending)));
            }
        }
    }
    check_table(
        "forgotten::a_hub_ends_whatever_was_left_on_it",
        KNOWN,
        cases,
    );
}

#[test]
fn a_close_that_is_forgotten_does_not_keep_a_later_run_until() {
    let test = "forgotten::a_close_that_is_forgotten_does_not_keep_a_later_run_until";
    check_fact(test, KNOWN, || {
        let runtime = runtime();
        {
            let _guard = runtime.enter();
            let mut driver = Box::pin(Hub::run_until(async {
                drop(spawn(|| catch_cancel(|| pending::<()>().wait()).ok()));
                let mut close = Box::pin(Hub::current().close());
                let _ = poll_once(close.as_mut());
                mem::forget(close);
                pending::<()>().await;
            }));
            assert!(poll_once(driver.as_mut()).is_pending());
            mem::forget(driver);
        }
        let later = within(LONG, Hub::run_until(async { 1 }));
        let later = runtime.block_on(later);
        ensure(later == Some(1), "a later `run_until` hangs")
    });
}

/// Async code beside a `run_until` of a multi-thread runtime that is not polled for now.
#[test]
fn a_task_gives_way_beside_a_run_until_that_is_not_polled() {
    let test = "forgotten::a_task_gives_way_beside_a_run_until_that_is_not_polled";
    check_fact(test, KNOWN, || {
        let runtime = multi_thread_runtime();
        let body = async {
            let mut driver = Box::pin(Hub::run_until(async {
                drop(spawn(|| pending::<()>().wait()));
                pending::<()>().await;
            }));
            let polled = poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            yield_now().await;
            sleep(Duration::ZERO).await;
        };
        let done = runtime.block_on(within(LONG, body));
        ensure(done.is_some(), "it hangs")
    });
}

/// What becomes of the runtime of a `run_until` that is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuntimeEnd {
    /// A multi-thread runtime is shut down by the task that `run_until` polls.
    ShutDownInside,
    /// A current-thread runtime is dropped by another thread.
    DroppedElsewhere,
    /// A multi-thread runtime is dropped while one of its workers is in `run_until`.
    DroppedOverAWorker,
    /// It was shut down before.
    WasShutDown,
}

#[test]
fn a_run_until_that_is_polled_outlives_its_runtime() {
    let ends = [
        RuntimeEnd::ShutDownInside,
        RuntimeEnd::DroppedElsewhere,
        RuntimeEnd::DroppedOverAWorker,
        RuntimeEnd::WasShutDown,
    ];
    let cases = ends.map(|end_of_runtime| {
        Case::new(format!("{end_of_runtime:?}"), move || {
            outlives(end_of_runtime)
        })
    });
    let test = "forgotten::a_run_until_that_is_polled_outlives_its_runtime";
    check_table(test, KNOWN, cases.into());
}

fn outlives(end_of_runtime: RuntimeEnd) -> Verdict {
    let runtime = match end_of_runtime {
        RuntimeEnd::DroppedElsewhere | RuntimeEnd::WasShutDown => runtime(),
        RuntimeEnd::ShutDownInside | RuntimeEnd::DroppedOverAWorker => multi_thread_runtime(),
    };
    let handle = runtime.handle().clone();
    let body = |end: Box<dyn FnOnce() + Send>| async move {
        let (tell, told) = tokio::sync::oneshot::channel();
        drop(spawn(move || {
            for _ in 0..5 {
                yield_now().wait();
            }
            let _ = tell.send(1);
        }));
        end();
        // Its fiber may have been ended.
        let _ = told.await;
    };
    match end_of_runtime {
        RuntimeEnd::ShutDownInside => {
            let end = Box::new(|| runtime.shutdown_background());
            handle.block_on(Hub::run_until(body(end)));
        }
        RuntimeEnd::DroppedElsewhere => {
            let end = Box::new(|| thread::spawn(|| drop(runtime)).join().unwrap());
            handle.block_on(Hub::run_until(body(end)));
        }
        RuntimeEnd::DroppedOverAWorker => {
            let (tell, told) = std::sync::mpsc::channel();
            handle.spawn(async move {
                let wait = move || {
                    tell.send(()).unwrap();
                    thread::sleep(Duration::from_millis(20));
                };
                let run = Hub::run_until(body(Box::new(wait)));
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(run));
            });
            told.recv().unwrap();
            drop(runtime);
        }
        RuntimeEnd::WasShutDown => {
            drop(runtime);
            handle.block_on(Hub::run_until(body(Box::new(|| ()))));
        }
    }
    Ok(())
}

/// Beside tasks that take long and never rest.
#[test]
fn the_hub_of_a_forgotten_run_until_is_driven_beside_slow_tasks() {
    let test = "forgotten::the_hub_of_a_forgotten_run_until_is_driven_beside_slow_tasks";
    check_fact(test, KNOWN, || {
        let left = come_to(Way::RunUntilForgotten);
        let runtime = left.runtime.unwrap();
        runtime.spawn(async {
            loop {
                thread::sleep(Duration::from_millis(20));
                tokio::task::yield_now().await;
            }
        });
        let joined = runtime.block_on(within(LONG, left.fiber));
        ensure(joined.is_some(), "it hangs")
    });
}

/// What asks for the next turn is nobody's wake, but the last turn.
#[test]
fn the_hub_of_a_forgotten_run_until_goes_on_with_fibers_that_give_way() {
    let test = "forgotten::the_hub_of_a_forgotten_run_until_goes_on_with_fibers_that_give_way";
    check_fact(test, KNOWN, || {
        let runtime = runtime();
        let joined = runtime.block_on(within(LONG, async {
            let (tell, told) = tokio::sync::oneshot::channel();
            let mut driver = Box::pin(Hub::run_until(async {
                let fiber = spawn(|| {
                    for _ in 0..1000 {
                        yield_now().wait();
                    }
                });
                let _ = tell.send(fiber);
                pending::<()>().await
            }));
            let polled = poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            mem::forget(driver);
            told.await.unwrap().await
        }));
        ensure(joined.is_some(), "it hangs")
    });
}

/// A bridge that unwinds for ever puts off the cancels of the fibers, which are more than a turn handles.
#[test]
fn a_forgotten_close_over_fibers_that_cannot_be_cancelled_ends() {
    let test = "forgotten::a_forgotten_close_over_fibers_that_cannot_be_cancelled_ends";
    check_fact(test, KNOWN, || {
        let body = async {
            mem::forget(unwinding_bridge());
            let mut driver = Box::pin(Hub::run_until(async {
                for _ in 0..200 {
                    drop(spawn(|| pending::<()>().wait()));
                }
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }));
            loop {
                let polled = poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx)));
                ensure(polled.await.is_pending(), "it ends by itself")?;
                if Hub::current().handle().is_closed() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            mem::forget(driver);
            ensure(Hub::run_until(async { 1 }).await == 1, "wrong")
        };
        let verdict = runtime().block_on(within(LONG, body));
        verdict.unwrap_or_else(|| Err("a later `run_until` hangs".to_owned()))
    });
}

#[test]
fn a_run_until_leaves_no_tasks_behind() {
    let test = "forgotten::a_run_until_leaves_no_tasks_behind";
    check_fact(test, KNOWN, || {
        let runtime = runtime();
        let tasks = || runtime.handle().metrics().num_alive_tasks();
        for wait in [false, true] {
            for _ in 0..100 {
                runtime.block_on(Hub::run_until(async {
                    if wait {
                        spawn(|| yield_now().wait()).await.unwrap();
                    }
                }));
            }
            runtime.block_on(async { tokio::task::yield_now().await });
            ensure(tasks() <= 2, "tasks are left")?;
        }
        Ok(())
    });
}
