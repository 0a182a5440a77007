//! [`cancel_everywhere`]: cancels a fiber at each of its waits.

use std::rc::Rc;
use std::time::Duration;

use super::Schedule;
use super::run::{self, Outcome, Runner};
use crate::handles::Fiber;
use crate::hub::Hit;
use crate::scheduler::attach;
use crate::shared::{LocalPhase, interrupt};
use crate::time::sleep;
use crate::wait::Wait as _;

/// The greatest number of points. Each is a run.
const MAX_POINTS: u64 = 10_000;

/// How long the other fibers have to end after the closure has returned.
const SETTLE: Duration = Duration::from_millis(1);

/// Runs a program once for each point where a fiber of it can be cancelled, and cancels it there.
/// Returns the number of points.
///
/// `f` spawns the fiber that is to be cancelled, with all that it needs, and returns it. It also
/// returns a closure that is called when the fiber has ended, with or without a cancel, and asserts
/// what the program promises: that a connection is back in its pool, that a file is either old or new.
///
/// # Points
///
/// A point is where a pending cancel would be looked at by the returned fiber, in its waits, in
/// [`check_cancelled`](crate::check_cancelled) and at the end of its scopes:
///
/// * before the first poll of a wait;
/// * while the fiber is suspended;
/// * when it was woken and has not polled yet, where a message may get lost.
///
/// Inside a [`shield`](crate::shield()) there are no points, because a cancel there is delivered at the
/// next point after it. Neither are there any in destructors while the fiber unwinds, or in other
/// fibers, except that a scope which is cancelled at its end cancels its children. One more run, which
/// is not counted, cancels the fiber before it has begun, unless it has begun when `f` returns.
///
/// Each run is on a hub and a runtime of its own, first-in first-out, on a paused clock.
///
/// # Panics
///
/// Panics, naming the point and its place in the source, if
///
/// * the fiber panics or is abandoned;
/// * the closure panics, or another fiber does and nobody joins it;
/// * more fibers are left, a millisecond after the closure has returned, than without a cancel;
/// * nothing can go on any more, or the run does not end: see [`Explorer`](super::Explorer).
///
/// Also panics if the same run has another number of points the second time, or does not get to the
/// one where it is to be cancelled, as when the program uses threads; if there are more than 10,000; if
/// the fiber has already ended or belongs to another
/// hub; and inside a fiber or async code, where no runtime can be made.
///
/// # Examples
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use switchback::{prelude::*, spawn, testing::cancel_everywhere, yield_now};
///
/// /// Gives a place back, also on unwind.
/// struct Checkout(Rc<Cell<u32>>);
///
/// impl Drop for Checkout {
///     fn drop(&mut self) {
///         self.0.set(self.0.get() + 1);
///     }
/// }
///
/// let points = cancel_everywhere(|| {
///     let free = Rc::new(Cell::new(1));
///     let used = free.clone();
///     let fiber = spawn(move || {
///         used.set(used.get() - 1);
///         let _checkout = Checkout(used); // before the first wait
///         yield_now().wait();
///     });
///     (fiber, move || assert_eq!(free.get(), 1))
/// });
/// assert_eq!(points, 3);
/// ```
#[track_caller]
pub fn cancel_everywhere<C>(f: impl Fn() -> (Fiber<()>, C) + 'static) -> u64
where
    C: FnOnce() + 'static,
{
    run::check_place("`cancel_everywhere`");
    let program = Program {
        f: Rc::new(f),
        runner: Runner::new(false),
    };
    let first = program.uncancelled();
    let second = program.uncancelled();
    assert!(
        first.points == second.points,
        "the fiber has {} points, and {} the second time: the program is not replayable, so points \
         cannot be told apart",
        first.points,
        second.points,
    );
    assert!(
        first.points <= MAX_POINTS,
        "the fiber has {} points, more than {MAX_POINTS}: let it do less",
        first.points,
    );
    if first.was_new {
        program.check(Cancel::BeforeStart, &first);
    }
    for point in 0..first.points {
        program.check(Cancel::At(point), &first);
    }
    first.points
}

/// When the fiber is cancelled.
#[derive(Clone, Copy, Debug)]
enum Cancel {
    Never,
    BeforeStart,
    At(u64),
}

/// What a run has shown that came to its end.
#[derive(Debug)]
struct Seen {
    points: u64,
    /// Whether the fiber had not begun when it was returned.
    was_new: bool,
    /// The names of the fibers that are left.
    left: Vec<String>,
}

/// The program, and what runs it.
struct Program<F> {
    f: Rc<F>,
    runner: Runner,
}

impl<F, C> Program<F>
where
    F: Fn() -> (Fiber<()>, C) + 'static,
    C: FnOnce() + 'static,
{
    #[track_caller]
    fn uncancelled(&self) -> Seen {
        match self.run(Cancel::Never).result {
            Ok(seen) => seen,
            Err(what) => panic!("without a cancel: {what}"),
        }
    }

    /// Cancels the fiber, and compares the run with the one without a cancel.
    #[track_caller]
    fn check(&self, cancel: Cancel, without: &Seen) {
        let outcome = self.run(cancel);
        let what = match outcome.result {
            Ok(_) if matches!(cancel, Cancel::At(_)) && outcome.hit.is_none() => {
                "the program is not replayable".to_owned()
            }
            Ok(seen) if seen.left.len() <= without.left.len() => return,
            Ok(seen) => format!(
                "{} fibers are left, and {} without a cancel: {}",
                seen.left.len(),
                without.left.len(),
                seen.left.join(", "),
            ),
            Err(what) => what,
        };
        let points = without.points;
        let when = match (cancel, outcome.hit) {
            (Cancel::At(point), Some(Hit { at, suspended })) => {
                let state = match suspended {
                    true => "while suspended",
                    false => "before a poll",
                };
                format!(
                    "cancelled at point {} of {points}, {state} at {at}",
                    point + 1
                )
            }
            (Cancel::At(point), None) => {
                format!("the fiber has not reached point {} of {points}", point + 1)
            }
            _ => "cancelled before it has begun".to_owned(),
        };
        panic!("{when}: {what}");
    }

    #[track_caller]
    fn run(&self, cancel: Cancel) -> Outcome<Seen> {
        let f = self.f.clone();
        self.runner.run(Schedule::Fifo, move || {
            let (fiber, asserts) = f();
            watch(fiber, cancel, asserts)
        })
    }
}

/// The root fiber: cancels `fiber`, joins it, and calls `asserts`.
fn watch(mut fiber: Fiber<()>, cancel: Cancel, asserts: impl FnOnce()) -> Result<Seen, String> {
    let Ok(core) = attach::current() else {
        unreachable!("it is a fiber's")
    };
    let trial = core.trial().expect("the hub is one of a test");
    let watched = fiber.handle().0;
    if !watched.is_of(&core.token) {
        return Err("the fiber is on another hub, where its waits are not seen".into());
    }
    if !fiber.is_alive() {
        let why = "the fiber has ended before it could be cancelled; return it before you wait";
        return Err(why.into());
    }
    let was_new = core.part(&watched).phase.get() == LocalPhase::New;
    match cancel {
        Cancel::Never => {}
        Cancel::BeforeStart => drop(fiber.cancel()),
        Cancel::At(point) => trial.probe.aim(point),
    }
    watched.interrupt(interrupt::PROBE);
    if let Err(e) = fiber.join().wait() {
        // A fiber that was abandoned counts as cancelled, but without a cancel.
        if e.cancelled().is_none() {
            return Err(run::told(e));
        }
    }
    drop(fiber);
    asserts();
    // The clock advances when all that is ready has run.
    sleep(SETTLE).wait();
    let left = core.table.names_of(|fiber| !core.is_root(fiber));
    Ok(Seen {
        points: trial.probe.points(),
        was_new,
        left: left.names().to_vec(),
    })
}
