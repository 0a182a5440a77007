//! A dump as text.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::{FiberDump, FiberState, HubDump, HubTimes, SourcePlace, WaitDump, WaitsFor};
use crate::shared::{FiberId, HubState};

/// How many fibers of a group, and how many groups, are shown.
const SHOWN: usize = 12;
const SHOWN_GROUPS: usize = 100;

/// What fibers have in common that are shown as one entry.
#[derive(PartialEq, Eq, Hash)]
struct Likeness {
    state: FiberState,
    spawned_at: SourcePlace,
    /// The place and the type of the wait, which kind of thing it waits for, and which lock.
    wait: Option<(SourcePlace, &'static str, u8, u64)>,
    cancel_pending: bool,
    is_shielded: bool,
    has_deadline: bool,
    /// The address of the backtrace, which those that have the same share.
    backtrace: Option<usize>,
}

impl Likeness {
    fn of(fiber: &FiberDump) -> Likeness {
        let wait = fiber.wait.as_ref();
        Likeness {
            state: fiber.state,
            spawned_at: fiber.spawned_at,
            wait: wait.map(|wait| (wait.at, wait.type_name, wait.kind(), wait.lock)),
            cancel_pending: fiber.cancel_pending,
            is_shielded: fiber.shields > 0,
            has_deadline: fiber.deadlines > 0,
            #[cfg(feature = "backtrace")]
            backtrace: fiber
                .backtrace()
                .map(|found| std::ptr::from_ref(found).addr()),
            #[cfg(not(feature = "backtrace"))]
            backtrace: None,
        }
    }
}

impl fmt::Display for HubDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            HubState::Open => "is open",
            HubState::Closing => "is closing",
            HubState::Draining => "is closing and has no fibers left",
            HubState::Ended => "has ended",
        };
        write!(f, "hub '{}' on thread {} {state}; ", self.name, self.thread)?;
        write!(f, "{}", Counted(self.fibers.len(), "fiber"))?;
        let states = [
            FiberState::Running,
            FiberState::Waiting,
            FiberState::PutOff,
            FiberState::Ready,
            FiberState::NotStarted,
        ];
        let mut before = ": ";
        for state in states {
            let count = self.fibers.iter().filter(|f| f.state == state).count();
            if count > 0 {
                write!(f, "{before}{} {state}", Grouped(count))?;
                before = ", ";
            }
        }
        match self.queued {
            0 => writeln!(f)?,
            queued => writeln!(f, "; {} queued", Counted(queued, "request"))?,
        }
        if let Some(run) = self.times().and_then(HubTimes::longest_run) {
            writeln!(f, "longest run {run}")?;
        }
        for cycle in self.cycles() {
            write!(f, "\n{cycle}")?;
        }
        writeln!(f)?;
        let text = Text(self);
        let groups = text.groups();
        for group in groups.iter().take(SHOWN_GROUPS) {
            text.write_group(f, group)?;
        }
        if let Some(rest) = groups.get(SHOWN_GROUPS..).filter(|rest| !rest.is_empty()) {
            let fibers = rest.iter().map(Vec::len).sum();
            writeln!(
                f,
                "and {} of {}",
                Counted(fibers, "more fiber"),
                Counted(rest.len(), "kind")
            )?;
        }
        Ok(())
    }
}

/// The fibers of a dump as text.
struct Text<'a>(&'a HubDump);

