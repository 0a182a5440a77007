//! Callbacks on the readiness of file descriptors.
//!
//! | file | noun |
//! |---|---|
//! | [`poller`] | what calls back |
//! | [`entries`] | the callbacks of one descriptor |
//! | [`events`] | what a descriptor is ready for |
//! | [`table`] | the callbacks, and the descriptors that they are for |
//! | [`set`] | what the operating system watches |
//! | [`signal`] | what makes the hub look |

mod entries;
mod events;
mod poller;
// Where there is neither epoll, kqueue nor event ports.
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

pub use events::Events;
pub use poller::{PollHandle, Poller};
pub(crate) use table::Callback;
