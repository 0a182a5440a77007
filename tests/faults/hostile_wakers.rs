//! Wakers of somebody else's that panic, wait, or come back in, wherever one is kept.
//!
//! Each call of one is contained: the process lives, the hub goes on, and every other
//! waiter is told.

use std::future::{Future, pending};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use switchback::{
    Fiber, FiberHandle, Hub, HubHandle, HubThread, SwitchBack, Switcher, blocking, bridge,
    prelude::*, scope, shield, sleep, spawn, yield_now,
};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::support::ending::{poll_once, settle};
use crate::support::hostile::{Hostile, Method};
use crate::support::runtime;
use crate::support::table::{
    Case, LONG, Verdict, any_text, check_fact, check_table, ensure, within,
};
use crate::support::threads::Wakes;

const KNOWN: &[&str] = &[];

/// What the hostile waker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Panics,
    /// The first call goes well.
    PanicsLater,
    Waits,
    ComesBackIn,
    Closes,
}

const ACTS: [Act; 5] = [
    Act::Panics,
    Act::PanicsLater,
    Act::Waits,
    Act::ComesBackIn,
    Act::Closes,
];

/// Who keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Join,
    Close,
    CloseThreads,
    SwitchBack,
    RunUntil,
    Bridge,
    ScopeInBridge,
    YieldNow,
    SleepZero,
    Offload,
}

/// What happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    End,
    Cancel,
    Close,
    HubFails,
    RuntimeDropped,
    ThreadEnds,
    FutureDropped,
}

use Trigger::{Cancel, Close, End, FutureDropped, HubFails, RuntimeDropped, ThreadEnds};

const KEEPERS: [(Keeper, &[Trigger]); 10] = [
    (
        Keeper::Join,
        &[
            End,
            Cancel,
            Close,
            HubFails,
            RuntimeDropped,
            ThreadEnds,
            FutureDropped,
        ],
    ),
    (
        Keeper::Close,
        &[End, HubFails, RuntimeDropped, ThreadEnds, FutureDropped],
    ),
    (Keeper::CloseThreads, &[End, FutureDropped]),
    (Keeper::SwitchBack, &[End, Cancel, FutureDropped]),
    (Keeper::RunUntil, &[End, Cancel, Close, FutureDropped]),
    (
        Keeper::Bridge,
        &[End, Cancel, Close, HubFails, RuntimeDropped, FutureDropped],
    ),
    (
        Keeper::ScopeInBridge,
        &[End, Close, HubFails, RuntimeDropped, FutureDropped],
    ),
    (Keeper::YieldNow, &[End, Close, FutureDropped]),
    (Keeper::SleepZero, &[End, Close, FutureDropped]),
    (Keeper::Offload, &[End, RuntimeDropped, FutureDropped]),
];

type SendFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A future that waits for the same thing as others.
enum Waiter {
    Send(SendFuture),
    Local(LocalFuture),
}

impl Waiter {
    fn send(future: impl Future<Output = impl Sized> + Send + 'static) -> Waiter {
        Waiter::Send(Box::pin(async {
            future.await;
        }))
    }

    fn local(future: impl Future<Output = impl Sized> + 'static) -> Waiter {
        Waiter::Local(Box::pin(async {
            future.await;
        }))
    }

    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let mut cx = Context::from_waker(waker);
        match self {
            Waiter::Send(future) => future.as_mut().poll(&mut cx),
            Waiter::Local(future) => future.as_mut().poll(&mut cx),
        }
    }
}

/// A waiter that behaves, polled again whenever it was woken.
struct Good {
    waiter: Waiter,
    wakes: Arc<Wakes>,
    seen: usize,
    is_told: bool,
}

impl Good {
    fn new(waiter: Waiter) -> Good {
        Good {
            waiter,
            wakes: Wakes::new(),
            seen: 0,
            is_told: false,
        }
    }

