//! Finds bugs of concurrency in code on fibers: shuffled schedules, and a cancel at every wait.
//!
//! Between two waits, nothing else runs on a fiber's thread. Code comes to rely on that, and then
//! somebody adds a wait. Tests do not notice: a hub runs what is ready first-in first-out, so that a
//! test sees one of many possible orders, again and again. Two functions look at the others:
//!
//! * [`explore`] runs a program under many schedules, each of which follows from a seed.
//! * [`cancel_everywhere()`] runs a program once for each place where a fiber can be cancelled, and
//!   cancels it there.
//!
//! Both run on tokio's virtual clock, and tell at once if nothing can go on any more. [The guide]
//! compares them with other tools.
//!
//! # Examples
//!
//! A counter that is read before a wait and written after it:
//!
//! ```should_panic
//! use std::{cell::Cell, rc::Rc};
//! use switchback::{prelude::*, spawn, testing::explore, yield_now};
//!
//! explore(|| {
//!     let hits = Rc::new(Cell::new(0));
//!     let fibers: Vec<_> = (0..2)
//!         .map(|_| {
//!             let hits = hits.clone();
//!             spawn(move || {
//!                 let seen = hits.get();
//!                 yield_now().wait(); // the other fiber may run here
//!                 hits.set(seen + 1);
//!             })
//!         })
//!         .collect();
//!     for fiber in fibers {
//!         fiber.wait().unwrap();
//!     }
//!     assert_eq!(hits.get(), 2);
//! });
//! ```
//!
//! [The guide]: crate::guide::testing

mod cancel_everywhere;
mod explorer;
mod report;
mod run;

pub use crate::hub::Schedule;
pub use cancel_everywhere::cancel_everywhere;
pub use explorer::{Explorer, explore};
pub use report::Report;
