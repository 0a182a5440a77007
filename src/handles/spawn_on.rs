//! [`SpawnOn`]: what fibers can be sent to.

use super::{Fiber, HubHandle};
use crate::scheduler::launch::Settings;
use crate::shared::SpawnError;

/// What fibers can be sent to from any thread: a [`HubHandle`], a [`HubThread`] or a [`HubPool`].
/// It is used by [`Builder::spawn_on`] and [`FiberSet::spawn_on`]. No other type can implement it.
///
/// [`Builder::spawn_on`]: crate::Builder::spawn_on
/// [`HubThread`]: crate::HubThread
/// [`HubPool`]: crate::HubPool
/// [`FiberSet::spawn_on`]: crate::FiberSet::spawn_on
pub trait SpawnOn {
    /// Spawns a fiber with these settings that runs `f`.
    // Nobody else can name the type, and so implement the trait.
    #[allow(private_interfaces)]
    #[doc(hidden)]
    #[track_caller]
    fn send<F, T>(&self, settings: Settings, f: F) -> Result<Fiber<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;
}

impl SpawnOn for HubHandle {
    #[allow(private_interfaces)]
    #[track_caller]
    fn send<F, T>(&self, settings: Settings, f: F) -> Result<Fiber<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawned = self.try_spawn(settings, f, |f| f());
        spawned.map_err(|_| SpawnError::Closed)
    }
}
