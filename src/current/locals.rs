//! [`Locals`]: the fiber-locals of a stack or a thread.
//!
//! This module has no unsafe code, and nothing is borrowed while user code (an initialiser,
//! a closure, a destructor) runs: each use of a value holds a count of its `Rc`. User code
//! may therefore do anything, including wait. At worst, a value lives until its last user
//! is gone.
//!
//! # The end
//!
//! When the body of a fiber or bridge has ended, it calls [`Locals::end`] on its own stack,
//! where destructors may wait. A value passes through two lists of its [`Table`]: `live`
//! and then, just before it is dropped, `gone`. A key in `gone` is not initialised again,
//! so each key comes up at most once after the end has begun, and the loop terminates.
//!
//! Code that runs on the stack after that, such as an ambient that leaves, finds no values and makes
//! none: nothing would drop them before the stack's state is gone, in which they are.

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::report;
use crate::shared::Cause;

/// The error of a fiber-local that was used after it was dropped, or while it was being
/// dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Debug for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessError")
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fiber-local was dropped, or is being dropped")
    }
}

impl Error for AccessError {}

/// Identifies a fiber-local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalId {
    /// The address of the static, which is not zero-sized.
    pub(crate) address: usize,
    pub(crate) type_id: TypeId,
}

/// The fiber-locals of a fiber, a bridge or a thread.
#[derive(Debug)]
pub(crate) struct Locals {
    /// Allocated for the first value, because most fibers have none.
    table: OnceCell<Box<RefCell<Table>>>,
    /// Set once all values are gone. From then on no value is initialised.
    ended: Cell<bool>,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of initialisation.
    live: Vec<Local>,
    /// The keys of values that were dropped or are being dropped.
    gone: Vec<LocalId>,
}

/// A fiber-local's value.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) id: LocalId,
    pub(crate) value: Rc<dyn Any>,
    /// `None` if new fibers do not inherit it.
    pub(crate) passing: Option<Passing>,
}

/// How new fibers get copies of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Passing {
    /// All of them, wherever they run.
    Anywhere(fn(&dyn Any) -> MakeLocal),
    /// Those that run on the thread of the code that makes them.
    Here(fn(&dyn Any) -> Rc<dyn Any>),
}

/// Has a copy of a value, and makes it a fiber-local of the thread where it is called.
pub(crate) type MakeLocal = Box<dyn FnOnce() -> Rc<dyn Any> + Send>;

/// Whether there ever was a value that new fibers inherit.
///
/// Ordering: each thread that has such a value has set this before.
static ANY_PASSED_ON: AtomicBool = AtomicBool::new(false);

/// Returns whether there may be values that new fibers inherit.
#[inline(always)]
pub(super) fn any_passed_on() -> bool {
    ANY_PASSED_ON.load(Ordering::Relaxed)
}

impl Locals {
    pub(crate) const fn new() -> Locals {
        Locals {
            table: OnceCell::new(),
            ended: Cell::new(false),
        }
    }

    /// Drops them, without a call if there never were any. For [`body`](super::body::body).
    #[inline(always)]
    pub(super) fn free(self) {
        if let Some(table) = self.table.into_inner() {
            drop(table);
        }
    }

    /// Returns whether there is nothing to drop.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match self.table.get() {
            Some(table) => table.borrow().live.is_empty(),
            None => true,
        }
    }

    /// Returns the value, if it has been initialised.
    pub(crate) fn get(&self, id: LocalId) -> Result<Option<Rc<dyn Any>>, AccessError> {
        if self.ended.get() {
            return Err(AccessError);
        }
        let Some(table) = self.table.get() else {
            return Ok(None);
        };
        let table = table.borrow();
        match table.live.iter().find(|local| local.id == id) {
            Some(local) => Ok(Some(local.value.clone())),
            None if table.gone.contains(&id) => Err(AccessError),
            None => Ok(None),
        }
    }

    /// Inserts a value unless there is one. Returns the value that is stored now.
    pub(crate) fn insert(&self, made: &Local) -> Result<Rc<dyn Any>, AccessError> {
        if let Some(first) = self.get(made.id)? {
            return Ok(first);
        }
        self.put(made.clone());
        Ok(made.value.clone())
    }

    /// Adds a value whose key has none.
    pub(super) fn put(&self, local: Local) {
        if local.passing.is_some() {
            ANY_PASSED_ON.store(true, Ordering::Relaxed);
        }
        let table = self.table.get_or_init(Box::default);
        table.borrow_mut().live.push(local);
    }

    /// Replaces the value of a key, or removes it, and returns the old one.
    pub(crate) fn replace(
        &self,
        id: LocalId,
        new: Option<Local>,
    ) -> Result<Option<Local>, AccessError> {
        let old = match self.get(id)? {
            Some(_) => self.take(id),
            None => None,
        };
        if let Some(new) = new {
            self.put(new);
        }
        Ok(old)
    }

    fn take(&self, id: LocalId) -> Option<Local> {
        let mut table = self.table.get()?.borrow_mut();
        let place = table.live.iter().position(|local| local.id == id)?;
        Some(table.live.remove(place))
    }

    /// Returns the values that new fibers inherit.
    pub(super) fn passed_on(&self) -> Vec<Local> {
        let Some(table) = self.table.get() else {
            return Vec::new();
        };
        let table = table.borrow();
        let live = table.live.iter();
        live.filter(|local| local.passing.is_some())
            .cloned()
            .collect()
    }

    /// Drops all values, including those that are initialised meanwhile. `fiber` is the name
    /// of the fiber, if the values belong to one.
    pub(crate) fn end(&self, fiber: Option<&dyn fmt::Display>) {
        while let Some(last) = self.take_last() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(last))) {
                report_panic(fiber, payload);
            }
        }
        self.seal();
    }

    /// From now on no value is initialised.
    #[inline(always)]
    pub(crate) fn seal(&self) {
        self.ended.set(true);
    }

    /// Removes the value that was initialised last and marks it as gone.
    fn take_last(&self) -> Option<Local> {
        let mut table = self.table.get()?.borrow_mut();
        let last = table.live.pop()?;
        table.gone.push(last.id);
        Some(last)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // The state that contains these values is being freed, and user code must not run
        // here.
        debug_assert!(self.live.is_empty(), "they end before what has them");
    }
}

/// Reports the panic of a destructor. A cancel is not reported.
fn report_panic(fiber: Option<&dyn fmt::Display>, payload: Box<dyn Any + Send>) {
    let cause = Cause::from_panic(payload);
    if let Cause::Panic { .. } = cause {
        match fiber {
            Some(name) => report::error(format_args!(
                "a destructor of a fiber-local of fiber '{name}' {cause}"
            )),
            None => report::error(format_args!("a destructor of a fiber-local {cause}")),
        }
    }
    // The payload's drop could panic again.
    mem::forget(cause);
}
