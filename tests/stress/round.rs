//! One round: a world, a hub to run it on, a way to end, and the checks after it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::thread::panicking;
use std::time::Duration;

use switchback::prelude::*;
use switchback::{Hub, sleep, yield_now};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::time::Instant;

use crate::helper::Helper;
use crate::ledger::Owner;
use crate::program::Cx;
use crate::show::Shows;
use crate::tally::{Op, Tally};
use crate::wakers;
use crate::world::{Rules, World, splitmix};

/// What has the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// A runtime, on which it was made on first need.
    Runtime,
    /// `Hub::run_until`.
    RunUntil,
    /// `Hub::run_until`, dropped before it is done.
    RunUntilDropped,
    /// `HubBuilder::run`.
    Run,
}

/// Virtual time in which everything that has to end must have ended.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a round came to.
pub(crate) struct Outcome {
    pub(crate) trace: u64,
    pub(crate) faults: Vec<String>,
}

/// Plays one round of about `operations` operations.
pub(crate) fn play(
    seed: u64,
    operations: u32,
    tally: &Rc<RefCell<Tally>>,
    helper: &Rc<Helper>,
    shows: &Rc<Shows>,
) -> Outcome {
    let mut state = seed;
    let mut below = |n: u64| splitmix(&mut state) % n;
    let host = [
        Host::Runtime,
        Host::Runtime,
        Host::Runtime,
        Host::RunUntil,
        Host::RunUntilDropped,
        Host::Run,
    ][below(6) as usize];
    let end = match (host, below(6)) {
        (Host::RunUntilDropped, _) => Op::EndRunUntilDropped,
        (_, 0 | 1) => Op::EndGraceful,
        (_, 2) => Op::EndCancelAll,
        (Host::Runtime, 3) => Op::EndClose,
        (Host::Runtime, 4) => Op::EndCloseWithin,
        (Host::Runtime, _) => Op::EndRuntimeDropped,
        (Host::RunUntil, _) => Op::EndRunUntil,
        (Host::Run, 3) => Op::EndRun,
        (Host::Run, _) => Op::EndRootCloses,
    };
    let abrupt = matches!(end, Op::EndRuntimeDropped | Op::EndRunUntilDropped);
    let rules = Rules {
        bare_waits_in_drop: below(3) != 0,
        brutal: abrupt && below(4) == 0,
        nests: matches!(end, Op::EndGraceful | Op::EndCancelAll),
    };
    let world = World::new(
        splitmix(&mut state),
        operations,
        rules,
        tally.clone(),
        helper.clone(),
        shows.clone(),
    );
    wakers::set_world(&world);
    world.hit(0, end);
    match host {
        Host::Runtime => {
            let runtime = runtime();
            runtime.block_on(control(world.clone(), end));
            world.ended.set(abrupt);
            drop(runtime);
        }
        Host::RunUntil => {
            let runtime = runtime();
            runtime.block_on(async {
                Hub::run_until(control(world.clone(), end)).await;
                world.stop.set(true);
                abort_tasks(&world);
                all_end(&world, "the end of `run_until`").await;
            });
        }
        Host::RunUntilDropped => {
            let runtime = runtime();
            runtime.block_on(async {
                let mut driven = Box::pin(Hub::run_until(control(world.clone(), end)));
                let _ = tokio::time::timeout(Duration::from_secs(3), &mut driven).await;
                world.ended.set(true);
                drop(driven);
                tokio::task::yield_now().await;
                world.stop.set(true);
                abort_tasks(&world);
                sleep(Duration::from_millis(5)).await;
            });
        }
        Host::Run => {
            let inner = world.clone();
            let result = Hub::builder().run(move || {
                tokio::time::pause();
                let cx = Cx::outside(&inner);
                (0..inner.below(3)).for_each(|_| cx.strike(Op::RuntimeInRoot));
                control(inner.clone(), end).wait();
            });
            if let Err(error) = result {
                world.fault(format!("the root fiber was cancelled: {error}"));
            }
            if !unended(&world).is_empty() {
                world.fault("`run` returned before its fibers had ended");
            }
        }
    }
    check(&world);
    if !world.ledger.is_faultless() {
        world.fault(format!("that was a round of {host:?}, {end:?}, {rules:?}"));
    }
    Outcome {
        trace: world.trace(),
        faults: world.ledger.take_faults(),
    }
}

fn runtime() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .expect("a runtime can be made")
}

/// Keeps the round going until its operations are used up, then ends it.
async fn control(world: Rc<World>, end: Op) {
    drive(&world, end).await;
    watch(&world);
}