impl Text<'_> {
    /// Returns the fibers in groups of those that are alike: first those that run, then those that
    /// have waited longest.
    fn groups(&self) -> Vec<Vec<&FiberDump>> {
        let mut numbers = HashMap::new();
        let mut groups: Vec<Vec<&FiberDump>> = Vec::new();
        for fiber in &self.0.fibers {
            let number = numbers.entry(Likeness::of(fiber)).or_insert(groups.len());
            if *number == groups.len() {
                groups.push(Vec::new());
            }
            groups[*number].push(fiber);
        }
        groups.sort_by_key(|group| (group[0].state, std::cmp::Reverse(longest(group))));
        groups
    }

    fn write_group(&self, f: &mut fmt::Formatter<'_>, group: &[&FiberDump]) -> fmt::Result {
        let first = group[0];
        match group.len() {
            1 => write!(f, "fiber {} '{}', {}", first.id, first.name(), first.state)?,
            count => write!(f, "{}, {}", Counted(count, "fiber"), first.state)?,
        }
        if let Some(longest) = longest(group) {
            let up_to = if group.len() > 1 { "up to " } else { "" };
            write!(f, " for {up_to}{longest:.1?}")?;
        }
        if first.cancel_pending {
            f.write_str(", with a cancel pending")?;
        }
        if first.shields > 0 {
            f.write_str(", in a shield")?;
        }
        if first.deadlines > 0 {
            f.write_str(", with a time limit")?;
        }
        writeln!(f)?;
        if let Some(wait) = &first.wait {
            match first.is_waiting() {
                true => {
                    let what = self.describe(wait, group.len());
                    writeln!(f, "    for {what}\n    at {}", wait.at)?;
                }
                false => writeln!(f, "    waited last at {}", wait.at)?,
            }
        }
        write!(f, "    spawned at {}", first.spawned_at)?;
        let parent = first.parent();
        match parent.filter(|_| group.iter().all(|fiber| fiber.parent() == parent)) {
            Some(parent) => writeln!(f, " by fiber {parent}")?,
            None => writeln!(f)?,
        }
        if group.len() > 1 {
            f.write_str("    they are ")?;
            for (n, fiber) in group.iter().take(SHOWN).enumerate() {
                let before = if n > 0 { ", " } else { "" };
                write!(f, "{before}{} '{}'", fiber.id, fiber.name())?;
            }
            match group.len().saturating_sub(SHOWN) {
                0 => writeln!(f)?,
                more => writeln!(f, " and {} more", Grouped(more))?,
            }
        }
        #[cfg(feature = "backtrace")]
        if let Some(backtrace) = first.backtrace() {
            backtrace.write(f, "    ")?;
        }
        Ok(())
    }

    /// Says what a wait of a group of so many fibers is for.
    fn describe(&self, wait: &WaitDump, of: usize) -> String {
        let limit = if wait.has_limit() {
            ", with a time limit"
        } else {
            ""
        };
        let what = match &wait.waits_for {
            Some(WaitsFor::Fiber(_)) if of > 1 => "the end of a fiber".to_owned(),
            Some(WaitsFor::Fiber(id)) => format!("the end of {}", self.fiber(*id)),
            Some(WaitsFor::Children(_)) if of > 1 => "the fibers of a scope".to_owned(),
            Some(WaitsFor::Children(children)) => {
                let shown = children.iter().take(SHOWN).map(ToString::to_string);
                let shown = shown.collect::<Vec<_>>().join(", ");
                format!("{} of its scope: {shown}", Counted(children.len(), "fiber"))
            }
            Some(WaitsFor::Lock(None)) => format!("a lock: {}", wait.what()),
            Some(WaitsFor::Lock(Some(holder))) => {
                let has = if wait.is_shared {
                    "shares"
                } else {
                    "has taken"
                };
                let behind = match wait.is_behind_others {
                    true => ", behind one who waits to write",
                    false => "",
                };
                format!("a lock that {} {has}{behind}", self.fiber(*holder))
            }
            Some(WaitsFor::Once(_)) if of > 1 => "what another fiber does once".to_owned(),
            Some(WaitsFor::Once(runner)) => format!("what {} does once", self.fiber(*runner)),
            Some(WaitsFor::Time(_)) if of > 1 => "a time".to_owned(),
            Some(WaitsFor::Time(left)) => format!("a time, in {left:.1?}"),
            Some(WaitsFor::Unpark(true)) => "an `unpark`".to_owned(),
            Some(WaitsFor::Unpark(false)) => {
                "an `unpark`, for which nobody has a handle".to_owned()
            }
            None => wait.what().to_owned(),
        };
        format!("{what}{limit}")
    }

    /// Returns the number of a fiber, and its name if it is in the dump.
    fn fiber(&self, id: FiberId) -> String {
        match self.0.fiber(id) {
            Some(fiber) => format!("fiber {id} '{}'", fiber.name()),
            None => format!("fiber {id}"),
        }
    }
}

fn longest(group: &[&FiberDump]) -> Option<Duration> {
    let waits = group.iter().filter_map(|fiber| fiber.wait.as_ref());
    waits.filter_map(|wait| wait.lasts).max()
}

/// A number with commas: `4,096`.
struct Grouped(usize);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (n, digit) in digits.char_indices() {
            if n > 0 && (digits.len() - n) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `1 fiber`, `4,096 fibers`.
struct Counted(usize, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{s}", Grouped(self.0), self.1)
    }
}
