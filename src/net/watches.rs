//! [`Watches`]: what each runtime that has waited for a socket knows about it.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::runtime;

use super::direction::Direction;
use super::watch::{Place, Watch, Watchable};
use crate::base::lock::lock;
use crate::current::{Place as Running, with_place};
use crate::io::Driver;

/// What each runtime that has waited for a socket knows about it.
///
/// Most sockets are waited for by one runtime only, so the first has a place of its own, which takes
/// no lock.
pub(super) struct Watches<S: Watchable> {
    first: OnceLock<(runtime::Id, Watch<S>)>,
    others: Mutex<Vec<Entry<S>>>,
}

/// A [`Watch`] of a runtime.
pub(super) enum Found<'a, S: Watchable> {
    First(&'a Watch<S>),
    Other(Arc<Watch<S>>),
}

impl<S: Watchable> Deref for Found<'_, S> {
    type Target = Watch<S>;

    #[inline]
    fn deref(&self) -> &Watch<S> {
        match self {
            Found::First(watch) => watch,
            Found::Other(watch) => watch,
        }
    }
}

impl<S: Watchable> Watches<S> {
    pub(super) fn new() -> Watches<S> {
        Watches {
            first: OnceLock::new(),
            others: Mutex::default(),
        }
    }

    /// Returns what this runtime knows.
    #[inline]
    pub(super) fn get(&self, of: runtime::Id) -> Option<Found<'_, S>> {
        match self.first.get() {
            None => None,
            Some((runtime, watch)) if *runtime == of => Some(Found::First(watch)),
            Some(_) => find(&lock(&self.others), of),
        }
    }

    /// Returns the place for one waiter, if the code runs in a fiber, its runtime was the first to
    /// wait for the socket, and the place is free.
    #[inline]
    pub(super) fn fast_place(&self, direction: Direction) -> Option<Place<'_, S>> {
        let (runtime, watch) = self.first.get()?;
        let is_own = with_place(|place| match place {
            Running::Poll(state) => state.hub().is_some_and(|hub| hub.runtime.id() == *runtime),
            _ => false,
        });
        match is_own {
            true => watch.place(direction),
            false => None,
        }
    }

    /// Registers the socket with a runtime, unless another thread has done so.
    pub(super) fn add(&self, socket: &Arc<S>, driver: &Driver<'_>) -> io::Result<()> {
        let runtime = driver.id();
        let mut others = lock(&self.others);
        let is_known = self.first.get().is_some_and(|(of, _)| *of == runtime);
        if is_known || find(&others, runtime).is_some() {
            return Ok(());
        }
        let _current = driver.handle().enter();
        let watch = Watch::new(socket)?;
        if let Err((runtime, watch)) = self.first.set((runtime, watch)) {
            let (over, mut kept): (Vec<_>, Vec<_>) = std::mem::take(&mut *others)
                .into_iter()
                .partition(|(_, watch)| watch.is_over());
            kept.push((runtime, Arc::new(watch)));
            *others = kept;
            drop(others);
            // These may hold wakers, which are dropped outside of the lock.
            drop(over);
        }
        Ok(())
    }
}

/// A watch with the runtime that it is of.
type Entry<S> = (runtime::Id, Arc<Watch<S>>);

fn find<'a, S: Watchable>(among: &[Entry<S>], of: runtime::Id) -> Option<Found<'a, S>> {
    let (_, watch) = among.iter().find(|(runtime, _)| *runtime == of)?;
    Some(Found::Other(watch.clone()))
}
