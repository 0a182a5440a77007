//! Models of the state of a `SwitchBack`, in every order in which the threads can take their steps.
//! Run by `ci/loom.sh`.
//!
//! A lost wake shows as a deadlock, which fails the model. A model about firing keeps one more
//! switcher alive, because the drop of the last switcher would wake the waiter too.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;

use super::slot::Slot;
use super::{SwitchBack, SwitchError, Switcher};

/// The value that is fired. It counts its drops.
#[derive(Debug)]
struct Value {
    number: usize,
    drops: Arc<AtomicUsize>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts the drops of the values that it has made.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn value(&self, number: usize) -> Value {
        Value {
            number,
            drops: self.0.clone(),
        }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Fires on a new thread, which then drops the switcher.
fn fire(switcher: Switcher<Value>, value: Value) -> thread::JoinHandle<bool> {
    thread::spawn(move || switcher.switch(value))
}

#[test]
fn of_two_that_fire_one_wins_and_the_waiter_gets_its_value() {
    loom::model(|| {
        let drops = Drops::default();
        let switch_back = SwitchBack::new();
        let _one_more = switch_back.switcher();
        let threads = [0, 1].map(|number| fire(switch_back.switcher(), drops.value(number)));
        let value = block_on(switch_back).unwrap();
        let won = threads.map(|thread| thread.join().unwrap());
        assert_eq!(won, [value.number == 0, value.number == 1]);
        assert_eq!(drops.count(), 1);
        drop(value);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_value_and_an_error_that_race_are_told_apart_by_who_won() {
    loom::model(|| {
        let drops = Drops::default();
        let switch_back = SwitchBack::new();
        let _one_more = switch_back.switcher();
        let (switches, throws) = (switch_back.switcher(), switch_back.switcher());
        let switches = fire(switches, drops.value(0));
        let throws = thread::spawn(move || throws.throw("thrown"));
        let result = block_on(switch_back);
        let (switched, thrown) = (switches.join().unwrap(), throws.join().unwrap());
        assert_eq!((switched, thrown), (result.is_ok(), result.is_err()));
        drop(result);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn what_is_fired_while_another_waker_is_registered_reaches_the_last_one() {
    loom::model(|| {
        let drops = Drops::default();
        let mut switch_back = SwitchBack::new();
        let _one_more = switch_back.switcher();
        let thread = fire(switch_back.switcher(), drops.value(0));
        let first = Pin::new(&mut switch_back).poll(&mut Context::from_waker(Waker::noop()));
        let value = match first {
            Poll::Ready(result) => result,
            Poll::Pending => block_on(&mut switch_back),
        };
        assert_eq!(value.unwrap().number, 0);
        assert!(thread.join().unwrap());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_drop_of_the_last_switcher_wakes_the_waiter() {
    loom::model(|| {
        let switch_back = SwitchBack::<Value>::new();
        let threads = [switch_back.switcher(), switch_back.switcher()]
            .map(|switcher| thread::spawn(move || drop(switcher)));
        assert!(matches!(block_on(switch_back), Err(SwitchError::Dropped)));
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_switcher_that_fires_is_not_overtaken_by_the_drop_of_another() {
    loom::model(|| {
        let drops = Drops::default();
        let switch_back = SwitchBack::new();
        let idle = switch_back.switcher();
        let fires = fire(switch_back.switcher(), drops.value(0));
        let goes = thread::spawn(move || drop(idle));
        assert_eq!(block_on(switch_back).unwrap().number, 0);
        assert!(fires.join().unwrap());
        goes.join().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_switcher_made_while_the_last_one_goes_keeps_the_wait_alive() {
    loom::model(|| {
        let drops = Drops::default();
        let switch_back = SwitchBack::new();
        let last = switch_back.switcher();
        let goes = thread::spawn(move || drop(last));
        let fires = fire(switch_back.switcher(), drops.value(0));
        assert_eq!(block_on(switch_back).unwrap().number, 0);
        assert!(fires.join().unwrap());
        goes.join().unwrap();
    });
}

#[test]
fn a_value_fired_while_the_switch_back_is_dropped_is_dropped_once() {
    loom::model(|| {
        let drops = Drops::default();
        let mut switch_back = SwitchBack::new();
        let waits = Pin::new(&mut switch_back).poll(&mut Context::from_waker(Waker::noop()));
        assert!(waits.is_pending());
        let threads = [0, 1].map(|number| fire(switch_back.switcher(), drops.value(number)));
        drop(switch_back);
        let won = threads.map(|thread| thread.join().unwrap());
        assert_ne!(won, [true, true]);
        assert_eq!(drops.count(), 2);
    });
}

/// This does what a poll does that finds that the time has passed.
#[test]
fn the_end_of_the_time_and_a_switch_agree_on_who_won() {
    loom::model(|| {
        let drops = Drops::default();
        let slot = Arc::new(Slot::new(None));
        let thread = fire(Switcher::new(&slot), drops.value(0));
        let waker = Waker::noop();
        let taken = match slot.poll(waker) {
            Poll::Ready(result) => Some(result.unwrap()),
            Poll::Pending => slot.end().map(Result::unwrap),
        };
        assert_eq!(thread.join().unwrap(), taken.is_some());
        drop(taken);
        assert_eq!(drops.count(), 1);
    });
}
