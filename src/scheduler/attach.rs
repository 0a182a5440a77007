//! Finds the hub of the running code, or makes it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::driver::{self, DriverTask};
use super::end::end_abruptly;
use super::registry::{self, Registry};
use super::{NoHub, closed, hubs, retired};
use crate::base::executors;
use crate::base::lock::lock;
use crate::base::thread_end;
#[cfg(unix)]
use crate::cancel::Redeliver;
use crate::current::{Place, with_place};
use crate::hub::{Above, Config, Core};
use crate::overflow;
use crate::shared::{CloseWaiter, Mailbox};

/// What a hub needs from the scheduler.
static ABOVE: Above = Above {
    scheduler: &Registry,
    #[cfg(unix)]
    drop_poll_callback: |callback| {
        // A fiber may drop the last handle to the hub, and the callback with it.
        Redeliver::default().run("the drop of a callback of `Hub::poll`", || drop(callback));
    },
};

/// Calls `f` with the hub of the running code, which is made if there is none.
#[inline(always)]
pub(crate) fn with_current<R>(f: impl FnOnce(&Rc<Core>) -> R) -> Result<R, NoHub> {
    with_place(|place| {
        let found;
        let core = match place {
            Place::Stack(state) | Place::Poll(state) => state.hub(),
            _ => None,
        };
        let core = match core {
            Some(core) => core,
            None => {
                found = current()?;
                &found
            }
        };
        // One call for both, so that it is inlined.
        Ok(f(core))
    })
}

/// Returns the hub of the running code, which is made if there is none.
pub(crate) fn current() -> Result<Rc<Core>, NoHub> {
    if let Some(core) = running() {
        return Ok(core);
    }
    if thread_end::has_begun() {
        return Err(NoHub::ThreadEnds);
    }
    let runtime = Handle::try_current().map_err(|_| NoHub::NoRuntime)?;
    if let Some(core) = find(&runtime).or_else(|| find_retired(&runtime)) {
        return Ok(core);
    }
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return Err(NoHub::MultiThread);
    }
    let driving = executors::inside_scheduler();
    // Code that has a task's id but no scheduler is a closure of `spawn_blocking`.
    let blocks = tokio::task::try_id().is_some() || in_thread_poll();
    if !driving && blocks {
        return Err(NoHub::NotDriving);
    }
    check_owner(&runtime, driving)?;
    Ok(add_driven(Config::default(), &runtime))
}

/// Returns the hub of the running code, if it was made before.
pub(crate) fn try_current() -> Option<Rc<Core>> {
    running().or_else(|| {
        let runtime = Handle::try_current().ok()?;
        find(&runtime).or_else(|| find_retired(&runtime))
    })
}

/// Returns the hub that continues when the running code gives way, which is a hub that this thread
/// is driving. Beside a `run_until` on a multi-thread runtime, that is not certain: nothing drives
/// the hub unless somebody polls the `run_until`.
pub(crate) fn driven_here() -> Option<Rc<Core>> {
    let core = match running() {
        Some(core) => core,
        None if in_thread_poll() => return None,
        None => {
            let runtime = Handle::try_current().ok()?;
            let core = find(&runtime)?;
            if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
                return None;
            }
            // A runtime can be current without being driven, as in `Handle::enter`.
            if tokio::task::try_id().is_none() && !executors::inside_scheduler() {
                return None;
            }
            core
        }
    };
    core.is_running().then_some(core)
}

/// Makes a hub for this thread and `runtime`, and spawns a task that drives it.
pub(crate) fn add_driven(config: Config, runtime: &Handle) -> Rc<Core> {
    let core = add(config, runtime);
    runtime.spawn(DriverTask::new(&core));
    core
}

/// Drives a hub inside the calling task while `future` runs: see
/// [`Hub::run_until`](crate::Hub::run_until).
pub(crate) async fn run_until<F: Future>(future: F) -> F::Output {
    if in_fiber_of_current_runtime() {
        // The hub is driven already, by whatever resumes the fiber.
        return future.await;
    }
    loop {
        match shared_or_new() {
            Ok(core) if core.is_open() => break driver::run_until(core, future).await,
            // A hub that is closing is replaced after it has ended.
            Ok(closing) => {
                let waiter = CloseWaiter::new(&closing.mailbox);
                poll_fn(|cx| closed::poll_ended(&closing, &waiter, cx)).await;
            }
            Err(none) => panic!("{none}"),
        }
    }
}

