//! [`HubState`]: how far a hub has come.
//!
//! | state | takes fibers | takes callbacks | its fibers | left when |
//! |---|---|---|---|---|
//! | `Open` | yes | yes | run | a close begins |
//! | `Closing` | no | yes | are cancelled at each wait | all have ended but a root that waits for the close |
//! | `Draining` | no | no | none, or that root | the callbacks that were accepted have run and the root has ended |
//! | `Ended` | no | no | none | never |
//!
//! From each of the others a hub goes to `Ended` if it ends abruptly. It never goes back.
//!
//! The state stands in two places: in the hub's core, for its own thread, and in its mailbox, for
//! the others. The mailbox may be ahead, never behind: a close that another thread asks for takes
//! effect for senders at once, and for the hub when it next reads its mail.

/// How far a hub has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HubState {
    #[default]
    Open,
    Closing,
    Draining,
    Ended,
}

/// Why a hub will never run its fibers again although nobody closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum HubFailure {
    /// Its driver was first polled on a thread other than the hub's.
    NeverRan = 1,
    /// Its thread ended, or its runtime was dropped on another thread.
    Lost = 2,
}
