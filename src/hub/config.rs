//! [`Config`]: the settings of a hub.

use crate::stack;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Box<str>,
    pub(crate) stack_size: usize,
    pub(crate) max_cached_stacks: usize,
    pub(crate) measure_stacks: bool,
    /// Whether the hub's runtime, if we make it, uses the virtual clock.
    #[cfg(feature = "test-util")]
    pub(crate) start_paused: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "Hub".into(),
            stack_size: stack::DEFAULT_SIZE,
            max_cached_stacks: stack::DEFAULT_MAX_CACHED,
            measure_stacks: false,
            #[cfg(feature = "test-util")]
            start_paused: false,
        }
    }
}
