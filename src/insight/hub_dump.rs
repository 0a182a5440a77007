//! [`HubDump`]: what is known about a hub and its fibers at one moment.

use std::collections::HashMap;
use std::rc::Rc;
#[cfg(all(feature = "backtrace", unix))]
use std::sync::Arc;

use tokio::time::Instant;

#[cfg(all(feature = "backtrace", unix))]
use super::Backtrace;
use super::{Cycle, FiberDump, HubTimes, WaitsFor};
use crate::hub::Core;
use crate::shared::{FiberId, HubMetrics, HubState};

/// What is known about a hub and its fibers at one moment: see [`Hub::dump`](crate::Hub::dump) and
/// [`HubHandle::dump`](crate::HubHandle::dump).
///
/// Its [`Display`](std::fmt::Display) is meant for people: what needs a look comes first, and fibers
/// that are alike are one entry.
///
/// ```text
/// hub 'Hub' on thread 'main' is open; 4,098 fibers: 1 running, 1 ready, 4,096 waiting
///
/// fiber 1 'Root', running
///     spawned at src/main.rs:12:5
/// 4,096 fibers, waiting for up to 2.5 s
///     for tokio::sync::oneshot::Receiver<()>
///     at src/main.rs:30:22
///     spawned at src/main.rs:28:9 by fiber 1
///     they are 2 'Fiber-2', 3 'Fiber-3' and 4,094 more
/// fiber 4098 'Fiber-4098', ready
///     spawned at src/main.rs:34:9 by fiber 1
/// ```
///
/// [Bridges](crate::bridge()) are not in a dump, because they belong to the tasks that poll them; neither
/// are fibers that were abandoned.
///
/// # As data
///
/// With the feature `serde`, these types are `serde::Serialize`:
///
/// | type | is |
/// |---|---|
/// | [`ProcessDump`](crate::ProcessDump) | a map: `hubs`, a list of `HubDump`; `blocked`, a list of texts; `cycles`, a list of `Cycle` |
/// | `HubDump` | a map: `name`, `thread`, `is_open`, `queued`, `metrics`, `times`, `fibers`, `cycles` |
/// | `HubMetrics` | a map of its figures, by the names of their methods |
/// | `HubTimes` | a map: `longest_run`, a map with `id`, `name`, `spawned_at` and `lasts`; `ready_waits`, a list of 32 numbers |
/// | `FiberDump` | a map: `id`, `name`, `parent`, `spawned_at`, `state`, `wait`, `is_cancel_pending`, `shields`, `deadlines`, `stack_size`, `stack_in_use`, and with the feature `backtrace` also `backtrace` |
/// | `WaitDump` | a map: `at`, `call`, `type_name`, `waits_for`, `lasts` |
/// | `WaitsFor` | a map with one key: `fiber`, an ID; `children`, a list of IDs; `time`; `lock`, the ID of its holder; `unpark`, whether anybody can; `once`, the ID of the fiber that does it |
/// | `Cycle` | a map: `fibers`, a list of IDs; `may_break`; `text`, a list of lines |
/// | `Running` | a map: `id`, `name`, `parent`, `spawned_at`, `waited_at`, `resumes` |
/// | `BlockedHub` | a map: `name`, `thread`, `fiber`, a `Running`; `lasts`; `activity` |
/// | `ThreadActivity` | a text: that of its `Display` |
/// | `DumpError` | a text |
/// | `FiberState` | `running`, `waiting`, `put_off`, `ready` or `not_started` |
/// | `SourcePlace` | a map: `file`, `line`, `column` |
/// | `Backtrace` | a map: `frames`, a list of maps with `address`, `function`, `file` and `line`; `end`: `whole`, `cut` or `no_room` |
/// | a time | a number of seconds |
/// | an ID | a number |
///
/// What is not known is null. Later versions may add keys and values, and change none.
#[derive(Clone, Debug)]
pub struct HubDump {
    pub(super) name: Box<str>,
    pub(super) thread: String,
    pub(super) state: HubState,
    pub(super) queued: usize,
    pub(super) metrics: HubMetrics,
    pub(super) times: Option<Box<HubTimes>>,
    pub(super) fibers: Vec<FiberDump>,
}

impl HubDump {
    /// Reads the state of a hub, on its thread.
    pub(crate) fn take(core: &Rc<Core>) -> HubDump {
        let now = Instant::now();
        let mut fibers = Vec::with_capacity(core.table.len());
        // The scope that a fiber waits for, and the children of each scope.
        let mut scopes = Vec::new();
        let mut children: HashMap<usize, Vec<FiberId>> = HashMap::new();
        core.table.for_each(|entry| {
            let Some((fiber, scope)) = FiberDump::take(core, entry, now) else {
                return;
            };
            if let Some(of) = &entry.children {
                let of = children.entry(Rc::as_ptr(of).addr()).or_default();
                of.push(fiber.id);
            }
            if let Some(scope) = scope {
                scopes.push((fibers.len(), scope));
            }
            fibers.push(fiber);
        });
        for (fiber, scope) in scopes {
            let children = children.remove(&scope).unwrap_or_default();
            if let Some(wait) = &mut fibers[fiber].wait {
                wait.waits_for = Some(WaitsFor::Children(children));
            }
        }
        let left = core.mail.borrow().requests.len();
        fibers.sort_unstable_by_key(|fiber| fiber.id);
        HubDump {
            name: core.mailbox.name().into(),
            thread: core.mailbox.thread_label(),
            state: core.state.get(),
            queued: core.ready.callbacks() + left + core.mailbox.requests(),
            metrics: core.metrics(),
            times: HubTimes::of(&core.mailbox).map(Box::new),
            fibers,
        }
    }

    /// Returns the hub's name: the one it was given, or `Hub`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the hub's thread in quotes, or its ID.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns whether the hub takes new fibers.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == HubState::Open
    }

    /// Returns how many callbacks, and fibers from other threads that have not begun, are queued.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Returns the hub's figures.
    #[must_use]
    pub fn metrics(&self) -> HubMetrics {
        self.metrics
    }

    /// Returns how long fibers of the hub run, and wait until they do, if the hub
    /// [tracks](crate::Track::Times) times.
    #[must_use]
    pub fn times(&self) -> Option<&HubTimes> {
        self.times.as_deref()
    }

    /// Returns the fibers that have not ended, in the order of their IDs.
    #[must_use]
    pub fn fibers(&self) -> &[FiberDump] {
        &self.fibers
    }

    /// Returns the fiber with this ID.
    #[must_use]
    pub fn fiber(&self, id: FiberId) -> Option<&FiberDump> {
        let found = self.fibers.binary_search_by_key(&id, |fiber| fiber.id);
        Some(&self.fibers[found.ok()?])
    }

    /// Adds the backtrace of a fiber.
    #[cfg(all(feature = "backtrace", unix))]
    pub(super) fn set_backtrace(&mut self, id: FiberId, backtrace: &Arc<Backtrace>) {
        let found = self.fibers.binary_search_by_key(&id, |fiber| fiber.id);
        if let Ok(found) = found {
            self.fibers[found].backtrace = Some(backtrace.clone());
        }
    }

    /// Returns fibers of the hub that wait for each other: deadlocks, unless something from outside
    /// helps. Joins, the ends of scopes and the locks of [`sync`](crate::sync) that fibers have taken are
    /// followed, if the hub [tracks](crate::HubBuilder::track) waits.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle> {
        Cycle::find(self.fibers.iter())
    }
}
