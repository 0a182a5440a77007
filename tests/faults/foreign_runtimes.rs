//! Runtimes that are shut down, dropped, entered or driven on a stack of ours, and run
//! code there that waits.
//!
//! On each thread, tokio keeps pointers to the frames of its last caller. A stack that
//! suspends among them leaves them dangling as soon as two do so and go on in the wrong
//! order. So such a wait is refused; where it is not, nothing may come of it.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use switchback::{Hub, bridge, prelude::*, run, scope, sleep, spawn, yield_now};
use tokio::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime};
use tokio::sync::Notify;
use tokio::task::{LocalSet, block_in_place};

use crate::support::ending::poll_once;
use crate::support::table::{Case, Verdict, any_text, check_fact, check_table, ensure, within};
use crate::support::{multi_thread_runtime, runtime};

const KNOWN: &[&str] = &[];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    CurrentThread,
    MultiThread,
    Local,
    Set,
}

/// What is done with the foreign runtime on a stack of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Dropped,
    ShutDownTimeout,
    ShutDownBackground,
    Entered,
    BlockOn,
    BlockInPlace,
}

/// Which stack of ours that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Fiber,
    Root,
    ScopeChild,
    BridgeInBlockOn,
    BridgeOnMultiThread,
    BridgeInTask,
    BridgeInFiberOfRunUntil,
    RunUntilOnMultiThread,
}

/// Where the wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    TaskDestructor,
    /// In a waker that the end of the runtime wakes, outside of any task.
    Woken,
    BlockingDestructor,
    Polled,
    Direct,
}

/// How it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Future,
    Yields,
    /// For a child, at the end of a scope.
    Scope,
}

const FLAVOURS: [Flavour; 4] = [
    Flavour::CurrentThread,
    Flavour::MultiThread,
    Flavour::Local,
    Flavour::Set,
];
const ACTIONS: [Action; 6] = [
    Action::Dropped,
    Action::ShutDownTimeout,
    Action::ShutDownBackground,
    Action::Entered,
    Action::BlockOn,
    Action::BlockInPlace,
];
const PLACES: [Place; 8] = [
    Place::Fiber,
    Place::Root,
    Place::ScopeChild,
    Place::BridgeInBlockOn,
    Place::BridgeOnMultiThread,
    Place::BridgeInTask,
    Place::BridgeInFiberOfRunUntil,
    Place::RunUntilOnMultiThread,
];
const HOW: [How; 3] = [How::Future, How::Yields, How::Scope];
const WAITS: [Wait; 5] = [
    Wait::TaskDestructor,
    Wait::Woken,
    Wait::BlockingDestructor,
    Wait::Polled,
    Wait::Direct,
];

/// Whether there is such a thing.
fn exists(flavour: Flavour, action: Action, wait: Wait) -> bool {
    let drives = matches!(action, Action::BlockOn | Action::BlockInPlace);
    let is_shut_down = matches!(action, Action::ShutDownTimeout | Action::ShutDownBackground);
    if flavour == Flavour::Set && (is_shut_down || wait == Wait::BlockingDestructor) {
        return false;
    }
    match wait {
        Wait::TaskDestructor | Wait::BlockingDestructor => true,
        // Tokio refuses a `shutdown_timeout` on these stacks by a panic, and wakes while the stack unwinds,
        // where a wait cannot be refused: SECURITY.md says so.
        Wait::Woken => action == Action::ShutDownBackground || action == Action::Dropped,
        Wait::Polled => drives,
        Wait::Direct => action == Action::Entered || action == Action::BlockInPlace,
    }
}

/// What two bodies that wait and the one who lets them go on share.
#[derive(Clone)]
struct World(Arc<Inner>);

struct Inner {
    home: Mutex<Option<ThreadId>>,
    how: How,
    gates: [Notify; 2],
    open: [AtomicBool; 2],
    arrived: [AtomicBool; 2],
    over: [AtomicBool; 2],
    waits: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn new(how: How) -> World {
        World(Arc::new(Inner {
            home: Mutex::new(None),
            how,
            gates: [Notify::new(), Notify::new()],
            open: Default::default(),
            arrived: Default::default(),
            over: Default::default(),
            waits: AtomicUsize::new(0),
            wrong: Mutex::default(),
        }))
    }

    fn is_wrong(&self, what: impl Into<String>) {
        self.0.wrong.lock().unwrap().push(what.into());
    }

