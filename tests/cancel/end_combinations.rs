//! The product of how a fiber's body behaves, how it is told to end, what
//! becomes of its handle, and how its hub ends.

use std::future::pending;
use std::mem::forget;
use std::time::Duration;

use switchback::{Fiber, Hub, JoinError, prelude::*, shield, sleep, spawn, with_timeout};

use crate::support::ending::{InDrop, settle};
use crate::support::{Drops, Token, ms, paused_runtime, watched};

/// What the fiber does, inside whatever is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Returns,
    Panics,
    Waits,
    WaitsForEver,
    WaitsShielded,
}

/// The deadline around the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timeout {
    None,
    Short,
    Long,
}

/// Who is told to end, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    Never,
    BeforeTheRun,
    WhileItWaits,
}

/// What becomes of the `Fiber`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handle {
    Joined,
    DroppedAtOnce,
    DroppedLater,
    Forgotten,
}

/// How the hub ends, while the fiber waits or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    RuntimeDropped,
}

/// Whether a destructor on the fiber's stack waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destructor {
    Plain,
    Waits,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    body: Body,
    timeout: Timeout,
    cancel: Cancel,
    handle: Handle,
    end: End,
    destructor: Destructor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Returned,
    TimedOut,
    Panicked,
    Cancelled,
    Abandoned,
}

const BODY: Duration = ms(20);
const SHORT: Duration = ms(10);
const LONG: Duration = ms(1000);
const IN_DESTRUCTOR: Duration = ms(5);

impl Case {
    /// What the documentation says will come of it.
    fn expected(self) -> Outcome {
        let waits = !matches!(self.body, Body::Returns | Body::Panics);
        let ends_by_itself = self.body != Body::WaitsForEver;
        match self.cancel {
            Cancel::BeforeTheRun => return Outcome::Cancelled,
            Cancel::WhileItWaits if waits && self.body != Body::WaitsShielded => {
                return Outcome::Cancelled;
            }
            Cancel::WhileItWaits if self.waits_last_in_its_destructor() => {
                return Outcome::Cancelled;
            }
            _ => {}
        }
        match (self.body, self.timeout) {
            (Body::Returns, _) => Outcome::Returned,
            (Body::Panics, _) => Outcome::Panicked,
            (Body::WaitsShielded, Timeout::Short) if self.waits_last_in_its_destructor() => {
                Outcome::TimedOut
            }
            (Body::WaitsShielded, _) => Outcome::Returned,
            (_, Timeout::Short) => Outcome::TimedOut,
            (Body::WaitsForEver, Timeout::Long) if self.handle == Handle::Joined => {
                Outcome::TimedOut
            }
            _ if ends_by_itself => Outcome::Returned,
            // It still waits when the hub ends.
            _ if self.end == End::RuntimeDropped && self.destructor == Destructor::Waits => {
                Outcome::Abandoned
            }
            _ => Outcome::Cancelled,
        }
    }

    /// Whether what its body held off or came too late for is delivered in the
    /// destructor, which runs without unwinding.
    fn waits_last_in_its_destructor(self) -> bool {
        let leaves_it_to_the_destructor = matches!(self.body, Body::Returns | Body::WaitsShielded);
        leaves_it_to_the_destructor && self.destructor == Destructor::Waits
    }

    /// Nothing but a deadline, a cancel or its hub ends it, and it is joined
    /// before the latter.
    fn is_impossible(self) -> bool {
        self.body == Body::WaitsForEver
            && self.handle == Handle::Joined
            && self.timeout == Timeout::None
            && self.cancel != Cancel::WhileItWaits
            && self.cancel != Cancel::BeforeTheRun
    }

    fn run(self) {
        let drops = Drops::new();
        let marks = InDrop::new();
        let rt = paused_runtime();
        let (mut joined, kept) = rt.block_on(self.live(&drops, &marks));
        drop(rt);
        if let Some(mut fiber) = kept {
            joined = Some(futures::executor::block_on(fiber.join()));
        }
        let expected = self.expected();
        if let Some(result) = joined {
            let outcome = match result {
                Ok((Ok(()), _)) => Outcome::Returned,
                Ok((Err(()), _)) => Outcome::TimedOut,
                Err(e) if e.is_panic() => Outcome::Panicked,
                Err(e) if e.to_string().contains("abandoned") => Outcome::Abandoned,
                Err(_) => Outcome::Cancelled,
            };
            assert_eq!(outcome, expected, "{self:?}");
        }
        self.check_drops(expected, &drops, &marks);
    }

