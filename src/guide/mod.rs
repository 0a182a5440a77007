//! The guide: pages that are longer than an item's docs.
//!
//! | page | what it answers |
//! |---|---|
//! | [`choosing`] | fibers, bridges, threads, or async code? and which entry point? |
//! | [`porting`] | how does a threaded program become one with fibers? |
//! | [`multi_thread`] | how do the tasks of `#[tokio::main]` use fibers? |
//! | [`synchronisation`] | which locks and channels, and what of the thread is shared? |
//! | [`cancellation`] | what does a cancel, a deadline or the end of a hub do? |
//! | [`context`] | what belongs to a fiber, and what to its thread? |
//! | [`legacy`] | where does a synchronous library run, and which were tried? |
//! | [`testing`] | how is code that waits tested? |
//! | [`hangs`] | why does nothing happen? |
//! | [`limits`] | what must not be done, and what can go wrong? |
//! | [`errors`] | what does this message mean? |
//! | [`ancestor`] | what are Gruvi's names called here? |

pub mod ancestor;
pub mod cancellation;
pub mod choosing;
pub mod context;
pub mod errors;
pub mod hangs;
pub mod legacy;
pub mod limits;
pub mod multi_thread;
pub mod porting;
pub mod synchronisation;
pub mod testing;
