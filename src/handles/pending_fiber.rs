//! [`PendingFiber`]: a fiber on its way to its hub.

use std::sync::Arc;

use crate::cancel::Redeliver;
use crate::current::heritage::{self, SentInherited};
use crate::scheduler::launch::{self, Settings};
use crate::scheduler::registry;
use crate::shared::{
    Cancelled, FiberId, FiberRef, Mailbox, Origin, RemoteSpawn, ResultReceiver, ResultSender,
    Start, result_channel,
};

/// A fiber on its way to its hub. Dropping it before it has arrived refuses it and tells its
/// joiner.
pub(crate) struct PendingFiber<W, T>(Option<Pending<W, T>>);

/// The fiber, which arrives or is refused once.
struct Pending<W, T> {
    fiber: FiberRef,
    sender: ResultSender<T>,
    inherited: SentInherited,
    settings: Settings,
    /// Whether it waits in the queue of a pool, and so needs room on its hub.
    is_counted: bool,
    run: fn(W) -> T,
    /// The argument of `run`, which holds the user's closure.
    what: W,
}

impl<W, T> PendingFiber<W, T> {
    /// Creates a fiber that runs `run(what)` on the hub of this mailbox, or on a hub of this pool.
    pub(crate) fn new(
        home: &Arc<Mailbox>,
        mut settings: Settings,
        origin: Origin,
        what: W,
        run: fn(W) -> T,
    ) -> (Box<PendingFiber<W, T>>, ResultReceiver<T>) {
        let name = settings.name.take().map(String::into_boxed_str);
        let (fiber, sender, receiver) =
            result_channel(home.clone(), FiberId::next(), name, Start::AtOnce, origin);
        let pending = Pending {
            fiber,
            sender,
            inherited: heritage::inherit_sent(),
            settings,
            is_counted: home.pool_queue().is_some(),
            run,
            what,
        };
        (Box::new(PendingFiber(Some(pending))), receiver)
    }

    /// Returns `what`, if the fiber has not arrived.
    pub(crate) fn take_back(mut self) -> Option<W> {
        self.0.take().map(|pending| pending.what)
    }
}

impl<W, T> RemoteSpawn for PendingFiber<W, T>
where
    W: Send + 'static,
    T: Send + 'static,
{
    fn arrive(mut self: Box<Self>) -> Option<FiberRef> {
        let pending = self.0.take()?;
        if let Some(cancelled) = pending.fiber.take_cancel() {
            // A cancelled fiber gets no stack.
            pending.refuse(cancelled);
            return None;
        }
        let Some(core) = registry::local(pending.fiber.mailbox()) else {
            pending.refuse(Cancelled::because(NO_HUB));
            return None;
        };
        match launch::stack(&core, pending.settings.stack_size) {
            Ok(stack) => {
                let Pending {
                    fiber,
                    sender,
                    inherited,
                    settings,
                    is_counted,
                    run,
                    what,
                } = pending;
                let counted = is_counted.then(|| core.count_taken(fiber.id()));
                let body = move || {
                    let _counted = counted;
                    run(what)
                };
                let measure = settings.measure_stack;
                Some(launch::launch_sent(
                    &core,
                    fiber,
                    sender,
                    stack,
                    measure,
                    inherited.arrive(),
                    body,
                ))
            }
            Err(e) => {
                pending.refuse(Cancelled::because(e.to_string()));
                None
            }
        }
    }

    fn give_to(&self, hub: &Arc<Mailbox>) {
        if let Some(pending) = &self.0 {
            pending.fiber.give_to(hub);
        }
    }
}

impl<W, T> Drop for PendingFiber<W, T> {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            let cancelled = pending.fiber.take_cancel();
            pending.refuse(cancelled.unwrap_or_else(|| Cancelled::because(NO_HUB)));
        }
    }
}

const NO_HUB: &str = "its hub ended before it had begun";

impl<W, T> Pending<W, T> {
    fn refuse(self, cancelled: Cancelled) {
        // Where the fiber is refused at once, the destructor may wait.
        Redeliver::default().run("the drop of a fiber's closure", || drop(self.what));
        self.sender.refuse(cancelled);
        registry::with_local(self.fiber.mailbox(), |core| core.wake_joiner(&self.fiber));
        self.fiber.tell_joiner();
    }
}
