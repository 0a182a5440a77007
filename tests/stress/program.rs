//! The random program that each actor runs, and what is checked around each step.

use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread::panicking;
use std::time::Duration;

use switchback::prelude::*;
use switchback::{
    Builder, Cancelled, Elapsed, Fiber, FiberDump, FiberState, Hub, JoinError, bridge,
    catch_cancel, check_cancelled, current_fiber, park, scope, shield, sleep, with_timeout,
    yield_now,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::helper::Job;
use crate::ledger::{Counted, Owner, Payload};
use crate::show::Stage;
use crate::tally::{Op, State};
use crate::world::{Book, Waiting, World};
use crate::{ends, floods, forgotten, runtimes, wakers};

/// What the driver cancels with, to tell its cancels from those of the library.
pub(crate) const MESSAGE: &str = "by the driver";

/// What async code has for a number.
const NOBODY: usize = usize::MAX;

const MAX_DEPTH: u32 = 4;

/// What an actor returns.
pub(crate) struct Output {
    /// Dropped first: if it is lost in its wait, the token is lost with it.
    _waits: Option<WaitsInDrop>,
    token: Counted,
}

/// An actor, or async code, seen by itself.
#[derive(Clone)]
pub(crate) struct Cx {
    pub(crate) world: Rc<World>,
    me: usize,
}

/// What an actor's closure captures. Dropped with it, on the actor's own stack.
struct Body {
    cx: Cx,
    _token: Counted,
}

impl Drop for Body {
    fn drop(&mut self) {
        let here = current_fiber().map(|fiber| fiber.id());
        let own = self.cx.book(|book| {
            book.ended = true;
            book.handle.as_ref().map(|handle| handle.id())
        });
        if own.is_some() && own != here {
            self.cx.world.fault(format!(
                "the closure of actor {} was dropped on another stack",
                self.cx.me
            ));
        }
    }
}

/// How a destructor waits.
#[derive(Clone, Copy, Debug)]
enum Style {
    Bare,
    Try,
    Timeout,
}

/// Waits when it is dropped.
struct WaitsInDrop {
    cx: Cx,
    style: Style,
    duration: Duration,
    /// It is part of a result, and may be dropped by anybody.
    in_result: bool,
    _token: Counted,
}

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        if wakers::is_back_in() {
            // A waker cannot wait.
            return;
        }
        let owner = if self.in_result {
            match Cx::running(&self.cx.world) {
                Some(cx) => cx,
                // Async code, which cannot wait; or a bridge.
                None => return,
            }
        } else {
            self.cx.clone()
        };
        let cx = &owner;
        if cx.me != self.cx.me {
            self.cx.book(|book| book.holder = Some(cx.me));
        }
        if panicking() {
            cx.hit(Op::UnwindingWait);
            // Nothing may come of it: it would be a second unwind.
            check_cancelled();
        }
        cx.book(|book| book.in_drop += 1);
        let _leave = defer(|| cx.book(|book| book.in_drop -= 1));
        match self.style {
            Style::Bare => {
                cx.hit(Op::WaitInDrop);
                cx.wait(sleep(self.duration));
            }
            Style::Try => {
                cx.hit(Op::TryWaitInDrop);
                let _ = cx.wait_or_cancelled(sleep(self.duration));
            }
            Style::Timeout => {
                cx.hit(Op::WaitTimeoutInDrop);
                let _ = cx.wait_timeout(sleep(self.duration), Duration::from_millis(3));
            }
        }
    }
}

impl Cx {
    pub(crate) fn outside(world: &Rc<World>) -> Cx {
        Cx {
            world: world.clone(),
            me: NOBODY,
        }
    }

    /// The actor whose fiber is running, if one is.
    fn running(world: &Rc<World>) -> Option<Cx> {
        let id = current_fiber()?.id();
        let books = world.books.borrow();
        let is_it = |book: &Book| book.handle.as_ref().is_some_and(|h| h.id() == id);
        let me = books.iter().rposition(is_it)?;
        let world = world.clone();
        Some(Cx { world, me })
    }

    /// Whether it is an actor, not async code.
    pub(crate) fn is_actor(&self) -> bool {
        self.me != NOBODY
    }

    /// Whether its stack is ended by force when a bridge is dropped.
    pub(crate) fn is_under_bridge(&self) -> bool {
        self.is_actor() && self.book(|book| book.is_bridge || book.under_bridge)
    }

    fn book<R>(&self, f: impl FnOnce(&mut Book) -> R) -> R {
        self.world.with_book(self.me, f)
    }

    pub(crate) fn hit(&self, op: Op) {
        self.world.hit(self.me, op);
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        self.world.below(n)
    }

    pub(crate) fn millis(&self, n: u64) -> Duration {
        Duration::from_millis(self.below(n) + 1)
    }