    /// The wait that it is all about.
    fn wait(&self, which: usize) {
        self.0.waits.fetch_add(1, Ordering::SeqCst);
        // A thread of the foreign runtime may wait; nobody would let it go on, if its
        // runtime's end is awaited meanwhile.
        let is_here = *self.0.home.lock().unwrap() == Some(thread::current().id());
        let waited = catch_unwind(AssertUnwindSafe(|| {
            if is_here {
                self.0.arrived[which].store(true, Ordering::SeqCst);
                self.wait_for_gate(which);
            } else {
                sleep(Duration::from_millis(1)).wait();
            }
        }));
        if let Err(payload) = waited {
            self.judge("a wait", any_text(&*payload));
        }
    }

    fn wait_for_gate(&self, which: usize) {
        let gate = self.0.gates[which].notified();
        match self.0.how {
            How::Future => gate.wait(),
            How::Yields => {
                while !self.0.open[which].load(Ordering::SeqCst) {
                    yield_now().wait();
                }
            }
            How::Scope => scope(|s| {
                s.spawn(|| gate.wait());
            }),
        }
    }

    /// A panic must say what is refused.
    fn judge(&self, what: &str, text: String) {
        let internal = [
            "unwrap()",
            "already",
            "assertion",
            "out of order",
            "(no text)",
        ];
        if internal.iter().any(|part| text.contains(part)) {
            self.is_wrong(format!("{what} is not refused by name: {text}"));
        }
    }

    /// Lets both go on, the first that came first: out of order. From another thread,
    /// since here nothing may work.
    fn let_go(&self) {
        let inner = self.0.clone();
        thread::spawn(move || {
            let is_over = |which: usize| inner.over[which].load(Ordering::SeqCst);
            let is_here = |which: usize| inner.arrived[which].load(Ordering::SeqCst);
            let tick = Duration::from_millis(1);
            while !(0..2).all(|which| is_here(which) || is_over(which)) {
                thread::sleep(tick);
            }
            for which in 0..2 {
                inner.open[which].store(true, Ordering::SeqCst);
                inner.gates[which].notify_one();
                for _ in 0..100 {
                    if is_over(which) {
                        break;
                    }
                    thread::sleep(tick);
                }
            }
        });
    }
}

/// Waits when it is dropped.
struct WaitsInDrop(World, usize);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        self.0.wait(self.1);
    }
}

/// Waits when it is woken.
struct WaitsInWake(World, usize);

impl Wake for WaitsInWake {
    fn wake(self: Arc<Self>) {
        self.0.wait(self.1);
    }
}

enum Foreign {
    Tokio(Runtime),
    Local(LocalRuntime),
    Set(Runtime, LocalSet),
}

impl Foreign {
    fn new(flavour: Flavour) -> Foreign {
        let build = || Builder::new_current_thread();
        match flavour {
            Flavour::CurrentThread => Foreign::Tokio(build().enable_all().build().unwrap()),
            Flavour::MultiThread => {
                let mut builder = Builder::new_multi_thread();
                Foreign::Tokio(builder.worker_threads(1).enable_all().build().unwrap())
            }
            Flavour::Local => {
                let options = LocalOptions::default();
                Foreign::Local(build().enable_all().build_local(options).unwrap())
            }
            Flavour::Set => {
                let runtime = build().enable_all().build().unwrap();
                Foreign::Set(runtime, LocalSet::new())
            }
        }
    }

    fn handle(&self) -> Handle {
        match self {
            Foreign::Tokio(runtime) | Foreign::Set(runtime, _) => runtime.handle().clone(),
            Foreign::Local(runtime) => runtime.handle().clone(),
        }
    }

