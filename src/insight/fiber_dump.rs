//! [`FiberDump`]: what is known about a fiber at one moment.

use std::borrow::Cow;
use std::fmt;
#[cfg(feature = "backtrace")]
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "backtrace")]
use super::Backtrace;
use super::SourcePlace;
use crate::current::{Blocker, StackState, place};
use crate::hub::{Core, Entry};
use crate::shared::{Contended, FiberId, FiberRef, LocalPhase, Phase, interrupt};

/// What is known about a fiber at one moment: a part of a [`HubDump`](crate::HubDump).
#[derive(Clone, Debug)]
pub struct FiberDump {
    pub(super) id: FiberId,
    /// `None` for a fiber without a name of its own. A million of these should be small.
    name: Option<Box<str>>,
    parent: Option<FiberId>,
    pub(super) spawned_at: SourcePlace,
    pub(super) state: FiberState,
    pub(super) wait: Option<WaitDump>,
    pub(super) cancel_pending: bool,
    pub(super) shields: u32,
    pub(super) deadlines: u32,
    stack_size: usize,
    stack_in_use: Option<usize>,
    /// Fibers that are alike share it.
    #[cfg(feature = "backtrace")]
    pub(super) backtrace: Option<Arc<Backtrace>>,
}

/// What a fiber is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FiberState {
    /// It has the thread, or drives code that has it.
    Running,
    /// It waits.
    Waiting,
    /// It waits, and an interrupt is put off: the end of a scope's children, or of whatever unwinds
    /// on its thread, comes first.
    PutOff,
    /// It was woken, or gave way, and has its turn when those before it have had theirs.
    Ready,
    /// It was made with [`Fiber::new`](crate::Fiber::new) and not started.
    NotStarted,
}

/// Where a fiber waits, or has waited last, and for what: a part of a [`FiberDump`].
#[derive(Clone, Debug)]
pub struct WaitDump {
    pub(super) at: SourcePlace,
    /// In backquotes, as messages have it.
    pub(super) call: &'static str,
    pub(super) type_name: &'static str,
    pub(super) waits_for: Option<WaitsFor>,
    pub(super) lasts: Option<Duration>,
    /// The number of the suspension.
    pub(super) number: u32,
    /// The number of the lock that it is for, or 0.
    pub(super) lock: u64,
    /// Whether the fiber that has taken that lock shares it.
    pub(super) is_shared: bool,
    /// Whether the wait is to share it too. If so, it is for those who came before and want it alone.
    pub(super) is_behind_others: bool,
}

/// What a wait waits for, where this crate knows it.
///
/// If the future of the wait consists of several, this is the one that was polled last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// A join: the end of this fiber.
    Fiber(FiberId),
    /// The end of a [`scope`](crate::scope()): the ends of these fibers.
    Children(Vec<FiberId>),
    /// A [`sleep`](crate::sleep()), of which this is left.
    Time(Duration),
    /// A lock of [`sync`](crate::sync), and the fiber that has taken it. If several share it, it is one
    /// of them, or `None`: one of them is recorded at a time. It is also `None` if the lock was not taken
    /// by a fiber, or by one whose hub does not [track](crate::HubBuilder::track) waits.
    Lock(Option<FiberId>),
    /// A [`park`](crate::park()), also one of [`thread`](crate::thread): an `unpark`. It is false if nobody
    /// has a handle with which to do that, so that the fiber parks until its hub closes.
    Unpark(bool),
    /// What this fiber does once, for all: it runs the closure of a [`Once`](crate::sync::Once), or makes the
    /// value of a [`OnceLock`](crate::sync::OnceLock) or a [`LazyLock`](crate::sync::LazyLock). It is known
    /// if that fiber's hub [tracks](crate::HubBuilder::track) waits.
    Once(FiberId),
}

impl FiberDump {
    /// Reads the state of a fiber of this hub, on the hub's thread. The children of a scope that it
    /// waits for are not known yet: returns the scope's address instead.
    pub(super) fn take(
        core: &Core,
        entry: &Entry,
        now: Instant,
    ) -> Option<(FiberDump, Option<usize>)> {
        let fiber = &entry.fiber;
        let part = core.part(fiber);
        let state = match part.phase.get() {
            LocalPhase::Absent | LocalPhase::Over => return None,
            _ if part.coroutine.is_running() => FiberState::Running,
            _ if part.queued.get() => FiberState::Ready,
            LocalPhase::New if fiber.phase() == Phase::New => FiberState::NotStarted,
            LocalPhase::New => FiberState::Ready,
            LocalPhase::Begun if fiber.is_in_mailbox() => FiberState::Ready,
            LocalPhase::Begun if core.cold_part(fiber).put_off.get() => FiberState::PutOff,
            LocalPhase::Begun => FiberState::Waiting,
        };
        let origin = fiber.origin();
        let (stack_size, stack_in_use) = fiber.stack_size_and_use(&core.token);
        let mut dump = FiberDump {
            id: fiber.id(),
            name: fiber.given_name().map(Into::into),
            parent: origin.parent,
            spawned_at: SourcePlace::new(origin.place),
            state,
            wait: None,
            cancel_pending: fiber.interrupts() & (interrupt::CANCEL | interrupt::CLOSE) != 0,
            shields: 0,
            deadlines: 0,
            stack_size,
            stack_in_use,
            #[cfg(feature = "backtrace")]
            backtrace: None,
        };
        let scope = place::look_at(core, fiber, |stack| dump.read_stack(fiber, stack, now));
        Some((dump, scope.flatten()))
    }