async fn drive(world: &Rc<World>, end: Op) {
    let cx = Cx::outside(world);
    let hub = Hub::current();
    world.runtime.set(Some(hub.runtime().id()));
    world.hub.replace(Some(hub.handle()));
    for _ in 0..world.below(5) + 2 {
        cx.spawn_into_pool();
    }
    while world.spend() {
        cx.poke();
        match world.below(6) {
            0 => yield_now().await,
            1 => tokio::task::yield_now().await,
            n => sleep(Duration::from_millis(n - 1)).await,
        }
    }
    match end {
        Op::EndGraceful => {
            world.stop.set(true);
            open_the_doors(world);
            all_end(world, "every wait was answered").await;
        }
        Op::EndCancelAll => {
            world.stop.set(true);
            abort_tasks(world);
            let actors = world.books.borrow().len();
            (0..actors).for_each(|actor| cx.cancel(actor));
            if !left_after_a_while(world).await.is_empty() && panicking() {
                // A stack was abandoned while it unwound: the cancels are put off until the runtime ends.
                world.ended.set(true);
            } else {
                all_end(world, "all were cancelled").await;
            }
        }
        Op::EndClose => {
            world.closing.set(true);
            world.operations_left.set(world.below(80) as u32);
            close(world).await;
            abort_tasks(world);
            all_end(world, "the close").await;
        }
        Op::EndCloseWithin => {
            world.closing.set(true);
            world.operations_left.set(world.below(80) as u32);
            let within = Hub::current().close_within(Duration::from_millis(world.below(4)));
            let expected = match within.await {
                Ok(()) => true,
                Err(late) => !late.fibers().is_empty(),
            };
            if !expected {
                world.fault("`close_within` was late and named nobody");
            }
            while world.spend() {
                cx.poke();
            }
            close(world).await;
            abort_tasks(world);
            all_end(world, "the close").await;
        }
        Op::EndRootCloses => {
            world.closing.set(true);
            world.operations_left.set(world.below(80) as u32);
            close(world).await;
            abort_tasks(world);
            all_end(world, "the root's close").await;
        }
        Op::EndRunUntilDropped => {
            world.operations_left.set(world.below(40) as u32);
            sleep(PATIENCE).await;
        }
        Op::EndRuntimeDropped => world.operations_left.set(world.below(40) as u32),
        // What is left is closed by `run` and `run_until`.
        _ => {
            world.closing.set(true);
            world.operations_left.set(world.below(80) as u32);
            abort_tasks(world);
            yield_now().await;
        }
    }
}

async fn close(world: &Rc<World>) {
    if world.chance(40) {
        Cx::outside(world).hostile_close();
    }
    let deadline = Instant::now() + PATIENCE;
    let closed = tokio::time::timeout_at(deadline, Hub::current().close()).await;
    // The deadline wakes it too: then nobody else has.
    if closed.is_err() || Instant::now() >= deadline {
        let left = unended(world);
        world.fault(format!("the hub does not close: {}", left.join("; ")));
    }
    let cancels = |handle: &switchback::FiberHandle| handle.cancel();
    let handles: Vec<_> = {
        let books = world.books.borrow();
        books.iter().filter_map(|b| b.handle.clone()).collect()
    };
    if handles.iter().any(cancels) {
        world.fault("a fiber outlived the close of its hub");
    }
}

/// Ends the process if the hub does not end its fibers after this: nobody is
/// there who could look.
fn watch(world: &Rc<World>) {
    let watched = world.clone();
    tokio::task::spawn_local(async move {
        sleep(PATIENCE).await;
        for fault in watched.ledger.take_faults() {
            eprintln!("{fault}");
        }
        eprintln!("these do not end: {}", unended(&watched).join("; "));
        std::process::exit(3);
    });
}

/// Lets every wait be over by itself, once.
fn open_the_doors(world: &World) {
    let senders: Vec<_> = {
        let mut channels = world.channels.borrow_mut();
        channels.iter_mut().map(|c| c.sender.take()).collect()
    };
    drop(senders);
    drop(world.oneshots.take());
    drop(world.remote_oneshots.take());
    world.semaphore.close();
    world.notify.notify_waiters();
    let books = world.books.borrow();
    books
        .iter()
        .filter_map(|book| book.handle.as_ref())
        .for_each(|handle| handle.unpark());
    drop(books);
    for (actor, fiber) in &*world.pool.borrow() {
        world.with_book(*actor, |book| book.started = true);
        fiber.start();
    }
}

fn abort_tasks(world: &World) {
    for task in world.tasks.take() {
        task.abort();
    }
}

/// Waits until every actor has ended. The clock is virtual: when nothing can go
/// on any more, its time is over at once.
async fn all_end(world: &World, after: &str) {
    let left = left_after_a_while(world).await;
    if !left.is_empty() {
        let left = left.join("; ");
        world.fault(format!("after {after} these did not end: {left}"));
    }
}

