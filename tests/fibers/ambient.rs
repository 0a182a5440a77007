//! Ambients: state of the thread that follows fibers. The one of these tests is a stack of names in a
//! thread-local; wherever a stack of ours stops and another runs, each has its own.

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use switchback::ambient::{Ambient, Registration, register};
use switchback::stream::from_iter;
use switchback::{
    Hub, HubPool, SwitchBack, bridge, catch_cancel, fiber_local, prelude::*, scope, shield, sleep,
    spawn, with_timeout, yield_now,
};
use tokio_test::block_on;

use crate::support::ending::{poll_once, settle};
use crate::support::{
    Drops, OnDrop, forever, in_child, in_paused, in_root_fiber, ms, paused_runtime, watched,
};

thread_local! {
    static NAMES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

struct Names;

impl Ambient for Names {
    type Saved = Vec<&'static str>;

    fn inherit(&self) -> Vec<&'static str> {
        NAMES.with_borrow(Clone::clone)
    }

    fn leave(&self) -> Vec<&'static str> {
        NAMES.take()
    }

    fn enter(&self, saved: Vec<&'static str>) {
        let before = NAMES.replace(saved);
        assert!(before.is_empty(), "{before:?} are entered when others are");
    }
}

/// Registers the ambient for this process.
fn registered() {
    static NAMES: OnceLock<Registration> = OnceLock::new();
    NAMES.get_or_init(|| register(Names));
}

/// Enters a name until the guard is dropped, which sees that it is the innermost one.
fn enter(name: &'static str) -> impl Drop {
    NAMES.with_borrow_mut(|names| names.push(name));
    OnDrop(move || assert_eq!(NAMES.with_borrow_mut(Vec::pop), Some(name)))
}

#[track_caller]
fn assert_names(names: &[&str]) {
    assert_eq!(NAMES.with_borrow(Clone::clone), names);
}

#[test]
fn each_fiber_has_its_own_over_each_kind_of_wait() {
    registered();
    in_root_fiber(|| {
        let _root = enter("root");
        let waits: [fn(); 9] = [
            || yield_now().wait(),
            || sleep(Duration::ZERO).wait(),
            || sleep(ms(1)).wait(),
            || ready(()).wait(),
            || tokio::task::yield_now().wait(),
            || shield(|| yield_now().wait()),
            || with_timeout(ms(60_000), || yield_now().wait()).unwrap(),
            || {
                let back = SwitchBack::<()>::new();
                let switcher = back.switcher();
                let _other = spawn(move || switcher.switch(()));
                back.wait().unwrap();
            },
            || spawn(|| yield_now().wait()).wait().unwrap(),
        ];
        let fibers: Vec<_> = waits
            .into_iter()
            .map(|wait| {
                spawn(move || {
                    assert_names(&["root"]);
                    let _outer = enter("outer");
                    wait();
                    assert_names(&["root", "outer"]);
                    {
                        let _inner = enter("inner");
                        wait();
                        assert_names(&["root", "outer", "inner"]);
                    }
                    wait();
                    assert_names(&["root", "outer"]);
                })
            })
            .collect();
        for fiber in fibers {
            fiber.wait().unwrap();
            assert_names(&["root"]);
        }
    });
    assert_names(&[]);
}

#[test]
fn the_children_of_a_scope_inherit_and_the_parent_keeps_its_own() {
    registered();
    in_root_fiber(|| {
        let _root = enter("root");
        scope(|s| {
            for name in ["a", "b", "c"] {
                s.spawn(move || {
                    let _own = enter(name);
                    yield_now().wait();
                    assert_names(&["root", name]);
                });
            }
            yield_now().wait();
            assert_names(&["root"]);
        });
        assert_names(&["root"]);
    });
}

#[test]
fn a_bridge_has_its_own_and_its_task_too() {
    registered();
    in_paused(|| async {
        let _task = enter("task");
        let mut one = Box::pin(bridge(|| {
            assert_names(&["task"]);
            let _one = enter("one");
            yield_now().wait();
            assert_names(&["task", "one"]);
            let _forever = enter("for ever");
            forever();
        }));
        let mut items = from_iter(|| {
            let _items = enter("items");
            (0..3).inspect(|_| {
                yield_now().wait();
                assert_names(&["task"]);
            })
        });
        let mut other = std::pin::pin!(bridge(|| {
            let _other = enter("other");
            sleep(ms(5)).wait();
            assert_names(&["task", "other"]);
            1
        }));
        tokio::select! {
            () = &mut one => unreachable!("it waits for ever"),
            n = &mut other => assert_eq!(n, 1),
        }
        assert_names(&["task"]);
        while futures::StreamExt::next(&mut items).await.is_some() {
            assert_names(&["task"]);
        }
        drop(one);
        assert_names(&["task"]);
    });
}

