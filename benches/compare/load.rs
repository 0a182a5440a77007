//! Rows `load-...`: what a hub does under more than it can do at once.
//!
//! | row | what |
//! |---|---|
//! | `load-flood-timer-N`, `load-flood-close-N`, `load-flood-bytes` | callbacks from N threads that send as fast as they can: see [`flood`] |
//! | `load-close-N` | the close of a hub with N suspended fibers: see [`ends`] |
//! | `load-backlog-time`, `load-backlog-memory` | the close of a hub over fibers that have not begun: see [`ends`] |
//! | `load-wake` | a wake and a cancel behind fibers that have not begun: see [`wake`] |
//! | `load-hubs-N`, `load-deadlines-N`, `load-callbacks-N` | many of one thing: see [`many`] |
//!
//! Where switchback itself has something that a row is held against, that is the column
//! "switchback otherwise".

mod ends;
mod flood;
mod many;
mod wake;

use crate::rounds::Row;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = flood::rows();
    rows.extend(ends::rows());
    rows.push(wake::row());
    rows.extend(many::rows());
    rows
}
