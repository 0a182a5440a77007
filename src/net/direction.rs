//! [`Direction`]: what a call waits for.

/// What a call waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Read,
    Write,
}