    fn poll(&mut self) {
        self.seen = self.wakes.count();
        self.is_told = self.waiter.poll(&self.wakes.waker()).is_ready();
    }

    fn poll_if_woken(&mut self) {
        if !self.is_told && self.wakes.count() > self.seen {
            self.poll();
        }
    }
}

/// What all of this happens to.
struct World {
    hub: HubHandle,
    gate: Arc<Notify>,
    fibers: Vec<FiberHandle>,
    switchers: Vec<Switcher<()>>,
    jobs: Vec<mpsc::Sender<()>>,
    thread: Option<HubThread>,
    victim: FiberHandle,
}

impl World {
    /// In a runtime that is driven.
    fn new(keeper: Keeper) -> World {
        let thread = (keeper == Keeper::CloseThreads).then(|| HubThread::new().unwrap());
        World {
            hub: match &thread {
                Some(thread) => thread.handle(),
                None => Hub::current().handle(),
            },
            gate: Arc::default(),
            fibers: Vec::new(),
            switchers: Vec::new(),
            jobs: Vec::new(),
            thread,
            victim: spawn(|| pending::<()>().wait()).handle(),
        }
    }

    /// A fiber that ends when the gate is opened, or when it is told to.
    fn fiber(&mut self) -> Fiber<()> {
        let gate = self.gate.clone();
        let fiber = spawn(move || gate.notified().wait());
        self.fibers.push(fiber.handle());
        fiber
    }

    /// Something that keeps a hub from ending before the gate is opened.
    fn hold_up(&mut self) {
        let gate = self.gate.clone();
        let (tell, told) = mpsc::channel();
        let body = move || {
            shield(|| {
                // From here on it is told when the gate opens.
                let opens = gate.notified();
                let _ = tell.send(());
                opens.wait();
            });
        };
        match &self.thread {
            Some(thread) => {
                drop(thread.spawn(body));
                told.recv().unwrap();
            }
            None => drop(spawn(body)),
        }
    }

    fn waiter(&mut self, keeper: Keeper) -> Waiter {
        match keeper {
            Keeper::Join => Waiter::send(self.fiber()),
            Keeper::Close => Waiter::send(self.hub.close()),
            Keeper::CloseThreads => Waiter::send(self.thread.as_ref().unwrap().close()),
            Keeper::SwitchBack => {
                let switch_back = SwitchBack::new();
                self.switchers.push(switch_back.switcher());
                Waiter::local(switch_back)
            }
            Keeper::RunUntil => Waiter::local(Hub::run_until(self.fiber())),
            Keeper::Bridge => {
                let fiber = self.fiber();
                Waiter::local(bridge(move || fiber.wait()))
            }
            Keeper::ScopeInBridge => {
                let gate = self.gate.clone();
                Waiter::local(bridge(move || {
                    let body = || {
                        scope(|s| {
                            s.spawn(|| gate.notified().wait());
                        });
                    };
                    // It may be cancelled with its hub.
                    let _ = catch_unwind(AssertUnwindSafe(body));
                }))
            }
            Keeper::YieldNow => Waiter::local(yield_now()),
            Keeper::SleepZero => Waiter::local(sleep(Duration::ZERO)),
            Keeper::Offload => {
                let (sender, receiver) = mpsc::channel();
                self.jobs.push(sender);
                Waiter::send(blocking(move || {
                    let _ = receiver.recv();
                }))
            }
        }
    }

    fn act(&self, act: Act) -> impl Fn() + Send + Sync + use<> {
        let (hub, victim) = (self.hub.clone(), self.victim.clone());
        let calls = AtomicUsize::new(0);
        move || match act {
            Act::Panics => panic!("a hostile waker"),
            Act::PanicsLater => {
                let is_later = calls.fetch_add(1, Ordering::SeqCst) > 0;
                assert!(!is_later, "a hostile waker, later");
            }
            Act::Waits => yield_now().wait(),
            Act::ComesBackIn => {
                let _ = catch_unwind(|| drop(spawn(|| ())));
                drop(hub.spawn(|| ()));
                let _ = hub.run_callback(|| ());
                victim.cancel();
                let mut bridge = bridge(|| pending::<()>().wait());
                let _ = poll_once(Pin::new(&mut bridge));
            }
            Act::Closes => {
                let _ = poll_once(Pin::new(&mut hub.close()));
            }
        }
    }