    fn read_stack(&mut self, fiber: &FiberRef, stack: &StackState, now: Instant) -> Option<usize> {
        self.shields = stack.shields.get();
        self.deadlines = u32::try_from(stack.deadlines.len()).unwrap_or(u32::MAX);
        let wait = &stack.wait;
        let lasts = wait
            .since()
            .map(|since| now.saturating_duration_since(since));
        let mut dump = WaitDump {
            at: SourcePlace::new(wait.at()?),
            call: wait.call(),
            type_name: wait.what()?,
            waits_for: None,
            lasts: lasts.filter(|_| self.is_waiting()),
            number: wait.number(),
            lock: 0,
            is_shared: false,
            is_behind_others: false,
        };
        let mut scope = None;
        if self.is_waiting() {
            match wait.blocker() {
                Some(Blocker::Join(fiber)) => dump.waits_for = Some(WaitsFor::Fiber(fiber)),
                Some(Blocker::Time(end)) => {
                    dump.waits_for = Some(WaitsFor::Time(end.saturating_duration_since(now)));
                }
                Some(Blocker::Scope(children)) => scope = Some(children),
                Some(Blocker::Unpark) => {
                    // One reference is the table's, one that of the `park`.
                    dump.waits_for = Some(WaitsFor::Unpark(fiber.references() > 2));
                }
                Some(Blocker::Lock(number)) => dump.read_lock(number),
                Some(Blocker::SharedLock(number)) => {
                    dump.read_lock(number);
                    dump.is_behind_others = dump.is_shared;
                }
                Some(Blocker::Once(fiber)) => dump.waits_for = Some(WaitsFor::Once(fiber)),
                None => {}
            }
        }
        self.wait = Some(dump);
        scope
    }

    /// Returns whether the fiber is suspended, and nothing has woken it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, FiberState::Waiting | FiberState::PutOff)
    }

    /// Returns the fiber's ID.
    #[must_use]
    pub fn id(&self) -> FiberId {
        self.id
    }

    /// Returns the fiber's name: the one it was given, or `Fiber-N` with its ID.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("Fiber-{}", self.id)),
        }
    }

    /// Returns the fiber that spawned this one; `None` if async code or a plain thread did.
    #[must_use]
    pub fn parent(&self) -> Option<FiberId> {
        self.parent
    }

    /// Returns where the fiber was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> SourcePlace {
        self.spawned_at
    }

    /// Returns what the fiber was doing.
    #[must_use]
    pub fn state(&self) -> FiberState {
        self.state
    }

    /// Returns where the fiber waits, if it waits, and otherwise where it has waited last. A
    /// [`yield_now`](crate::yield_now()) and a wait that was ready at once do not count. Returns
    /// `None` if it has not waited, or if its hub does not [track](crate::HubBuilder::track) waits.
    #[must_use]
    pub fn wait(&self) -> Option<&WaitDump> {
        self.wait.as_ref()
    }

    /// Returns whether the fiber was cancelled, or its hub closes, and it has not noticed yet.
    #[must_use]
    pub fn is_cancel_pending(&self) -> bool {
        self.cancel_pending
    }

    /// Returns how many calls of [`shield`](crate::shield()) the fiber is in.
    #[must_use]
    pub fn shields(&self) -> u32 {
        self.shields
    }

    /// Returns how many calls of [`with_timeout`](crate::with_timeout()) and
    /// [`try_scope`](crate::try_scope()) the fiber is in.
    #[must_use]
    pub fn deadlines(&self) -> u32 {
        self.deadlines
    }

    /// Returns the size of the fiber's stack, in bytes of address space.
    #[must_use]
    pub fn stack_size(&self) -> usize {
        self.stack_size
    }

    /// Returns how much of its stack the fiber uses while it waits, in bytes, rounded up to whole
    /// cache lines. Returns `None` if it is running, and on other processors than x86-64.
    #[must_use]
    pub fn stack_in_use(&self) -> Option<usize> {
        self.stack_in_use
    }

    /// Returns the calls that the fiber is in, if they were [asked for](crate::Dump::backtraces) and
    /// the fiber was suspended.
    #[cfg(feature = "backtrace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "backtrace")))]
    #[must_use]
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.backtrace.as_deref()
    }
}

