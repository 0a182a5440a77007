//! [`Dump`]: asks a hub for its dump, from any thread.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::oneshot;

use super::{HubDump, Running};
use crate::base::contain;
use crate::base::helper::{self, HelperSleep};
use crate::scheduler::registry;
use crate::shared::Mailbox;

/// The future of [`HubHandle::dump`](crate::HubHandle::dump) and
/// [`HubHandle::dump_within`](crate::HubHandle::dump_within).
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Dump {
    hub: Arc<Mailbox>,
    limit: Option<Duration>,
    asked: Option<Asked>,
}

/// A hub was asked on its own thread.
struct Asked {
    answer: oneshot::Receiver<HubDump>,
    timer: Option<HelperSleep>,
}

impl Dump {
    pub(crate) fn new(hub: &Arc<Mailbox>, limit: Option<Duration>) -> Dump {
        Dump {
            hub: hub.clone(),
            limit,
            asked: None,
        }
    }

    fn ask(&self) -> Asked {
        let (sender, answer) = oneshot::channel();
        let hub = self.hub.clone();
        self.hub.send_look(Box::new(move || {
            if let Some(core) = registry::local(&hub) {
                let _ = sender.send(HubDump::take(&core));
            }
        }));
        Asked {
            answer,
            timer: self.limit.map(helper::sleep),
        }
    }
}

impl Future for Dump {
    type Output = Result<HubDump, DumpError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(core) = registry::local(&this.hub) {
            return Poll::Ready(Ok(HubDump::take(&core)));
        }
        if this.asked.is_none() {
            this.asked = Some(this.ask());
        }
        let Some(asked) = &mut this.asked else {
            unreachable!("it was set above");
        };
        // The channel wakes and drops the waker on the hub's thread.
        let waker = contain::contained(contain::clone_waker(cx.waker()));
        let mut contained = Context::from_waker(&waker);
        if let Poll::Ready(answer) = Pin::new(&mut asked.answer).poll(&mut contained) {
            return Poll::Ready(answer.map_err(|_| DumpError(Kind::Ended)));
        }
        if let Some(timer) = &mut asked.timer {
            if Pin::new(timer).poll(cx).is_ready() {
                return Poll::Ready(Err(DumpError(Kind::Blocked(Box::new(Blocked {
                    name: this.hub.name().into(),
                    thread: this.hub.thread_label(),
                    limit: this.limit.unwrap_or_default(),
                    running: Running::of(&this.hub),
                })))));
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump")
            .field("hub", &self.hub)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// There is no dump of a hub: it has ended, or has not answered in time.
#[derive(Clone, Debug)]
pub struct DumpError(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Ended,
    Blocked(Box<Blocked>),
}

#[derive(Clone, Debug)]
struct Blocked {
    name: Box<str>,
    thread: String,
    limit: Duration,
    running: Option<Running>,
}

impl DumpError {
    /// Returns whether the hub has not answered in time, because a fiber or other code keeps its
    /// thread.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self.0, Kind::Blocked(_))
    }

    /// Returns the fiber that had the thread of a hub that has not answered.
    #[must_use]
    pub fn running(&self) -> Option<&Running> {
        match &self.0 {
            Kind::Blocked(blocked) => blocked.running.as_ref(),
            Kind::Ended => None,
        }
    }
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind::Blocked(blocked) = &self.0 else {
            return f.write_str("there is no dump: the hub has ended");
        };
        let Blocked {
            name,
            thread,
            limit,
            running,
        } = &**blocked;
        write!(
            f,
            "there is no dump: hub '{name}' on thread {thread} did not answer within {limit:?}, \
             because its thread is kept by "
        )?;
        match running {
            Some(running) => running.fmt(f),
            None => f.write_str("code that is no fiber"),
        }
    }
}

impl Error for DumpError {}

impl From<DumpError> for io::Error {
    /// The kind is [`io::ErrorKind::TimedOut`] if the hub has not answered in time, and else
    /// [`io::ErrorKind::Other`].
    fn from(error: DumpError) -> io::Error {
        match error.0 {
            Kind::Ended => io::Error::other(error),
            Kind::Blocked(_) => io::Error::new(io::ErrorKind::TimedOut, error),
        }
    }
}