/// How a fiber ends that has entered something.
#[derive(Clone, Copy, Debug)]
enum Way {
    Returns,
    ReturnsWithoutLeaving,
    Panics,
    IsCancelled,
    CatchesACancel,
    TimesOut,
    WaitsInADestructor,
    HubCloses,
    HubEnds,
    IsAbandoned,
}

fn ends(way: Way) {
    let _own = enter("own");
    let wait = || {
        yield_now().wait();
        assert_names(&["spawner", "own"]);
    };
    wait();
    match way {
        Way::Returns => {}
        Way::ReturnsWithoutLeaving => std::mem::forget(enter("left")),
        Way::Panics => resume_unwind(Box::new("its own")),
        Way::CatchesACancel => {
            let inner = enter("inner");
            catch_cancel(forever).unwrap_err();
            assert_names(&["spawner", "own", "inner"]);
            drop(inner);
            wait();
        }
        Way::TimesOut => {
            let timed = with_timeout(ms(1), || {
                let _inner = enter("inner");
                forever();
            });
            timed.unwrap_err();
            wait();
        }
        Way::WaitsInADestructor => {
            let _waits = OnDrop(move || {
                let _dropped = enter("dropped");
                sleep(ms(1)).wait();
                assert_names(&["spawner", "own", "dropped"]);
            });
            resume_unwind(Box::new("its own"));
        }
        Way::IsCancelled | Way::HubCloses | Way::HubEnds => {
            let _inner = enter("inner");
            forever();
        }
        Way::IsAbandoned => {
            let _waits = OnDrop(forever);
            forever();
        }
    }
}

fn ends_in_each_way(ways: &[Way]) {
    for &way in ways {
        registered();
        let runtime = paused_runtime();
        runtime.block_on(async {
            let spawner = enter("spawner");
            let others: Vec<_> = (0..3).map(|_| spawn(forever)).collect();
            let fiber = spawn(move || ends(way));
            drop(spawner);
            settle().await;
            assert_names(&[]);
            match way {
                Way::IsCancelled | Way::CatchesACancel => drop(fiber.cancel()),
                Way::HubCloses => Hub::current().close().await,
                _ => {}
            }
            if !matches!(way, Way::HubEnds | Way::IsAbandoned) {
                let _ = fiber.await;
            }
            assert_names(&[]);
            drop(others);
        });
        let _outside = enter("outside");
        drop(runtime);
        assert_names(&["outside"]);
    }
}

#[test]
fn the_thread_is_as_it_was_before_however_a_fiber_ends() {
    watched(|| {
        ends_in_each_way(&[
            Way::Returns,
            Way::ReturnsWithoutLeaving,
            Way::Panics,
            Way::IsCancelled,
            Way::CatchesACancel,
            Way::TimesOut,
            Way::WaitsInADestructor,
            Way::HubCloses,
            Way::HubEnds,
        ]);
    });
}

#[test]
fn the_thread_is_as_it_was_before_when_a_fiber_is_abandoned() {
    let Some(child) = in_child(|| ends_in_each_way(&[Way::IsAbandoned])) else {
        return;
    };
    child.assert_reported("its stack is leaked", 1);
}

#[test]
fn a_thread_that_ends_beside_its_fibers_has_only_its_own() {
    /// Tells what the thread has when its thread-locals go.
    struct Last(mpsc::Sender<Vec<&'static str>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.send(NAMES.with_borrow(Clone::clone)).unwrap();
        }
    }
    thread_local! { static LAST: RefCell<Option<Last>> = const { RefCell::new(None) }; }

    registered();
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        mem::forget(enter("thread"));
        // The hub's thread-locals come later, and go before it.
        LAST.set(Some(Last(tell)));
        let runtime = ManuallyDrop::new(paused_runtime());
        runtime.block_on(async {
            for _ in 0..3 {
                drop(spawn(|| {
                    let _own = enter("own");
                    forever();
                }));
            }
            settle().await;
            assert_names(&["thread"]);
        });
    });
    thread.join().unwrap();
    assert_eq!(told.recv().unwrap(), ["thread"]);
}

#[test]
fn fibers_of_a_pool_inherit_from_the_thread_that_sends_them() {
    registered();
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        let sent = {
            let _sender = enter("sender");
            pool.spawn(|| {
                yield_now().wait();
                let _own = enter("own");
                spawn(|| {
                    assert_names(&["sender", "own"]);
                })
                .wait()
                .unwrap();
                assert_names(&["sender", "own"]);
            })
            .unwrap()
        };
        sent.wait().unwrap();
        pool.run_on_all(|| assert_names(&[])).unwrap();
        pool.close().wait();
    });
}

