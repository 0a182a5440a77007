//! [`sleep`] and [`sleep_until`], a thin layer over tokio's timers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::{Timer, deadline_after};
use crate::current::{Blocker, note, stretched};
use crate::yield_now::AfterIo;

/// Waits until `duration` has passed. Use `sleep(d).wait()` in a fiber or on a plain thread, and
/// `sleep(d).await` in async code.
///
/// The time is counted from this call, with the resolution of tokio's timers (one millisecond). A
/// `duration` of zero sets no timer: the future is ready once everything that is ready now has had
/// its turn and tokio has polled for I/O.
///
/// # Cancel safety
///
/// Nothing is lost if a sleep is cancelled or dropped.
///
/// # Panics
///
/// Panics if the current runtime's timers are not enabled. If no runtime is current, and in waits
/// that block a plain thread, a helper runtime provides the timer. It is started on first use and
/// lives as long as the process.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use switchback::{prelude::*, sleep, spawn};
///
/// # switchback::run(|| {
/// let mut hello = spawn(|| println!("Hello, there!"));
/// println!("Starting fiber");
/// sleep(Duration::ZERO).wait();
/// println!("Back in root fiber");
/// # hello.join().wait().unwrap();
/// # }).unwrap();
/// ```
#[doc(alias = "delay")]
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    if duration.is_zero() {
        return Sleep {
            deadline: None,
            kind: Kind::Zero(AfterIo::default()),
        };
    }
    sleep_until(deadline_after(duration))
}

/// Waits until `deadline`, which is a [`tokio::time::Instant`] or a
/// [`std::time::Instant`].
///
/// If the deadline has passed, the future is ready at its first poll, as tokio's is.
///
/// # Cancel safety
///
/// Nothing is lost if a sleep is cancelled or dropped.
///
/// # Panics
///
/// Panics if the current runtime's timers are not enabled.
#[track_caller]
pub fn sleep_until(deadline: impl Into<Instant>) -> Sleep {
    let deadline = deadline.into();
    Sleep {
        deadline: Some(deadline),
        kind: Kind::Timer(Timer::new(stretched(deadline))),
    }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Sleep {
    deadline: Option<Instant>,
    kind: Kind,
}

enum Kind {
    Zero(AfterIo),
    Timer(Timer),
}

impl Sleep {
    /// Returns when the sleep ends; `None` for a sleep of zero, which sets no timer.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.kind {
            Kind::Zero(after_io) => after_io.poll(cx),
            Kind::Timer(timer) => {
                let polled = Pin::new(timer).poll(cx);
                if let (Poll::Pending, Some(deadline)) = (polled, self.deadline) {
                    note(Blocker::Time(deadline));
                }
                polled
            }
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