impl WaitDump {
    /// Reads who has the lock with this number, which the wait is for.
    fn read_lock(&mut self, number: u64) {
        let holder = Contended::holder_of(number);
        self.lock = number;
        self.is_shared = holder.is_some_and(|holder| holder.is_shared);
        self.waits_for = Some(WaitsFor::Lock(holder.map(|holder| holder.fiber)));
    }

    /// Returns the place of the call that waits: `.wait()`, `park()` and so on, or the function of
    /// this crate that was called instead of these.
    #[must_use]
    pub fn at(&self) -> SourcePlace {
        self.at
    }

    /// Returns the call that waits, as the messages of panics name it: `.wait()`, `.wait_timeout()`,
    /// `park()`, `Mutex::lock`, `net::TcpStream::read`.
    #[must_use]
    pub fn call(&self) -> &'static str {
        let quoted = self.call.strip_prefix('`');
        let name = quoted.and_then(|name| name.strip_suffix('`'));
        name.unwrap_or(self.call)
    }

    /// Returns the name of the type of the future, as [`std::any::type_name`] has it. If the call has another
    /// name than that of a wait for a future, it is one of this crate's own.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Returns what the fiber waits for, if it waits and this crate knows it.
    #[must_use]
    pub fn waits_for(&self) -> Option<&WaitsFor> {
        self.waits_for.as_ref()
    }

    /// Returns for how long the fiber has waited, by the runtime's clock. It is counted from when the
    /// fiber was last suspended. Returns `None` if it is not waiting, or if its hub does not
    /// [track](crate::Track::Times) times.
    #[must_use]
    pub fn lasts(&self) -> Option<Duration> {
        self.lasts
    }
}

/// What the name of the type says. These names are made by the compiler and may change; then the whole
/// name is shown.
impl WaitDump {
    const LIMIT: &'static str = "switchback::base::timer::Timeout<";

    /// Returns a number for the kind of what the fiber waits for.
    pub(super) fn kind(&self) -> u8 {
        match &self.waits_for {
            None => 0,
            Some(WaitsFor::Fiber(_)) => 1,
            Some(WaitsFor::Children(_)) => 2,
            Some(WaitsFor::Time(_)) => 3,
            Some(WaitsFor::Lock(_)) => 4,
            Some(WaitsFor::Unpark(true)) => 5,
            Some(WaitsFor::Unpark(false)) => 6,
            Some(WaitsFor::Once(_)) => 7,
        }
    }

    /// Returns whether the wait has a time limit of its own.
    pub(super) fn has_limit(&self) -> bool {
        self.type_name.starts_with(Self::LIMIT)
    }

    /// Returns the name of the type, without what a time limit adds.
    pub(super) fn inner_type(&self) -> &'static str {
        let inner = self.type_name.strip_prefix(Self::LIMIT);
        let inner = inner.and_then(|inner| inner.strip_suffix('>'));
        inner.unwrap_or(self.type_name)
    }

    /// Returns what says most about the wait, if it is not known what it waits for: the call, or, if that
    /// is for any future, the type of that.
    pub(super) fn what(&self) -> &'static str {
        match self.call.starts_with("`.") {
            true => self.inner_type(),
            false => self.call,
        }
    }

    /// Returns whether the future is nothing else than the one that `waits_for` is about.
    pub(super) fn is_of_one(&self) -> bool {
        const KNOWN: [&str; 13] = [
            "switchback::handles::join::Join<",
            "switchback::handles::fiber::Fiber<",
            "switchback::handles::cancel_on_drop::CancelOnDrop<",
            "switchback::scope::ScopedFiber<",
            "switchback::scope::Scope",
            "switchback::thread::join_handle::JoinHandle<",
            "switchback::thread::scope::ScopedJoinHandle<",
            "switchback::sync::cell::Waiting<",
            "switchback::sync::cell::WaitingToRead<",
            "switchback::sync::cell::WaitingToWrite<",
            "switchback::sync::raw_lock::Acquire",
            "switchback::sync::once::End",
            "switchback::remote::call::Call<",
        ];
        let name = self.type_name.trim_start_matches("&mut ");
        KNOWN.iter().any(|known| name.starts_with(known))
    }
}

impl fmt::Display for FiberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FiberState::Running => "running",
            FiberState::Waiting => "waiting",
            FiberState::PutOff => "waiting, with an interrupt put off",
            FiberState::Ready => "ready",
            FiberState::NotStarted => "not started",
        })
    }
}
