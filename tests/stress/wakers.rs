//! Hostile wakers: of somebody else's, which panic, wait or come back in when they are
//! cloned, woken or dropped, wherever the library keeps one.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::panicking;
use std::time::Duration;

use switchback::prelude::*;
use switchback::{
    Hub, HubThread, SwitchBack, blocking, bridge, io, scope, sleep, spawn, yield_now,
};
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;
use tokio::task::coop;

use crate::helper::Job;
use crate::hostile::{Hostile, Method};
use crate::ledger::{Counted, Owner};
use crate::program::{Cx, Held};
use crate::runtimes::{is_refusal, text};
use crate::show::Stage;
use crate::tally::Op;
use crate::world::World;

/// What a hostile waker panics with.
#[derive(Debug)]
pub(crate) struct Meant;

thread_local! {
    /// The round that is played on this thread.
    static HERE: RefCell<Weak<World>> = const { RefCell::new(Weak::new()) };
    static IS_BACK_IN: Cell<bool> = const { Cell::new(false) };
}

/// Whether a waker is running that has come back in.
pub(crate) fn is_back_in() -> bool {
    IS_BACK_IN.get()
}

/// Wakers that come back in, on this thread, come into this world.
pub(crate) fn set_world(world: &Rc<World>) {
    HERE.set(Rc::downgrade(world));
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Panics,
    Waits,
    ComesBackIn,
}

impl Act {
    fn op(self) -> Op {
        match self {
            Act::Panics => Op::WakerPanicked,
            Act::Waits => Op::WakerWaited,
            Act::ComesBackIn => Op::WakerCameBackIn,
        }
    }
}

fn method_op(method: Method) -> Op {
    match method {
        Method::Clone => Op::WakerCloned,
        Method::Wake | Method::WakeByRef => Op::WakerWoken,
        Method::Drop => Op::WakerDropped,
    }
}

/// A waker that comes back in on the stack of a fiber may join that one.
pub(crate) const JOINS_ITSELF: &str = "a fiber cannot join itself";

/// Calls what may let a hostile panic through; all other panics go on.
fn unless_hostile<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Meant>() || is_refusal(text(&*payload)) => None,
        Err(payload) if text(&*payload).contains(JOINS_ITSELF) => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// What a waker of a round does, on the thread of the round.
fn act_in_world(method: Method, act: Act) {
    let Some(world) = HERE.with_borrow(Weak::upgrade) else {
        return;
    };
    // The round's own runtime may be gone, or another one entered.
    let runtime = Handle::try_current().map(|runtime| runtime.id()).ok();
    if IS_BACK_IN.get() || runtime != world.runtime.get() {
        return;
    }
    let cx = Cx::outside(&world);
    cx.hit(method_op(method));
    cx.hit(act.op());
    match act {
        Act::Panics => panic_any(Meant),
        // It is refused, wherever this is called.
        Act::Waits => drop(yield_now().wait_or_cancelled()),
        Act::ComesBackIn if world.ended.get() || world.stop.get() => {}
        Act::ComesBackIn => {
            IS_BACK_IN.set(true);
            for _ in 0..=world.below(2) {
                cx.poke();
            }
            IS_BACK_IN.set(false);
        }
    }
}

/// Draws a hostile waker. Its act may run on any thread.
fn draw(below: impl Fn(u64) -> u64) -> (Method, Act) {
    let method = Method::ALL[below(4) as usize];
    let act = match below(4) {
        0 | 1 => Act::ComesBackIn,
        2 => Act::Panics,
        _ => Act::Waits,
    };
    (method, act)
}

/// Tells that it was dropped.
struct Gone(Rc<Cell<bool>>);

