//! [`Surroundings`]: the executors whose frames are on a stack.
//!
//! *Nesting Invariant*: nothing that keeps a last-in first-out pointer of the thread is on a stack
//! when that stack suspends. Tokio keeps several (to its scheduler, the current runtime, the task
//! that is polled or dropped), and so does the executor of the `futures` crate; each is set for the
//! time of a call, and put back at its end. If the stack suspended in between, and others ran, what is
//! put back would be theirs, or gone.
//!
//! What a stack finds when it is resumed is beneath it and stays. So each resume notes what can be
//! asked, and a wait that finds something else is refused:
//!
//! | what is asked | which calls on the stack it tells |
//! |---|---|
//! | the task's id | tokio polls a task, or drops one or its output: also in the drop or the shutdown of a runtime or a `LocalSet`, on whatever stack that is done |
//! | whether an executor of `futures` runs | its `block_on` |
//! | the runtime that is current | `block_on` and the shutdown of another runtime, `Handle::enter` |
//! | whether a scheduler is on the thread | `block_on` of the runtime that is current, where the stack was resumed outside of it |
//!
//! In a task of a current-thread runtime, tokio itself refuses every `block_on`, and tells its task's
//! id. So there the first two suffice but for one thing, which costs more to ask than it is worth: see
//! SECURITY.md on wakers that wait.

use std::cell::Cell;

use tokio::runtime;
use tokio::task;

use super::executors::{current_runtime, in_futures_executor, inside_scheduler};

/// What the thread tells of the executors that are on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    task: Option<task::Id>,
    in_futures_executor: bool,
    runtime: Runtime,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runtime {
    /// The stack is resumed by a task of a current-thread runtime.
    #[default]
    Unasked,
    Current {
        id: Option<runtime::Id>,
        /// A runtime is current, but its scheduler is not on the thread, so that its own `block_on`
        /// may be called.
        is_idle: bool,
    },
}

impl Surroundings {
    /// In a task of a current-thread runtime.
    pub(crate) fn in_task() -> Surroundings {
        Surroundings {
            task: task::try_id(),
            in_futures_executor: in_futures_executor(),
            runtime: Runtime::Unasked,
        }
    }

    /// Anywhere. `last` is where the stack was resumed before, by the same task.
    pub(crate) fn anywhere(last: Option<Surroundings>) -> Surroundings {
        let now = Surroundings::in_task();
        let id = current_runtime();
        let is_idle = match last {
            Some(Surroundings {
                runtime:
                    Runtime::Current {
                        id: before,
                        is_idle,
                    },
                task,
                ..
            }) if before == id && task == now.task => is_idle,
            _ => id.is_some() && !inside_scheduler(),
        };
        Surroundings {
            runtime: Runtime::Current { id, is_idle },
            ..now
        }
    }
}

/// Where a stack was resumed last.
#[derive(Debug, Default)]
pub(crate) struct ResumedIn {
    // Apart, since each wait compares them.
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

    /// Whether the code that runs is still there: no executor was entered since, or ends, on its
    /// stack.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.task.get() == task::try_id()
            && self.in_futures_executor.get() == in_futures_executor()
            && (matches!(self.runtime.get(), Runtime::Unasked) || self.is_runtime_here())
    }

    #[cold]
    fn is_runtime_here(&self) -> bool {
        match self.runtime.get() {
            Runtime::Unasked => true,
            Runtime::Current { id, is_idle } => {
                id == current_runtime() && !(is_idle && inside_scheduler())
            }
        }
    }
}