    pub(crate) fn owner(&self) -> Owner {
        match self.me {
            NOBODY => Owner::Nobody,
            me => Owner::Stack(me),
        }
    }

    #[track_caller]
    pub(crate) fn token(&self) -> Counted {
        self.world.ledger.count(self.owner())
    }

    fn holder(&self) -> Option<usize> {
        self.is_actor().then_some(self.me)
    }

    /// A new actor, held by this one, and what its closure captures.
    fn enroll(&self, book: Book) -> Body {
        let under_bridge = match self.me {
            NOBODY => false,
            _ => self.book(|book| book.is_bridge || book.under_bridge),
        };
        let me = self.world.enroll(Book {
            holder: self.holder(),
            under_bridge,
            ..book
        });
        let cx = Cx {
            world: self.world.clone(),
            me,
        };
        let _token = cx.token();
        Body { cx, _token }
    }
}

/// Waiting, and what must hold about it.
impl Cx {
    /// `.wait()`
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        let mark = self.begin_wait(true);
        let output = future.wait();
        mark.went_on();
        output
    }

    /// `.wait()` for a future that runs fibers or a bridge when it is polled.
    pub(crate) fn wait_busy<F: Future>(&self, future: F) -> F::Output {
        let mark = self.begin_wait(true);
        self.book(|book| {
            book.waiting
                .iter_mut()
                .for_each(|waiting| waiting.busy = true)
        });
        let output = future.wait();
        mark.went_on();
        output
    }

    fn wait_timeout<F: Future>(&self, future: F, d: Duration) -> Result<F::Output, Elapsed> {
        let mark = self.begin_wait(true);
        let output = future.wait_timeout(d);
        mark.went_on();
        if let Err(elapsed) = &output {
            self.refused(&elapsed.to_string());
        }
        output
    }

    fn wait_until<F: Future>(&self, future: F, at: Instant) -> Result<F::Output, Elapsed> {
        let mark = self.begin_wait(true);
        let output = future.wait_until(at);
        mark.went_on();
        output
    }

    fn wait_or_cancelled<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        let mark = self.begin_wait(false);
        let output = future.wait_or_cancelled();
        mark.went_on();
        if let Err(cancelled) = &output {
            self.hit(Op::TryWaitCancelled);
            let ended = self.world.ended.get();
            self.book(|book| book.told_of_end |= ended);
            self.refused(cancelled.message().unwrap_or_default());
            self.saw(cancelled);
        }
        output
    }

    /// A wait that the library must refuse, unless it has an interrupt to return. (A bare one
    /// would leave the stack, and whatever is entered on it, if the hub is ended by force.)
    pub(crate) fn wait_that_is_refused(&self, future: impl Future) -> bool {
        let mark = self.begin_wait(false);
        match catch_unwind(AssertUnwindSafe(|| future.wait_or_cancelled())) {
            Ok(result) => {
                mark.went_on();
                if let Err(cancelled) = &result {
                    self.saw(cancelled);
                }
                result.is_ok()
            }
            Err(payload) => {
                mark.leave();
                std::mem::forget(mark);
                resume_unwind(payload);
            }
        }
    }

    fn begin_wait(&self, throws: bool) -> WaitMark<'_> {
        let world = &self.world;
        let panicking = panicking();
        if panicking {
            world.unwinding.set(world.unwinding.get() + 1);
            world.unwound.set(world.unwound.get() + 1);
        }
        let calm = (world.unwinding.get() == 0).then(|| world.unwound.get());
        let late = {
            let now = Instant::now();
            let slack = Duration::from_millis(2);
            self.book(|book| {
                let shields = book.shields;
                let mut inside = book.deadlines.iter().filter(|(_, s)| *s >= shields);
                inside.any(|(at, _)| *at + slack < now)
            })
        };
        let waiting = Waiting {
            throws: throws && !panicking,
            panicking,
            must_throw: late && throws && calm.is_some(),
            busy: false,
            calm_since: calm,
        };
        let before = self.book(|book| book.waiting.replace(waiting));
        if before.is_some() {
            world.fault("an actor waits twice at once");
        }
        WaitMark { cx: self }
    }

    /// Only in its destructors can an actor be refused a wait because it unwinds.
    fn refused(&self, why: &str) {
        if why.contains("the fiber is unwinding") && self.book(|book| book.in_drop == 0) {
            self.world
                .fault(format!("actor {} was taken for unwinding", self.me));
        }
    }

    /// An interrupt was caught, and the actor goes on.
    fn saw(&self, cancelled: &Cancelled) {
        if cancelled.message().is_none_or(|message| message == MESSAGE) {
            let (seen, sent) = self.book(|book| {
                book.cancels_seen += 1;
                (book.cancels_seen, book.cancels_sent)
            });
            if seen > sent {
                self.world.fault(format!(
                    "actor {} was cancelled {seen} times by {sent} calls",
                    self.me
                ));
            }
        }
    }
}

