//! [`dump_all`]: a dump of every hub of the process.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Cycle, Dump, DumpError, HubDump};
use crate::scheduler::hubs;
use crate::shared::Mailbox;

/// How long a hub has time to answer.
const LIMIT: Duration = Duration::from_secs(1);

/// Returns a future of the dumps of all hubs of the process. A hub that has not answered after a
/// second, because a fiber blocks its thread, is in it with an error that names the fiber.
///
/// The hubs are asked at the first poll, all at once, and each reads its state on its own thread: see
/// [`HubHandle::dump`](crate::HubHandle::dump). This works on any thread, in fibers and in async code.
///
/// # Cancel safety
///
/// Nothing is lost if it is dropped.
///
/// # Panics
///
/// The first poll panics if the thread that keeps the time cannot be started.
///
/// # Examples
///
/// ```
/// use switchback::{dump_all, prelude::*};
///
/// # switchback::run(|| {
/// let dump = dump_all().wait();
/// assert!(dump.hubs().any(|hub| hub.fibers().len() == 1));
/// println!("{dump}");
/// # }).unwrap();
/// ```
#[doc(alias = "thread dump")]
pub fn dump_all() -> DumpAll {
    DumpAll {
        backtraces: 0,
        asked: None,
    }
}

/// The future of [`dump_all`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct DumpAll {
    backtraces: usize,
    asked: Option<Vec<Asked>>,
}

/// A hub that was asked, and its answer when it has come.
#[derive(Debug)]
struct Asked {
    dump: Dump,
    answer: Option<Result<HubDump, DumpError>>,
}

impl DumpAll {
    /// Asks for the backtraces of up to `most` fibers of each hub, too: see
    /// [`Dump::backtraces`].
    #[cfg(feature = "backtrace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "backtrace")))]
    pub fn backtraces(mut self, most: usize) -> DumpAll {
        self.backtraces = most;
        self
    }

    fn ask(&self) -> Vec<Asked> {
        let ask = |hub: &Arc<Mailbox>| Asked {
            dump: Dump::asked_for(hub, Some(LIMIT), self.backtraces),
            answer: None,
        };
        hubs::all().iter().map(ask).collect()
    }
}

impl Future for DumpAll {
    type Output = ProcessDump;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ProcessDump> {
        if self.asked.is_none() {
            self.asked = Some(self.ask());
        }
        let Some(asked) = &mut self.asked else {
            unreachable!("it was set above");
        };
        for hub in asked.iter_mut().filter(|hub| hub.answer.is_none()) {
            if let Poll::Ready(result) = Pin::new(&mut hub.dump).poll(cx) {
                hub.answer = Some(result);
            }
        }
        if asked.iter().any(|hub| hub.answer.is_none()) {
            return Poll::Pending;
        }
        let answers = asked.iter_mut().filter_map(|hub| hub.answer.take());
        Poll::Ready(ProcessDump {
            // One that has ended meanwhile is of no interest.
            hubs: answers
                .filter(|answer| !matches!(answer, Err(error) if !error.is_blocked()))
                .collect(),
        })
    }
}

/// What is known about all hubs of the process: see [`dump_all`]. Its
/// [`Display`](std::fmt::Display) is the dumps of the hubs as text, one after the other.
#[derive(Clone, Debug)]
pub struct ProcessDump {
    hubs: Vec<Result<HubDump, DumpError>>,
}

impl ProcessDump {
    /// Returns the dumps of the hubs that have answered.
    pub fn hubs(&self) -> impl Iterator<Item = &HubDump> {
        self.hubs.iter().filter_map(|hub| hub.as_ref().ok())
    }

    /// Returns the errors of the hubs that have not answered in time. Each names the hub, and the
    /// fiber that has its thread.
    pub fn blocked(&self) -> impl Iterator<Item = &DumpError> {
        self.hubs.iter().filter_map(|hub| hub.as_ref().err())
    }

    /// Returns fibers that wait for each other, as [`HubDump::cycles`] does, also across hubs.
    ///
    /// The hubs are read one after the other, so a cycle across hubs may be one that was never there
    /// at one moment: it is a deadlock if a second dump has it too.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle> {
        Cycle::find(self.hubs().flat_map(HubDump::fibers))
    }
}

impl fmt::Display for ProcessDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for blocked in self.blocked() {
            writeln!(f, "{blocked}\n")?;
        }
        let within: usize = self.hubs().map(|hub| hub.cycles().len()).sum();
        let cycles = self.cycles();
        if cycles.len() > within {
            for cycle in cycles {
                writeln!(f, "{cycle}")?;
            }
        }
        for hub in self.hubs() {
            writeln!(f, "{hub}")?;
        }
        Ok(())
    }
}
