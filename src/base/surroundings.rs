//! [`Surroundings`]: the executors whose frames are on a stack.
//!
//! *Nesting Invariant*: no code that keeps a last-in first-out pointer of the thread is on a stack
//! when that stack suspends. Tokio keeps several such pointers: to its scheduler, the current
//! runtime, and the task that is polled or dropped. The executor of the `futures` crate keeps one
//! too. Each is set for the duration of a call and restored at its end. If the stack suspended
//! during the call and other stacks ran, the restored pointer would be wrong or dangling.
//!
//! The executors that a stack finds on the thread when it is resumed have their frames below it,
//! and these frames stay while the stack runs. Each resume therefore records what can be asked
//! about the executors, and a wait that finds a different answer is refused:
//!
//! | what is asked | which calls on the stack it detects |
//! |---|---|
//! | the task's id | tokio polls a task, or drops a task or its output. This includes the drop or shutdown of a runtime or a `LocalSet`, on whichever stack that is done |
//! | whether an executor of `futures` runs | its `block_on` |
//! | the runtime that is current | `block_on` and the shutdown of another runtime, `Handle::enter` |
//! | whether that runtime is driven on the thread | its `block_on`, if the stack was resumed outside of it |
//!
//! In a task of a current-thread runtime, tokio itself refuses every `block_on`, and tells its task's
//! id. There a wait checks the first two before it begins, and the runtime, which costs more to ask
//! for, only when it is about to suspend. (Most yields do not ask for it: see
//! `StackState::yields_in_other_runtime`.)

use std::cell::Cell;

use tokio::runtime;
use tokio::task;

use super::executors::{current_runtime, in_futures_executor, is_driven};

/// What the thread reports about the executors on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    task: Option<task::Id>,
    in_futures_executor: bool,
    runtime: Runtime,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runtime {
    /// A task of a current-thread runtime resumes the stack, so this is not asked.
    #[default]
    Unasked,
    Current {
        id: Option<runtime::Id>,
        /// Whether a runtime is current which is not driven on the thread. Code may then call that
        /// runtime's `block_on`.
        is_idle: bool,
    },
}

impl Surroundings {
    /// Returns the surroundings in a task of a current-thread runtime.
    pub(crate) fn in_task() -> Surroundings {
        Surroundings {
            task: task::try_id(),
            in_futures_executor: in_futures_executor(),
            runtime: Runtime::Unasked,
        }
    }

    /// Returns whether they are those of a task of a current-thread runtime.
    pub(crate) fn are_in_task(&self) -> bool {
        matches!(self.runtime, Runtime::Unasked)
    }

    /// Returns the surroundings anywhere. `last` is where the same task resumed the stack before.
    pub(crate) fn anywhere(last: Option<Surroundings>) -> Surroundings {
        let now = Surroundings::in_task();
        let id = current_runtime();
        // The same task is asked again only where a `block_on` could be refused by mistake.
        let was_driven = last.is_some_and(|last| {
            let driven = Runtime::Current { id, is_idle: false };
            last.runtime == driven && last.task == now.task
        });
        let is_idle = id.is_some() && !was_driven && !is_driven();
        Surroundings {
            runtime: Runtime::Current { id, is_idle },
            ..now
        }
    }
}

/// The surroundings in which a stack was resumed last.
#[derive(Debug, Default)]
pub(crate) struct ResumedIn {
    // These are separate cells, because each wait compares them.
    task: Cell<Option<task::Id>>,
    in_futures_executor: Cell<bool>,
    runtime: Cell<Runtime>,
}

impl ResumedIn {
    pub(crate) fn get(&self) -> Surroundings {
        Surroundings {
            task: self.task.get(),
            in_futures_executor: self.in_futures_executor.get(),
            runtime: self.runtime.get(),
        }
    }

    pub(crate) fn set(&self, surroundings: Surroundings) {
        self.task.set(surroundings.task);
        self.in_futures_executor
            .set(surroundings.in_futures_executor);
        self.runtime.set(surroundings.runtime);
    }

    /// Returns whether the running code is still in these surroundings: since the resume, it has
    /// not entered or left an executor on its stack.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.task.get() == task::try_id()
            && self.in_futures_executor.get() == in_futures_executor()
            && (matches!(self.runtime.get(), Runtime::Unasked) || self.is_runtime_here())
    }

    /// Returns whether the current task is still the one that it was.
    pub(crate) fn is_same_task(&self) -> bool {
        self.task.get() == task::try_id()
    }

    /// Returns whether the stack was resumed by a task of a current-thread runtime.
    #[inline]
    pub(crate) fn is_in_task(&self) -> bool {
        matches!(self.runtime.get(), Runtime::Unasked)
    }

    #[cold]
    fn is_runtime_here(&self) -> bool {
        match self.runtime.get() {
            Runtime::Unasked => true,
            Runtime::Current { id, is_idle } => {
                id == current_runtime() && !(is_idle && is_driven())
            }
        }
    }
}