impl Gone {
    fn new() -> (Gone, Rc<Cell<bool>>) {
        let is_gone = Rc::new(Cell::new(false));
        (Gone(is_gone.clone()), is_gone)
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl Cx {
    /// A hostile waker, which stays armed until the round is over.
    pub(crate) fn hostile(&self) -> Waker {
        let (method, act) = draw(|n| self.below(n));
        let hostile = Hostile::new(method, move || act_in_world(method, act));
        hostile.arm(true);
        let waker = hostile.waker();
        self.world.hostiles.borrow_mut().push(hostile);
        waker
    }

    /// Polls something of the library's with a hostile waker.
    pub(crate) fn poll_hostile<F: Future + ?Sized>(
        &self,
        future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let waker = self.hostile();
        // Tokio's budget hands wakers to its scheduler, which need not stand them.
        let mut future = coop::unconstrained(future);
        let polled =
            unless_hostile(|| Pin::new(&mut future).poll(&mut Context::from_waker(&waker)));
        let _ = unless_hostile(|| drop(waker));
        match polled {
            Some(Poll::Ready(output)) => Some(output),
            _ => None,
        }
    }

    pub(crate) fn hostile_join(&self) {
        let Some(mut held) = Held::take(self) else {
            return;
        };
        self.hit(Op::HostileJoin);
        if let Some(outcome) = self.poll_hostile(Pin::new(held.fiber())) {
            let actor = held.consume();
            drop(self.joined(actor, outcome));
        }
    }

    pub(crate) fn hostile_switch_back(&self) {
        self.hit(Op::HostileSwitchBack);
        let mut switch_back = SwitchBack::<Counted>::new();
        let switcher = switch_back.switcher();
        if self.poll_hostile(Pin::new(&mut switch_back)).is_some() {
            self.world.fault("nobody has fired");
        }
        let token = self.token();
        match self.below(6) {
            0 | 1 => {
                self.hit(Op::SwitchBackFired);
                if !switcher.switch(token) {
                    self.world.fault("a `SwitchBack` that waits was not fired");
                }
                self.check_fired(switch_back);
            }
            2 => {
                self.hit(Op::SwitchBackFiredRemotely);
                self.world.helper.run(Job::Switch(switcher, token));
                self.check_fired(switch_back);
            }
            3 => {
                self.hit(Op::SwitchBackForgotten);
                std::mem::forget(switch_back);
                // Nobody will take it: it goes with the last switcher.
                token.moved_to(Owner::Forgotten);
                switcher.switch(token);
            }
            4 => {
                drop(switch_back);
                if switcher.switch(token) {
                    self.world.fault("a `SwitchBack` that is gone was fired");
                }
            }
            _ => drop(switcher),
        }
    }

    fn check_fired(&self, mut switch_back: SwitchBack<Counted>) {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut switch_back).poll(&mut cx) {
            Poll::Ready(Ok(token)) => token.moved_to(self.owner()),
            _ => self
                .world
                .fault("a `SwitchBack` that was fired has no value"),
        }
    }

    /// Polls what gives way with a hostile waker, and drops it, keeps it, or waits for it.
    pub(crate) fn hostile_yield(&self) {
        self.hit(Op::HostileYield);
        let mut gives_way: Pin<Box<dyn Future<Output = ()>>> = match self.below(2) {
            0 => Box::pin(yield_now()),
            _ => Box::pin(sleep(Duration::ZERO)),
        };
        let done = self.poll_hostile(gives_way.as_mut()).is_some();
        match self.below(3) {
            0 => drop(gives_way),
            1 => self.world.kept.borrow_mut().push(gives_way),
            _ if self.is_actor() && !done => self.wait(gives_way),
            _ => {}
        }
    }

    /// Reads from a reader on a stack of its own, with hostile wakers at first.
    pub(crate) fn hostile_reader(&self) {
        struct Waits {
            _held: (Gone, Counted),
        }
        impl Read for Waits {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                // `Read` tries again when it is interrupted.
                let waited = yield_now().wait_or_cancelled();
                waited.map_err(std::io::Error::other)?;
                buffer[0] = 7;
                Ok(1)
            }
        }
        if panicking() {
            // Its stack could not be unwound.
            return;
        }
        self.hit(Op::HostileReader);
        let token = self.world.ledger.count(Owner::Forgotten);
        let (gone, is_gone) = Gone::new();
        let waits = Waits {
            _held: (gone, token),
        };
        let mut reader = io::AsyncReader::new(move || waits);
        for _ in 0..=self.below(3) {
            let mut byte = [0];
            let read = self.poll_hostile(pin!(reader.read(&mut byte)));
            if read.is_some_and(|read| read.is_err() || byte != [7]) {
                self.world.fault("a reader reads something else");
            }
        }
        drop(reader);
        if !is_gone.get() {
            // Another fiber unwinds by now, or a waker has waited on the reader's stack.
            self.world.tally.borrow_mut().abandoned += 1;
        }
    }

