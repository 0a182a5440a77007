//! [`Locals`]: the fiber-locals of a stack or a thread.
//!
//! There is no unsafe code here, and nothing is borrowed while user code (an initialiser, a closure,
//! a destructor) runs: the user of a value holds a count of its `Rc`.
//!
//! When the body of a fiber or bridge is over, it calls [`Locals::end`] on its own stack, where
//! destructors may wait. A value passes through two lists of its [`Table`]: `live`, then, just
//! before it is dropped, `gone`. What is in `gone` is not initialised again, so each key comes up at
//! most once after the end has begun, and the end comes to an end.

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::base::report;
use crate::shared::Cause;

/// A fiber-local was used after it was dropped, or while it is being dropped.
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

/// Tells one fiber-local from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalId {
    /// Of a static that is not zero-sized.
    pub(crate) address: usize,
    pub(crate) type_id: TypeId,
}

/// The fiber-locals of a fiber, a bridge or a thread.
#[derive(Debug)]
pub(crate) struct Locals {
    /// Made for the first of them, since most fibers have none.
    table: OnceCell<Box<RefCell<Table>>>,
    /// Whether everything is gone, also what never was.
    ended: Cell<bool>,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of initialisation.
    live: Vec<Local>,
    /// What was dropped or is being dropped.
    gone: Vec<LocalId>,
}

#[derive(Debug)]
struct Local {
    id: LocalId,
    value: Rc<dyn Any>,
}

impl Locals {
    pub(crate) const fn new() -> Locals {
        Locals {
            table: OnceCell::new(),
            ended: Cell::new(false),
        }
    }

    /// Whether there is nothing to drop.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match self.table.get() {
            Some(table) => table.borrow().live.is_empty(),
            None => true,
        }
    }

    /// The value, if there is one yet.
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

    /// Puts a value in, unless there is one. Returns the one that is there now.
    pub(crate) fn insert(
        &self,
        id: LocalId,
        made: &Rc<dyn Any>,
    ) -> Result<Rc<dyn Any>, AccessError> {
        if let Some(first) = self.get(id)? {
            return Ok(first);
        }
        let value = made.clone();
        let table = self.table.get_or_init(Box::default);
        table.borrow_mut().live.push(Local { id, value });
        Ok(made.clone())
    }

    /// Drops everything, and what is initialised meanwhile. `fiber` is the name of the fiber, if it
    /// is one's.
    pub(crate) fn end(&self, fiber: Option<&dyn fmt::Display>) {
        while let Some(last) = self.take_last() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(last))) {
                report_panic(fiber, payload);
            }
        }
        self.ended.set(true);
    }

    /// The value that was initialised last, which is gone from now on.
    fn take_last(&self) -> Option<Local> {
        let mut table = self.table.get()?.borrow_mut();
        let last = table.live.pop()?;
        table.gone.push(last.id);
        Some(last)
    }
}

impl Drop for Locals {
    fn drop(&mut self) {
        // The state that they are part of is going: no place for user code.
        debug_assert!(self.is_empty(), "they end before what has them");
    }
}

/// Reports the panic of a destructor. A cancel is none.
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
    // The payload's destructor could panic again, and so on.
    mem::forget(cause);
}
