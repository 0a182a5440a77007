//! [`Track`]: what a hub records about the waits of its fibers.

/// What a hub records about each wait of its fibers, for dumps and warnings: see
/// [`HubBuilder::track`](crate::HubBuilder::track).
///
/// Where a fiber was spawned, and by which fiber, is always recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Track {
    /// Nothing. A [dump](crate::Hub::dump) says that a fiber waits, but not where.
    Off,
    /// Where in the source the fiber waits, for which type of future, and for which fiber.
    #[default]
    Places,
    /// As [`Places`](Track::Places), and since when; also how long fibers run, and are ready before that:
    /// see [`HubTimes`](crate::HubTimes). This reads the clock at each wait that suspends the fiber, at
    /// each wake, and twice each time that a fiber is resumed.
    Times,
}
