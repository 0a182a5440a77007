//! Which hubs there are: those of this thread, and which thread has the hub of
//! a runtime.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};

use tokio::runtime::{self, Handle, RuntimeFlavor};

use super::core::{Config, Core};
use super::driver::Driver;
use super::shared::Shared;
use crate::outside;
use crate::switch::{self, Place};
use crate::sync_util::lock;

thread_local! {
    static HUBS: Hubs = const { Hubs::new() };
}

/// The hubs of one thread, at most one per runtime.
struct Hubs {
    list: RefCell<Vec<Rc<Core>>>,
    /// The runtimes of which a `run_until` has closed the hub, the last first.
    /// Nothing else is kept of these, and only of so many: nobody says when a
    /// runtime is gone.
    closed: RefCell<VecDeque<runtime::Id>>,
}

/// How many runtimes a thread remembers whose hub is closed.
const MAX_CLOSED: usize = 64;

impl Hubs {
    const fn new() -> Hubs {
        Hubs {
            list: RefCell::new(Vec::new()),
            closed: RefCell::new(VecDeque::new()),
        }
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        for core in self.list.take() {
            core.leak();
            // What it holds may be the user's.
            mem::forget(core);
        }
    }
}

/// Which thread has the hub of a current-thread runtime, process-wide.
static OWNERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Why there is no hub here.
#[derive(Debug)]
pub(crate) enum NoHub {
    NoRuntime,
    MultiThread,
    NotDriving,
    OtherThread(String),
    Ended,
}

impl fmt::Display for NoHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoHub::NoRuntime => f.write_str(
                "there is no tokio runtime here for a hub to run on; call this inside a \
                 current-thread runtime (`#[tokio::main(flavor = \"current_thread\")]`), or \
                 start one with `switchback::run`",
            ),
            NoHub::MultiThread => f.write_str(
                "a hub cannot run on the worker threads of a multi-thread runtime; give it a \
                 thread of its own with `HubThread` or `HubPool`, or wrap the main task in \
                 `Hub::run_until`",
            ),
            NoHub::NotDriving => f.write_str(
                "this thread does not drive the runtime that is current on it (is this \
                 `spawn_blocking`?), so a hub made here would never run; make the fiber on the \
                 runtime's own thread",
            ),
            NoHub::OtherThread(thread) => write!(
                f,
                "the hub of this runtime belongs to the thread {thread}; make the fiber there",
            ),
            NoHub::Ended => f.write_str(
                "the hub is closed: it takes no new fibers; make the fiber before the hub \
                 closes, or on a hub of another runtime",
            ),
        }
    }
}

/// Calls `f` with the hub that belongs to `shared`, if this is its thread.
#[inline]
pub(crate) fn with_local<R>(shared: &Arc<Shared>, f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    with_local_at(Arc::as_ptr(shared), f)
}

/// As [`with_local`], with no more than the place of what belongs to the hub.
#[inline]
pub(crate) fn with_local_at<R>(shared: *const Shared, f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    let is_it = |core: &Rc<Core>| Arc::as_ptr(&core.shared) == shared;
    switch::with_place(|place| match place {
        Place::Fiber(state) | Place::Poll(state) => match state.hub() {
            Some(hub) if is_it(hub) => Some(f(hub)),
            _ => with_listed(is_it, f),
        },
        Place::Hub(core) | Place::Driver(core) if is_it(core) => Some(f(core)),
        _ => with_listed(is_it, f),
    })
}

/// The hub that belongs to `shared`, if this is its thread.
pub(crate) fn local(shared: &Arc<Shared>) -> Option<Rc<Core>> {
    with_local(shared, Rc::clone)
}

/// Calls `f` with the hub of this thread's list that `is_it`.
#[inline]
fn with_listed<R>(is_it: impl Fn(&Rc<Core>) -> bool, f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    let core = HUBS
        .try_with(|hubs| hubs.list.borrow().iter().find(|core| is_it(core)).cloned())
        .ok()??;
    // No borrow is held while `f` runs.
    Some(f(&core))
}

/// The hub of the code that is running, if it was made before.
pub(crate) fn try_current() -> Option<Rc<Core>> {
    running().or_else(|| {
        let runtime = Handle::try_current().ok()?;
        find(&runtime).or_else(|| find_closed(&runtime))
    })
}

/// The hub that goes on when the code that is running gives way: its thread is
/// driving it.
pub(crate) fn driven_here() -> Option<Rc<Core>> {
    let core = match running() {
        Some(core) => core,
        None if in_thread_poll() => return None,
        None => {
            let core = find(&Handle::try_current().ok()?)?;
            // A runtime may be current without being driven: `Handle::enter`.
            if tokio::task::try_id().is_none() && !outside::inside_scheduler() {
                return None;
            }
            core
        }
    };
    core.is_running().then_some(core)
}

/// Calls `f` with the hub of the code that is running, made if need be.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Rc<Core>) -> R) -> Result<R, NoHub> {
    switch::with_place(|place| match place {
        Place::Fiber(state) | Place::Poll(state) if state.hub().is_some() => {
            Ok(state.hub().map(f).expect("it was there"))
        }
        _ => current().map(|core| f(&core)),
    })
}

