//! Which kinds of operations and which states of fibers were hit, and how often.

use std::fmt;

macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($kind:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($kind),* }
        impl $name {
            pub(crate) const ALL: &[$name] = &[$($name::$kind),*];
        }
    };
}

kinds! {
    /// An operation of the driver.
    Op {
        Spawn, SpawnDetached, SpawnUnstarted, SpawnRemoteJoined, SpawnRefused, Start, DropHandle,
        DropUnstarted, DropUnstartedRemotely, ForgetHandle,
        Yield, Sleep, SleepZero, Receive, Send, Oneshot, FireOneshot, RemoteOneshot,
        FireRemotely, Notified, Notify, Acquire, Park, Unpark, UnparkRemotely,
        Cancel, CancelRemotely, CancelSelf, CheckCancelled, Panic, CatchPanic, CatchCancel,
        WithTimeout, DeadlinePassed, WaitTimeout, WaitUntil, TryWait, TryWaitCancelled,
        Shield, Scope, ScopedSpawn, ScopedJoin,
        BridgeWait, BridgeDropped, BridgeForgotten, BridgeTask, AbortTask,
        Join, JoinHalfWay, JoinTask, JoinRethrown, JoinedValue, JoinedPanic, JoinedCancelled,
        JoinedAbandoned, WaitInDrop, TryWaitInDrop, WaitTimeoutInDrop, UnwindingWait, ResultWaits,
        NestedRunUntil, TokioYield, Dump,
        RuntimeInFiber, RuntimeInChild, RuntimeInRoot, RuntimeInBridge, BridgesOnMultiThread,
        RunUntilOnMultiThread, BridgesInEnteredRuntime, RuntimeCurrentThread, RuntimeMultiThread,
        RuntimeLocal, RuntimeSet, RuntimeDropped, RuntimeShutDown, RuntimeEntered, RuntimeDriven,
        WaitRefused,
        HostileJoin, HostileSwitchBack, HostileYield, HostileReader, HostileBridge, HostileClose,
        HostileRunUntil, HostileScope, HostileCloseThread, HostileJob, WakerCloned, WakerWoken,
        WakerDropped, WakerPanicked, WakerWaited, WakerCameBackIn, SwitchBackFired,
        SwitchBackFiredRemotely, SwitchBackForgotten,
        Flood, FloodWhileClosing, FloodAfterTheEnd,
        FutureForgotten, CloseForgotten, LeftUnpolled, LeftForgotten, LeftKept, LeftDroppedLate,
        LeftRunUntil, LeftBridge, LeftJoin, LeftSwitchBack, LeftClose, RuntimeDroppedHere,
        RuntimeDroppedElsewhere,
        ThreadLocalFirst, ThreadLocalBetween, ThreadLocalLast,
        SceneRuntimes, SceneWakers, SceneFlood, SceneForgotten, SceneThreadEnd,
        EndGraceful, EndCancelAll, EndClose, EndCloseWithin, EndRuntimeDropped,
        EndRunUntil, EndRunUntilDropped, EndRun, EndRootCloses,
    }
}

kinds! {
    /// The state a fiber was in when it was cancelled.
    State {
        New, Queued, Running, Waiting, Shielded, Unwinding, ScopeEnd, Closing, Ended, Abandoned,
    }
}

/// The numbers of a run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    ops: Vec<u64>,
    cancelled_in: Vec<u64>,
    pub(crate) operations: u64,
    pub(crate) rounds: u64,
    pub(crate) threads: u64,
    pub(crate) objects: u64,
    pub(crate) actors: u64,
    pub(crate) abandoned: u64,
    pub(crate) on_abandoned: u64,
    pub(crate) forgotten: u64,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            ops: vec![0; Op::ALL.len()],
            cancelled_in: vec![0; State::ALL.len()],
            operations: 0,
            rounds: 0,
            threads: 0,
            objects: 0,
            actors: 0,
            abandoned: 0,
            on_abandoned: 0,
            forgotten: 0,
        }
    }

    pub(crate) fn hit(&mut self, op: Op) {
        self.ops[op as usize] += 1;
    }

    pub(crate) fn cancelled_in(&mut self, state: State) {
        self.cancelled_in[state as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        let add = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        add(&mut self.ops, &other.ops);
        add(&mut self.cancelled_in, &other.cancelled_in);
        self.operations += other.operations;
        self.rounds += other.rounds;
        self.threads += other.threads;
        self.objects += other.objects;
        self.actors += other.actors;
        self.abandoned += other.abandoned;
        self.on_abandoned += other.on_abandoned;
        self.forgotten += other.forgotten;
    }

    /// The names of what was hit less than `times` times.
    pub(crate) fn missed(&self, times: u64) -> Vec<String> {
        let ops = Op::ALL
            .iter()
            .map(|op| (format!("{op:?}"), self.ops[*op as usize]));
        let states = State::ALL.iter().map(|state| {
            let name = format!("cancelled in {state:?}");
            (name, self.cancelled_in[*state as usize])
        });
        let all = ops.chain(states);
        all.filter(|(_, hits)| *hits < times)
            .map(|(name, _)| name)
            .collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} operations in {} rounds on {} threads; {} fibers and bridges; {} objects, of which \
             {} lie on {} abandoned stacks and {} were forgotten",
            self.operations,
            self.rounds,
            self.threads,
            self.actors,
            self.objects,
            self.on_abandoned,
            self.abandoned,
            self.forgotten,
        )?;
        for (op, hits) in Op::ALL.iter().zip(&self.ops) {
            write!(f, "{op:?} {hits}, ")?;
        }
        write!(f, "\ncancelled in:")?;
        for (state, hits) in State::ALL.iter().zip(&self.cancelled_in) {
            write!(f, " {state:?} {hits}")?;
        }
        Ok(())
    }
}