/// Returns the hub for `run_until`: an existing one, which is then shared, or a new one without a
/// driver. One that is closing is returned as it is; one that has ended is replaced.
fn shared_or_new() -> Result<Rc<Core>, NoHub> {
    if thread_end::has_begun() {
        return Err(NoHub::ThreadEnds);
    }
    let runtime = Handle::try_current().map_err(|_| NoHub::NoRuntime)?;
    match find(&runtime) {
        Some(core) if core.is_running() => return Ok(core),
        Some(ended) => registry::remove(&ended),
        None => {}
    }
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        check_owner(&runtime, executors::inside_scheduler())?;
    }
    Ok(add(Config::default(), &runtime))
}

/// Returns a stand-in for the hub that this thread has closed on `runtime` for good.
fn find_retired(runtime: &Handle) -> Option<Rc<Core>> {
    retired::contains(runtime).then(|| {
        let core = Core::new(&ABOVE, runtime.clone(), Config::default());
        end_abruptly(&core);
        core
    })
}

/// Returns whether the running code is a future that a fiber polls, and the fiber's hub is on the
/// current runtime.
fn in_fiber_of_current_runtime() -> bool {
    let runtime = executors::current_runtime();
    with_place(|place| match place {
        Place::Poll(fiber) => fiber
            .hub()
            .is_some_and(|hub| Some(hub.runtime.id()) == runtime),
        _ => false,
    })
}

/// Returns whether the running code is a future whose wait blocks this thread.
fn in_thread_poll() -> bool {
    with_place(|place| matches!(place, Place::ThreadPoll))
}

/// Returns the hub of the fiber, or the hub, that is running.
fn running() -> Option<Rc<Core>> {
    with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) => state.hub().cloned(),
        Place::Hub(core) | Place::Driver(core) => Some(core.clone()),
        Place::Outside | Place::ThreadPoll => None,
    })
}

/// Returns this thread's hub for `runtime`. A hub that has failed is ended and removed.
fn find(runtime: &Handle) -> Option<Rc<Core>> {
    let core = registry::listed(runtime.id())?;
    if core.mailbox.failure().is_none() {
        return Some(core);
    }
    end_abruptly(&core);
    registry::remove(&core);
    None
}

/// Which thread has the hub of each current-thread runtime, for the whole process.
#[derive(Default)]
struct Owners {
    by_runtime: HashMap<Id, Weak<Mailbox>>,
    /// The number of entries after the ended hubs were last removed.
    swept_at: usize,
}

fn owners() -> &'static Mutex<Owners> {
    static OWNERS: OnceLock<Mutex<Owners>> = OnceLock::new();
    OWNERS.get_or_init(Mutex::default)
}

impl Owners {
    fn of(&self, runtime: &Handle) -> Option<Arc<Mailbox>> {
        self.by_runtime.get(&runtime.id())?.upgrade()
    }

    /// Adds a hub. Returns mailboxes that must not be dropped under the lock, because the last
    /// reference to one may drop wakers of the user's.
    #[must_use]
    fn insert(&mut self, runtime: &Handle, mailbox: Weak<Mailbox>) -> Vec<Arc<Mailbox>> {
        let mut looked_at = Vec::new();
        if self.by_runtime.len() >= 2 * self.swept_at {
            self.by_runtime.retain(|_, owner| match owner.upgrade() {
                Some(owner) => {
                    let lives = !owner.has_ended();
                    looked_at.push(owner);
                    lives
                }
                None => false,
            });
            self.swept_at = self.by_runtime.len();
        }
        self.by_runtime.insert(runtime.id(), mailbox);
        looked_at
    }
}

/// Returns an error if the hub of the runtime lives on another thread.
///
/// If that hub has never run and this thread drives the runtime, the other thread made it by
/// mistake, and the hub fails.
fn check_owner(runtime: &Handle, driving: bool) -> Result<(), NoHub> {
    let owner = lock(owners()).of(runtime);
    match owner.filter(|owner| !owner.has_ended()) {
        Some(owner) if driving && owner.fail_unless_driven() => Ok(()),
        Some(owner) => Err(NoHub::OtherThread(owner.thread_label())),
        None => Ok(()),
    }
}

fn add(config: Config, runtime: &Handle) -> Rc<Core> {
    overflow::arm();
    let core = Core::new(&ABOVE, runtime.clone(), config);
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        let mailbox = Arc::downgrade(&core.mailbox);
        let looked_at = lock(owners()).insert(runtime, mailbox);
        drop(looked_at);
    }
    registry::add(&core);
    hubs::add(&core.mailbox);
    retired::remove(runtime);
    core
}
