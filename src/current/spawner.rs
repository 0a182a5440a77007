//! [`origin`]: where the running code spawns a fiber.

use std::panic::Location;

use super::{Place, with_place};
use crate::shared::Origin;

/// Returns the origin of a fiber that the caller of the running function spawns.
#[track_caller]
#[inline]
pub(crate) fn origin() -> Origin {
    let place = Location::caller();
    let parent = with_place(|running| match running {
        Place::Stack(state) | Place::Poll(state) => Some(state.fiber()?.id()),
        _ => None,
    });
    Origin { place, parent }
}