    /// Gives it a task that never ends and holds `held`.
    fn hold(&self, held: WaitsInDrop) -> tokio::task::JoinHandle<()> {
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

    /// Gives it a task that never ends.
    fn hold_nothing(&self) -> tokio::task::JoinHandle<()> {
        match self {
            Foreign::Tokio(runtime) => runtime.spawn(pending()),
            Foreign::Local(runtime) => runtime.spawn_local(pending()),
            Foreign::Set(_, set) => set.spawn_local(pending()),
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Foreign::Tokio(runtime) => runtime.block_on(future),
            Foreign::Local(runtime) => runtime.block_on(future),
            Foreign::Set(runtime, set) => set.block_on(runtime, future),
        }
    }

    fn end(self, action: Action) {
        let patience = Duration::from_millis(20);
        match (self, action) {
            (Foreign::Tokio(runtime), Action::ShutDownTimeout) => {
                runtime.shutdown_timeout(patience);
            }
            (Foreign::Tokio(runtime), Action::ShutDownBackground) => runtime.shutdown_background(),
            (Foreign::Local(runtime), Action::ShutDownTimeout) => {
                runtime.shutdown_timeout(patience);
            }
            (Foreign::Local(runtime), Action::ShutDownBackground) => runtime.shutdown_background(),
            (Foreign::Set(runtime, set), _) => {
                drop(set);
                runtime.shutdown_background();
            }
            (foreign, _) => drop(foreign),
        }
    }

    /// What may be left, without a wait.
    fn forget(self) {
        match self {
            Foreign::Tokio(runtime) => runtime.shutdown_background(),
            Foreign::Local(runtime) => runtime.shutdown_background(),
            Foreign::Set(runtime, set) => {
                runtime.shutdown_background();
                drop(set);
            }
        }
    }
}

/// Drops the closure of a `spawn_blocking` on the spot: its runtime is gone.
fn refuse_blocking(dead: &Handle, held: WaitsInDrop) {
    drop(dead.spawn_blocking(move || drop(held)));
}

/// A handle to a runtime that is gone.
fn dead_handle() -> Handle {
    let dead = Builder::new_current_thread().build().unwrap();
    let handle = dead.handle().clone();
    dead.shutdown_background();
    handle
}

/// What is done on the stack of ours.
fn body(flavour: Flavour, action: Action, wait: Wait, world: &World, which: usize) {
    let held = || WaitsInDrop(world.clone(), which);
    let foreign = Foreign::new(flavour);
    let handle = foreign.handle();
    match action {
        Action::Dropped | Action::ShutDownTimeout | Action::ShutDownBackground => {
            let mut held_task = None;
            match wait {
                Wait::TaskDestructor => drop(foreign.hold(held())),
                Wait::Woken => {
                    let task = held_task.insert(foreign.hold_nothing());
                    let waker = Arc::new(WaitsInWake(world.clone(), which)).into();
                    let mut cx = Context::from_waker(&waker);
                    assert!(Pin::new(task).poll(&mut cx).is_pending());
                }
                _ => {}
            }
            let ended = catch_unwind(AssertUnwindSafe(|| foreign.end(action)));
            if let Err(payload) = ended {
                world.judge("the end", any_text(&*payload));
            }
            if wait == Wait::BlockingDestructor {
                refuse_blocking(&handle, held());
            }
        }
        Action::Entered => {
            let set = match &foreign {
                Foreign::Set(_, set) => Some(set.enter()),
                _ => None,
            };
            let guard = handle.enter();
            match wait {
                Wait::TaskDestructor => {
                    drop(set);
                    drop(foreign.hold(held()));
                    foreign.end(Action::ShutDownBackground);
                    drop(guard);
                    return;
                }
                Wait::BlockingDestructor => refuse_blocking(&dead_handle(), held()),
                _ => world.wait(which),
            }
            drop(guard);
            drop(set);
            foreign.forget();
        }
        Action::BlockOn | Action::BlockInPlace => {
            let main = || {
                let dead = dead_handle();
                foreign.block_on(async {
                    match wait {
                        Wait::TaskDestructor => {
                            let task = foreign.hold(held());
                            tokio::task::yield_now().await;
                            task.abort();
                            let _ = task.await;
                        }
                        Wait::BlockingDestructor => refuse_blocking(&dead, held()),
                        _ => world.wait(which),
                    }
                });
            };
            let result = catch_unwind(AssertUnwindSafe(|| match (action, wait) {
                (Action::BlockOn, _) => main(),
                (_, Wait::Direct) => block_in_place(|| world.wait(which)),
                _ => block_in_place(main),
            }));
            if let Err(payload) = result {
                world.judge("a call", any_text(&*payload));
            }
            foreign.forget();
        }
    }
}

/// Checks that the runtime that is driven here works as ever.
async fn tokio_works(world: World) {
    let brief = Duration::from_millis(250);
    if within(brief, tokio::task::yield_now()).await.is_none() {
        world.is_wrong("tokio's `yield_now` hangs afterwards");
    }
    let task = tokio::spawn(async {
        tokio::task::yield_now().await;
        7
    });
    match within(brief, task).await {
        Some(Ok(7)) => {}
        Some(other) => world.is_wrong(format!("a later task ends with {other:?}")),
        None => world.is_wrong("a later task does not run"),
    }
    let sleep = tokio::time::sleep(Duration::from_millis(1));
    if within(brief, sleep).await.is_none() {
        world.is_wrong("tokio's `sleep` hangs afterwards");
    }
    match within(brief, tokio::task::spawn_blocking(|| 7)).await {
        Some(Ok(7)) => {}
        other => world.is_wrong(format!("a later blocking job gives {other:?}")),
    }
}

/// As [`tokio_works`], in a new fiber too.
async fn all_works(world: World) {
    tokio_works(world.clone()).await;
    let of_fiber = world.clone();
    let fiber = spawn(move || tokio_works(of_fiber).wait());
    match within(Duration::from_millis(1100), fiber).await {
        Some(Ok(())) => {}
        other => world.is_wrong(format!("a later fiber ends with {other:?}")),
    }
}

impl World {
    fn is_over(&self, which: usize, result: Result<(), String>) {
        self.0.over[which].store(true, Ordering::SeqCst);
        if let Err(text) = result {
            self.judge("the body", text);
        }
    }