/// A wait in progress.
struct WaitMark<'a> {
    cx: &'a Cx,
}

impl WaitMark<'_> {
    /// The wait has returned.
    fn went_on(self) {
        let world = &self.cx.world;
        let Some(waiting) = self.cx.book(|book| book.waiting) else {
            return;
        };
        let calm = waiting.calm_since == Some(world.unwound.get());
        if waiting.must_throw && calm && !world.ended.get() {
            world.fault(format!(
                "actor {} came out of a wait {waiting:?} that it should have been thrown out of: {:?}",
                self.cx.me,
                self.cx.book(|book| format!("{book:?}")),
            ));
        }
        self.leave();
        std::mem::forget(self);
    }

    fn leave(&self) {
        let world = &self.cx.world;
        let waiting = self.cx.book(|book| book.waiting.take());
        if waiting.is_some_and(|waiting| waiting.panicking) {
            world.unwinding.set(world.unwinding.get() - 1);
        }
    }
}

impl Drop for WaitMark<'_> {
    /// The wait has thrown.
    fn drop(&mut self) {
        let world = &self.cx.world;
        let ended = world.ended.get();
        let mut told_again = false;
        let wrong = self.cx.book(|book| {
            let again = std::mem::replace(&mut book.end_thrown, ended) && !book.is_bridge;
            told_again = again;
            book.told_of_end |= ended;
            let inside = book.deadlines.iter().any(|(_, s)| *s >= book.shields);
            let may_be_ended = ended || book.is_bridge || book.under_bridge;
            book.shields > 0 && !inside && !may_be_ended
        });
        if wrong {
            world.fault(format!("actor {} was unwound in a shield", self.cx.me));
        }
        if told_again {
            world.fault(format!("actor {} was told of the end twice", self.cx.me));
        }
        self.leave();
    }
}

/// Operations that do not wait: async code does them too.
impl Cx {
    pub(crate) fn poke(&self) {
        match self.below(28) {
            0..=3 => self.spawn_into_pool(),
            4 => drop(self.spawn(Op::SpawnDetached)),
            5 => self.spawn_unstarted(),
            6 => self.start_some(),
            7 => self.drop_handle(),
            8 => self.forget_handle(),
            9 | 10 => self.send(),
            11 => self.fire_oneshot(),
            12 => self.fire_remotely(),
            13 => {
                self.hit(Op::Notify);
                self.world.notify.notify_one();
            }
            14 => self.unpark(),
            15..=17 => self.cancel_some(),
            18 => self.spawn_remote_joined(),
            19 => self.drop_unstarted_remotely(),
            20 => self.spawn_task(),
            21 | 22 => self.hostile_join(),
            23 => self.hostile_switch_back(),
            24 => self.hostile_yield(),
            25 => self.flood(),
            26 => self.forget_future(),
            _ => self.abort_task(),
        }
    }

    /// Makes a fiber and starts it; `None` if the hub is closed.
    fn spawn(&self, op: Op) -> Option<(usize, Fiber<Output>)> {
        let made = self.create()?;
        self.hit(op);
        self.world.with_book(made.0, |book| book.started = true);
        if !made.1.start() {
            self.world.fault("a new fiber had been started");
        }
        Some(made)
    }

    fn create(&self) -> Option<(usize, Fiber<Output>)> {
        let body = self.enroll(Book::default());
        let actor = body.cx.me;
        match Builder::new().create(move || body.run(0)) {
            Ok(fiber) => {
                self.made(actor, &fiber);
                Some((actor, fiber))
            }
            Err(_) => {
                self.hit(Op::SpawnRefused);
                None
            }
        }
    }

    fn made<T>(&self, actor: usize, fiber: &Fiber<T>) {
        let handle = fiber.handle();
        self.world
            .with_book(actor, |book| book.handle = Some(handle));
    }

    pub(crate) fn to_pool(&self, (actor, fiber): (usize, Fiber<Output>)) {
        self.world.with_book(actor, |book| book.holder = None);
        self.world.pool.borrow_mut().push((actor, fiber));
    }

    pub(crate) fn spawn_into_pool(&self) {
        if let Some(made) = self.spawn(Op::Spawn) {
            self.to_pool(made);
        }
    }

    fn spawn_unstarted(&self) {
        let Some(made) = self.create() else { return };
        self.hit(Op::SpawnUnstarted);
        match self.below(3) {
            0 => {
                self.hit(Op::DropUnstarted);
                drop(made);
            }
            _ => self.to_pool(made),
        }
    }