    /// What the waiters wait for comes about.
    fn end(&mut self) {
        self.gate.notify_waiters();
        for switcher in self.switchers.drain(..) {
            switcher.switch(());
        }
        self.jobs.clear();
    }

    fn cancel(&mut self) {
        for fiber in &self.fibers {
            fiber.cancel();
        }
        self.switchers.clear();
    }
}

struct Scene {
    world: World,
    goods: Vec<Good>,
    hostile: Arc<Hostile>,
    own: Option<Waker>,
    kept: Option<Waiter>,
}

impl Scene {
    /// In a runtime that is driven.
    async fn new(keeper: Keeper, method: Method, act: Act) -> Scene {
        let mut world = World::new(keeper);
        if matches!(keeper, Keeper::Close | Keeper::CloseThreads) {
            world.hold_up();
        }
        settle().await;
        let waiters: Vec<_> = (0..3).map(|_| world.waiter(keeper)).collect();
        if !matches!(keeper, Keeper::YieldNow | Keeper::SleepZero) {
            settle().await;
        }
        let hostile = Hostile::new(method, world.act(act));
        let mut scene = Scene {
            world,
            goods: Vec::new(),
            own: Some(hostile.waker()),
            hostile,
            kept: None,
        };
        for (index, waiter) in waiters.into_iter().enumerate() {
            if index == 1 {
                let kept = scene.kept.insert(waiter);
                scene.hostile.arm(true);
                // Who polls with such a waker may be told so.
                let own = scene.own.as_ref().unwrap();
                let polled = catch_unwind(AssertUnwindSafe(|| kept.poll(own)));
                if let Err(payload) = polled {
                    mem::forget(payload);
                }
            } else {
                let mut good = Good::new(waiter);
                good.poll();
                scene.goods.push(good);
            }
        }
        if !matches!(keeper, Keeper::YieldNow | Keeper::SleepZero) {
            settle().await;
        }
        scene
    }

