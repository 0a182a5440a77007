//! [`stretched`]: how long a fiber's timers take in a test.

use tokio::time::Instant;

use super::{Place, with_place};

/// Returns when a timer of the running code has to fire that was set to `deadline`. This is later if
/// a test has given the hub a schedule, under which sleeps of unequal length overlap in every way.
#[inline]
pub(crate) fn stretched(deadline: Instant) -> Instant {
    match cfg!(feature = "test-util") {
        true => stretched_by_trial(deadline),
        false => deadline,
    }
}

fn stretched_by_trial(deadline: Instant) -> Instant {
    with_place(|place| {
        let trial = match place {
            Place::Stack(state) | Place::Poll(state) => state.hub().and_then(|hub| hub.trial()),
            _ => None,
        };
        let Some(trial) = trial else {
            return deadline;
        };
        let now = Instant::now();
        let duration = deadline.saturating_duration_since(now);
        match trial.stretch(duration) {
            same if same == duration => deadline,
            longer => now + longer,
        }
    })
}