    /// A fiber without a `!Send` result, so that its handle may go elsewhere.
    fn create_plain(&self) -> Option<Fiber<u8>> {
        let body = self.enroll(Book::default());
        let actor = body.cx.me;
        let run = move || {
            drop(body.run(MAX_DEPTH - 1));
            1
        };
        match Builder::new().create(run) {
            Ok(fiber) => {
                self.made(actor, &fiber);
                self.world.with_book(actor, |book| book.holder = None);
                Some(fiber)
            }
            Err(_) => {
                self.hit(Op::SpawnRefused);
                None
            }
        }
    }

    fn spawn_remote_joined(&self) {
        let Some(fiber) = self.create_plain() else {
            return;
        };
        self.hit(Op::SpawnRemoteJoined);
        let last = self.world.books.borrow().len() - 1;
        self.world.with_book(last, |book| book.started = true);
        fiber.start();
        self.world.helper.join(fiber);
        self.world
            .remote_joins
            .set(self.world.remote_joins.get() + 1);
    }

    fn drop_unstarted_remotely(&self) {
        if let Some(fiber) = self.create_plain() {
            self.hit(Op::DropUnstartedRemotely);
            self.world.helper.run(Job::Drop(fiber));
        }
    }

    /// Takes a fiber that is younger than this actor, so that no two can wait
    /// for each other.
    pub(crate) fn take_from_pool(&self) -> Option<(usize, Fiber<Output>)> {
        let mut pool = self.world.pool.borrow_mut();
        let me = if self.me == NOBODY { 0 } else { self.me };
        let younger: Vec<_> = (0..pool.len()).filter(|i| pool[*i].0 > me).collect();
        if younger.is_empty() {
            return None;
        }
        let chosen = younger[self.below(younger.len() as u64) as usize];
        Some(pool.swap_remove(chosen))
    }

    fn start_some(&self) {
        let Some((actor, fiber)) = self.take_from_pool() else {
            return;
        };
        self.hit(Op::Start);
        self.world.with_book(actor, |book| book.started = true);
        fiber.start();
        self.to_pool((actor, fiber));
    }

    fn drop_handle(&self) {
        if let Some((_, fiber)) = self.take_from_pool() {
            self.hit(Op::DropHandle);
            drop(fiber);
        }
    }

    fn forget_handle(&self) {
        if self.world.chance(80) {
            return;
        }
        if let Some((actor, fiber)) = self.take_from_pool() {
            self.hit(Op::ForgetHandle);
            self.world.with_book(actor, |book| {
                book.forgotten = true;
                book.started = true;
            });
            fiber.start();
            std::mem::forget(fiber);
        }
    }

    fn send(&self) {
        self.hit(Op::Send);
        let mut channels = self.world.channels.borrow_mut();
        let index = self.below(channels.len() as u64) as usize;
        let token = self.world.ledger.count(Owner::Channel(index));
        let channel = &mut channels[index];
        if let Some(sender) = &channel.sender {
            channel.sent += 1;
            let sent = sender.send(token);
            drop(channels);
            if sent.is_err() {
                self.world.fault("a channel lost its receiver");
            }
        }
    }

    fn fire_oneshot(&self) {
        let fired = {
            let mut oneshots = self.world.oneshots.borrow_mut();
            let len = oneshots.len() as u64;
            (len > 0).then(|| oneshots.swap_remove(self.below(len) as usize))
        };
        if let Some((receiver, sender)) = fired {
            self.hit(Op::FireOneshot);
            let owner = Owner::Stack(receiver);
            let _ = sender.send(self.world.ledger.count(owner));
        }
    }

    fn fire_remotely(&self) {
        let fired = self.world.remote_oneshots.borrow_mut().pop();
        if let Some(sender) = fired {
            self.hit(Op::FireRemotely);
            self.world.helper.run(Job::Fire(sender));
        }
    }

    fn unpark(&self) {
        let Some(actor) = self.world.some_actor() else {
            return;
        };
        let Some(handle) = self.world.with_book(actor, |book| book.handle.clone()) else {
            return;
        };
        if self.world.chance(20) {
            self.hit(Op::UnparkRemotely);
            self.world.helper.run(Job::Unpark(handle));
        } else {
            self.hit(Op::Unpark);
            handle.unpark();
        }
    }

    pub(crate) fn cancel_some(&self) {
        if let Some(actor) = self.world.some_actor() {
            self.cancel(actor);
        }
    }

    /// Cancels an actor and notes what must come of it.
    pub(crate) fn cancel(&self, actor: usize) {
        let world = &self.world;
        let Some(handle) = world.with_book(actor, |book| book.handle.clone()) else {
            return;
        };
        let state = world.state(actor, self.holder());
        let alive = handle.is_alive();
        if alive {
            world.with_book(actor, |book| book.cancels_sent += 1);
        }
        if world.chance(15) {
            self.hit(Op::CancelRemotely);
            world.helper.run(Job::Cancel(handle));
        } else {
            self.hit(Op::Cancel);
            if handle.cancel_with(MESSAGE) != alive {
                world.fault("`cancel` and `is_alive` do not agree");
            }
        }
        world.tally.borrow_mut().cancelled_in(state);
        if alive && state == State::Abandoned {
            world.fault("an abandoned fiber is alive");
        }
        if alive && matches!(state, State::Waiting | State::ScopeEnd) {
            world.with_book(actor, |book| {
                if let Some(waiting) = &mut book.waiting {
                    waiting.must_throw |= waiting.throws && !waiting.busy && book.shields == 0;
                }
            });
        }
    }