    fn trigger(&mut self, trigger: Trigger) {
        match trigger {
            End => self.world.end(),
            Cancel => self.world.cancel(),
            Close => {
                let _ = poll_once(Pin::new(&mut self.world.hub.close()));
            }
            FutureDropped => {
                let kept = self.kept.take();
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(kept)));
                if let Err(payload) = dropped {
                    mem::forget(payload);
                }
                self.world.end();
            }
            _ => {}
        }
    }

    fn are_told(&self) -> bool {
        self.goods.iter().all(|good| good.is_told)
    }

    fn verdict(&self) -> Verdict {
        let told: Vec<_> = self.goods.iter().map(|good| good.is_told).collect();
        ensure(self.are_told(), format!("the others are told: {told:?}"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What is left is dropped by the test, which it must not harm.
        self.hostile.arm(false);
    }
}

/// What waits elsewhere takes some time.
const ROUNDS: usize = 5000;

fn scene(keeper: Keeper, trigger: Trigger, method: Method, act: Act) -> Verdict {
    match trigger {
        ThreadEnds => thread_ends(keeper, method, act),
        HubFails | RuntimeDropped => runtime_ends(keeper, trigger, method, act),
        _ => runtime().block_on(runtime_goes_on(keeper, trigger, method, act)),
    }
}

async fn runtime_goes_on(keeper: Keeper, trigger: Trigger, method: Method, act: Act) -> Verdict {
    let mut scene = Scene::new(keeper, method, act).await;
    let triggered = catch_unwind(AssertUnwindSafe(|| scene.trigger(trigger)));
    if let Err(payload) = triggered {
        return Err(format!("the trigger panics: {}", any_text(&*payload)));
    }
    for round in 0..ROUNDS {
        tokio::task::yield_now().await;
        scene.goods.iter_mut().for_each(Good::poll_if_woken);
        if scene.are_told() {
            break;
        }
        if round > 40 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    scene.verdict()?;
    let is_open = trigger != Close
        && act != Act::Closes
        && !matches!(keeper, Keeper::Close | Keeper::RunUntil);
    if is_open {
        let works = match catch_unwind(|| spawn(|| 7)) {
            Ok(fiber) => within(LONG, fiber).await,
            Err(payload) => return Err(format!("a later spawn panics: {}", any_text(&*payload))),
        };
        let works = works.map(|result| result.map_err(|e| e.to_string()));
        ensure(
            works == Some(Ok(7)),
            format!("a later fiber gives {works:?}"),
        )?;
    }
    Ok(())
}

fn runtime_ends(keeper: Keeper, trigger: Trigger, method: Method, act: Act) -> Verdict {
    let runtime = runtime();
    let mut scene = runtime.block_on(Scene::new(keeper, method, act));
    // Its end waits for them.
    scene.world.jobs.clear();
    let end = move || catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    let ended = match trigger {
        HubFails => thread::spawn(end).join().unwrap(),
        _ => end(),
    };
    if let Err(payload) = ended {
        return Err(format!("the end panics: {}", any_text(&*payload)));
    }
    for _ in 0..ROUNDS {
        scene.goods.iter_mut().for_each(Good::poll_if_woken);
        if scene.are_told() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    scene.verdict()
}

/// The thread of the hub ends; whoever waits is elsewhere.
fn thread_ends(keeper: Keeper, method: Method, act: Act) -> Verdict {
    let thread = thread::spawn(move || {
        let runtime: &'static Runtime = Box::leak(Box::new(runtime()));
        let mut scene = runtime.block_on(Scene::new(keeper, method, act));
        let take = |waiter| match waiter {
            Waiter::Send(future) => future,
            Waiter::Local(_) => unreachable!("it cannot be sent"),
        };
        let kept = scene.kept.take().map(take);
        let goods: Vec<_> = scene.goods.drain(..).collect();
        let goods: Vec<_> = goods
            .into_iter()
            .map(|good| (take(good.waiter), good.wakes, good.seen, good.is_told))
            .collect();
        let (hostile, own) = (scene.hostile.clone(), scene.own.take());
        // It stays armed.
        mem::forget(scene);
        (goods, kept, hostile, own)
    });
    let Ok((goods, kept, hostile, own)) = thread.join() else {
        return Err("the thread panicked".to_owned());
    };
    let mut goods: Vec<_> = goods
        .into_iter()
        .map(|(future, wakes, seen, is_told)| Good {
            waiter: Waiter::Send(future),
            wakes,
            seen,
            is_told,
        })
        .collect();
    for _ in 0..ROUNDS {
        goods.iter_mut().for_each(Good::poll_if_woken);
        if goods.iter().all(|good| good.is_told) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    hostile.arm(false);
    drop((kept, own));
    let told: Vec<_> = goods.iter().map(|good| good.is_told).collect();
    ensure(
        !told.contains(&false),
        format!("the others are told: {told:?}"),
    )
}

#[test]
fn a_hostile_waker_harms_nobody_else() {
    let mut cases = Vec::new();
    for (keeper, triggers) in KEEPERS {
        for trigger in triggers {
            for method in Method::ALL {
                for act in ACTS {
                    let trigger = *trigger;
                    let name = format!("{keeper:?}/{trigger:?}/{method:?}/{act:?}");
                    let body = move || scene(keeper, trigger, method, act);
                    cases.push(Case::new(name, body));
                }
            }
        }
    }
    let test = "hostile_wakers::a_hostile_waker_harms_nobody_else";
    check_table(test, KNOWN, cases);
}

/// The waker of whoever drives the hub waits, when it is called for a child of a scope
/// that is being made.
#[test]
fn a_child_is_counted_before_anybody_is_woken_for_it() {
    let test = "hostile_wakers::a_child_is_counted_before_anybody_is_woken_for_it";
    check_fact(test, KNOWN, || {
        let runtime = runtime();
        let _guard = runtime.enter();
        let hostile = Hostile::new(Method::WakeByRef, || yield_now().wait());
        let mut driver = Box::pin(Hub::run_until(pending::<()>()));
        let waker = hostile.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(driver.as_mut().poll(&mut cx).is_pending());
        hostile.arm(true);
        let mut bridge = bridge(|| {
            let data = 1;
            scope(|s| {
                s.spawn(|| std::hint::black_box(&data));
            });
        });
        let wakes = Wakes::new();
        let own = wakes.waker();
        for _ in 0..10 {
            if Pin::new(&mut bridge)
                .poll(&mut Context::from_waker(&own))
                .is_ready()
            {
                return Ok(());
            }
            let _ = driver.as_mut().poll(&mut cx);
        }
        mem::forget(bridge);
        Err("the scope never ends".to_owned())
    });
}

/// Its child cannot be ended but by force.
#[test]
fn a_closer_s_waker_that_panics_when_dropped_does_not_end_a_scope() {
    let test = "hostile_wakers::a_closer_s_waker_that_panics_when_dropped_does_not_end_a_scope";
    check_fact(test, KNOWN, || {
        let runtime = runtime();
        let _guard = runtime.enter();
        let mut driver = Box::pin(Hub::run_until(pending::<()>()));
        assert!(poll_once(driver.as_mut()).is_pending());
        let hub = Hub::current();
        let mut bridge = bridge(|| {
            let data = 1;
            scope(|s| {
                s.spawn(|| {
                    shield(|| pending::<()>().wait());
                    std::hint::black_box(&data);
                });
            });
        });
        let _ = poll_once(Pin::new(&mut bridge));
        let _ = poll_once(driver.as_mut());
        let mut close = hub.close();
        let hostile = Hostile::new(Method::Drop, || panic!("a hostile waker"));
        let waker = hostile.waker();
        let _ = Pin::new(&mut close).poll(&mut Context::from_waker(&waker));
        hostile.arm(true);
        for _ in 0..3 {
            let _ = poll_once(driver.as_mut());
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(bridge)));
        hostile.arm(false);
        ensure(dropped.is_ok(), "the drop of the bridge panics")
    });
}

/// A waker that waits, woken on the stack of a fiber that was cancelled, does not take the cancel.
#[test]
fn a_waker_that_waits_takes_no_cancel() {
    check_fact(
        "hostile_wakers::a_waker_that_waits_takes_no_cancel",
        KNOWN,
        || {
            let runtime = runtime();
            let hostile = Hostile::new(Method::Wake, || sleep(Duration::from_millis(30)).wait());
            let body = async {
                let mut back = Box::pin(SwitchBack::<i32>::new());
                let waker = hostile.waker();
                let polled = back.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                let switcher = back.switcher();
                hostile.arm(true);
                let fiber = spawn(move || {
                    switcher.switch(1);
                    pending::<()>().wait();
                });
                yield_now().await;
                assert!(fiber.cancel());
                let error = fiber.await.unwrap_err();
                hostile.arm(false);
                ensure(error.is_cancelled(), "it was not cancelled")
            };
            let verdict = runtime.block_on(within(LONG, body));
            verdict.unwrap_or_else(|| Err("the cancel was lost".to_owned()))
        },
    );
}

/// The waker of a bridge's task waits where the bridge calls it.
#[test]
fn a_bridge_whose_waker_waits_can_be_polled_and_dropped() {
    let mut cases = Vec::new();
    for method in [Method::Clone, Method::Wake, Method::Drop] {
        for polled_again in [true, false] {
            for unwinding in [true, false] {
                let name = format!("{method:?}/{polled_again}/{unwinding}");
                cases.push(Case::new(name, move || {
                    a_waker_of_a_bridge_waits(method, polled_again, unwinding)
                }));
            }
        }
    }
    let test = "hostile_wakers::a_bridge_whose_waker_waits_can_be_polled_and_dropped";
    check_table(test, KNOWN, cases);
}

fn a_waker_of_a_bridge_waits(method: Method, polled_again: bool, unwinding: bool) -> Verdict {
    let hostile = Hostile::new(method, || yield_now().wait());
    let mut bridge = Box::pin(bridge(|| {
        let body = || {
            let _ = catch_unwind(|| sleep(Duration::from_secs(60)).wait());
            let _ = catch_unwind(|| sleep(Duration::from_secs(60)).wait());
        };
        let _ = switchback::with_timeout(Duration::from_millis(5), body);
        pending::<()>().wait();
    }));
    let waker = hostile.waker();
    hostile.arm(true);
    for _ in 0..3 {
        let mut poll = || bridge.as_mut().poll(&mut Context::from_waker(&waker));
        let polled = catch_unwind(AssertUnwindSafe(&mut poll));
        ensure(polled.is_ok(), "a poll panics")?;
        thread::sleep(Duration::from_millis(10));
    }
    if polled_again {
        let polled = catch_unwind(AssertUnwindSafe(|| poll_once(bridge.as_mut())));
        ensure(polled.is_ok(), "a poll with another waker panics")?;
    }
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        let _bridge = bridge;
        if unwinding {
            std::panic::resume_unwind(Box::new("its owner's"));
        }
    }));
    hostile.arm(false);
    ensure(
        dropped.is_ok() != unwinding,
        "the drop of the bridge panics",
    )
}

