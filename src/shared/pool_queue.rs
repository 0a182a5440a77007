//! [`PoolQueue`]: fibers that were sent to a pool and have not begun.
//!
//! A fiber in it belongs to no hub. Each hub of the pool takes one when it is about to begin it, so
//! a fiber never waits behind what a hub does between the two. A push wakes every hub that is idle
//! and has room, not only one: that one may block before it takes.
//!
//! *Taking Invariant*: a start leaves the queue in one of three ways, each under the lock, and so
//! once: a hub takes it, and it is then given to that hub before the lock is released; its fiber is
//! cancelled, or the queue closes, and it is *withdrawn*: the next hub that runs, full or not,
//! refuses it; or the last hub leaves, and refuses whatever is left.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{FiberId, SpawnError};
use crate::base::lock::{Mutex, lock};

/// A queue of starts of the type `S`.
pub(crate) struct PoolQueue<S> {
    state: Mutex<State<S>>,
    /// Whether the queue holds anything. A hub looks at this in each turn, and at the queue itself
    /// before it goes idle, so it need not be exact.
    holds_any: AtomicBool,
}

struct State<S> {
    /// In the order in which they were made.
    waiting: BTreeMap<FiberId, S>,
    /// Those that a fiber of the pool has sent. They come first, and need no room: the fiber that
    /// has the last room may wait for one.
    inner: BTreeMap<FiberId, S>,
    withdrawn: Vec<S>,
    members: Vec<Member>,
    /// How many may be waiting.
    limit: usize,
    is_closed: bool,
}

/// A hub of the pool.
struct Member {
    hub: Weak<dyn Awaken>,
    state: MemberState,
    /// The number of its live fibers when it last went idle.
    live: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    /// It will look at the queue before it goes idle.
    Awake,
    Idle(Takes),
    /// It takes no more.
    Left,
}

/// What a hub takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Takes {
    /// It is closing.
    Nothing,
    /// It has no room. It takes those of [`Lane::Inner`].
    Inner,
    All,
}

/// What a hub does with a start.
pub(crate) enum Next<S> {
    Begin(S),
    Refuse(S),
}

/// A hub that can be woken from any thread.
pub(crate) trait Awaken: Send + Sync {
    fn awaken(&self);
}

/// Where a start is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Behind all others, if the queue is not full.
    Limited,
    /// Behind all others.
    Unlimited,
    /// Before all that a fiber of the pool has not sent.
    Inner,
}

impl<S> PoolQueue<S> {
    /// Creates a queue in which at most `limit` starts of [`Lane::Limited`] wait.
    pub(crate) fn new(limit: usize) -> PoolQueue<S> {
        PoolQueue {
            state: Mutex::new(State {
                waiting: BTreeMap::new(),
                inner: BTreeMap::new(),
                withdrawn: Vec::new(),
                members: Vec::new(),
                limit,
                is_closed: false,
            }),
            holds_any: AtomicBool::new(false),
        }
    }

    /// Adds a hub, which is awake. Returns its number.
    pub(crate) fn join(&self, hub: Weak<dyn Awaken>) -> usize {
        let mut state = lock(&self.state);
        state.members.push(Member {
            hub,
            state: MemberState::Awake,
            live: 0,
        });
        state.members.len() - 1
    }

    /// Queues `into_start(start)`, unless the queue is closed or full. Returns `start` then.
    pub(crate) fn push<W>(
        &self,
        id: FiberId,
        lane: Lane,
        start: W,
        into_start: impl FnOnce(W) -> S,
    ) -> Result<(), (SpawnError, W)> {
        let idle = {
            let mut state = lock(&self.state);
            if state.is_closed {
                return Err((SpawnError::Closed, start));
            }
            if lane == Lane::Limited && state.waiting.len() >= state.limit {
                return Err((SpawnError::Full, start));
            }
            let (queue, least) = match lane {
                Lane::Limited | Lane::Unlimited => (&mut state.waiting, Takes::All),
                Lane::Inner => (&mut state.inner, Takes::Inner),
            };
            queue.insert(id, into_start(start));
            self.holds_any.store(true, Ordering::Relaxed);
            state.take_idle(least)
        };
        idle.wake();
        Ok(())
    }

    /// Returns whether there may be something for a hub that is awake.
    #[inline]
    pub(crate) fn may_hold_any(&self) -> bool {
        self.holds_any.load(Ordering::Relaxed)
    }

    /// Takes the next start for a hub, of which `hub` says what it takes. `give` gives it one to
    /// begin: see the Taking Invariant.
    pub(crate) fn take(&self, hub: Takes, give: impl FnOnce(&S)) -> Option<Next<S>> {
        let mut state = lock(&self.state);
        if let Some(start) = state.withdrawn.pop() {
            self.look(&state);
            return Some(Next::Refuse(start));
        }
        let inner = match hub {
            Takes::Nothing => None,
            Takes::Inner | Takes::All => state.inner.pop_first(),
        };
        let next = match hub {
            Takes::All => inner.or_else(|| state.waiting.pop_first()),
            Takes::Nothing | Takes::Inner => inner,
        };
        let (_, start) = next?;
        give(&start);
        self.look(&state);
        Some(Next::Begin(start))
    }

