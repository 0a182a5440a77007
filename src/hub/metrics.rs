//! [`HubMetrics`]: what a hub has done and has to do, in numbers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Numbers about a hub: see [`Hub::metrics`](crate::Hub::metrics) and
/// [`HubHandle::metrics`](crate::HubHandle::metrics).
///
/// The shape is that of tokio's
/// [`RuntimeMetrics`](tokio::runtime::RuntimeMetrics), but taken at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubMetrics {
    pub(super) live_fibers: usize,
    pub(super) ready: usize,
    pub(super) cached_stacks: usize,
    pub(super) deepest_stack: usize,
    pub(super) spawned: u64,
    pub(super) switches: u64,
    pub(super) callbacks: u64,
}

impl HubMetrics {
    /// Fibers that have not ended, those that were not started included.
    pub fn live_fibers(&self) -> usize {
        self.live_fibers
    }

    /// Entries of the ready queue: fibers to resume, callbacks to run, tasks to
    /// wake.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Stacks that are kept for new fibers.
    pub fn cached_stacks(&self) -> usize {
        self.cached_stacks
    }

    /// How much of its stack any fiber has used at most, in bytes; `None` if none was
    /// measured: see [`HubBuilder::measure_stacks`](crate::HubBuilder::measure_stacks).
    pub fn deepest_stack(&self) -> Option<usize> {
        (self.deepest_stack > 0).then_some(self.deepest_stack)
    }

    /// Fibers that were made since the hub was made.
    pub fn spawned(&self) -> u64 {
        self.spawned
    }

    /// How often a fiber was resumed since the hub was made.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// Callbacks that have run since the hub was made.
    pub fn callbacks(&self) -> u64 {
        self.callbacks
    }
}

/// The metrics of a hub as other threads see them: as they were at the end of its
/// last turn.
///
/// Ordering: each number is by itself, so all are `Relaxed`.
#[derive(Debug, Default)]
pub(super) struct Counters {
    live_fibers: AtomicUsize,
    ready: AtomicUsize,
    cached_stacks: AtomicUsize,
    deepest_stack: AtomicUsize,
    spawned: AtomicU64,
    switches: AtomicU64,
    callbacks: AtomicU64,
}

impl Counters {
    pub(super) fn publish(&self, metrics: &HubMetrics) {
        self.live_fibers
            .store(metrics.live_fibers, Ordering::Relaxed);
        self.ready.store(metrics.ready, Ordering::Relaxed);
        self.cached_stacks
            .store(metrics.cached_stacks, Ordering::Relaxed);
        self.deepest_stack
            .store(metrics.deepest_stack, Ordering::Relaxed);
        self.spawned.store(metrics.spawned, Ordering::Relaxed);
        self.switches.store(metrics.switches, Ordering::Relaxed);
        self.callbacks.store(metrics.callbacks, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> HubMetrics {
        HubMetrics {
            live_fibers: self.live_fibers.load(Ordering::Relaxed),
            ready: self.ready.load(Ordering::Relaxed),
            cached_stacks: self.cached_stacks.load(Ordering::Relaxed),
            deepest_stack: self.deepest_stack.load(Ordering::Relaxed),
            spawned: self.spawned.load(Ordering::Relaxed),
            switches: self.switches.load(Ordering::Relaxed),
            callbacks: self.callbacks.load(Ordering::Relaxed),
        }
    }
}