    /// A body, watched.
    fn run(&self, which: usize, f: &(impl Fn(usize) + ?Sized)) {
        let result = catch_unwind(AssertUnwindSafe(|| f(which)));
        self.is_over(which, result.map_err(|payload| any_text(&*payload)));
    }
}

/// Runs both bodies in a place of this kind, at once as far as they wait, and checks
/// that the runtime there works afterwards.
fn in_place(place: Place, world: &World, f: impl Fn(usize) + Clone + Send + 'static) -> Verdict {
    *world.0.home.lock().unwrap() = Some(thread::current().id());
    let of = |which: usize| {
        let (world, f) = (world.clone(), f.clone());
        move || world.run(which, &f)
    };
    let (first, second) = (of(0), of(1));
    world.let_go();
    let bridges = async |first, second| {
        bodies_end(world, async { tokio::join!(bridge(first), bridge(second)) }).await;
        tokio_works(world.clone()).await;
    };
    match place {
        Place::Fiber => runtime().block_on(fibers_in(world.clone(), first, second)),
        Place::Root => {
            let world = world.clone();
            let body = move || {
                let second = spawn(second);
                first();
                second.wait().unwrap();
                all_works(world).wait();
            };
            run(body).map_err(|e| e.to_string())?;
        }
        Place::ScopeChild => {
            let world = world.clone();
            let body = move || {
                scope(|s| {
                    s.spawn(first);
                    s.spawn(second);
                });
                all_works(world).wait();
            };
            run(body).map_err(|e| e.to_string())?;
        }
        Place::BridgeInBlockOn => runtime().block_on(bridges(first, second)),
        Place::BridgeOnMultiThread => multi_thread_runtime().block_on(bridges(first, second)),
        Place::BridgeInTask => {
            let world = world.clone();
            let outer = multi_thread_runtime();
            let task = outer.spawn(async move {
                *world.0.home.lock().unwrap() = Some(thread::current().id());
                // A bridge is not `Send`.
                block_in_place(|| {
                    let of = |which: usize| {
                        let (world, f) = (world.clone(), f.clone());
                        move || world.run(which, &f)
                    };
                    let (first, second) = (bridge(of(0)), bridge(of(1)));
                    let both = async { tokio::join!(first, second) };
                    Handle::current().block_on(bodies_end(&world, both));
                });
                tokio_works(world).await;
            });
            outer.block_on(task).unwrap();
        }
        Place::BridgeInFiberOfRunUntil => {
            let first = move || bridge(first).wait();
            let second = move || bridge(second).wait();
            runtime().block_on(Hub::run_until(fibers_in(world.clone(), first, second)));
        }
        Place::RunUntilOnMultiThread => {
            let future = fibers_in(world.clone(), first, second);
            multi_thread_runtime().block_on(Hub::run_until(future));
        }
    }
    let wrong = world.0.wrong.lock().unwrap();
    ensure(wrong.is_empty(), wrong.join("; "))
}

async fn fibers_in(world: World, first: impl FnOnce() + 'static, second: impl FnOnce() + 'static) {
    let (first, second) = (spawn(first), spawn(second));
    bodies_end(&world, async { tokio::join!(first, second) }).await;
    all_works(world).await;
}

/// Awaits both bodies.
async fn bodies_end<T>(world: &World, both: impl Future<Output = T>) {
    if within(Duration::from_millis(600), both).await.is_none() {
        world.is_wrong("a body hangs");
    }
}

#[test]
fn a_foreign_runtime_and_a_wait() {
    let mut cases = Vec::new();
    for place in PLACES {
        for flavour in FLAVOURS {
            for action in ACTIONS {
                for wait in WAITS {
                    if !exists(flavour, action, wait) {
                        continue;
                    }
                    for how in HOW {
                        let name = format!("{place:?}/{flavour:?}/{action:?}/{wait:?}/{how:?}");
                        cases.push(Case::new(name, move || {
                            let world = World::new(how);
                            let of_body = world.clone();
                            in_place(place, &world, move |which| {
                                body(flavour, action, wait, &of_body, which);
                            })
                        }));
                    }
                }
            }
        }
    }
    let test = "foreign_runtimes::a_foreign_runtime_and_a_wait";
    check_table(test, KNOWN, cases);
}

/// Ends a runtime whose task waits when it is dropped: the panic that refused it.
fn refusal_in(runtime: Runtime) -> Option<String> {
    struct Waits(Arc<Mutex<Option<String>>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let waited = catch_unwind(|| sleep(Duration::from_millis(20)).wait());
            *self.0.lock().unwrap() = waited.err().map(|payload| any_text(&*payload));
        }
    }
    let refusal = Arc::default();
    let waits = Waits(Arc::clone(&refusal));
    drop(runtime.spawn(async move {
        let _waits = waits;
        pending::<()>().await;
    }));
    runtime.shutdown_background();
    refusal.lock().unwrap().take()
}

