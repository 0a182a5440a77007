//! [`PendingFiber`]: a fiber on its way to its hub.

use std::sync::Arc;

use crate::cancel::Redeliver;
use crate::current::ambient::{self, Inherited};
use crate::scheduler::{launch, registry};
use crate::shared::{
    Cancelled, FiberId, FiberRef, Mailbox, RemoteSpawn, ResultReceiver, ResultSender, Start,
    result_channel,
};

/// A fiber on its way to its hub. Dropping it before it has arrived refuses it and tells its
/// joiner.
pub(super) struct PendingFiber<W, T>(Option<Pending<W, T>>);

/// The fiber, which arrives or is refused once.
struct Pending<W, T> {
    fiber: FiberRef,
    sender: ResultSender<T>,
    inherited: Inherited,
    run: fn(W) -> T,
    /// The argument of `run`, which holds the user's closure.
    what: W,
}

impl<W, T> PendingFiber<W, T> {
    /// Creates a fiber that runs `run(what)` on the hub of this mailbox.
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
            inherited: ambient::inherit(),
            run,
            what,
        };
        (Box::new(PendingFiber(Some(pending))), receiver)
    }

    /// Returns `what`, if the fiber has not arrived.
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
            // A cancelled fiber gets no stack.
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
                    inherited,
                    run,
                    what,
                } = pending;
                let body = move || run(what);
                launch::launch(&core, fiber, sender, stack, false, inherited, body);
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
        // Where the fiber is refused at once, the destructor may wait.
        Redeliver::default().run("the drop of a fiber's closure", || drop(self.what));
        self.sender.refuse(cancelled);
        registry::with_local(&self.fiber.mailbox, |core| core.wake_joiner(&self.fiber));
        self.fiber.tell_joiner();
    }
}