#[test]
fn what_a_fiber_inherits_is_dropped_if_it_never_begins() {
    struct Counted(Drops);
    impl Ambient for Counted {
        type Saved = Box<dyn std::any::Any + Send>;
        fn inherit(&self) -> Self::Saved {
            Box::new(self.0.token())
        }
        fn leave(&self) -> Self::Saved {
            Box::new(())
        }
        fn enter(&self, saved: Self::Saved) {
            drop(saved);
        }
    }
    let Some(child) = in_child(|| {
        let drops = Drops::new();
        let _registration = register(Counted(drops.clone()));
        let pool = HubPool::new(1).unwrap();
        let blocked = pool.spawn(|| thread::sleep(ms(50))).unwrap();
        let sent: Vec<_> = (0..10).map(|_| pool.spawn(|| ()).unwrap()).collect();
        for fiber in &sent {
            fiber.cancel();
        }
        drop(blocked);
        for fiber in sent {
            let _ = fiber.wait();
        }
        pool.close().wait();
        drop(bridge(|| ()));
        assert_eq!(drops.count(), 12);
    }) else {
        return;
    };
    child.assert_success();
}

/// What a method of an ambient does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Panics,
    Waits,
    Spawns,
}

thread_local! {
    static ENTERED: Cell<u32> = const { Cell::new(0) };
}

struct Faulty(Fault);

impl Faulty {
    fn misbehave(&self) {
        match self.0 {
            Fault::Panics => panic!("in an ambient"),
            Fault::Waits => yield_now().wait(),
            Fault::Spawns => {
                let fiber = spawn(|| assert_names(&[]));
                drop(fiber);
            }
        }
    }
}

impl Ambient for Faulty {
    type Saved = u32;
    fn inherit(&self) -> u32 {
        self.misbehave();
        0
    }
    fn leave(&self) -> u32 {
        self.misbehave();
        ENTERED.take()
    }
    fn enter(&self, saved: u32) {
        ENTERED.set(saved);
        self.misbehave();
    }
}

#[test]
fn an_ambient_that_misbehaves_harms_nobody_else() {
    let Some(child) = in_child(|| {
        for fault in [Fault::Panics, Fault::Waits, Fault::Spawns] {
            registered();
            let faulty = register(Faulty(fault));
            let runtime = paused_runtime();
            let drops = Drops::new();
            runtime.block_on(async {
                let _task = enter("task");
                let token = drops.token();
                let fiber = spawn(move || {
                    let _token = token;
                    let _own = enter("own");
                    for _ in 0..3 {
                        yield_now().wait();
                        assert_names(&["task", "own"]);
                    }
                    bridge(|| yield_now().wait()).wait();
                    scope(|s| {
                        s.spawn(|| yield_now().wait());
                    });
                });
                fiber.await.unwrap();
                assert_names(&["task"]);
                drop(faulty);
            });
            drop(runtime);
            assert_eq!(drops.count(), 1);
            assert_names(&[]);
        }
    }) else {
        return;
    };
    child.assert_success();
}

thread_local! {
    /// Whether the last access in [`UsesLocal`] has found a value, or made one.
    static FOUND: Cell<bool> = const { Cell::new(false) };
}

fiber_local! {
    static USED: OnDrop<fn()> = OnDrop(|| {
        // The destructor uses fiber-locals, and waits.
        let _ = LATER.try_with(|_| ());
        let _ = yield_now().wait_or_cancelled();
    });
    static LATER: Cell<u32> = Cell::new(0);
}

struct UsesLocal;

impl Ambient for UsesLocal {
    type Saved = ();

    fn inherit(&self) {}

    fn leave(&self) {
        FOUND.set(USED.try_with(|_| ()).is_ok());
    }

    fn enter(&self, (): ()) {}
}

#[test]
fn an_ambient_that_leaves_a_fiber_that_has_ended_finds_no_fiber_locals_and_makes_none() {
    let Some(child) = in_child(|| {
        let _registration = register(UsesLocal);
        in_root_fiber(|| {
            spawn(|| ()).wait().unwrap();
            assert!(!FOUND.get(), "of a fiber that had none");
            spawn(|| USED.with(|_| ())).wait().unwrap();
            assert!(!FOUND.get(), "of a fiber that had some");
            bridge(|| ()).wait();
            assert!(!FOUND.get(), "of a bridge");
            let fiber = spawn(|| yield_now().wait());
            yield_now().wait();
            assert!(FOUND.get(), "of a fiber that waits");
            fiber.wait().unwrap();
        });
    }) else {
        return;
    };
    child.assert_success();
}