    /// Polls a bridge that waits for the library only, with hostile wakers, and drops it.
    pub(crate) fn hostile_bridge(&self) {
        if panicking() {
            return;
        }
        self.hit(Op::HostileBridge);
        let token = self.world.ledger.count(Owner::Forgotten);
        let (gone, is_gone) = Gone::new();
        let naps = self.below(4);
        let mut bridge = bridge(move || {
            let _held = (gone, token);
            (0..naps).for_each(|_| yield_now().wait());
            let _ = sleep(Duration::ZERO).wait_or_cancelled();
        });
        for _ in 0..=self.below(4) {
            if self.poll_hostile(Pin::new(&mut bridge)).is_some() {
                break;
            }
        }
        drop(bridge);
        if !is_gone.get() {
            self.world.tally.borrow_mut().abandoned += 1;
        }
    }

    /// Somebody waits for the close with a hostile waker, and may not wait on.
    pub(crate) fn hostile_close(&self) {
        self.hit(Op::HostileClose);
        let mut close = Box::pin(Hub::current().close());
        let closed = self.poll_hostile(close.as_mut()).is_some();
        match self.below(3) {
            0 => {
                self.hit(Op::CloseForgotten);
                std::mem::forget(close);
            }
            1 if !closed => self.world.kept.borrow_mut().push(close),
            _ => {}
        }
    }

    /// Forgets a future of the library's that was polled, or was not.
    pub(crate) fn forget_future(&self) {
        self.hit(Op::FutureForgotten);
        let mut future: Pin<Box<dyn Future<Output = ()>>> = match self.below(6) {
            0 => Box::pin(yield_now()),
            1 => Box::pin(sleep(Duration::ZERO)),
            2 => Box::pin(sleep(self.millis(4))),
            3 => Box::pin(async {
                let _ = SwitchBack::<u8>::new().await;
            }),
            4 => Box::pin(async {
                let _ = SwitchBack::<u8>::with_timeout(Duration::from_millis(2)).await;
            }),
            _ => Box::pin(blocking(|| ())),
        };
        if self.is_actor() && self.world.chance(70) {
            // With the actor's own waker, which is then woken for nothing.
            self.wait(poll_fn(|cx| {
                let _ = future.as_mut().poll(cx);
                Poll::Ready(())
            }));
        }
        std::mem::forget(future);
    }
}

/// What a waker does on a hub of its own.
fn hostile_on(stage: &Stage, hub: &switchback::HubHandle, gate: &Arc<Notify>) -> Arc<Hostile> {
    let (method, act) = match draw(|n| stage.below(n)) {
        // In a round only: whoever waits on the stack of a bridge is woken as its waker says.
        (method, Act::Waits) => (method, Act::ComesBackIn),
        drawn => drawn,
    };
    stage.hit(method_op(method));
    stage.hit(act.op());
    let (hub, gate, ledger) = (hub.clone(), gate.clone(), stage.ledger.clone());
    let waker = Hostile::new(method, move || match act {
        Act::Panics => panic_any(Meant),
        Act::Waits | Act::ComesBackIn => {
            let (a, b) = (ledger.count(Owner::Nobody), ledger.count(Owner::Nobody));
            let fiber = hub.spawn(move || drop(a));
            let _ = hub.run_callback(move || drop(b));
            gate.notify_one();
            if let Ok(fiber) = fiber {
                fiber.cancel();
            }
        }
    });
    waker.arm(true);
    waker
}

