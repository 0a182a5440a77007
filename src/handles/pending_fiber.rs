//! [`PendingFiber`]: a fiber on its way to its hub, from any thread.

use std::sync::Arc;

use crate::cancel::Redeliver;
use crate::scheduler::{launch, registry};
use crate::shared::{
    Cancelled, FiberId, FiberRef, Mailbox, RemoteSpawn, ResultReceiver, ResultSender, Start,
    result_channel,
};

/// If it is dropped before it has arrived, its joiner is told.
pub(super) struct PendingFiber<W, T>(Option<Pending<W, T>>);

/// What arrives or is refused, once.
struct Pending<W, T> {
    fiber: FiberRef,
    sender: ResultSender<T>,
    run: fn(W) -> T,
    /// What it runs with: the user's closure.
    what: W,
}

impl<W, T> PendingFiber<W, T> {
    /// A fiber that does `run(what)` on the hub of this mailbox.
    pub(super) fn new(
        hub: &Arc<Mailbox>,
        what: W,
        run: fn(W) -> T,
    ) -> (Box<PendingFiber<W, T>>, ResultReceiver<T>) {
        let (fiber, sender, receiver) =
            result_channel(hub.clone(), FiberId::next(), None, Start::AtOnce);
        let pending = Pending {
            fiber,
            sender,
            run,
            what,
        };
        (Box::new(PendingFiber(Some(pending))), receiver)
    }

    /// Gives back what it would have run with, if it has not arrived.
    pub(super) fn take_back(mut self) -> Option<W> {
        self.0.take().map(|pending| pending.what)
    }
}

impl<W, T> RemoteSpawn for PendingFiber<W, T>
where
    W: Send + 'static,
    T: Send + 'static,
{
    fn arrive(mut self: Box<Self>) {
        let Some(pending) = self.0.take() else { return };
        if let Some(cancelled) = pending.fiber.take_cancel() {
            // It gets no stack.
            pending.refuse(cancelled);
            return;
        }
        let Some(core) = registry::local(&pending.fiber.mailbox) else {
            pending.refuse(Cancelled::because(NO_HUB));
            return;
        };
        match launch::stack(&core, None) {
            Ok(stack) => {
                let Pending {
                    fiber,
                    sender,
                    run,
                    what,
                } = pending;
                launch::launch(&core, fiber, sender, stack, false, move || run(what));
            }
            Err(e) => pending.refuse(Cancelled::because(e.to_string())),
        }
    }
}

impl<W, T> Drop for PendingFiber<W, T> {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            pending.refuse(Cancelled::because(NO_HUB));
        }
    }
}

const NO_HUB: &str = "its hub ended before it had begun";

impl<W, T> Pending<W, T> {
    fn refuse(self, cancelled: Cancelled) {
        // Where it is refused at once, its destructor may wait.
        Redeliver::default().run("the drop of a fiber's closure", || drop(self.what));
        self.sender.refuse(cancelled);
        registry::with_local(&self.fiber.mailbox, |core| core.wake_joiner(&self.fiber));
        self.fiber.tell_joiner();
    }
}