    fn spawn_task(&self) {
        if self.me != NOBODY {
            return;
        }
        if self.world.chance(50) {
            let Some((actor, mut fiber)) = self.take_from_pool() else {
                return;
            };
            self.hit(Op::JoinTask);
            self.world.with_book(actor, |book| book.started = true);
            let cx = self.clone();
            let task = tokio::task::spawn_local(async move {
                let outcome = fiber.join().await;
                cx.joined(actor, outcome).ok();
            });
            self.world.tasks.borrow_mut().push(task.abort_handle());
        } else {
            self.hit(Op::BridgeTask);
            let body = self.enroll(Book {
                is_bridge: true,
                started: true,
                ..Book::default()
            });
            let actor = body.cx.me;
            let world = self.world.clone();
            let gone = defer(move || world.with_book(actor, |book| book.gone = true));
            let bridge = bridge(move || body.run(1));
            let task = tokio::task::spawn_local(async move {
                let _gone = gone;
                let output = bridge.await;
                output.token.moved_to(Owner::Nobody);
            });
            self.world.tasks.borrow_mut().push(task.abort_handle());
        }
    }

    fn abort_task(&self) {
        let task = {
            let mut tasks = self.world.tasks.borrow_mut();
            let len = tasks.len() as u64;
            (len > 0).then(|| tasks.swap_remove(self.below(len) as usize))
        };
        if let Some(task) = task {
            self.hit(Op::AbortTask);
            task.abort();
        }
    }

    /// Joins a fiber whose hub is over, which cannot take time.
    pub(crate) fn join_now(&self, actor: usize, mut fiber: Fiber<Output>) {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(fiber.join()).poll(&mut cx) {
            Poll::Ready(outcome) => drop(self.joined(actor, outcome)),
            Poll::Pending => self.world.fault("a fiber without a hub has not ended"),
        };
    }

    /// Checks how a fiber that was joined has ended. Gives back its panic.
    pub(crate) fn joined(
        &self,
        actor: usize,
        outcome: Result<Output, JoinError>,
    ) -> Result<(), Payload> {
        let world = &self.world;
        let ended = world.with_book(actor, |book| book.ended);
        let error = match outcome {
            Ok(output) => {
                self.hit(Op::JoinedValue);
                output.token.moved_to(self.owner());
                if !ended {
                    world.fault("a fiber was joined before it ended");
                }
                return Ok(());
            }
            Err(error) => error,
        };
        if let Some(cancelled) = error.cancelled() {
            self.hit(Op::JoinedCancelled);
            let cx = Cx {
                world: world.clone(),
                me: actor,
            };
            cx.saw(cancelled);
        } else if error.is_cancelled() {
            self.hit(Op::JoinedAbandoned);
            if !world.is_abandoned(actor) {
                world.fault(format!("a fiber that is not lost was joined: {error}"));
            }
            return Ok(());
        }
        if !ended {
            world.fault("a fiber was joined before it ended");
        }
        if error.is_panic() {
            self.hit(Op::JoinedPanic);
            if let Ok(payload) = error.into_panic().downcast::<Payload>() {
                payload.0.moved_to(self.owner());
                return Err(*payload);
            }
        }
        Ok(())
    }
}

impl Body {
    fn run(self, depth: u32) -> Output {
        let cx = self.cx.clone();
        if cx.book(|book| std::mem::replace(&mut book.began, true) || !book.started) {
            cx.world.fault("a fiber ran before it was started");
        }
        cx.acts(depth, 8);
        let _waits = cx.world.chance(20).then(|| {
            cx.hit(Op::ResultWaits);
            cx.waits_in_drop(true)
        });
        let token = cx.world.ledger.count(Owner::Result(cx.me));
        Output { _waits, token }
    }
}

/// Operations that need a stack of their own.
impl Cx {
    fn acts(&self, depth: u32, most: u64) {
        for _ in 0..=self.below(most) {
            if !self.world.spend() {
                return;
            }
            self.world.mark_time();
            self.act(depth);
        }
    }

