//! [`Cycle`]: fibers that wait for each other.

use std::collections::HashMap;
use std::fmt;

use super::{FiberDump, WaitsFor};
use crate::base::report;
use crate::shared::FiberId;

/// Fibers each of which waits for the next, and the last for the first: for its end, for a lock of
/// [`sync`](crate::sync) that it has taken, or for what it does once, such as making a value. It is one
/// fiber if that waits for a lock of its own, or makes a value and uses it for that.
///
/// Without help from outside none of them goes on. A cancel helps; so does a time limit, or another
/// future in the same wait: see [`may_break`](Cycle::may_break). (A guard that was sent to another fiber
/// still counts as that of the fiber that has taken the lock, though the other one may give it back.)
///
/// Of the fibers that share an `RwLock`, one is known at a time, so a cycle over another one is not found.
///
/// # Examples
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use switchback::{Hub, prelude::*, spawn, yield_now};
///
/// # switchback::run(|| {
/// let other = Rc::new(RefCell::new(None));
/// let late = other.clone();
/// let a = spawn(move || late.take().map(|b: switchback::Fiber<()>| b.wait().is_ok()));
/// let a_handle = a.handle();
/// other.replace(Some(spawn(move || drop(a.wait()))));
/// yield_now().wait();
///
/// let dump = Hub::current().dump();
/// assert_eq!(dump.cycles()[0].fibers().len(), 2);
/// assert!(dump.to_string().contains("wait for each other"));
/// # a_handle.cancel();
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Cycle {
    fibers: Vec<FiberId>,
    /// The number of the wait that each of them is in.
    waits: Vec<Option<u32>>,
    may_break: bool,
    /// Whether a fiber waits in what it does once, for the same.
    is_of_once: bool,
    pub(super) text: Vec<String>,
}

impl Cycle {
    /// Returns the fibers: each waits for the next, and the last for the first.
    #[must_use]
    pub fn fibers(&self) -> &[FiberId] {
        &self.fibers
    }

    /// Returns whether the fibers may go on by themselves, because one of them waits with a time limit
    /// or for several things at once; or to read what others read too, behind one who waits to write and
    /// may give up.
    #[must_use]
    pub fn may_break(&self) -> bool {
        self.may_break
    }

    /// Reports it: to `tracing` with the feature of that name, to stderr without it.
    pub fn report(&self) {
        report::warn(format_args!("{self}"));
    }

    /// Returns the fibers with the numbers of their waits: if these are the same later, so is the cycle.
    pub(super) fn waits(&self) -> impl Iterator<Item = (FiberId, Option<u32>)> {
        self.fibers.iter().copied().zip(self.waits.iter().copied())
    }

    /// Finds the cycles among these fibers, at most one for each fiber.
    pub(super) fn find<'a>(fibers: impl Iterator<Item = &'a FiberDump>) -> Vec<Cycle> {
        // Those that wait for no fiber are in no cycle.
        let waiting: Vec<_> = fibers.filter(|fiber| !targets(fiber).is_empty()).collect();
        let numbers: HashMap<_, _> = waiting.iter().zip(0..).map(|(f, n)| (f.id, n)).collect();
        let next = |n: usize| {
            let targets = targets(waiting[n]).iter();
            targets.filter_map(|target| numbers.get(target).copied())
        };
        let mut looked_at = vec![Mark::New; waiting.len()];
        let mut found = Vec::new();
        for first in 0..waiting.len() {
            // A walk along the waits, with the way back in `path`.
            let mut path = Vec::new();
            if looked_at[first] == Mark::New {
                looked_at[first] = Mark::OnPath;
                path.push((first, next(first)));
            }
            while let Some((last, rest)) = path.last_mut() {
                match rest.next() {
                    None => {
                        looked_at[*last] = Mark::Done;
                        path.pop();
                    }
                    Some(n) if looked_at[n] == Mark::New => {
                        looked_at[n] = Mark::OnPath;
                        path.push((n, next(n)));
                    }
                    Some(n) if looked_at[n] == Mark::OnPath => {
                        let members = path.iter().map(|(n, _)| *n).skip_while(|m| *m != n);
                        found.push(Cycle::of(members.map(|n| waiting[n]).collect()));
                    }
                    Some(_) => {}
                }
            }
        }
        found
    }

    fn of(fibers: Vec<&FiberDump>) -> Cycle {
        Cycle {
            fibers: fibers.iter().map(|fiber| fiber.id).collect(),
            waits: fibers.iter().map(|fiber| wait_of(fiber)).collect(),
            may_break: fibers.iter().any(|fiber| may_end(fiber)),
            is_of_once: matches!(fibers[..], [fiber] if does_once(fiber)),
            text: fibers.iter().map(|fiber| describe(fiber)).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Done,
}

/// Returns the fibers that this one waits for.
fn targets(fiber: &FiberDump) -> &[FiberId] {
    match fiber.wait.as_ref().and_then(|wait| wait.waits_for.as_ref()) {
        Some(WaitsFor::Fiber(target) | WaitsFor::Lock(Some(target)) | WaitsFor::Once(target)) => {
            std::slice::from_ref(target)
        }
        Some(WaitsFor::Children(children)) => children,
        _ => &[],
    }
}

fn wait_of(fiber: &FiberDump) -> Option<u32> {
    fiber.wait.as_ref().map(|wait| wait.number)
}

/// Returns whether the wait may end although the fiber that it waits for does not.
fn may_end(fiber: &FiberDump) -> bool {
    let waits_for_one = fiber.wait.as_ref().is_some_and(|wait| wait.is_of_one());
    !waits_for_one || fiber.deadlines > 0 || fiber.cancel_pending || is_behind_others(fiber)
}

/// Returns whether the fiber could share a lock now if nobody who wants to write were before it in the line.
fn is_behind_others(fiber: &FiberDump) -> bool {
    fiber
        .wait
        .as_ref()
        .is_some_and(|wait| wait.is_behind_others)
}

fn does_once(fiber: &FiberDump) -> bool {
    let waits_for = fiber.wait.as_ref().and_then(|wait| wait.waits_for.as_ref());
    matches!(waits_for, Some(WaitsFor::Once(_)))
}

fn describe(fiber: &FiberDump) -> String {
    let at = fiber.wait.as_ref().map(|wait| wait.at);
    let at = at.map_or(String::new(), |at| format!(" at {at}"));
    let limit = match (may_end(fiber), fiber.cancel_pending) {
        (_, true) => ", with a cancel pending",
        (true, _) if is_behind_others(fiber) => ", to read, behind one who waits to write",
        (true, _) => ", with a time limit or for several things at once",
        _ => "",
    };
    format!("{} '{}' waits{at}{limit}", fiber.id, fiber.name())
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A longer cycle is cut.
        const SHOWN: usize = 12;
        match self.fibers.len() {
            1 if self.is_of_once => {
                writeln!(f, "a fiber waits for the end of what it runs itself:")?;
            }
            1 => writeln!(f, "a fiber waits for a lock that it has taken itself:")?,
            count => writeln!(f, "{count} fibers wait for each other in a cycle:")?,
        }
        for line in self.text.iter().take(SHOWN) {
            writeln!(f, "    fiber {line}")?;
        }
        if self.text.len() > SHOWN {
            writeln!(f, "    and {} more", self.text.len() - SHOWN)?;
        }
        Ok(())
    }
}
