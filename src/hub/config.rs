//! [`Config`]: the settings of a hub.

use std::sync::Arc;

#[cfg(feature = "test-util")]
use super::trial::Schedule;
use crate::shared::{Mailbox, Slice, Track};
use crate::stack;

/// The settings of a hub, and of the pool that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Box<str>,
    pub(crate) stack_size: usize,
    pub(crate) max_cached_stacks: usize,
    pub(crate) measure_stacks: bool,
    pub(crate) track: Track,
    /// For how long a fiber may have the thread.
    pub(crate) slice: Option<Slice>,
    /// The pool that the hub belongs to.
    pub(crate) pool: Option<Arc<Mailbox>>,
    /// How many fibers that it took from the pool's queue the hub may have at a time.
    pub(crate) max_fibers: usize,
    /// How many fibers may wait in the queue of the pool, if this is for one.
    pub(crate) max_queued: usize,
    /// Whether the hub's runtime, if we make it, uses the virtual clock.
    #[cfg(feature = "test-util")]
    pub(crate) start_paused: bool,
    /// The order of the hub, if a test has asked for one.
    #[cfg(feature = "test-util")]
    pub(crate) schedule: Option<Schedule>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "Hub".into(),
            stack_size: stack::DEFAULT_SIZE,
            max_cached_stacks: stack::DEFAULT_MAX_CACHED,
            measure_stacks: false,
            track: Track::default(),
            slice: None,
            pool: None,
            max_fibers: usize::MAX,
            max_queued: usize::MAX,
            #[cfg(feature = "test-util")]
            start_paused: false,
            #[cfg(feature = "test-util")]
            schedule: None,
        }
    }
}
