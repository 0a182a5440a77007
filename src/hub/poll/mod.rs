//! Callbacks on the readiness of file descriptors.
//!
//! | file | noun |
//! |---|---|
//! | [`poller`] | the poller, which calls the callbacks |
//! | [`cannot_poll`] | the errors of descriptors that cannot be polled |
//! | [`entries`] | the callbacks of one descriptor |
//! | [`events`] | the readiness of a descriptor |
//! | [`table`] | the descriptors and their callbacks |
//! | [`set`] | the descriptors that the operating system watches |
//! | [`signal`] | the waker that makes the hub look for ready descriptors |

mod cannot_poll;
mod entries;
mod events;
mod poller;
// These systems have neither epoll, kqueue nor event ports.
#[cfg_attr(
    any(
        target_os = "aix",
        target_os = "cygwin",
        target_os = "haiku",
        target_os = "hurd",
        target_os = "nto",
        target_os = "nuttx",
    ),
    path = "no_set.rs"
)]
mod set;
mod signal;
mod table;

pub(crate) use cannot_poll::CannotPoll;
pub(crate) use entries::Callback;
pub use events::Events;
pub use poller::{PollHandle, Poller};