/// Somebody who waits, and what for.
type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// A `run_until` that is polled with hostile wakers, and others who wait on its hub with
/// such.
pub(crate) fn on_their_own_hub(stage: &Stage) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be made");
    let _guard = runtime.enter();
    let gate = Arc::new(Notify::new());
    let is_open = Rc::new(Cell::new(false));
    let of_main = is_open.clone();
    // It gives the hostile wakers to nobody: tokio's own futures need not stand them.
    let main = poll_fn(move |_| match of_main.get() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    let mut driver: Pin<Box<dyn Future<Output = ()>>> = Box::pin(Hub::run_until(main));
    let mut quiet = Context::from_waker(Waker::noop());
    if driver.as_mut().poll(&mut quiet).is_ready() {
        stage.fault("a `run_until` whose future is pending is ready");
    }
    let hub = Hub::current();
    let handle = hub.handle();
    let hostiles: Vec<_> = (0..4).map(|_| hostile_on(stage, &handle, &gate)).collect();
    let some = |stage: &Stage| hostiles[stage.below(4) as usize].waker();
    let mut waiting: Vec<(Op, Waiting)> = Vec::new();
    let mut thread = None;
    for _ in 0..4 + stage.below(12) {
        let waker = some(stage);
        let mut cx = Context::from_waker(&waker);
        match stage.below(10) {
            0..=3 => {
                stage.hit(Op::HostileRunUntil);
                let _ = unless_hostile(|| driver.as_mut().poll(&mut cx));
            }
            4 => {
                let (token, gate) = (stage.token(), gate.clone());
                let join = spawn(move || {
                    gate.notified().wait();
                    drop(token);
                });
                waiting.push((Op::HostileJoin, Box::pin(async { drop(join.await) })));
            }
            5 => {
                let token = stage.token();
                let join = bridge(move || {
                    let body = || {
                        scope(|s| {
                            drop(s.spawn(|| yield_now().wait()));
                            drop(s.spawn(|| drop(token)));
                        });
                    };
                    // It may be closed before.
                    let _ = catch_unwind(AssertUnwindSafe(body));
                });
                waiting.push((Op::HostileScope, Box::pin(join)));
            }
            6 if thread.is_none() && stage.chance(30) => {
                let own = HubThread::new().expect("a thread starts");
                let token = stage.token();
                drop(own.spawn(move || {
                    let _token = token;
                    pending::<()>().wait();
                }));
                let close = own.close();
                thread = Some(own);
                waiting.push((Op::HostileCloseThread, Box::pin(close)));
            }
            7 => {
                let token = stage.token();
                let job = blocking(move || drop(token));
                waiting.push((Op::HostileJob, Box::pin(job)));
            }
            8 => gate.notify_waiters(),
            _ => {
                let len = waiting.len() as u64;
                if len > 0 {
                    let chosen = stage.below(len) as usize;
                    let (op, future) = &mut waiting[chosen];
                    stage.hit(*op);
                    let polled = unless_hostile(|| future.as_mut().poll(&mut cx));
                    if matches!(polled, Some(Poll::Ready(()))) {
                        drop(waiting.swap_remove(chosen));
                    }
                }
            }
        }
        let _ = unless_hostile(|| drop(waker));
    }
    // The wakers stay hostile while all comes to its end.
    if stage.chance(50) {
        stage.hit(Op::HostileClose);
        let waker = some(stage);
        let mut close = Box::pin(hub.close());
        let _ = unless_hostile(|| close.as_mut().poll(&mut Context::from_waker(&waker)));
        match stage.chance(50) {
            true => std::mem::forget(close),
            false => waiting.push((Op::HostileClose, close)),
        }
        let _ = unless_hostile(|| drop(waker));
    }
    is_open.set(true);
    gate.notify_one();
    runtime.block_on(async {
        let mut driver = driver;
        let mut waiting: Vec<_> = waiting.into_iter().map(|(_, future)| future).collect();
        let mut is_over = false;
        poll_fn(|cx| {
            gate.notify_waiters();
            gate.notify_one();
            is_over = is_over || driver.as_mut().poll(cx).is_ready();
            waiting.retain_mut(|one| match unless_hostile(|| one.as_mut().poll(cx)) {
                Some(polled) => polled.is_pending(),
                None => {
                    cx.waker().wake_by_ref();
                    true
                }
            });
            match is_over && waiting.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    });
    drop((thread, pin!(hub)));
    for hostile in hostiles {
        hostile.arm(false);
    }
}
