//! The dumps, and what they consist of, as data: `serde::Serialize`. The schema is in the docs of
//! [`HubDump`].

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

#[cfg(feature = "backtrace")]
use super::{Backtrace, BacktraceEnd, BacktraceFrame};
use super::{
    BlockedHub, Cycle, DumpError, FiberDump, FiberState, HubDump, HubTimes, LongestRun,
    ProcessDump, Running, SourcePlace, ThreadActivity, WaitDump, WaitsFor,
};
use crate::shared::FiberId;

/// Implements it as a map: of these keys, each with what this gives of the value.
macro_rules! map {
    ($type:ty, |$this:ident| $($(#[$attribute:meta])* $key:ident: $value:expr,)*) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $this = self;
                let mut map = serializer.serialize_map(None)?;
                $($(#[$attribute])* map.serialize_entry(stringify!($key), &$value)?;)*
                map.end()
            }
        }
    };
}

/// Implements it as a text.
macro_rules! text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

map!(ProcessDump, |dump|
    hubs: dump.hubs().collect::<Vec<_>>(),
    blocked: dump.blocked().collect::<Vec<_>>(),
    cycles: dump.cycles(),
);

map!(HubDump, |dump|
    name: dump.name(),
    thread: dump.thread(),
    is_open: dump.is_open(),
    queued: dump.queued(),
    metrics: dump.metrics(),
    times: dump.times(),
    fibers: dump.fibers(),
    cycles: dump.cycles(),
);

map!(HubTimes, |times|
    longest_run: times.longest_run(),
    ready_waits: times.ready_waits(),
);

map!(LongestRun, |run|
    id: run.id(),
    name: run.name(),
    spawned_at: run.spawned_at(),
    lasts: seconds(run.lasts()),
);

map!(FiberDump, |fiber|
    id: fiber.id(),
    name: fiber.name(),
    parent: fiber.parent(),
    spawned_at: fiber.spawned_at(),
    state: fiber.state(),
    wait: fiber.wait(),
    is_cancel_pending: fiber.is_cancel_pending(),
    shields: fiber.shields(),
    deadlines: fiber.deadlines(),
    stack_size: fiber.stack_size(),
    stack_in_use: fiber.stack_in_use(),
    #[cfg(feature = "backtrace")] backtrace: fiber.backtrace(),
);

map!(WaitDump, |wait|
    at: wait.at(),
    call: wait.call(),
    type_name: wait.type_name(),
    waits_for: wait.waits_for(),
    lasts: wait.lasts().map(seconds),
);

impl Serialize for WaitsFor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            WaitsFor::Fiber(fiber) => map.serialize_entry("fiber", fiber)?,
            WaitsFor::Children(children) => map.serialize_entry("children", children)?,
            WaitsFor::Time(left) => map.serialize_entry("time", &seconds(*left))?,
            WaitsFor::Lock(holder) => map.serialize_entry("lock", holder)?,
            WaitsFor::Unpark(is_possible) => map.serialize_entry("unpark", is_possible)?,
            WaitsFor::Once(runner) => map.serialize_entry("once", runner)?,
        }
        map.end()
    }
}

map!(Cycle, |cycle|
    fibers: cycle.fibers(),
    may_break: cycle.may_break(),
    text: cycle.text,
);

map!(Running, |fiber|
    id: fiber.id(),
    name: fiber.name(),
    parent: fiber.parent(),
    spawned_at: fiber.spawned_at(),
    waited_at: fiber.waited_at(),
    resumes: fiber.resumes(),
);

map!(BlockedHub, |hub|
    name: hub.name(),
    thread: hub.thread(),
    fiber: hub.fiber(),
    lasts: seconds(hub.lasts()),
    activity: hub.activity(),
);

map!(SourcePlace, |place|
    file: place.file(),
    line: place.line(),
    column: place.column(),
);

#[cfg(feature = "backtrace")]
map!(Backtrace, |backtrace|
    frames: backtrace.frames().collect::<Vec<_>>(),
    end: backtrace.end(),
);

#[cfg(feature = "backtrace")]
map!(BacktraceFrame, |frame|
    address: frame.address(),
    function: frame.function(),
    file: frame.file(),
    line: frame.line(),
);

text!(ThreadActivity);
text!(DumpError);

impl Serialize for FiberState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            FiberState::Running => "running",
            FiberState::Waiting => "waiting",
            FiberState::PutOff => "put_off",
            FiberState::Ready => "ready",
            FiberState::NotStarted => "not_started",
        })
    }
}

#[cfg(feature = "backtrace")]
impl Serialize for BacktraceEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            BacktraceEnd::Whole => "whole",
            BacktraceEnd::Cut => "cut",
            BacktraceEnd::NoRoom => "no_room",
        })
    }
}

impl Serialize for FiberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.number())
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
