//! [`HubMetrics`]: what a hub has done and has to do, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes [`HubMetrics`] and [`Counters`] from one list of numbers.
macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// Numbers about a hub: see [`Hub::metrics`](crate::Hub::metrics) and
        /// [`HubHandle::metrics`](crate::HubHandle::metrics).
        ///
        /// The shape is that of tokio's [`RuntimeMetrics`](tokio::runtime::RuntimeMetrics), but
        /// the numbers are taken at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct HubMetrics {
            $(pub(crate) $name: $type,)*
            /// Zero if no fiber was measured.
            pub(crate) deepest_stack: usize,
        }

        impl HubMetrics {
            $($(#[$doc])* pub fn $name(&self) -> $type {
                self.$name
            })*
        }

        /// The metrics of a hub as other threads see them: as they were at the end of its last
        /// turn.
        ///
        /// Ordering: the numbers are independent of each other, so all are `Relaxed`.
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
                }
            }
        }
    };
}

metrics! {
    /// Fibers that have not ended, including those that were not started.
    live_fibers: usize,
    /// Entries of the ready queue: fibers to resume, callbacks to run, tasks to wake.
    ready: usize,
    /// Stacks that are kept for new fibers.
    cached_stacks: usize,
    /// Fibers that were made since the hub was made.
    spawned: u64,
    /// How often a fiber was resumed since the hub was made.
    switches: u64,
    /// Callbacks that have run since the hub was made.
    callbacks: u64,
}

impl HubMetrics {
    /// How much of its stack any fiber has used at most, in bytes; `None` if none was measured: see
    /// [`HubBuilder::measure_stacks`](crate::HubBuilder::measure_stacks).
    pub fn deepest_stack(&self) -> Option<usize> {
        (self.deepest_stack > 0).then_some(self.deepest_stack)
    }
}
