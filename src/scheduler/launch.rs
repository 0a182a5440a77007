//! Puts fibers into the table of their hub.

use std::io;
use std::rc::Rc;

use super::NoHub;
use crate::current::body;
use crate::current::heritage::{self, Inherited};
use crate::hub::{Children, Core, Entry};
use crate::shared::{
    FiberId, FiberRef, LocalPhase, Origin, Phase, ResultReceiver, ResultSender, Start, Uncounted,
};
use crate::stack::Stack;
use crate::switch::Coroutine;

/// The settings of a fiber.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) measure_stack: bool,
}

/// Makes a fiber on this hub, and starts it if `start` says so.
#[inline(always)]
pub(crate) fn spawn<F, T>(
    core: &Rc<Core>,
    settings: Settings,
    start: Start,
    origin: Origin,
    f: F,
) -> io::Result<ResultReceiver<T>>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    // First, because it runs the user's code, which may close the hub.
    let inherited = heritage::inherit();
    let stack = stack(core, settings.stack_size)?;
    let name = settings.name.map(String::into_boxed_str);
    let (fiber, sender, receiver) = channel(core, core.ids.next(), name, start, origin);
    launch(
        core,
        fiber,
        sender,
        stack,
        settings.measure_stack,
        inherited,
        f,
    );
    Ok(receiver)
}

/// Returns a stack for a new fiber of the hub.
#[inline(always)]
pub(crate) fn stack(core: &Core, size: Option<usize>) -> io::Result<Stack> {
    if !core.takes_fibers() {
        return Err(io::Error::other(NoHub::Ended.to_string()));
    }
    core.take_stack(size)
}

/// Creates a fiber of the hub and the two sides of its result.
#[inline(always)]
pub(crate) fn channel<T>(
    core: &Core,
    id: FiberId,
    name: Option<Box<str>>,
    start: Start,
    origin: Origin,
) -> (FiberRef, ResultSender<T>, ResultReceiver<T>) {
    let recycler = &core.recycler;
    recycler.result_channel(&core.mailbox, id, name, start, origin)
}

/// Launches a new fiber that runs `f`, and queues it if it was started.
#[inline(always)]
fn launch<F, T>(
    core: &Rc<Core>,
    fiber: FiberRef,
    sender: ResultSender<T>,
    stack: Stack,
    measure: bool,
    inherited: Inherited,
    f: F,
) where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    begin(core, &fiber, &stack, measure);
    let coroutine = Coroutine::new(stack, body::body(core, sender, inherited, f));
    enter(core, fiber, coroutine, None);
}

/// Like [`launch`], for a fiber from another thread. Returns it, to be queued or begun.
pub(crate) fn launch_sent<F, T>(
    core: &Rc<Core>,
    fiber: FiberRef,
    sender: ResultSender<T>,
    stack: Stack,
    measure: bool,
    inherited: Inherited,
    f: F,
) -> FiberRef
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    begin(core, &fiber, &stack, measure);
    let coroutine = Coroutine::new(stack, body::body(core, sender, inherited, f));
    let added = add(core, fiber, coroutine, None);
    FiberRef::clone(&added)
}

/// Prepares for a fiber to begin on this stack.
#[inline]
pub(crate) fn begin(core: &Core, fiber: &FiberRef, stack: &Stack, measure: bool) {
    if measure || core.config.measure_stacks {
        core.depths.begin(fiber, stack);
    }
    fiber.note_stack(&core.token, stack);
}

/// Puts a fiber with its coroutine into the table, and queues it if it was started. Before a fiber
/// leaves the table, it was run, if only to drop its closure, or was left for ever.
#[inline(always)]
pub(crate) fn enter(
    core: &Rc<Core>,
    fiber: FiberRef,
    coroutine: Coroutine,
    children: Option<Rc<Children>>,
) {
    let added = add(core, fiber, coroutine, children);
    if added.phase() == Phase::Started {
        core.start(&added);
    }
}

/// Puts a fiber with its coroutine into the table.
#[inline(always)]
fn add(
    core: &Core,
    fiber: FiberRef,
    coroutine: Coroutine,
    children: Option<Rc<Children>>,
) -> Uncounted {
    let added = fiber.lend();
    let (part, cold) = added.hub_parts(&core.token);
    part.coroutine.put(coroutine);
    part.phase.set(LocalPhase::New);
    cold.slot.set(core.table.add(Entry { fiber, children }));
    if let Some(trial) = core.trial() {
        trial.add(cold.slot.get(), added.given_name());
    }
    added
}