    /// The life of the fiber up to the end of its hub.
    async fn live(self, drops: &Drops, marks: &InDrop) -> (Option<Joined>, Option<Fiber<Output>>) {
        let (captured, local, result) = (drops.token(), drops.token(), drops.token());
        let marks = marks.clone();
        let mut fiber = spawn(move || {
            let _captured = captured;
            let inner = || {
                let _local = local;
                let _guard = marks.guard(|| {
                    if self.destructor == Destructor::Waits {
                        sleep(IN_DESTRUCTOR).wait();
                    }
                });
                self.body.run();
            };
            let ended = match self.timeout {
                Timeout::None => {
                    inner();
                    Ok(())
                }
                Timeout::Short => with_timeout(SHORT, inner).map_err(|_| ()),
                Timeout::Long => with_timeout(LONG, inner).map_err(|_| ()),
            };
            (ended, result)
        });
        let handle = fiber.handle();
        if self.cancel == Cancel::BeforeTheRun {
            assert!(handle.cancel());
        }
        let mut kept = None;
        let mut joined = None;
        match self.handle {
            Handle::DroppedAtOnce => drop(fiber),
            Handle::Forgotten => forget(fiber),
            Handle::Joined | Handle::DroppedLater => kept = Some(fiber),
        }
        settle().await;
        if self.cancel == Cancel::WhileItWaits {
            handle.cancel();
        }
        if self.handle == Handle::Joined {
            fiber = kept.take().expect("it was kept to be joined");
            joined = Some(fiber.join().await);
        } else {
            tokio::time::sleep(ms(100)).await;
            if self.handle == Handle::DroppedLater {
                let waits_still = handle.is_alive();
                // One that waits still is joined after the hub's end instead.
                if !waits_still {
                    drop(kept.take());
                }
            }
        }
        if self.end == End::Close {
            Hub::current().close().await;
            assert!(!handle.is_alive(), "{self:?}");
        }
        (joined, kept)
    }

    fn check_drops(self, expected: Outcome, drops: &Drops, marks: &InDrop) {
        // Captured, local and result. A forgotten handle keeps a result for ever.
        let keeps_result = self.handle == Handle::Forgotten
            && matches!(expected, Outcome::Returned | Outcome::TimedOut);
        let count = match expected {
            Outcome::Abandoned => 0,
            _ if keeps_result => 2,
            _ => 3,
        };
        assert_eq!(drops.count(), count, "{self:?}");
        let began = usize::from(self.cancel != Cancel::BeforeTheRun);
        let interrupted = expected == Outcome::Abandoned
            || (self.waits_last_in_its_destructor() && expected != Outcome::Returned);
        let ended = if interrupted { 0 } else { began };
        assert_eq!(
            (marks.began.get(), marks.ended.get()),
            (began, ended),
            "{self:?}"
        );
    }
}

type Output = (Result<(), ()>, Token);
type Joined = Result<Output, JoinError>;

impl Body {
    fn run(self) {
        match self {
            Body::Returns => {}
            Body::Panics => std::panic::resume_unwind(Box::new("of the body")),
            Body::Waits => sleep(BODY).wait(),
            Body::WaitsForEver => pending::<()>().wait(),
            Body::WaitsShielded => shield(|| sleep(BODY).wait()),
        }
    }
}

fn for_each_case(body: Body) {
    let mut count = 0;
    for timeout in [Timeout::None, Timeout::Short, Timeout::Long] {
        for cancel in [Cancel::Never, Cancel::BeforeTheRun, Cancel::WhileItWaits] {
            for handle in [
                Handle::Joined,
                Handle::DroppedAtOnce,
                Handle::DroppedLater,
                Handle::Forgotten,
            ] {
                for end in [End::Close, End::RuntimeDropped] {
                    for destructor in [Destructor::Plain, Destructor::Waits] {
                        let case = Case {
                            body,
                            timeout,
                            cancel,
                            handle,
                            end,
                            destructor,
                        };
                        if !case.is_impossible() {
                            // On a thread of its own, which it may mark.
                            watched(move || case.run());
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(count >= 140);
}

#[test]
fn a_body_that_returns_ends_as_documented_in_every_combination() {
    for_each_case(Body::Returns);
}

#[test]
fn a_body_that_panics_ends_as_documented_in_every_combination() {
    for_each_case(Body::Panics);
}

#[test]
fn a_body_that_waits_ends_as_documented_in_every_combination() {
    for_each_case(Body::Waits);
}

#[test]
fn a_body_that_waits_for_ever_ends_as_documented_in_every_combination() {
    for_each_case(Body::WaitsForEver);
}

#[test]
fn a_body_that_waits_shielded_ends_as_documented_in_every_combination() {
    for_each_case(Body::WaitsShielded);
}