    /// Withdraws a start, if it is still in the queue and `is_cancelled` says so. Locks the queue in
    /// any case.
    pub(crate) fn withdraw_if(&self, is_cancelled: bool, id: FiberId) {
        let idle = {
            let mut state = lock(&self.state);
            if !is_cancelled {
                return;
            }
            let waiting = state.waiting.remove(&id);
            let Some(start) = waiting.or_else(|| state.inner.remove(&id)) else {
                return;
            };
            state.withdrawn.push(start);
            state.take_idle(Takes::Nothing)
        };
        idle.wake();
    }

    /// Records that a hub is idle, with `live` fibers, unless there is something for it.
    pub(crate) fn goes_idle(&self, member: usize, hub: Takes, live: usize) -> bool {
        let mut state = lock(&self.state);
        let has_some = match hub {
            Takes::Nothing => false,
            Takes::Inner => !state.inner.is_empty(),
            Takes::All => !state.inner.is_empty() || !state.waiting.is_empty(),
        };
        if has_some || !state.withdrawn.is_empty() {
            return false;
        }
        let member = &mut state.members[member];
        member.live = live;
        if member.state != MemberState::Left {
            member.state = MemberState::Idle(hub);
        }
        true
    }

    /// Takes no more starts, and withdraws those that are in the queue.
    pub(crate) fn close(&self) {
        let idle = {
            let mut state = lock(&self.state);
            state.is_closed = true;
            state.withdraw_all();
            state.take_idle(Takes::Nothing)
        };
        idle.wake();
    }

    /// Records that a hub takes no more. If it was the last one, closes the queue and returns what
    /// was in it, which has to be refused.
    #[must_use]
    pub(crate) fn leave(&self, member: usize) -> Vec<S> {
        let mut state = lock(&self.state);
        state.members[member].state = MemberState::Left;
        if state.members.iter().any(|m| m.state != MemberState::Left) {
            return Vec::new();
        }
        state.is_closed = true;
        state.withdraw_all();
        let left = mem::take(&mut state.withdrawn);
        self.look(&state);
        left
    }

    /// Notes whether the queue holds anything, under its lock.
    fn look(&self, state: &State<S>) {
        let holds_none =
            state.waiting.is_empty() && state.inner.is_empty() && state.withdrawn.is_empty();
        self.holds_any.store(!holds_none, Ordering::Relaxed);
    }
}

impl<S> State<S> {
    fn withdraw_all(&mut self) {
        let waiting = mem::take(&mut self.waiting);
        let inner = mem::take(&mut self.inner);
        self.withdrawn
            .extend(inner.into_values().chain(waiting.into_values()));
    }

    /// Marks the idle hubs that take that much as awake. Returns them, those with the fewest fibers
    /// first.
    fn take_idle(&mut self, least: Takes) -> IdleHubs {
        let mut idle = Vec::new();
        for member in &mut self.members {
            if matches!(member.state, MemberState::Idle(takes) if takes >= least) {
                member.state = MemberState::Awake;
                idle.push((member.live, member.hub.clone()));
            }
        }
        idle.sort_by_key(|(live, _)| *live);
        IdleHubs(idle)
    }
}

/// Hubs that are woken outside of the lock.
struct IdleHubs(Vec<(usize, Weak<dyn Awaken>)>);

impl IdleHubs {
    fn wake(self) {
        for (_, hub) in self.0 {
            if let Some(hub) = hub.upgrade() {
                hub.awaken();
            }
        }
    }
}

impl<S> fmt::Debug for PoolQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `f` writes to is foreign, so not under the lock.
        let (waiting, is_closed) = {
            let state = lock(&self.state);
            (state.waiting.len() + state.inner.len(), state.is_closed)
        };
        f.debug_struct("PoolQueue")
            .field("waiting", &waiting)
            .field("is_closed", &is_closed)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::sync::Arc;

    use loom::sync::Notify;
    use loom::thread;

    use super::*;

    struct Bell(Notify);

    impl Awaken for Bell {
        fn awaken(&self) {
            self.0.notify();
        }
    }

    /// Acts as a hub does until it has got a start. Returns whether it began it.
    fn get_one(queue: &PoolQueue<()>, bell: &Arc<Bell>, takes: Takes) -> bool {
        let weak: Weak<Bell> = Arc::downgrade(bell);
        let member = queue.join(weak);
        loop {
            match queue.take(takes, |_| ()) {
                Some(Next::Begin(())) => return true,
                Some(Next::Refuse(())) => return false,
                None if queue.goes_idle(member, takes, 0) => bell.0.wait(),
                None => {}
            }
        }
    }

    fn model(lane: Lane, takes: Takes, cancels: bool) {
        loom::model(move || {
            let queue = Arc::new(PoolQueue::new(1));
            let id = FiberId::next();
            let sender = {
                let queue = queue.clone();
                thread::spawn(move || {
                    assert!(queue.push(id, lane, (), |()| ()).is_ok());
                    queue.withdraw_if(cancels, id);
                })
            };
            let bell = Arc::new(Bell(Notify::new()));
            let begun = get_one(&queue, &bell, takes);
            assert!(begun || cancels);
            sender.join().unwrap();
            assert!(queue.take(Takes::All, |_| ()).is_none());
        });
    }

    #[test]
    fn a_hub_that_goes_idle_is_woken_for_what_is_sent() {
        model(Lane::Limited, Takes::All, false);
        model(Lane::Inner, Takes::Inner, false);
    }

    #[test]
    fn a_start_that_is_cancelled_is_begun_or_refused_once() {
        model(Lane::Limited, Takes::All, true);
        // A hub without room refuses it.
        model(Lane::Limited, Takes::Inner, true);
    }
}
