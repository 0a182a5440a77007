//! Runtimes of somebody else's that are made, entered, driven, shut down and dropped on the
//! stacks of actors, with tasks on them. What waits there is refused by name.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId, panicking};
use std::time::Duration;

use switchback::prelude::*;
use switchback::{Hub, bridge, scope, sleep, spawn, yield_now};
use tokio::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime};
use tokio::task::{LocalSet, block_in_place};

use crate::ledger::{Counted, Ledger, Owner};
use crate::program::Cx;
use crate::show::Stage;
use crate::tally::Op;

/// What the library and tokio say when they refuse something.
const REFUSALS: &[&str] = &[
    "would suspend that executor half way",
    "would suspend the executor half way",
    "would block the runtime",
    "would stop every fiber",
    "in a waker, or where the items of a `PriorityQueue` are compared, would suspend",
    "Cannot start a runtime from within a runtime",
    "Cannot drop a runtime in a context where blocking",
    "can call blocking only when running on the multi-threaded runtime",
];

pub(crate) fn is_refusal(text: &str) -> bool {
    REFUSALS.iter().any(|refusal| text.contains(refusal))
}

/// The text of a panic.
pub(crate) fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

/// Calls what may be refused. Other panics go on. Whether it was refused.
fn refused(f: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => false,
        Err(payload) if is_refusal(text(&*payload)) => true,
        Err(payload) => resume_unwind(payload),
    }
}

/// Waits, in one way or another, for what does not come at once. Whether the wait was gone
/// through with.
fn wait_somehow(style: u64) -> bool {
    let brief = Duration::from_millis(1);
    match style {
        0 => pending::<()>().wait(),
        1 => yield_now().wait(),
        2 => return pending::<()>().wait_or_cancelled().is_ok(),
        3 => return pending::<()>().wait_timeout(brief).is_ok(),
        4 => scope(|_| ()),
        _ => sleep(brief).wait(),
    }
    true
}

/// Waits when it is dropped, which somebody else's runtime does, so it must not succeed.
struct WaitsThere {
    style: u64,
    ledger: Arc<Ledger>,
    refusals: Arc<AtomicU64>,
    home: ThreadId,
    _token: Counted,
}

impl Drop for WaitsThere {
    fn drop(&mut self) {
        if thread::current().id() != self.home {
            // A worker of the foreign runtime may block, and nobody would let it go on.
            return;
        }
        let unwinds = panicking();
        match catch_unwind(|| wait_somehow(self.style)) {
            Ok(true) => self.ledger.fault(format!(
                "a wait of style {} inside a runtime went through",
                self.style
            )),
            // It could only return an error.
            Ok(false) if unwinds => {}
            Ok(false) => self
                .ledger
                .fault("a wait was refused without a panic".into()),
            Err(payload) if is_refusal(text(&*payload)) => {
                self.refusals.fetch_add(1, Ordering::SeqCst);
            }
            Err(payload) => self.ledger.fault(format!(
                "a wait was not refused by name, but with {:?}",
                text(&*payload)
            )),
        }
    }
}

