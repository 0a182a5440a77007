//! std's module `mpsc`: channels, whose receivers may be used by several at once.
//!
//! The names, signatures and errors are those of [`std::sync::mpsc`]; [the table](super) says what
//! differs. Sending and receiving work between fibers of any hubs, plain threads and async tasks, and
//! both have an `_async` twin.
//!
//! Nothing that was sent is lost by a wait that ends early: a message that was on its way to a receiver
//! that is cancelled, or whose time has passed, goes to the next.
//!
//! # Examples
//!
//! ```
//! use switchback::sync::mpsc;
//! use switchback::thread;
//!
//! # switchback::run(|| {
//! let (send, receive) = mpsc::channel();
//! for id in 0..3 {
//!     let send = send.clone();
//!     thread::spawn(move || send.send(id).unwrap());
//! }
//! drop(send); // so that the iterator ends
//! let mut ids: Vec<i32> = receive.iter().collect();
//! ids.sort();
//! assert_eq!(ids, [0, 1, 2]);
//! # }).unwrap();
//! ```
//!
//! From a task to a fiber of a pool, and back:
//!
//! ```
//! use switchback::HubPool;
//! use switchback::sync::mpsc;
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let pool = HubPool::new(1)?;
//!     let (send, jobs) = mpsc::sync_channel::<u32>(4);
//!     let (done, results) = mpsc::channel();
//!     let worker = pool.call(move || jobs.iter().for_each(|job| done.send(2 * job).unwrap()));
//!     for job in 0..10 {
//!         send.send_async(job).await.unwrap(); // waits while four are queued
//!     }
//!     drop(send);
//!     worker.await?;
//!     let mut sum = 0;
//!     while let Ok(result) = results.recv_async().await {
//!         sum += result;
//!     }
//!     assert_eq!(sum, 90);
//! #   pool.close().await;
//!     Ok(())
//! }
//! ```

mod receiver;
mod sender;

pub use std::sync::mpsc::*;

pub use receiver::{IntoIter, Iter, Receiver, TryIter};
pub use sender::{Sender, SyncSender, channel, sync_channel};