#[test]
fn tokio_works_while_a_fiber_waits_that_shuts_down_a_runtime() {
    let test = "foreign_runtimes::tokio_works_while_a_fiber_waits_that_shuts_down_a_runtime";
    check_fact(test, KNOWN, || {
        runtime().block_on(async {
            let fiber = spawn(|| refusal_in(runtime()));
            switchback::yield_now().await;
            let yields = within(Duration::from_secs(1), tokio::task::yield_now()).await;
            drop(fiber);
            ensure(yields.is_some(), "tokio's `yield_now` hangs")
        })
    });
}

/// The runtime that is shut down is the one that was current when the stack was resumed.
#[test]
fn a_bridge_that_shuts_down_the_current_runtime_does_not_wait_in_it() {
    let test = "foreign_runtimes::a_bridge_that_shuts_down_the_current_runtime_does_not_wait_in_it";
    check_fact(test, KNOWN, || {
        let current = runtime();
        let handle = current.handle().clone();
        let _guard = handle.enter();
        let mut bridge = bridge(|| refusal_in(current));
        match poll_once(Pin::new(&mut bridge)) {
            Poll::Ready(refusal) => ensure(refusal.is_some(), "the wait went through"),
            Poll::Pending => Err("it suspends inside of tokio".to_owned()),
        }
    });
}

#[test]
fn a_fiber_of_run_until_that_shuts_down_the_current_runtime_does_not_wait_in_it() {
    let test = "foreign_runtimes::\
                a_fiber_of_run_until_that_shuts_down_the_current_runtime_does_not_wait_in_it";
    check_fact(test, KNOWN, || {
        let current = runtime();
        let handle = current.handle().clone();
        let _guard = handle.enter();
        let mut driver = Box::pin(Hub::run_until(async {
            spawn(|| refusal_in(current)).await.unwrap()
        }));
        for _ in 0..3 {
            if let Poll::Ready(refusal) = poll_once(driver.as_mut()) {
                return ensure(refusal.is_some(), "the wait went through");
            }
        }
        std::mem::forget(driver);
        Err("it suspends inside of tokio".to_owned())
    });
}

#[test]
fn a_bridge_that_is_dropped_does_not_wait_in_a_nested_block_on() {
    struct Drives(Option<Runtime>);
    impl Drop for Drives {
        fn drop(&mut self) {
            let runtime = self.0.take().unwrap();
            // Nothing catches a panic here, which would end the process.
            runtime.block_on(async { pending::<()>().wait() });
        }
    }
    let test = "foreign_runtimes::a_bridge_that_is_dropped_does_not_wait_in_a_nested_block_on";
    check_fact(test, KNOWN, || {
        let drives = Drives(Some(runtime()));
        let mut bridge = bridge(move || {
            let _drives = drives;
            pending::<()>().wait();
        });
        assert!(poll_once(Pin::new(&mut bridge)).is_pending());
        // A panic could abort the process there, and the wait has no error to return. The price is
        // that the thread counts as inside of that runtime from now on.
        drop(bridge);
        let elsewhere = std::thread::spawn(|| runtime().block_on(async { 1 }));
        ensure(elsewhere.join().is_ok(), "other threads are not affected")
    });
}

