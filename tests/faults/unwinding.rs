//! What a fiber that unwinds changes for the others of its thread: as little as it can.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use switchback::{
    Builder, SwitchBack, assert_no_switchpoints, blocking, bridge, prelude::*, run, scope, sleep,
    spawn, switchpoint, yield_now,
};
use tokio::sync::Notify;

use crate::support::ending::poll_once;
use crate::support::table::{Case, Verdict, any_text, check_fact, check_table, ensure};

const KNOWN: &[&str] = &[];

/// Where somebody waits in a destructor while it unwinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unwinds {
    Nobody,
    Fiber,
    Bridge,
    ScopeChild,
}

/// Where a block is that must not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Fiber,
    Root,
    ScopeChild,
    Bridge,
}

type Call = (&'static str, fn());

/// Everything that may suspend.
const CALLS: &[Call] = &[
    ("sleep", || sleep(Duration::from_millis(1)).wait()),
    ("ready", || std::future::ready(()).wait()),
    ("yield_now", || yield_now().wait()),
    ("switchpoint", switchpoint),
    ("join", || spawn(|| ()).wait().unwrap()),
    ("scope", || {
        scope(|s| {
            s.spawn(|| ());
        });
    }),
    ("wait_timeout", || {
        let _ = yield_now().wait_timeout(Duration::from_secs(1));
    }),
    ("wait_or_cancelled", || {
        let _ = yield_now().wait_or_cancelled();
    }),
    ("blocking", || blocking(|| ()).wait()),
    ("switch_back", || {
        let switch_back = SwitchBack::new();
        switch_back.switcher().switch(());
        switch_back.wait().unwrap();
    }),
];

/// Unwinds, and waits on the way until it is told.
fn unwinds(gate: Arc<Notify>) {
    struct Waits(Arc<Notify>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.notified().wait();
        }
    }
    let _waits = Waits(gate);
    resume_unwind(Box::new("on purpose"));
}

/// What became of the block.
#[derive(Default)]
struct Outcome {
    /// Whether another fiber ran while the block did.
    let_others_run: Cell<bool>,
    /// Whether its call returned.
    returned: Cell<bool>,
    refusal: Cell<Option<String>>,
}

/// The call does not suspend, whoever unwinds elsewhere. If nobody does, it panics. Otherwise a panic
/// could be the second one, so the call either returns at once or leaves the stack for ever, which
/// whoever joins it is told.
fn is_refused(place: Place, unwinding: Unwinds, call: fn()) -> Verdict {
    let outcome = Rc::new(Outcome::default());
    let of_body = outcome.clone();
    let body = move || {
        let outcome = of_body;
        let gate = Arc::new(Notify::new());
        let of_gate = gate.clone();
        let mut kept = None;
        match unwinding {
            Unwinds::Nobody => {}
            Unwinds::Fiber => drop(spawn(move || unwinds(of_gate))),
            Unwinds::Bridge => {
                let mut bridge = bridge(move || unwinds(of_gate));
                assert!(poll_once(Pin::new(&mut bridge)).is_pending());
                kept = Some(bridge);
            }
            Unwinds::ScopeChild => drop(spawn(move || {
                scope(|s| {
                    s.spawn(|| unwinds(of_gate));
                });
            })),
        }
        sleep(Duration::from_millis(1)).wait();
        let of_block = outcome.clone();
        let block = move || {
            let outcome = of_block;
            let result = catch_unwind(AssertUnwindSafe(|| {
                assert_no_switchpoints(|| {
                    let of_other = outcome.clone();
                    let other = spawn(move || of_other.let_others_run.set(true));
                    call();
                    outcome.returned.set(true);
                    assert!(!outcome.let_others_run.get(), "others run in the block");
                    other.cancel();
                });
            }));
            let refusal = result.err().map(|payload| any_text(&*payload));
            outcome.refusal.set(refusal);
        };
        let ended = match place {
            Place::Fiber => spawn(block).wait().map_err(|e| e.to_string()),
            Place::Root => {
                block();
                Ok(())
            }
            Place::ScopeChild => scope(|s| s.spawn(block).join().wait()).map_err(|e| e.to_string()),
            Place::Bridge => {
                bridge(block).wait();
                Ok(())
            }
        };
        gate.notify_one();
        if let Some(bridge) = kept {
            let _ = catch_unwind(AssertUnwindSafe(|| bridge.wait()));
        }
        ended
    };
    let ended = catch_unwind(AssertUnwindSafe(|| run(body)));
    let ended = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => Err(error.to_string()),
        Err(payload) => Err(any_text(&*payload)),
    };
    let refusal = outcome.refusal.take();
    match (unwinding, ended, refusal) {
        (_, Ok(()), Some(text)) => ensure(text.contains("switchpoint"), text),
        (Unwinds::Nobody, ended, refusal) => Err(format!("{ended:?}, {refusal:?}")),
        (_, Ok(()), None) => ensure(outcome.returned.get(), "the block does not end"),
        (_, Err(error), _) => ensure(error.contains("abandoned"), error),
    }
}

#[test]
fn a_block_without_switchpoints_refuses_whoever_unwinds_elsewhere() {
    let mut cases = Vec::new();
    for place in [Place::Fiber, Place::Root, Place::ScopeChild, Place::Bridge] {
        for unwinding in [
            Unwinds::Nobody,
            Unwinds::Fiber,
            Unwinds::Bridge,
            Unwinds::ScopeChild,
        ] {
            for (name, call) in CALLS {
                let name = format!("{place:?}/{unwinding:?}/{name}");
                let call = *call;
                cases.push(Case::new(name, move || is_refused(place, unwinding, call)));
            }
        }
    }
    let test = "unwinding::a_block_without_switchpoints_refuses_whoever_unwinds_elsewhere";
    check_table(test, KNOWN, cases);
}

/// The counterpart: a panic there would abort.
#[test]
fn whoever_unwinds_is_let_through_in_a_block_without_switchpoints() {
    let test = "unwinding::whoever_unwinds_is_let_through_in_a_block_without_switchpoints";
    check_fact(test, KNOWN, || {
        struct Waits;
        impl Drop for Waits {
            fn drop(&mut self) {
                sleep(Duration::from_millis(1)).wait();
            }
        }
        let result = run(|| {
            let body = || {
                assert_no_switchpoints(|| {
                    let _waits = Waits;
                    resume_unwind(Box::new("on purpose"));
                });
            };
            let fiber = Builder::new().name("unwinds").spawn(body).unwrap();
            fiber.wait().unwrap_err().is_panic()
        });
        ensure(
            result.is_ok_and(|is_panic| is_panic),
            "it does not end well",
        )
    });
}