/// The hub of the code that is running, made if need be.
pub(crate) fn current() -> Result<Rc<Core>, NoHub> {
    if let Some(core) = running() {
        return Ok(core);
    }
    let runtime = Handle::try_current().map_err(|_| NoHub::NoRuntime)?;
    if let Some(core) = find(&runtime).or_else(|| find_closed(&runtime)) {
        return Ok(core);
    }
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return Err(NoHub::MultiThread);
    }
    let driving = outside::inside_scheduler();
    // A task's id without its scheduler: a closure of `spawn_blocking`.
    let blocks = tokio::task::try_id().is_some() || in_thread_poll();
    if !driving && blocks {
        return Err(NoHub::NotDriving);
    }
    check_owner(&runtime, driving)?;
    Ok(add_driven(Config::default(), &runtime))
}

/// A new hub for this thread and `runtime`, which gets a task that drives it.
pub(super) fn add_driven(config: Config, runtime: &Handle) -> Rc<Core> {
    let core = add(config, runtime);
    runtime.spawn(Driver::new(&core));
    core
}

/// The hub for `run_until`: one that is shared, or a new one without a driver.
/// One that is closing comes back as it is; one that has ended is replaced.
pub(super) fn attach() -> Result<Rc<Core>, NoHub> {
    let runtime = Handle::try_current().map_err(|_| NoHub::NoRuntime)?;
    match find(&runtime) {
        Some(core) if core.is_running() => return Ok(core),
        Some(ended) => remove(&ended),
        None => {}
    }
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        check_owner(&runtime, outside::inside_scheduler())?;
    }
    Ok(add(Config::default(), &runtime))
}

/// Takes a hub that has ended out of the thread's list.
pub(super) fn remove(core: &Rc<Core>) {
    let removed = HUBS.try_with(|hubs| {
        let mut list = hubs.list.borrow_mut();
        let position = list.iter().position(|hub| Rc::ptr_eq(hub, core))?;
        Some(list.swap_remove(position))
    });
    drop(removed);
}

/// As [`remove`], for a hub whose runtime goes on: it is closed there from now on.
pub(super) fn retire(core: &Rc<Core>) {
    remove(core);
    let _ = HUBS.try_with(|hubs| {
        let mut closed = hubs.closed.borrow_mut();
        closed.push_front(core.runtime.id());
        closed.truncate(MAX_CLOSED);
    });
}

/// A stand-in for the closed hub of `runtime`, if that is closed.
fn find_closed(runtime: &Handle) -> Option<Rc<Core>> {
    let closed = HUBS.try_with(|hubs| hubs.closed.borrow().contains(&runtime.id()));
    (closed == Ok(true)).then(|| {
        let core = Core::new(runtime.clone(), Config::default());
        core.end_abruptly();
        core
    })
}

/// Whether the code that runs is a future that a fiber polls, of a hub of the
/// current runtime.
pub(super) fn in_fiber_of_current_runtime() -> bool {
    let runtime = Handle::try_current().map(|runtime| runtime.id()).ok();
    switch::with_place(|place| match place {
        Place::Poll(fiber) => fiber
            .hub()
            .is_some_and(|hub| Some(hub.runtime.id()) == runtime),
        _ => false,
    })
}

/// Whether the code that runs is a future whose wait blocks this thread.
fn in_thread_poll() -> bool {
    switch::with_place(|place| matches!(place, Place::ThreadPoll))
}

/// The hub of the fiber or hub that is running.
fn running() -> Option<Rc<Core>> {
    switch::with_place(|place| match place {
        Place::Fiber(state) | Place::Poll(state) => state.hub().cloned(),
        Place::Hub(core) | Place::Driver(core) => Some(core.clone()),
        Place::Outside | Place::ThreadPoll => None,
    })
}

/// This thread's hub for `runtime`. One that has failed is ended and forgotten.
fn find(runtime: &Handle) -> Option<Rc<Core>> {
    let core = with_listed(|core| core.runtime.id() == runtime.id(), Rc::clone)?;
    if core.shared.failure().is_none() {
        return Some(core);
    }
    core.end_abruptly();
    remove(&core);
    None
}

/// Refuses a runtime whose hub lives on another thread.
///
/// If that hub has never run and this thread is driving the runtime, it is the
/// other thread that was wrong: its hub fails.
fn check_owner(runtime: &Handle, driving: bool) -> Result<(), NoHub> {
    let owner = {
        let owners = lock(&OWNERS);
        let hubs = owners.iter().filter_map(Weak::upgrade);
        hubs.filter(|hub| !hub.has_ended())
            .find(|hub| hub.runtime() == Some(runtime.id()))
    };
    match owner {
        Some(owner) if driving && owner.fail_unless_driven() => Ok(()),
        Some(owner) => Err(NoHub::OtherThread(owner.thread_label())),
        None => Ok(()),
    }
}

fn add(config: Config, runtime: &Handle) -> Rc<Core> {
    // What failed or ended before does not outlive the next need.
    lock(&OWNERS).retain(|hub| hub.upgrade().is_some_and(|hub| !hub.has_ended()));
    while let Some(failed) = with_listed(|core| core.shared.failure().is_some(), Rc::clone) {
        failed.end_abruptly();
        remove(&failed);
    }
    let core = Core::new(runtime.clone(), config);
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        lock(&OWNERS).push(Arc::downgrade(&core.shared));
    }
    // The thread may be ending: then the hub is found by nobody, and its driver
    // ends it.
    let _ = HUBS.try_with(|hubs| {
        hubs.list.borrow_mut().push(core.clone());
        hubs.closed.borrow_mut().retain(|id| *id != runtime.id());
    });
    core
}
