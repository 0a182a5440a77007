//! [`SourcePlace`]: a place in a source file.

use std::fmt;
use std::panic::Location;

/// A place in a source file, as [`std::panic::Location`] has it: `src/main.rs:10:5`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePlace(&'static Location<'static>);

impl SourcePlace {
    pub(super) fn new(location: &'static Location<'static>) -> SourcePlace {
        SourcePlace(location)
    }

    /// Returns the path of the file, as the compiler was given it.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.0.file()
    }

    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.0.line()
    }

    /// Returns the column, counted from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.0.column()
    }
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourcePlace({})", self.0)
    }
}
