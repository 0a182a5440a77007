//! Two other threads: one that wakes, cancels, drops and floods, one that joins.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use switchback::prelude::*;
use switchback::{Fiber, FiberHandle, JoinError, Switcher};
use tokio::sync::oneshot;

use crate::floods::Flood;
use crate::ledger::Counted;

pub(crate) enum Job {
    Cancel(FiberHandle),
    Unpark(FiberHandle),
    Fire(oneshot::Sender<u8>),
    Drop(Fiber<u8>),
    Switch(Switcher<Counted>, Counted),
    Flood(Flood),
}

pub(crate) struct Helper {
    jobs: RefCell<Option<Sender<Job>>>,
    done: Receiver<()>,
    joins: RefCell<Option<Sender<Fiber<u8>>>>,
    joined: Receiver<Result<u8, JoinError>>,
}

impl Helper {
    pub(crate) fn start() -> Helper {
        let (jobs, job) = channel();
        let (tell, done) = channel();
        thread::spawn(move || {
            for job in job {
                match job {
                    Job::Cancel(fiber) => drop(fiber.cancel_with(crate::program::MESSAGE)),
                    Job::Unpark(fiber) => fiber.unpark(),
                    Job::Fire(sender) => drop(sender.send(1)),
                    Job::Drop(fiber) => drop(fiber),
                    Job::Switch(switcher, value) => drop(switcher.switch(value)),
                    Job::Flood(flood) => flood.send(),
                }
                if tell.send(()).is_err() {
                    return;
                }
            }
        });
        let (joins, join) = channel::<Fiber<u8>>();
        let (tell, joined) = channel();
        thread::spawn(move || {
            for mut fiber in join {
                if tell.send(fiber.join().wait()).is_err() {
                    return;
                }
            }
        });
        Helper {
            jobs: RefCell::new(Some(jobs)),
            done,
            joins: RefCell::new(Some(joins)),
            joined,
        }
    }

    /// Has it done elsewhere, and waits for that: so the order of events does not
    /// depend on the other thread's speed.
    pub(crate) fn run(&self, job: Job) {
        let jobs = self.jobs.borrow();
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        assert!(sent && self.done.recv().is_ok(), "the helper is there");
    }

    /// Joins a fiber elsewhere, meanwhile: nobody here is woken by that.
    pub(crate) fn join(&self, fiber: Fiber<u8>) {
        let joins = self.joins.borrow();
        let sent = joins
            .as_ref()
            .is_some_and(|joins| joins.send(fiber).is_ok());
        assert!(sent, "the helper is there");
    }

    /// Ends the threads. Not a destructor: abandoned stacks refer to this too.
    pub(crate) fn stop(&self) {
        self.jobs.take();
        self.joins.take();
    }

    /// The outcome of the oldest of those joins; `None` if it does not come.
    pub(crate) fn joined(&self) -> Option<Result<u8, JoinError>> {
        self.joined.recv_timeout(Duration::from_secs(20)).ok()
    }
}
