//! [`HubState`]: the life cycle of a hub.
//!
//! | state | takes fibers | takes callbacks | its fibers | left when |
//! |---|---|---|---|---|
//! | `Open` | yes | yes | run | a close begins |
//! | `Closing` | no | yes | are cancelled at each wait | all have ended, except a root fiber that waits for the close |
//! | `Draining` | no | no | none, or that root fiber | the accepted callbacks have run and the root fiber has ended |
//! | `Ended` | no | no | none | never |
//!
//! A hub that ends abruptly goes to `Ended` from any other state. It never goes back.
//!
//! The state is kept in two places: in the hub's core for its own thread, and in its mailbox for
//! other threads. The mailbox may be ahead of the core, never behind it: when another thread asks
//! for a close, senders see it at once, and the hub when it next reads its mail.

/// The life cycle of a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HubState {
    #[default]
    Open,
    Closing,
    Draining,
    Ended,
}

/// Why a hub that was not closed will never run its fibers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum HubFailure {
    /// The hub's driver was first polled on another thread than the hub's.
    NeverRan = 1,
    /// The hub's thread ended, or its runtime was dropped on another thread.
    Lost = 2,
}