async fn left_after_a_while(world: &World) -> Vec<String> {
    for pause in [1, 10, 100, 1000, 10_000, 100_000] {
        if unended(world).is_empty() {
            break;
        }
        if world.closing.get() {
            // What ended meanwhile may have made more of them.
            abort_tasks(world);
        }
        sleep(Duration::from_millis(pause)).await;
    }
    unended(world)
}

/// Those who should have ended and have not.
fn unended(world: &World) -> Vec<String> {
    let lost: Vec<_> = (0..world.books.borrow().len())
        .map(|actor| world.is_lost(actor))
        .collect();
    let books = world.books.borrow();
    let all = books.iter().enumerate().zip(lost);
    all.filter(|((_, book), lost)| {
        let alive = book.handle.as_ref().is_some_and(|h| h.is_alive());
        (!book.ended || alive) && !lost
    })
    .map(|((actor, book), _)| format!("{actor}: {book:?}"))
    .collect()
}

/// From here on, hostile wakers behave.
fn disarm(world: &World) {
    world
        .hostiles
        .borrow()
        .iter()
        .for_each(|hostile| hostile.arm(false));
}

/// Everything is over: the objects must be gone or accounted for.
fn check(world: &Rc<World>) {
    for _ in 0..world.remote_joins.get() {
        match world.helper.joined() {
            Some(_) => {}
            None => world.fault("a join on another thread hangs"),
        }
    }
    let cx = Cx::outside(world);
    if world.chance(20) {
        cx.flood();
    }
    let kept = world.kept.take();
    if world.chance(50) {
        disarm(world);
    }
    drop(kept);
    disarm(world);
    let counts = &world.flood;
    let [taken, ran] = [&counts.taken, &counts.ran].map(|count| count.load(Ordering::SeqCst));
    // A hub that waits for what unwinds for ever is ended by force.
    if world.closing.get() && world.unwound.get() == 0 && taken != ran {
        world.fault(format!("of {taken} callbacks that were taken, {ran} ran"));
    }
    drop(world.oneshots.take());
    drop(world.remote_oneshots.take());
    let mut abandoned = 0;
    let actors = world.books.borrow().len();
    for actor in 0..actors {
        let lost = world.is_abandoned(actor);
        // The end of a scope is excused by a child that is lost.
        let childless = (0..actors).all(|child| {
            world.with_book(child, |book| book.holder) != Some(actor) || !world.is_lost(child)
        });
        let excused = world.with_book(actor, |book| {
            let ambient = world.unwound.get() > 0;
            book.is_bridge
                || book.under_bridge
                || book.in_drop > 0
                || book.told_of_end
                || (book.scope_ends > 0 && !childless)
                || ambient
        });
        if lost {
            abandoned += 1;
            if !excused {
                let book = world.with_book(actor, |book| format!("{book:?}"));
                world.fault(format!("{actor} was abandoned at its first wait: {book}"));
            }
        }
        if world.ended.get() && (lost || world.chance(10)) {
            cx.cancel(actor);
        }
    }
    for (actor, fiber) in world.pool.take() {
        cx.join_now(actor, fiber);
    }
    let channels = {
        let mut channels = world.channels.borrow_mut();
        channels
            .iter_mut()
            .map(|c| (c.sender.take(), c.receiver.take()))
            .collect::<Vec<_>>()
    };
    for (index, (sender, receiver)) in channels.into_iter().enumerate() {
        drop(sender);
        let Some(mut receiver) = receiver else {
            continue;
        };
        let mut left = 0;
        while receiver.try_recv().is_ok() {
            left += 1;
        }
        let channels = world.channels.borrow();
        let channel = &channels[index];
        if channel.received + left != channel.sent {
            world.fault(format!(
                "{} messages were sent, {} received, {left} are left",
                channel.sent, channel.received
            ));
        }
    }
    let mut excused = [0, 0];
    for (owner, line) in world.ledger.left() {
        if !world.excuses(owner) {
            let lost: Vec<_> = (0..actors).filter(|actor| world.is_lost(*actor)).collect();
            let book = match owner {
                Owner::Stack(actor) | Owner::Result(actor) => {
                    world.with_book(actor, |book| format!("{book:?}"))
                }
                _ => String::new(),
            };
            world.fault(format!(
                "an object made in line {line} was leaked: {owner:?} {book}; lost are {lost:?}"
            ));
        }
        let forgotten = match owner {
            Owner::Result(actor) => world.with_book(actor, |book| book.forgotten),
            Owner::Stack(actor) => !world.is_abandoned(actor),
            _ => false,
        };
        excused[usize::from(forgotten)] += 1;
    }
    let mut tally = world.tally.borrow_mut();
    tally.rounds += 1;
    tally.objects += world.ledger.created() as u64;
    tally.actors += actors as u64;
    tally.abandoned += abandoned;
    tally.on_abandoned += excused[0];
    tally.forgotten += excused[1];
}