/// What a task of tokio has come to is dropped by whoever drops its handle last: in the
/// task's name.
#[test]
fn a_result_of_a_task_that_waits_when_it_is_dropped() {
    let mut cases = Vec::new();
    for place in PLACES {
        cases.push(Case::new(format!("{place:?}"), move || {
            let world = World::new(How::Future);
            let of_body = world.clone();
            in_place(place, &world, move |which| {
                let before = tokio::task::try_id();
                let held = WaitsInDrop(of_body.clone(), which);
                let task = tokio::spawn(async move { held });
                // Not before the other has looked too.
                sleep(Duration::from_millis(1)).wait();
                while !task.is_finished() {
                    sleep(Duration::from_millis(1)).wait();
                }
                drop(task);
                if tokio::task::try_id() != before {
                    of_body.is_wrong("tokio takes this for another task afterwards");
                }
            })
        }));
    }
    let test = "foreign_runtimes::a_result_of_a_task_that_waits_when_it_is_dropped";
    check_table(test, KNOWN, cases);
}

/// What drives the runtime that is current where a bridge is polled by hand.
#[derive(Clone, Copy, Debug)]
enum Driver {
    Runtime(Flavour),
    Handle(Flavour),
}

impl Driver {
    const ALL: [Driver; 6] = [
        Driver::Runtime(Flavour::CurrentThread),
        Driver::Runtime(Flavour::MultiThread),
        Driver::Runtime(Flavour::Local),
        Driver::Handle(Flavour::CurrentThread),
        Driver::Handle(Flavour::MultiThread),
        Driver::Handle(Flavour::Local),
    ];

    fn foreign(self) -> Foreign {
        match self {
            Driver::Runtime(flavour) | Driver::Handle(flavour) => Foreign::new(flavour),
        }
    }

    fn block_on<F: Future>(self, foreign: &Foreign, future: F) -> F::Output {
        match self {
            Driver::Runtime(_) => foreign.block_on(future),
            Driver::Handle(_) => foreign.handle().block_on(future),
        }
    }
}

/// The stack was resumed with the runtime current, but not in it.
#[test]
fn a_bridge_that_drives_the_current_runtime_does_not_wait_in_it() {
    let cases = Driver::ALL.map(|driver| {
        Case::new(format!("{driver:?}"), move || {
            let foreign = driver.foreign();
            let handle = foreign.handle();
            let _guard = handle.enter();
            let mut bridge = bridge(move || {
                let main = async { catch_unwind(|| pending::<()>().wait()) };
                any_text(&*driver.block_on(&foreign, main).unwrap_err())
            });
            match poll_once(Pin::new(&mut bridge)) {
                Poll::Ready(text) => ensure(text.contains("was entered on this stack"), text),
                Poll::Pending => Err("it suspends inside of tokio".to_owned()),
            }
        })
    });
    let test = "foreign_runtimes::a_bridge_that_drives_the_current_runtime_does_not_wait_in_it";
    check_table(test, KNOWN, cases.into());
}

struct Unheard;

impl Wake for Unheard {
    fn wake(self: Arc<Self>) {}
}

/// Where a stack was resumed before does not forbid what is allowed where it is resumed now.
#[test]
fn a_bridge_may_wait_in_the_runtime_that_was_current_before() {
    let cases = Driver::ALL.map(|driver| {
        Case::new(format!("{driver:?}"), move || {
            let foreign = driver.foreign();
            let handle = foreign.handle();
            let _guard = handle.enter();
            let mut bridge = Box::pin(bridge(|| {
                for _ in 0..3 {
                    tokio::task::yield_now().wait();
                }
            }));
            // The same waker each time.
            let waker = Waker::from(Arc::new(Unheard));
            let mut poll = || bridge.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(poll().is_pending());
            while driver.block_on(&foreign, async { poll() }).is_pending() {}
            Ok(())
        })
    });
    let test = "foreign_runtimes::a_bridge_may_wait_in_the_runtime_that_was_current_before";
    check_table(test, KNOWN, cases.into());
}
