//! [`Running`]: the fiber that has the thread of a hub.

use std::fmt;
use std::panic::Location;

use super::SourcePlace;
use crate::shared::{FiberId, FiberRef, Mailbox};

/// The fiber that has the thread of a hub: see [`HubHandle::running`](crate::HubHandle::running).
#[derive(Clone)]
pub struct Running {
    fiber: FiberRef,
    resumes: u64,
    waited_at: Option<&'static Location<'static>>,
}

impl Running {
    /// Returns the fiber that has the hub's thread now, if one has.
    pub(crate) fn of(hub: &Mailbox) -> Option<Running> {
        // Before the fiber: if a later call finds the same number, no fiber was resumed in between.
        let resumes = hub.running.resumes();
        let fiber = FiberRef::running(hub)?;
        let waited_at = hub.running.waited_at(resumes);
        Some(Running {
            fiber,
            resumes,
            waited_at,
        })
    }

    /// Cancels the fiber. Returns false if it has ended.
    pub(super) fn cancel(&self, why: &'static str) -> bool {
        self.fiber.cancel(Some(why.into()))
    }

    /// Returns the fiber's ID.
    #[must_use]
    pub fn id(&self) -> FiberId {
        self.fiber.id()
    }

    /// Returns the fiber's name: the one it was given, or `Fiber-N` with its ID.
    #[must_use]
    pub fn name(&self) -> &str {
        self.fiber.name()
    }

    /// Returns where the fiber was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> SourcePlace {
        SourcePlace::new(self.fiber.origin().place)
    }

    /// Returns the fiber that spawned this one; `None` if async code or a plain thread did.
    #[must_use]
    pub fn parent(&self) -> Option<FiberId> {
        self.fiber.origin().parent
    }

    /// Returns where the fiber had waited before it got the thread, unless it had just begun or given way.
    /// This is known if the fiber's hub [tracks](crate::HubBuilder::track) waits, and if at that time
    /// somebody [watched](crate::watch()), or a hub of the process had a
    /// [slice](crate::HubBuilder::slice).
    #[must_use]
    pub fn waited_at(&self) -> Option<SourcePlace> {
        self.waited_at.map(SourcePlace::new)
    }

    /// Returns how often the hub had resumed a fiber when this one was resumed. If it is the same in
    /// two calls of [`running`](crate::HubHandle::running), the fiber has had the thread in between.
    #[must_use]
    pub fn resumes(&self) -> u64 {
        self.resumes
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("spawned_at", &self.spawned_at())
            .field("waited_at", &self.waited_at())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.spawned_at();
        write!(
            f,
            "fiber {} '{}', spawned at {place}",
            self.id(),
            self.name()
        )
    }
}
