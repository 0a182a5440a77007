//! However a fiber ends, or is lost, whoever asked last for its result is woken, and no
//! waker is left with the hub.

mod support;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;

use switchback::{Fiber, Hub, park, prelude::*, spawn};

use support::ending::{Count, settle};
use support::{runtime, watched};

/// A waker that counts its wakes.
struct Counting(Count);

impl std::task::Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.add();
    }
}

/// A joiner that has asked twice, with another waker each time.
struct Joiner {
    fiber: Fiber<()>,
    first: Arc<Counting>,
    last: Arc<Counting>,
}

impl Joiner {
    fn of(mut fiber: Fiber<()>) -> Joiner {
        let [first, last] = [(); 2].map(|()| {
            let waker = Arc::new(Counting(Count::new()));
            assert!(poll(&mut fiber, &waker.clone().into()).is_pending());
            waker
        });
        Joiner { fiber, first, last }
    }

    /// Its fiber is over: it was told, and it is ready. Returns whether it got a result.
    #[track_caller]
    fn was_told(mut self) -> bool {
        assert_eq!((self.first.0.get(), self.last.0.get()), (0, 1), "wakes");
        let [first, last] = [&self.first, &self.last].map(Arc::strong_count);
        assert_eq!((first, last), (1, 1), "wakers that are left");
        match poll(&mut self.fiber, Waker::noop()) {
            Poll::Ready(joined) => joined.is_ok(),
            Poll::Pending => panic!("it was woken for nothing"),
        }
    }
}

fn poll(fiber: &mut Fiber<()>, waker: &Waker) -> Poll<Result<(), switchback::JoinError>> {
    Pin::new(fiber).poll(&mut Context::from_waker(waker))
}

fn waits() {
    pending::<()>().wait();
}

/// The joiner of a fiber that waits, on a runtime that is not driven.
fn suspended() -> (tokio::runtime::Runtime, Joiner) {
    let runtime = runtime();
    let joiner = runtime.block_on(async {
        let fiber = spawn(waits);
        settle().await;
        Joiner::of(fiber)
    });
    (runtime, joiner)
}

#[test]
fn of_a_fiber_that_returns_panics_or_is_cancelled() {
    watched(|| {
        runtime().block_on(async {
            let returns = spawn(park);
            let panics = spawn(|| {
                park();
                std::panic::resume_unwind(Box::new("on purpose"))
            });
            let cancelled = spawn(waits);
            settle().await;
            returns.handle().unpark();
            panics.handle().unpark();
            cancelled.cancel();
            let joiners = [returns, panics, cancelled].map(Joiner::of);
            settle().await;
            assert_eq!(joiners.map(Joiner::was_told), [true, false, false]);
        });
    });
}

#[test]
fn of_a_fiber_whose_hub_is_closed_or_ends_with_its_runtime() {
    watched(|| {
        let (runtime, joiner) = suspended();
        runtime.block_on(async { Hub::current().close().await });
        assert!(!joiner.was_told());
        let (runtime, joiner) = suspended();
        drop(runtime);
        assert!(!joiner.was_told());
    });
}

#[test]
fn of_a_fiber_whose_runtime_is_dropped_on_another_thread() {
    watched(|| {
        let (runtime, joiner) = suspended();
        thread::spawn(move || drop(runtime)).join().unwrap();
        assert!(!joiner.was_told());
    });
}

#[test]
fn of_a_fiber_whose_thread_has_ended() {
    watched(|| {
        let (runtime, joiner) = thread::spawn(suspended).join().unwrap();
        assert!(!joiner.was_told());
        drop(runtime);
    });
}

#[test]
fn of_a_fiber_whose_hub_was_on_the_wrong_thread() {
    watched(|| {
        let runtime = runtime();
        let joiner = {
            let _context = runtime.enter();
            Joiner::of(spawn(waits))
        };
        thread::spawn(move || runtime.block_on(settle()))
            .join()
            .unwrap();
        assert!(!joiner.was_told());
    });
}

#[test]
fn of_a_fiber_that_its_hub_refuses_after_all() {
    watched(|| {
        let (runtime, joiner) = suspended();
        let hub = runtime.block_on(async { Hub::current().handle() });
        let (tell, told) = channel();
        let remote = hub.clone();
        thread::spawn(move || tell.send(Joiner::of(remote.spawn(waits).unwrap())))
            .join()
            .unwrap()
            .unwrap();
        drop(runtime);
        assert!(!told.recv().unwrap().was_told());
        assert!(!joiner.was_told());
    });
}

/// Of that fiber, which goes on, and of another.
#[test]
fn of_a_fiber_that_ends_its_own_hub() {
    for (then, returns) in [((|| ()) as fn(), true), (waits, false)] {
        watched(move || {
            let runtime = runtime();
            runtime.block_on(async {
                drop(spawn(|| {}));
                settle().await;
            });
            let handle = runtime.handle().clone();
            let _context = handle.enter();
            let joiners = futures::executor::block_on(Hub::run_until(async move {
                let other = spawn(waits);
                let ends = spawn(move || {
                    park();
                    runtime.shutdown_background();
                    then();
                });
                switchback::yield_now().await;
                let unparks = ends.handle();
                let joiners = [ends, other].map(Joiner::of);
                unparks.unpark();
                switchback::yield_now().await;
                joiners
            }));
            assert_eq!(joiners.map(Joiner::was_told), [returns, false]);
        });
    }
}
