//! [`dump_all`]: a dump of every hub of the process.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Cycle, Dump, DumpError, HubDump};
use crate::scheduler::hubs;
use crate::shared::{FiberId, Mailbox};

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
        first: None,
    }
}

/// The future of [`dump_all`].
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct DumpAll {
    backtraces: usize,
    asked: Option<Vec<Asked>>,
    /// The fibers that were in a cycle across hubs at the first reading, and the numbers of their waits.
    first: Option<HashSet<(FiberId, Option<u32>)>>,
}

/// A hub that was asked, and its answer when it has come.
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
        loop {
            if self.asked.is_none() {
                self.asked = Some(self.ask());
            }
            let mut dump = ProcessDump {
                hubs: ready!(self.poll_answers(cx)),
                across: Vec::new(),
            };
            let across = dump.find_across();
            match self.first.take() {
                None if !across.is_empty() => {
                    self.first = Some(across.iter().flat_map(Cycle::waits).collect());
                    self.asked = None;
                }
                None => return Poll::Ready(dump),
                Some(first) => {
                    let lasts = |cycle: &Cycle| cycle.waits().all(|wait| first.contains(&wait));
                    dump.across = across.into_iter().filter(lasts).collect();
                    return Poll::Ready(dump);
                }
            }
        }
    }
}

impl DumpAll {
    /// Ready when all hubs have answered that were asked.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Result<HubDump, DumpError>>> {
        let asked = self.asked.get_or_insert_default();
        for hub in asked.iter_mut().filter(|hub| hub.answer.is_none()) {
            if let Poll::Ready(result) = Pin::new(&mut hub.dump).poll(cx) {
                hub.answer = Some(result);
            }
        }
        if asked.iter().any(|hub| hub.answer.is_none()) {
            return Poll::Pending;
        }
        let answers = asked.iter_mut().filter_map(|hub| hub.answer.take());
        // One that has ended meanwhile is of no interest.
        let has_ended =
            |answer: &Result<_, DumpError>| matches!(answer, Err(error) if !error.is_blocked());
        Poll::Ready(answers.filter(|answer| !has_ended(answer)).collect())
    }
}

/// What is known about all hubs of the process: see [`dump_all`]. Its
/// [`Display`](std::fmt::Display) is the dumps of the hubs as text, one after the other.
#[derive(Clone, Debug)]
pub struct ProcessDump {
    hubs: Vec<Result<HubDump, DumpError>>,
    /// Cycles of fibers of several hubs.
    across: Vec<Cycle>,
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
    /// The hubs are not read at the same moment. So if there seems to be a cycle across hubs, they are
    /// read a second time, and it is one only if all its fibers are still in the same wait.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle> {
        let within = self.hubs().flat_map(HubDump::cycles);
        within.chain(self.across.iter().cloned()).collect()
    }

    /// Returns what looks like a cycle of fibers of several hubs.
    fn find_across(&self) -> Vec<Cycle> {
        let mut cycles = Cycle::find(self.hubs().flat_map(HubDump::fibers));
        let is_of = |hub: &HubDump, cycle: &Cycle| {
            let mut fibers = cycle.fibers().iter();
            fibers.all(|fiber| hub.fiber(*fiber).is_some())
        };
        cycles.retain(|cycle| !self.hubs().any(|hub| is_of(hub, cycle)));
        cycles
    }
}

impl fmt::Display for ProcessDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for blocked in self.blocked() {
            writeln!(f, "{blocked}\n")?;
        }
        for cycle in &self.across {
            writeln!(f, "{cycle}")?;
        }
        for hub in self.hubs() {
            writeln!(f, "{hub}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DumpAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DumpAll")
            .field("backtraces", &self.backtraces)
            .finish_non_exhaustive()
    }
}