    fn act(&self, depth: u32) {
        let nests = depth < MAX_DEPTH;
        let (in_bridge, shielded) = self.book(|book| (book.is_bridge, book.shields > 0));
        // What may take for ever must be open to interruption.
        let open = !shielded;
        match self.below(54) {
            0..=2 => {
                self.hit(Op::Yield);
                self.wait(yield_now());
            }
            3 | 4 => {
                self.hit(Op::Sleep);
                self.wait(sleep(self.millis(12)));
            }
            5 => {
                self.hit(Op::SleepZero);
                self.wait(sleep(Duration::ZERO));
            }
            6..=8 if open => self.receive(),
            9 if open => self.oneshot(),
            10 if open => self.remote_oneshot(),
            11 if open => {
                self.hit(Op::Notified);
                self.wait(self.world.notify.notified());
            }
            12 => self.acquire(depth),
            13 if open && !in_bridge => {
                self.hit(Op::Park);
                let mark = self.begin_wait(true);
                park();
                mark.went_on();
            }
            14 => self.cancel_self(),
            15 => {
                self.hit(Op::CheckCancelled);
                let ended = self.world.ended.get();
                self.book(|book| book.told_of_end |= ended);
                check_cancelled();
            }
            16 => {
                self.hit(Op::Panic);
                panic_any(Payload(self.world.ledger.count(Owner::Result(self.me))));
            }
            17 | 18 if nests => self.catch_panic(depth),
            19 | 20 if nests => self.catch_cancel(depth),
            21 | 22 if nests => self.with_timeout(depth),
            23 => {
                self.hit(Op::WaitTimeout);
                let d = self.millis(6);
                let _ = self.wait_timeout(pending::<()>(), d);
            }
            24 => {
                self.hit(Op::WaitUntil);
                let at = Instant::now() + self.millis(6);
                let _ = self.wait_until(self.world.notify.notified(), at);
            }
            25 => {
                self.hit(Op::TryWait);
                let _ = self.wait_or_cancelled(sleep(self.millis(12)));
            }
            26 | 27 if nests => self.shield(depth),
            28 | 29 if nests => self.scope(depth),
            30 | 31 if nests && open => self.bridge(depth),
            32..=34 if open => self.join(),
            35 => self.join_half_way(),
            36..=38 if nests => self.with_waiting_destructor(depth),
            39 if nests && !in_bridge && self.may_nest() => self.nested_run_until(),
            40 => {
                self.hit(Op::TokioYield);
                self.wait(tokio::task::yield_now());
            }
            41 | 42 => self.strike(self.place()),
            43 => self.hostile_reader(),
            45 => self.hostile_bridge(),
            44 => self.begin_scene(),
            46 | 47 => self.dump(),
            _ => self.poke(),
        }
    }

    /// Takes a dump of the hub, which changes nothing. Seldom one with backtraces, since each looks up
    /// names.
    fn dump(&self) {
        self.hit(Op::Dump);
        let dump = Hub::current().handle().dump();
        #[cfg(feature = "backtrace")]
        let dump = dump.backtraces(if self.world.chance(10) { 50 } else { 0 });
        // The first poll takes it. Its future is forgotten here, dropped there.
        let mut dump = Box::pin(dump);
        let polled = dump.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(dump) = polled {
            let running = |fiber: &&FiberDump| fiber.state() == FiberState::Running;
            let fibers = dump.map_or(Vec::new(), |dump| dump.fibers().to_vec());
            let own = current_fiber().map(|fiber| fiber.id());
            let is_there = own.is_none_or(|id| fibers.iter().filter(running).any(|f| f.id() == id));
            if !is_there && !fibers.is_empty() {
                self.world
                    .fault("a dump lacks the fiber that takes it".to_owned());
            }
        }
    }

    /// Which kind of stack of its own this is.
    fn place(&self) -> Op {
        let (is_bridge, is_child) = self.book(|book| (book.is_bridge, book.is_child));
        match (is_bridge, is_child) {
            (true, _) => Op::RuntimeInBridge,
            (_, true) => Op::RuntimeInChild,
            _ => Op::RuntimeInFiber,
        }
    }

    /// Begins something that goes on elsewhere.
    fn begin_scene(&self) {
        if !self.world.chance(20) {
            return;
        }
        let (op, scene): (_, fn(&Stage)) = match self.below(5) {
            0 => (Op::SceneRuntimes, runtimes::inside_a_multi_thread_runtime),
            1 => (Op::SceneWakers, wakers::on_their_own_hub),
            2 => (Op::SceneFlood, floods::of_a_thread),
            3 => (Op::SceneForgotten, forgotten::while_others_wait),
            _ => (Op::SceneThreadEnd, ends::of_a_thread),
        };
        self.hit(op);
        self.world.shows.start(op, self.below(u64::MAX), scene);
    }

    fn receive(&self) {
        self.hit(Op::Receive);
        let index = self.below(3) as usize;
        let Some(mut lease) = Lease::take(self, index) else {
            return;
        };
        let received = self.wait(lease.receiver.recv());
        if let Some(token) = received {
            self.world.channels.borrow_mut()[index].received += 1;
            token.moved_to(self.owner());
        }
    }

