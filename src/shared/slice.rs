//! [`Slice`]: for how long a fiber may have its hub's thread.

use std::time::Duration;

/// For how long a fiber may have the thread of its hub without a wait: see
/// [`HubBuilder::slice`](crate::HubBuilder::slice).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// A fiber that has had the thread for longer is warned of, while it has it.
    pub warn: Duration,
    /// A fiber that has had the thread for longer is cancelled, so that its next wait ends it. `None`
    /// cancels none.
    pub cancel: Option<Duration>,
}
