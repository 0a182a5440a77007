//! [`HubMetrics`]: figures about what a hub has done and has to do.

use std::sync::atomic::{AtomicU64, Ordering};

/// Defines [`HubMetrics`] and [`Counters`] from one list of figures.
macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// Figures about a hub: see [`Hub::metrics`](crate::Hub::metrics) and
        /// [`HubHandle::metrics`](crate::HubHandle::metrics).
        ///
        /// The interface is that of tokio's [`RuntimeMetrics`](tokio::runtime::RuntimeMetrics), but
        /// all figures are taken together: on the hub's thread at one moment, elsewhere as
        /// [`HubHandle::metrics`](crate::HubHandle::metrics) says.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct HubMetrics {
            $(pub(crate) $name: $type,)*
            /// Zero if no fiber was measured.
            pub(crate) deepest_stack: usize,
            /// Counted by the timers themselves, and not published.
            pub(crate) timers: usize,
        }

        impl HubMetrics {
            $($(#[$doc])* pub fn $name(&self) -> $type {
                self.$name
            })*
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for HubMetrics {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(map.serialize_entry(stringify!($name), &self.$name)?;)*
                map.serialize_entry("deepest_stack", &self.deepest_stack())?;
                map.serialize_entry("timers", &self.timers())?;
                map.end()
            }
        }

        /// The metrics of a hub for other threads, as of the end of its last turn.
        ///
        /// Ordering: the figures are independent of each other, so all accesses are `Relaxed`.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($name: AtomicU64,)*
            deepest_stack: AtomicU64,
        }

        impl Counters {
            pub(crate) fn publish(&self, metrics: &HubMetrics) {
                $(self.$name.store(metrics.$name as u64, Ordering::Relaxed);)*
                self.deepest_stack.store(metrics.deepest_stack as u64, Ordering::Relaxed);
            }

            pub(crate) fn read(&self) -> HubMetrics {
                HubMetrics {
                    $($name: self.$name.load(Ordering::Relaxed) as $type,)*
                    deepest_stack: self.deepest_stack.load(Ordering::Relaxed) as usize,
                    timers: 0,
                }
            }
        }
    };
}

metrics! {
    /// Returns the number of fibers that have not ended, including those that were not started.
    live_fibers: usize,
    /// Returns the number of entries in the ready queue: fibers to resume, callbacks to run, tasks
    /// to wake.
    ready: usize,
    /// Returns the number of stacks that are kept for new fibers.
    cached_stacks: usize,
    /// Returns the number of fibers that were made since the hub was made.
    spawned: u64,
    /// Returns how often a fiber was resumed since the hub was made.
    switches: u64,
    /// Returns the number of callbacks that have run since the hub was made.
    callbacks: u64,
    /// Returns how often a fiber was queued because it was started, woken or cancelled. One that is
    /// queued already, and one that gives way, is not counted.
    wakes: u64,
    /// Returns how many wakes and cancels have come from other threads. Those that come while one is on
    /// its way to the same fiber are not counted.
    remote_wakes: u64,
    /// Returns how many turns the hub has had: in each, it resumes the fibers that are ready, up to
    /// 128, before tokio's other tasks have theirs.
    turns: u64,
}

impl HubMetrics {
    /// Returns the most that any fiber has used of its stack, in bytes; `None` if no fiber was
    /// measured: see [`HubBuilder::measure_stacks`](crate::HubBuilder::measure_stacks).
    #[must_use]
    pub fn deepest_stack(&self) -> Option<usize> {
        (self.deepest_stack > 0).then_some(self.deepest_stack)
    }

    /// Returns the number of timers of this crate that were made on the hub's thread and exist: sleeps,
    /// and limits of waits and of [`with_timeout`](crate::with_timeout()).
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers
    }
}