    fn oneshot(&self) {
        self.hit(Op::Oneshot);
        let (sender, receiver) = oneshot::channel();
        self.world.oneshots.borrow_mut().push((self.me, sender));
        drop(self.wait(receiver));
    }

    fn remote_oneshot(&self) {
        self.hit(Op::RemoteOneshot);
        let (sender, receiver) = oneshot::channel();
        self.world.remote_oneshots.borrow_mut().push(sender);
        let _ = self.wait(receiver);
    }

    /// Holds a permit over a bounded wait. The holder is never waited for by more
    /// than a deadline, since it may be lost.
    fn acquire(&self, depth: u32) {
        self.hit(Op::Acquire);
        let d = self.millis(10);
        if let Ok(Ok(_permit)) = self.wait_timeout(self.world.semaphore.acquire(), d) {
            self.wait(sleep(self.millis(2 + u64::from(depth))));
        }
    }

    fn cancel_self(&self) {
        self.hit(Op::CancelSelf);
        self.cancel(self.me);
    }

    fn catch_panic(&self, depth: u32) {
        self.hit(Op::CatchPanic);
        let caught = catch_unwind(AssertUnwindSafe(|| self.acts(depth + 1, 4)));
        if let Err(payload) = caught {
            if self.world.chance(40) {
                resume_unwind(payload);
            }
            // Code that catches panics catches cancels and deadlines too.
            if let Some(cancelled) = payload.downcast_ref::<Cancelled>() {
                self.saw(cancelled);
            }
        }
    }

    fn catch_cancel(&self, depth: u32) {
        self.hit(Op::CatchCancel);
        if let Err(cancelled) = catch_cancel(|| self.acts(depth + 1, 4)) {
            self.saw(&cancelled);
        }
    }

    fn with_timeout(&self, depth: u32) {
        self.hit(Op::WithTimeout);
        let d = self.millis(25);
        let deadline = Instant::now() + d;
        let frame = self.book(|book| {
            book.deadlines.push((deadline, book.shields));
            book.deadlines.len()
        });
        let _leave = defer(|| self.book(|book| book.deadlines.truncate(frame - 1)));
        if with_timeout(d, || self.acts(depth + 1, 5)).is_err() {
            self.hit(Op::DeadlinePassed);
            if Instant::now() < deadline {
                self.world.fault("a deadline of another frame was caught");
            }
        }
    }

    fn shield(&self, depth: u32) {
        self.hit(Op::Shield);
        self.book(|book| book.shields += 1);
        let _lower = defer(|| self.book(|book| book.shields -= 1));
        shield(|| self.acts(depth + 1, 4));
    }

    fn scope(&self, depth: u32) {
        self.hit(Op::Scope);
        let children = Cell::new(0_u32);
        let frame = self.token();
        let ends = self.book(|book| book.scope_ends);
        let _frame = defer(|| {
            let ended = self.world.ended.get();
            self.book(|book| {
                book.scope_ends = ends;
                book.told_of_end |= ended;
            });
            if children.get() != 0 {
                self.world.fault("a scope was left before its children");
            }
        });
        scope(|s| {
            let _end = defer(|| self.book(|book| book.scope_ends += 1));
            for _ in 0..=self.below(3) {
                let body = self.enroll(Book {
                    started: true,
                    is_child: true,
                    ..Book::default()
                });
                let actor = body.cx.me;
                children.set(children.get() + 1);
                let count = defer(|| children.set(children.get() - 1));
                let frame = &frame;
                let mut child = s.spawn(move || {
                    let _count = count;
                    frame.moved_to(body.cx.parent_owner());
                    body.run(depth + 1)
                });
                self.hit(Op::ScopedSpawn);
                let handle = child.handle();
                self.world
                    .with_book(actor, |book| book.handle = Some(handle));
                if self.world.chance(30) {
                    self.hit(Op::ScopedJoin);
                    let outcome = self.wait(child.join());
                    let _ = self.joined(actor, outcome);
                }
            }
            self.acts(depth + 1, 3);
        });
    }

    /// The owner of what lies in the frame of the actor that holds this one.
    fn parent_owner(&self) -> Owner {
        self.book(|book| book.holder)
            .map_or(Owner::Nobody, Owner::Stack)
    }

    fn bridge(&self, depth: u32) {
        let body = self.enroll(Book {
            is_bridge: true,
            started: true,
            ..Book::default()
        });
        let actor = body.cx.me;
        let gone = defer(|| self.world.with_book(actor, |book| book.gone = true));
        let mut bridge = bridge(move || body.run(depth + 1));
        match self.below(8) {
            0..=4 => {
                self.hit(Op::BridgeWait);
                let output = self.wait_busy(async move {
                    let _gone = gone;
                    bridge.await
                });
                output.token.moved_to(self.owner());
            }
            5 | 6 => {
                self.hit(Op::BridgeDropped);
                let d = self.millis(4);
                let _ = self.wait_busy(tokio::time::timeout(d, &mut bridge));
            }
            _ => {
                self.hit(Op::BridgeForgotten);
                let polled = self.wait_busy(async {
                    pin!(&mut bridge).poll(&mut Context::from_waker(Waker::noop()))
                });
                if polled.is_pending() && self.world.chance(10) {
                    self.world.with_book(actor, |book| book.forgotten = true);
                    std::mem::forget(bridge);
                }
            }
        }
    }