/// A plain thread's timer has the waker.
#[test]
fn a_waker_that_panics_stops_no_other_timer_of_plain_threads() {
    let test = "hostile_wakers::a_waker_that_panics_stops_no_other_timer_of_plain_threads";
    let mut cases = Vec::new();
    for method in [Method::Clone, Method::Wake, Method::Drop] {
        for in_bridge in [true, false] {
            cases.push(Case::new(format!("{method:?}/{in_bridge}"), move || {
                let hostile = Hostile::new(method, || panic!("a hostile waker"));
                let waker = hostile.waker();
                hostile.arm(true);
                let mut kept: Pin<Box<dyn Future<Output = ()>>> = match in_bridge {
                    false => Box::pin(sleep(Duration::from_millis(5))),
                    true => Box::pin(bridge(|| {
                        let wait = || pending::<()>().wait();
                        let _ = switchback::with_timeout(Duration::from_millis(5), wait);
                    })),
                };
                let polled = kept.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                thread::sleep(Duration::from_millis(30));
                // What follows needs the thread that keeps the time.
                sleep(Duration::from_millis(5)).wait();
                let answer = blocking(|| 5).wait();
                hostile.arm(false);
                ensure(answer == 5, "no answer")
            }));
        }
    }
    check_table(test, KNOWN, cases);
}

#[test]
fn a_bridge_that_has_ended_drops_its_waker_contained() {
    let test = "hostile_wakers::a_bridge_that_has_ended_drops_its_waker_contained";
    check_fact(test, KNOWN, || {
        let hostile = Hostile::new(Method::Drop, || panic!("a hostile waker"));
        let mut bridge = Box::pin(bridge(|| ()));
        let waker = hostile.waker();
        let polled = bridge.as_mut().poll(&mut Context::from_waker(&waker));
        mem::forget(waker);
        hostile.arm(true);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(bridge)));
        hostile.arm(false);
        ensure(polled.is_ready() && dropped.is_ok(), "its drop panics")
    });
}
