//! [`FiberNames`]: the fibers that a message names.

use std::fmt;
use std::panic::Location;

use super::FiberRef;

/// The names of fibers, with the places where they were spawned. As text, it is the first dozen, and
/// how many more there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FiberNames {
    names: Vec<String>,
    places: Vec<&'static Location<'static>>,
}

impl FiberNames {
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Adds those of other fibers.
    pub(crate) fn append(&mut self, mut others: FiberNames) {
        self.names.append(&mut others.names);
        self.places.append(&mut others.places);
    }
}

impl<'a> FromIterator<&'a FiberRef> for FiberNames {
    fn from_iter<I: IntoIterator<Item = &'a FiberRef>>(fibers: I) -> FiberNames {
        let mut names = FiberNames::default();
        for fiber in fibers {
            names.names.push(fiber.name().to_owned());
            names.places.push(fiber.origin().place);
        }
        names
    }
}

impl fmt::Display for FiberNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let fibers = self.names.iter().zip(&self.places);
        for (n, (name, place)) in fibers.take(SHOWN).enumerate() {
            let before = if n > 0 { ", " } else { "" };
            write!(f, "{before}{name} (spawned at {place})")?;
        }
        match self.names.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
