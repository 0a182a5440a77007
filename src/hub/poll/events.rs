//! [`Events`]: the readiness of a descriptor.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a descriptor is ready for, or is polled for: nothing, reading, writing, or both.
///
/// # Examples
///
/// ```
/// use switchback::Events;
///
/// let both = Events::READABLE | Events::WRITABLE;
/// assert!(both.contains(Events::READABLE));
/// assert!(!Events::READABLE.contains(both));
/// assert!(Events::NONE.is_empty());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Events(u8);

impl Events {
    /// No readiness.
    pub const NONE: Events = Events(0);
    /// A read would not block: there is data, the peer has closed its side, or an error can
    /// be read.
    pub const READABLE: Events = Events(1);
    /// A write would not block: there is room, or an error can be reported.
    pub const WRITABLE: Events = Events(2);

    /// Returns whether `self` contains all of `other`. Every value contains
    /// [`NONE`](Events::NONE).
    #[must_use]
    pub const fn contains(self, other: Events) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether this is [`NONE`](Events::NONE).
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the events in both `self` and `other`.
    pub(super) fn and(self, other: Events) -> Events {
        Events(self.0 & other.0)
    }

    /// Returns the events in `self` that are not in `other`.
    pub(super) fn without(self, other: Events) -> Events {
        Events(self.0 & !other.0)
    }
}

impl BitOr for Events {
    type Output = Events;

    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Events) {
        *self = *self | other;
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Events::NONE => "NONE",
            Events::READABLE => "READABLE",
            Events::WRITABLE => "WRITABLE",
            _ => "READABLE | WRITABLE",
        })
    }
}
