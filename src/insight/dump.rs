//! [`Dump`]: asks a hub for its dump, from any thread.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::channel::oneshot;

use super::captures::{Captures, LookUp, look_up};
use super::{HubDump, Running};
use crate::base::contain;
use crate::base::helper::{self, HelperSleep};
use crate::hub::Core;
use crate::scheduler::registry;
use crate::shared::Mailbox;

/// The future of [`HubHandle::dump`](crate::HubHandle::dump) and
/// [`HubHandle::dump_within`](crate::HubHandle::dump_within).
#[must_use = "futures do nothing unless you `.wait()` or `.await` them"]
pub struct Dump {
    hub: Arc<Mailbox>,
    limit: Option<Duration>,
    /// How many backtraces are taken at most.
    backtraces: usize,
    stage: Stage,
}

enum Stage {
    New,
    Asked(Asked),
    LooksUp(Box<LookUp>),
}

/// A hub was asked on its own thread.
struct Asked {
    answer: oneshot::Receiver<(HubDump, Captures)>,
    timer: Option<HelperSleep>,
}

impl Dump {
    pub(crate) fn new(hub: &Arc<Mailbox>, limit: Option<Duration>) -> Dump {
        Dump::asked_for(hub, limit, 0)
    }

    /// Makes a dump with the backtraces of at most `most` fibers.
    pub(super) fn asked_for(hub: &Arc<Mailbox>, limit: Option<Duration>, most: usize) -> Dump {
        Dump {
            hub: hub.clone(),
            limit,
            backtraces: most,
            stage: Stage::New,
        }
    }

    /// Asks for the backtraces of up to `most` of the hub's fibers, too: the calls that each of them
    /// is in.
    ///
    /// Each fiber is resumed for a moment, finds its calls, and suspends again at once. None of its
    /// code runs meanwhile, and nothing that it could notice changes. This takes the hub some
    /// microseconds for each fiber, and may take memory for the next page of its stack. The names of
    /// the functions are then found on a thread of its own, which the first time of a process takes as
    /// long as a panic with a backtrace; [`dump_within`](crate::HubHandle::dump_within) does not limit
    /// that.
    ///
    /// A fiber that has the thread, or has not begun, has no backtrace. On other systems than unix no
    /// fiber has one.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{Hub, prelude::*, spawn, yield_now};
    ///
    /// fn waits_for_ever() {
    ///     std::future::pending::<()>().wait();
    /// }
    ///
    /// # switchback::run(|| {
    /// let stuck = spawn(waits_for_ever);
    /// yield_now().wait();
    ///
    /// let dump = Hub::current().handle().dump().backtraces(1000).wait().unwrap();
    /// let backtrace = dump.fiber(stuck.id()).unwrap().backtrace();
    /// # if cfg!(unix) {
    /// assert!(backtrace.unwrap().to_string().contains("waits_for_ever"));
    /// # }
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "backtrace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "backtrace")))]
    pub fn backtraces(mut self, most: usize) -> Dump {
        self.backtraces = most;
        self
    }

    fn ask(&self) -> Asked {
        let (sender, answer) = oneshot::channel();
        let (hub, most) = (self.hub.clone(), self.backtraces);
        self.hub.send_look(Box::new(move || {
            if let Some(core) = registry::local(&hub) {
                let _ = sender.send(read(&core, most));
            }
        }));
        Asked {
            answer,
            timer: self.limit.map(helper::sleep),
        }
    }
}

fn read(core: &Rc<Core>, most: usize) -> (HubDump, Captures) {
    // Before the captures, so that both are of one moment: nothing runs in between.
    let dump = HubDump::take(core);
    (dump, Captures::take(core, most))
}

impl Future for Dump {
    type Output = Result<HubDump, DumpError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // The channels wake and drop the waker on other threads.
        let waker = contain::contained(contain::clone_waker(cx.waker()));
        let mut contained = Context::from_waker(&waker);
        loop {
            let (dump, captures) = match &mut this.stage {
                Stage::New => match registry::local(&this.hub) {
                    Some(core) => read(&core, this.backtraces),
                    None => {
                        this.stage = Stage::Asked(this.ask());
                        continue;
                    }
                },
                Stage::Asked(asked) => match Pin::new(&mut asked.answer).poll(&mut contained) {
                    Poll::Ready(Ok(answer)) => answer,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(DumpError(Kind::Ended))),
                    Poll::Pending => match &mut asked.timer {
                        Some(timer) => {
                            ready!(Pin::new(timer).poll(cx));
                            return Poll::Ready(Err(DumpError(this.blocked())));
                        }
                        None => return Poll::Pending,
                    },
                },
                Stage::LooksUp(look_up) => return Pin::new(look_up).poll(&mut contained).map(Ok),
            };
            this.stage = Stage::LooksUp(Box::new(look_up(dump, captures)));
        }
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

impl Dump {
    fn blocked(&self) -> Kind {
        Kind::Blocked(Box::new(Blocked {
            name: self.hub.name().into(),
            thread: self.hub.thread_label(),
            limit: self.limit.unwrap_or_default(),
            running: Running::of(&self.hub),
        }))
    }
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
