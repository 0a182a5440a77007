//! [`Inherited`]: what a fiber or bridge gets from the code that makes it.
//!
//! That is the state of ambients, the span that is current, and copies of the fiber-locals that are
//! declared so. [`inherit`] takes them in the code that makes the fiber, and [`run_with`] puts them in
//! place on the fiber's stack.

use super::locals::{self, Local, LocalId, MakeLocal, Passing};
use super::running_locals::with_locals;
#[cfg(feature = "tracing")]
use super::spans::{self, Inheritable};
use super::{StackState, ambient, hook};
use crate::base::contain;

/// What a fiber inherits that is made on its own thread. Most inherit nothing.
pub(crate) struct Inherited(Option<Box<Heritage>>);

/// What a fiber inherits that is sent to its hub.
pub(crate) struct SentInherited(Option<Box<SentHeritage>>);

struct Heritage {
    sent: SentHeritage,
    /// The fiber-locals that cannot leave the thread.
    locals: Vec<Local>,
}

#[derive(Default)]
struct SentHeritage {
    #[cfg(feature = "tracing")]
    span: Option<Inheritable>,
    /// What enters the state of each ambient.
    enters: Vec<Box<dyn FnOnce() + Send>>,
    locals: Vec<(LocalId, Option<Passing>, MakeLocal)>,
}

/// Returns what a fiber inherits that the running code makes.
#[inline(always)]
pub(crate) fn inherit() -> Inherited {
    match any() {
        true => Inherited(inherit_any(true).map(|(sent, locals)| Heritage::new(sent, locals))),
        false => Inherited(None),
    }
}

/// Like [`inherit`], for a fiber that is sent to its hub.
#[inline(always)]
pub(crate) fn inherit_sent() -> SentInherited {
    match any() {
        true => SentInherited(inherit_any(false).map(|(sent, _)| Box::new(sent))),
        false => SentInherited(None),
    }
}

#[inline(always)]
fn any() -> bool {
    ambient::any() || locals::any_passed_on()
}

/// Returns what is inherited, with values that stay on this thread only if `stays`.
#[cold]
fn inherit_any(stays: bool) -> Option<(SentHeritage, Vec<Local>)> {
    if hook::is_running() {
        return None;
    }
    let mut sent = SentHeritage {
        #[cfg(feature = "tracing")]
        span: spans::inherit(),
        enters: ambient::inherit(),
        locals: Vec::new(),
    };
    let mut here = Vec::new();
    for local in with_locals(|locals| Ok(locals.passed_on())).unwrap_or_default() {
        let Local { id, value, passing } = local;
        match passing {
            Some(Passing::Anywhere(copy)) => {
                let made = hook::call(CLONE, move || copy(&*value));
                let made = made.map(|make| (id, passing, make));
                sent.locals.extend(made);
            }
            Some(Passing::Here(copy)) if stays => {
                let value = hook::call(CLONE, move || copy(&*value));
                let local = value.map(|value| Local { id, value, passing });
                here.extend(local);
            }
            _ => {}
        }
    }
    Some((sent, here))
}

impl SentInherited {
    /// Turns it into what the fiber inherits, on the thread of its hub.
    pub(crate) fn arrive(self) -> Inherited {
        Inherited(self.0.map(|sent| Heritage::new(*sent, Vec::new())))
    }
}

/// Runs the body of a fiber or bridge, which inherits this, on its stack.
#[inline(always)]
pub(crate) fn run_with(inherited: Inherited, state: &StackState, body: impl FnOnce()) {
    #[cfg(feature = "tracing")]
    let (inherited, own) = match spans::any() {
        true => own_span(inherited, state),
        false => (inherited, None),
    };
    // Most inherit nothing. This takes it by value, so that no destructor is called then.
    if let Some(mut heritage) = inherited.0 {
        heritage.enter(state);
    }
    body();
    if ambient::any() {
        ambient::discard();
    }
    #[cfg(feature = "tracing")]
    if let Some(span) = own {
        if let Some(fiber) = state.fiber() {
            // From now on, nothing is reported about its wakers.
            fiber.set_span(None);
        }
        span.release();
    }
}

/// Enters a span of the fiber's own, in place of the one that it inherits, if there is to be one. Returns
/// the span that was entered, and what else is inherited.
#[cfg(feature = "tracing")]
#[cold]
fn own_span(mut inherited: Inherited, state: &StackState) -> (Inherited, Option<Inheritable>) {
    let heritage = inherited.0.as_mut();
    let parent = heritage.and_then(|heritage| heritage.sent.span.take());
    let own = state
        .resumer
        .fiber()
        .and_then(|fiber| spans::of_fiber(fiber, parent.as_ref()));
    let span = match own {
        Some(own) => {
            // The new one keeps it open.
            parent.into_iter().for_each(Inheritable::release);
            Some(own)
        }
        None => parent,
    };
    if let Some(span) = &span {
        span.enter();
    }
    (inherited, span)
}

impl Heritage {
    fn new(sent: SentHeritage, locals: Vec<Local>) -> Box<Heritage> {
        Box::new(Heritage { sent, locals })
    }

    #[cold]
    fn enter(&mut self, state: &StackState) {
        self.sent.enters.drain(..).for_each(|enter| enter());
        let sent = self.sent.locals.drain(..);
        let sent = sent.map(|(id, passing, make)| Local {
            id,
            value: make(),
            passing,
        });
        for local in sent.chain(self.locals.drain(..)) {
            state.locals.put(local);
        }
    }
}

impl Drop for SentHeritage {
    fn drop(&mut self) {
        for enter in self.enters.drain(..) {
            contain::run(DROP, || drop(enter));
        }
        for local in self.locals.drain(..) {
            contain::run(DROP, || drop(local));
        }
        #[cfg(feature = "tracing")]
        if let Some(span) = self.span.take() {
            span.release();
        }
    }
}

impl Drop for Heritage {
    fn drop(&mut self) {
        for local in self.locals.drain(..) {
            contain::run(DROP, || drop(local));
        }
    }
}

const CLONE: &str = "the clone of an inherited fiber-local";
const DROP: &str = "the drop of what a fiber inherits";
