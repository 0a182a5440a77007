//! Models of how a result changes hands, and of how a fiber's allocation is counted, in
//! every order in which the threads can take their steps. Run by `ci/loom.sh`.
//!
//! A model fails if both sides touch the place for the result without an order between
//! them, or if the allocation is not freed: see [`Witness`](crate::sync_util::Witness).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::future::block_on;
use loom::thread;

use super::{Delivery, JoinError, Receipt, packet};
use crate::fiber::{FiberId, Phase, Start};
use crate::hub::{Failure, Shared};
use crate::local::Locals;

/// A result that counts its drops.
struct Value(Arc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The two sides of a fiber of a hub, and the count of the drops of its result.
struct Model {
    hub: Arc<Shared>,
    delivery: Delivery<Value>,
    receipt: Receipt<Value>,
    drops: Arc<AtomicUsize>,
}

fn model() -> Model {
    let hub = Arc::new(Shared::new(None));
    let (delivery, receipt) = packet(hub.clone(), FiberId::next(), None, Start::AtOnce);
    Model {
        hub,
        delivery,
        receipt,
        drops: Arc::default(),
    }
}

/// What a fiber that returns does, and then its hub.
fn ends(delivery: &Delivery<Value>, drops: &Arc<AtomicUsize>) {
    delivery.put(Value(drops.clone()));
    delivery.complete(None, &Locals::new());
    delivery.fiber().tell_joiner();
}

fn join(receipt: &mut Receipt<Value>) -> Result<Value, JoinError> {
    block_on(poll_fn(|cx| receipt.poll(cx)))
}

fn count(drops: &AtomicUsize) -> usize {
    drops.load(Ordering::Relaxed)
}

#[test]
fn a_result_gets_to_a_joiner_on_another_thread() {
    loom::model(|| {
        let mut model = model();
        let (delivery, drops) = (model.delivery, model.drops.clone());
        let fiber = thread::spawn(move || ends(&delivery, &drops));
        let value = join(&mut model.receipt).unwrap();
        assert_eq!(count(&model.drops), 0);
        drop(value);
        drop(model.receipt);
        fiber.join().unwrap();
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn a_fiber_that_is_detached_as_it_ends_drops_its_result_once_on_either_side() {
    loom::model(|| {
        let mut model = model();
        let (delivery, drops) = (model.delivery, model.drops.clone());
        let fiber = thread::spawn(move || {
            ends(&delivery, &drops);
            assert_eq!(delivery.fiber().phase(), Phase::Ended);
        });
        model.receipt.detach();
        drop(model.receipt);
        fiber.join().unwrap();
        assert_eq!(count(&model.drops), 1);
    });
}

#[test]
fn a_join_that_fails_with_the_hub_as_the_fiber_ends_gets_its_result_or_leaves_it() {
    loom::model(|| {
        let mut model = model();
        let (delivery, drops) = (model.delivery, model.drops.clone());
        let fiber = thread::spawn(move || ends(&delivery, &drops));
        let hub = model.hub.clone();
        let fails = thread::spawn(move || hub.fail(Failure::Lost));
        let joined = join(&mut model.receipt);
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
        let handle = model.delivery.fiber().clone();
        let (delivery, drops) = (model.delivery, model.drops.clone());
        let fiber = thread::spawn(move || ends(&delivery, &drops));
        let other = thread::spawn(move || drop(handle.clone()));
        model.receipt.detach();
        drop(model.receipt);
        fiber.join().unwrap();
        other.join().unwrap();
        assert_eq!(count(&model.drops), 1);
    });
}
