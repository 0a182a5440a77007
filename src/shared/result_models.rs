//! Models of how a result changes hands, and of how references to a fiber's allocation are counted,
//! in every order in which the threads can take their steps. Run by `ci/loom.sh`.
//!
//! A model fails if both sides access the space for the result without an order between them, or if
//! the allocation is not freed: see [`Witness`](crate::base::lock::Witness).

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::future::block_on;
use loom::thread;

use super::{
    Cause, FiberId, FiberRef, HubFailure, Mailbox, Origin, Phase, ResultReceiver, ResultSender,
    Start, result_channel,
};

/// A result that counts its drops.
struct Value(Arc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The fiber's side: its sender, and the hub's reference to it.
struct FiberSide {
    sender: ResultSender<Value>,
    fiber: FiberRef,
}

/// The two sides of a fiber of a hub, and the count of the drops of its result.
struct Model {
    hub: Arc<Mailbox>,
    sender: FiberSide,
    receiver: ResultReceiver<Value>,
    drops: Arc<AtomicUsize>,
}

fn fiber(hub: &Arc<Mailbox>) -> (FiberSide, ResultReceiver<Value>) {
    let (fiber, sender, receiver) = result_channel(
        hub.clone(),
        FiberId::next(),
        None,
        Start::AtOnce,
        Origin {
            place: Location::caller(),
            parent: None,
        },
    );
    (FiberSide { sender, fiber }, receiver)
}

fn model() -> Model {
    let hub = Mailbox::without_hub();
    let (sender, receiver) = fiber(&hub);
    Model {
        hub,
        sender,
        receiver,
        drops: Arc::default(),
    }
}

/// Does what a fiber that returns does, and then its hub.
fn ends(side: &FiberSide, drops: &Arc<AtomicUsize>) {
    side.sender.put(Value(drops.clone()));
    side.sender.complete(None, false, &mut || ());
    side.fiber.tell_joiner();
}

fn join(receiver: &mut ResultReceiver<Value>) -> Result<Value, Box<Cause>> {
    block_on(poll_fn(|cx| receiver.poll(cx, |_, _| false)))
}

/// A separate waker for each poll, which passes its wake on. Every such waker holds the token.
struct Relay {
    to: Waker,
    _token: Arc<()>,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.to.wake_by_ref();
    }
}

/// Polls once, with a new waker.
fn poll_anew(
    receiver: &mut ResultReceiver<Value>,
    to: &Waker,
    token: &Arc<()>,
) -> Poll<Result<Value, Box<Cause>>> {
    let relay = Relay {
        to: to.clone(),
        _token: token.clone(),
    };
    let waker = Waker::from(Arc::new(relay));
    receiver.poll(&mut Context::from_waker(&waker), |_, _| false)
}

/// Like [`join`], but polls again with another waker before it waits.
fn join_restlessly(
    receiver: &mut ResultReceiver<Value>,
    token: &Arc<()>,
) -> Result<Value, Box<Cause>> {
    block_on(poll_fn(|cx| {
        match poll_anew(receiver, Waker::noop(), token) {
            Poll::Pending => poll_anew(receiver, cx.waker(), token),
            ready => ready,
        }
    }))
}

fn count(drops: &AtomicUsize) -> usize {
    drops.load(Ordering::Relaxed)
}

#[test]
fn a_result_gets_to_a_joiner_on_another_thread() {
    loom::model(|| {
        let mut model = model();
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || ends(&sender, &drops));
        let value = join(&mut model.receiver).unwrap();
        assert_eq!(count(&model.drops), 0);
        drop(value);
        drop(model.receiver);
        fiber.join().unwrap();
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn a_fiber_that_is_detached_as_it_ends_drops_its_result_once_on_either_side() {
    loom::model(|| {
        let mut model = model();
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || {
            ends(&sender, &drops);
            assert_eq!(sender.fiber.phase(), Phase::Ended);
        });
        model.receiver.detach();
        drop(model.receiver);
        fiber.join().unwrap();
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn a_join_that_fails_with_the_hub_as_the_fiber_ends_gets_its_result_or_leaves_it() {
    loom::model(|| {
        let mut model = model();
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || ends(&sender, &drops));
        let hub = model.hub.clone();
        let fails = thread::spawn(move || hub.fail(HubFailure::Lost));
        let joined = join(&mut model.receiver);
        fails.join().unwrap();
        fiber.join().unwrap();
        assert_eq!(count(&model.drops), usize::from(joined.is_err()));
        drop(joined);
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn the_last_of_three_references_frees_the_fiber_wherever_it_is_dropped() {
    loom::model(|| {
        let mut model = model();
        let handle = model.sender.fiber.clone();
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || ends(&sender, &drops));
        let other = thread::spawn(move || drop(handle.clone()));
        model.receiver.detach();
        drop(model.receiver);
        fiber.join().unwrap();
        other.join().unwrap();
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn of_the_wakers_of_a_joiner_the_last_is_woken_and_none_is_left() {
    loom::model(|| {
        let mut model = model();
        let token = Arc::new(());
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || ends(&sender, &drops));
        drop(join_restlessly(&mut model.receiver, &token).unwrap());
        fiber.join().unwrap();
        assert_eq!(Arc::strong_count(&token), 1);
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn a_joiner_that_moves_to_another_thread_as_the_fiber_ends_is_told_there() {
    loom::model(|| {
        let mut model = model();
        let token = Arc::new(());
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || ends(&sender, &drops));
        if poll_anew(&mut model.receiver, Waker::noop(), &token).is_pending() {
            let (mut receiver, token) = (model.receiver, token.clone());
            let joiner = thread::spawn(move || {
                let relayed = block_on(poll_fn(|cx| poll_anew(&mut receiver, cx.waker(), &token)));
                drop(relayed.unwrap());
            });
            joiner.join().unwrap();
        }
        fiber.join().unwrap();
        assert_eq!(Arc::strong_count(&token), 1);
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn a_joiner_that_asks_again_as_the_hub_fails_and_the_fiber_ends_is_told() {
    loom::model(|| {
        let mut model = model();
        let token = Arc::new(());
        let (sender, drops) = (model.sender, model.drops.clone());
        let fiber = thread::spawn(move || ends(&sender, &drops));
        let hub = model.hub.clone();
        let fails = thread::spawn(move || hub.fail(HubFailure::Lost));
        let joined = join_restlessly(&mut model.receiver, &token);
        fails.join().unwrap();
        fiber.join().unwrap();
        drop(joined);
        assert_eq!(Arc::strong_count(&token), 1);
        assert_eq!(count(&model.drops), 1);
    });
}

/// The key of a fiber whose hub has failed may have been given to another fiber.
#[test]
fn joiners_of_two_fibers_of_a_hub_that_fails_are_both_told() {
    loom::model(|| {
        let hub = Mailbox::without_hub();
        let token = Arc::new(());
        let (sender, mut receiver) = fiber(&hub);
        let (other_sender, mut other_receiver) = fiber(&hub);
        let fails = {
            let hub = hub.clone();
            thread::spawn(move || hub.fail(HubFailure::Lost))
        };
        let other = {
            let token = token.clone();
            thread::spawn(move || {
                let lost = join_restlessly(&mut other_receiver, &token);
                assert!(lost.is_err());
                // The next hub of the thread does this.
                other_sender.fiber.tell_joiner();
            })
        };
        assert!(join_restlessly(&mut receiver, &token).is_err());
        fails.join().unwrap();
        other.join().unwrap();
        drop(sender);
        assert_eq!(Arc::strong_count(&token), 1);
    });
}