/// Lets other tasks run. While the runtime of this thread shuts down, tokio's `yield_now` would leave
/// the waker with that one, also in a `block_on` of another runtime, and nothing would call it.
async fn gives_way() {
    let mut gave = false;
    poll_fn(|cx| match gave {
        true => Poll::Ready(()),
        false => {
            gave = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[derive(Clone, Copy, Debug)]
enum Flavour {
    CurrentThread,
    MultiThread,
    Local,
    Set,
}

enum Foreign {
    Tokio(Runtime),
    Local(LocalRuntime),
    Set(Runtime, LocalSet),
}

impl Foreign {
    fn new(flavour: Flavour) -> Foreign {
        let mut one = Builder::new_current_thread();
        one.enable_time();
        let made = match flavour {
            Flavour::CurrentThread => one.build().map(Foreign::Tokio),
            Flavour::MultiThread => {
                let mut builder = Builder::new_multi_thread();
                let built = builder.worker_threads(1).enable_time().build();
                built.map(Foreign::Tokio)
            }
            Flavour::Local => one.build_local(LocalOptions::default()).map(Foreign::Local),
            Flavour::Set => one.build().map(|own| Foreign::Set(own, LocalSet::new())),
        };
        made.expect("a runtime can be made")
    }

    fn handle(&self) -> &Handle {
        match self {
            Foreign::Tokio(runtime) | Foreign::Set(runtime, _) => runtime.handle(),
            Foreign::Local(runtime) => runtime.handle(),
        }
    }

    fn hold(&self, held: WaitsThere) -> tokio::task::JoinHandle<()> {
        let task = async move {
            let _held = held;
            pending::<()>().await;
        };
        match self {
            Foreign::Tokio(runtime) => runtime.spawn(task),
            Foreign::Local(runtime) => runtime.spawn_local(task),
            Foreign::Set(_, set) => set.spawn_local(task),
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Foreign::Tokio(runtime) => runtime.block_on(future),
            Foreign::Local(runtime) => runtime.block_on(future),
            Foreign::Set(runtime, set) => set.block_on(runtime, future),
        }
    }

    fn shut_down(self) {
        match self {
            Foreign::Tokio(runtime) => runtime.shutdown_background(),
            Foreign::Local(runtime) => runtime.shutdown_background(),
            Foreign::Set(runtime, set) => {
                drop(set);
                runtime.shutdown_background();
            }
        }
    }
}

/// A foreign runtime and what is to be done with it.
struct Strike {
    flavour: Flavour,
    action: Op,
    tasks: u64,
    style: u64,
    ledger: Arc<Ledger>,
    owner: Owner,
    refusals: Arc<AtomicU64>,
}

impl Strike {
    fn new(below: impl Fn(u64) -> u64, ledger: Arc<Ledger>, owner: Owner) -> Strike {
        let flavour = match below(10) {
            0 => Flavour::MultiThread,
            1..=3 => Flavour::CurrentThread,
            4..=6 => Flavour::Local,
            _ => Flavour::Set,
        };
        let action = match below(5) {
            0 => Op::RuntimeDropped,
            1 | 2 => Op::RuntimeShutDown,
            3 => Op::RuntimeEntered,
            _ => Op::RuntimeDriven,
        };
        Strike {
            flavour,
            action,
            tasks: below(3),
            style: below(6),
            ledger,
            // The workers of such a runtime may still drop its tasks when it is gone.
            owner: match flavour {
                Flavour::MultiThread => Owner::Forgotten,
                _ => owner,
            },
            refusals: Arc::default(),
        }
    }

    fn flavour(&self) -> Op {
        match self.flavour {
            Flavour::CurrentThread => Op::RuntimeCurrentThread,
            Flavour::MultiThread => Op::RuntimeMultiThread,
            Flavour::Local => Op::RuntimeLocal,
            Flavour::Set => Op::RuntimeSet,
        }
    }

    fn held(&self, style: u64) -> WaitsThere {
        WaitsThere {
            style,
            ledger: self.ledger.clone(),
            refusals: self.refusals.clone(),
            home: thread::current().id(),
            _token: self.ledger.count(self.owner),
        }
    }

    /// Does it. `wait` is a wait of whoever does it, which says whether it went through.
    fn run(&self, wait: impl Fn() -> bool) {
        let went_through = Cell::new(false);
        let wait = || went_through.set(went_through.get() || wait());
        let here = || {
            (
                tokio::task::try_id(),
                Handle::try_current().ok().map(|h| h.id()),
            )
        };
        let before = here();
        let foreign = Foreign::new(self.flavour);
        for task in 0..self.tasks {
            drop(foreign.hold(self.held((self.style + task) % 6)));
        }
        let is_refused = match self.action {
            Op::RuntimeDropped => refused(|| drop(foreign)),
            Op::RuntimeEntered => {
                let entered = foreign.handle().clone();
                let guard = entered.enter();
                let is_refused = refused(wait);
                drop(guard);
                foreign.shut_down();
                is_refused
            }
            Op::RuntimeDriven => {
                let drive = || {
                    foreign.block_on(async {
                        let task = foreign.hold(self.held(self.style));
                        gives_way().await;
                        task.abort();
                        let _ = task.await;
                        refused(wait);
                    });
                };
                let is_refused = refused(|| match self.style % 2 {
                    0 => drive(),
                    _ => block_in_place(drive),
                });
                foreign.shut_down();
                is_refused
            }
            _ => refused(|| foreign.shut_down()),
        };
        if went_through.get() {
            let fault = "a wait in a runtime that was entered or driven went through";
            self.ledger.fault(fault.into());
        }
        if is_refused {
            self.refusals.fetch_add(1, Ordering::SeqCst);
        }
        if here() != before {
            self.ledger
                .fault("another runtime or task is current afterwards".into());
        }
    }
}

impl Cx {
    /// Uses somebody else's runtime on this actor's stack, or in the root fiber.
    pub(crate) fn strike(&self, place: Op) {
        let world = &self.world;
        let ledger = world.ledger.clone();
        let mut strike = Strike::new(|n| self.below(n), ledger, self.owner());
        let may_be_ended = world.ended.get() || self.is_under_bridge();
        if strike.action == Op::RuntimeEntered && (panicking() || may_be_ended) {
            // The wait has no error to return: the stack would be left over the guard.
            strike.action = Op::RuntimeShutDown;
        }
        self.hit(place);
        self.hit(strike.flavour());
        self.hit(strike.action);
        strike.run(|| match self.is_actor() {
            true => self.wait_that_is_refused(pending::<()>()),
            false => wait_somehow(0),
        });
        let refusals = strike.refusals.load(Ordering::SeqCst);
        let mut tally = world.tally.borrow_mut();
        (0..refusals).for_each(|_| tally.hit(Op::WaitRefused));
    }
}

/// The body's own runtime is driven on its stack, which was resumed outside of that.
fn drive_the_current_one(runtime: &Runtime, ledger: &Ledger) {
    let drive = || {
        runtime.block_on(async {
            if !refused(|| pending::<()>().wait()) {
                ledger.fault("a wait in a `block_on` of the current runtime went through".into());
            }
        });
    };
    if refused(drive) {
        ledger.fault("tokio refuses to drive a runtime that nobody drives".into());
    }
}

/// Bodies that use runtimes, wait in between, and go on in any order, where tokio lets a
/// runtime be driven inside of another one.
pub(crate) fn inside_a_multi_thread_runtime(stage: &Stage) {
    let place = stage.below(3);
    let outer = match place {
        2 => Builder::new_current_thread().enable_time().build(),
        _ => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).enable_time().build()
        }
    };
    let outer = Rc::new(outer.expect("a runtime can be made"));
    let body = || {
        let strikes: Vec<_> = (0..=stage.below(3))
            .map(|_| {
                let strike = Strike::new(|n| stage.below(n), stage.ledger.clone(), Owner::Nobody);
                let pauses = stage.below(3);
                stage.hit(strike.flavour());
                stage.hit(strike.action);
                (strike, pauses)
            })
            .collect();
        let (token, ledger, outer) = (stage.token(), stage.ledger.clone(), outer.clone());
        move || {
            for (strike, pauses) in strikes {
                strike.run(|| wait_somehow(0));
                if place == 2 {
                    drive_the_current_one(&outer, &ledger);
                }
                (0..pauses).for_each(|_| yield_now().wait());
                tokio::task::yield_now().wait();
            }
            drop(token);
        }
    };
    let (first, second) = (body(), body());
    let works = async {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::spawn(async { 7 }).await
    };
    let ended = match place {
        0 => {
            stage.hit(Op::BridgesOnMultiThread);
            outer.block_on(async {
                let ((), ()) = tokio::join!(bridge(first), bridge(second));
                works.await
            })
        }
        1 => {
            stage.hit(Op::RunUntilOnMultiThread);
            outer.block_on(Hub::run_until(async {
                let both = tokio::join!(spawn(first), spawn(second));
                if both.0.is_err() || both.1.is_err() {
                    stage.fault(format!("a fiber failed: {both:?}"));
                }
                works.await
            }))
        }
        _ => {
            stage.hit(Op::BridgesInEnteredRuntime);
            // The runtime is current, and its scheduler is not on the thread.
            let guard = outer.enter();
            let mut both = [bridge(first), bridge(second)];
            let mut left: Vec<_> = both.iter_mut().collect();
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..1000 {
                left.retain_mut(|one| Pin::new(one).poll(&mut cx).is_pending());
            }
            if !left.is_empty() {
                stage.fault("a bridge does not end");
            }
            drop((both, guard));
            outer.block_on(works)
        }
    };
    if !matches!(ended, Ok(7)) {
        stage.fault(format!("the runtime does not work afterwards: {ended:?}"));
    }
}
