//! [`Gate`]: a writer that can be shut.

use std::cell::Cell;
use std::io::{self, Write};

/// Passes on what is written until it is shut. What is written then goes nowhere.
///
/// A `ZipWriter` that is dropped finishes its archive, also after an error or a panic: what is there of
/// it has all marks of a whole one. If the gate below it is shut before, its end does not get out.
pub(crate) struct Gate<'a> {
    out: &'a mut dyn Write,
    is_shut: &'a Cell<bool>,
}

impl<'a> Gate<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, is_shut: &'a Cell<bool>) -> Gate<'a> {
        Gate { out, is_shut }
    }
}

impl Write for Gate<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.is_shut.get() {
            true => Ok(bytes.len()),
            false => self.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.is_shut.get() {
            true => Ok(()),
            false => self.out.flush(),
        }
    }
}

/// Shuts a gate when it is dropped, which has to be before what writes to the gate is.
pub(crate) struct ShutOnDrop<'a>(pub(crate) &'a Cell<bool>);

impl Drop for ShutOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}