#[test]
fn a_registration_that_ends_takes_the_state_of_suspended_fibers_with_it() {
    let Some(child) = in_child(|| {
        registered();
        switchback::run(|| {
            let second = register(Numbers);
            NUMBER.set(1);
            let fiber = spawn(|| {
                assert_eq!(NUMBER.get(), 1);
                NUMBER.set(2);
                yield_now().wait();
                // It was dropped when the fiber went on.
                assert_eq!(NUMBER.get(), 1);
            });
            yield_now().wait();
            assert_eq!(NUMBER.get(), 1);
            drop(second);
            fiber.wait().unwrap();

            // One that is registered later has nothing of a fiber that is suspended.
            NUMBER.set(0);
            let fiber = spawn(|| {
                yield_now().wait();
                assert_eq!(NUMBER.get(), 0);
                NUMBER.set(3);
                yield_now().wait();
                assert_eq!(NUMBER.get(), 3);
            });
            yield_now().wait();
            let third = register(Numbers);
            NUMBER.set(4);
            fiber.wait().unwrap();
            assert_eq!(NUMBER.get(), 4);
            std::mem::forget(third);
        })
        .unwrap();
    }) else {
        return;
    };
    child.assert_success();
}

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

struct Numbers;

impl Ambient for Numbers {
    type Saved = u32;
    fn inherit(&self) -> u32 {
        NUMBER.get()
    }
    fn leave(&self) -> u32 {
        NUMBER.take()
    }
    fn enter(&self, saved: u32) {
        NUMBER.set(saved);
    }
}

#[test]
fn a_hub_in_a_fiber_of_another_hub_begins_with_nothing() {
    registered();
    in_root_fiber(|| {
        let _outer = enter("outer");
        // A bridge has no runtime of its own, so another executor can drive it here.
        let mut inner = Box::pin(bridge(|| {
            let _inner = enter("inner");
            pending::<()>().wait();
        }));
        assert!(poll_once(inner.as_mut()).is_pending());
        assert_names(&["outer"]);
        let other = thread::spawn(|| {
            assert_names(&[]);
            block_on(async {
                spawn(|| {
                    let _own = enter("own");
                    yield_now().wait();
                })
                .await
                .unwrap();
            });
            assert_names(&[]);
        });
        other.join().unwrap();
        drop(inner);
        assert_names(&["outer"]);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _inner = enter("inner");
            resume_unwind(Box::new(1));
        }));
        caught.unwrap_err();
        assert_names(&["outer"]);
    });
}

/// What a method of an ambient does to the hub that it is called on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meddling {
    /// `inherit` closes the hub that is about to take the fiber.
    Closes,
    /// `leave` runs another stack, which suspends.
    RunsABridge,
}

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

struct Meddles(Meddling);

impl Ambient for Meddles {
    type Saved = ();
    fn inherit(&self) {
        if self.0 == Meddling::Closes && IS_ARMED.take() {
            let _ = poll_once(std::pin::pin!(Hub::current().close()));
        }
    }
    fn leave(&self) {
        if self.0 == Meddling::RunsABridge && IS_ARMED.get() {
            let mut inner = Box::pin(bridge(|| yield_now().wait()));
            let _ = poll_once(inner.as_mut());
        }
    }
    fn enter(&self, (): ()) {}
}

#[test]
fn an_ambient_that_meddles_with_hubs_and_stacks_harms_nobody() {
    let Some(child) = in_child(|| {
        {
            let _meddles = register(Meddles(Meddling::RunsABridge));
            switchback::run(|| {
                IS_ARMED.set(true);
                yield_now().wait();
                IS_ARMED.set(false);
            })
            .unwrap();
        }
        let _meddles = register(Meddles(Meddling::Closes));
        for in_scope in [false, true] {
            let drops = Drops::new();
            let token = drops.token();
            let runtime = paused_runtime();
            runtime.block_on(async {
                drop(Hub::current());
                IS_ARMED.set(true);
                let body = move || drop(token);
                let spawned = AssertUnwindSafe(async {
                    match in_scope {
                        true => bridge(move || scope(|s| drop(s.spawn(body)))).await,
                        false => drop(spawn(body).await),
                    }
                });
                let refused = futures::FutureExt::catch_unwind(spawned).await;
                refused.unwrap_err();
            });
            drop(runtime);
            assert_eq!(drops.count(), 1);
        }
    }) else {
        return;
    };
    child.assert_success();
}