    fn join(&self) {
        let Some(mut held) = Held::take(self) else {
            return;
        };
        self.hit(Op::Join);
        let outcome = self.wait(held.fiber().join());
        let actor = held.consume();
        if let Err(payload) = self.joined(actor, outcome) {
            if self.world.chance(30) {
                self.hit(Op::JoinRethrown);
                payload.0.moved_to(Owner::Result(self.me));
                resume_unwind(Box::new(payload));
            }
        }
    }

    fn join_half_way(&self) {
        let Some(mut held) = Held::take(self) else {
            return;
        };
        self.hit(Op::JoinHalfWay);
        let d = self.millis(3);
        let outcome = self.wait_timeout(held.fiber().join(), d);
        if let Ok(outcome) = outcome {
            let actor = held.consume();
            let _ = self.joined(actor, outcome);
        }
    }

    fn with_waiting_destructor(&self, depth: u32) {
        let _waits = self.waits_in_drop(false);
        self.acts(depth + 1, 4);
    }

    fn waits_in_drop(&self, in_result: bool) -> WaitsInDrop {
        let rules = self.world.rules;
        let in_bridge = self.book(|book| book.is_bridge || book.under_bridge);
        let bare = rules.bare_waits_in_drop && (!in_bridge || rules.brutal);
        let style = match self.below(4) {
            0 | 1 if bare => Style::Bare,
            2 => Style::Try,
            _ => Style::Timeout,
        };
        WaitsInDrop {
            cx: self.clone(),
            style,
            duration: self.millis(8),
            in_result,
            _token: match in_result {
                true => self.world.ledger.count(Owner::Result(self.me)),
                false => self.token(),
            },
        }
    }

    /// A hub that is closing, or is ended by force, is not driven from inside.
    fn may_nest(&self) -> bool {
        self.world.rules.nests && !self.world.closing.get() && !self.world.stop.get()
    }

    /// The hub is driven from inside this fiber for a while.
    fn nested_run_until(&self) {
        self.hit(Op::NestedRunUntil);
        let d = self.millis(4);
        self.wait_busy(Hub::run_until(async move {
            yield_now().await;
            sleep(d).await;
        }));
    }
}

/// The receiver of a channel, put back when dropped.
struct Lease<'a> {
    cx: &'a Cx,
    index: usize,
    receiver: mpsc::UnboundedReceiver<Counted>,
}

impl<'a> Lease<'a> {
    fn take(cx: &'a Cx, index: usize) -> Option<Lease<'a>> {
        let mut channels = cx.world.channels.borrow_mut();
        let channel = &mut channels[index];
        let receiver = channel.receiver.take()?;
        channel.holder = cx.holder();
        Some(Lease {
            cx,
            index,
            receiver,
        })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let (_, closed) = mpsc::unbounded_channel();
        let receiver = std::mem::replace(&mut self.receiver, closed);
        let mut channels = self.cx.world.channels.borrow_mut();
        let channel = &mut channels[self.index];
        channel.receiver = Some(receiver);
        channel.holder = None;
    }
}

/// A fiber from the pool, put back when dropped.
pub(crate) struct Held<'a> {
    cx: &'a Cx,
    held: Option<(usize, Fiber<Output>)>,
}

impl<'a> Held<'a> {
    pub(crate) fn take(cx: &'a Cx) -> Option<Held<'a>> {
        let (actor, fiber) = cx.take_from_pool()?;
        let holder = cx.holder();
        cx.world.with_book(actor, |book| {
            book.holder = holder;
            // Joining starts it.
            book.started = true;
        });
        Some(Held {
            cx,
            held: Some((actor, fiber)),
        })
    }

    pub(crate) fn fiber(&mut self) -> &mut Fiber<Output> {
        match &mut self.held {
            Some((_, fiber)) => fiber,
            None => unreachable!("it is held until it is consumed"),
        }
    }

    /// The fiber has been joined.
    pub(crate) fn consume(mut self) -> usize {
        match self.held.take() {
            Some((actor, _)) => actor,
            None => unreachable!("it is consumed once"),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.cx.to_pool(held);
        }
    }
}

/// Calls `f` when dropped.
fn defer<F: FnOnce()>(f: F) -> Defer<F> {
    Defer(Some(f))
}

struct Defer<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Defer<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}
