//! [`Origin`]: where a fiber was spawned.

use std::panic::Location;

use super::FiberId;

/// Where a fiber was spawned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) place: &'static Location<'static>,
    /// The fiber whose code has spawned it, if that was the code of a fiber.
    pub(crate) parent: Option<FiberId>,
}
