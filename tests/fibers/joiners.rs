//! However a fiber ends, or is lost, the one that asked last for its result is woken, and no
//! waker is left with the hub.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::future::{Either, FutureExt as _, join_all, select};
use switchback::{Fiber, Hub, park, prelude::*, spawn, yield_now};

use crate::support::ending::{Count, settle};
use crate::support::{Drops, Token, in_async, in_root_fiber, runtime, watched};

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

#[test]
fn a_join_elsewhere_that_races_with_the_end_is_not_lost() {
    watched(|| {
        const ROUNDS: usize = 20_000;
        let (fibers, received) = std::sync::mpsc::sync_channel::<Fiber<usize>>(0);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut joined = 0;
            for mut fiber in received {
                joined += fiber.join().wait().unwrap();
                assert!(!fiber.is_alive());
            }
            tell.send(joined).unwrap();
        });
        std::thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async {
                for _ in 0..ROUNDS {
                    fibers.send(spawn(|| 1)).unwrap();
                    yield_now().await;
                }
            });
        });
        let joined = told.recv();
        assert_eq!(joined, Ok(ROUNDS));
    });
}

/// As [`parked`], but not counted.
fn unmarked(drops: &Drops) -> impl FnOnce() -> Token + use<> {
    let token = drops.token();
    move || {
        park();
        token
    }
}

/// What is done to a fiber that waits for another, before that one ends.
#[derive(Clone, Copy, Debug)]
enum Then {
    Waits,
    /// Another fiber of the hub joins instead.
    MovesToFiber,
    MovesToTask,
    MovesToThread,
    /// It is cancelled, and a new fiber gets its place.
    IsCancelled,
}

use Then::{IsCancelled, MovesToFiber, MovesToTask, MovesToThread, Waits};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// The one that joins last is told, although another one has asked before.
#[test]
fn a_joiner_is_told_whoever_has_looked_before() {
    for then in [Waits, MovesToFiber, MovesToTask, MovesToThread, IsCancelled] {
        for task_first in [false, true] {
            in_async(move || joins(then, task_first));
        }
    }
}

async fn joins(then: Then, task_first: bool) {
    let drops = Drops::new();
    let mut fiber = spawn(unmarked(&drops));
    let handle = fiber.handle();
    if task_first {
        assert!(is_pending(fiber.join()).await);
    }
    let (give, given) = oneshot::channel();
    let mut first = spawn(move || {
        let mut fiber = fiber;
        if let Waits | IsCancelled = then {
            fiber.join().wait().map(drop).unwrap();
            return;
        }
        // It looks, as a fiber that waits does.
        assert!(is_pending(fiber.join()).wait());
        let _ = give.send(fiber);
        park();
    });
    let late = handle.clone();
    let ends = move || {
        late.unpark();
        yield_now()
    };
    yield_now().await;
    match then {
        Waits => {
            ends().await;
            first.join().await.unwrap();
        }
        MovesToFiber => {
            let mut fiber = given.await.unwrap();
            let mut second = spawn(move || drop(fiber.join().wait().unwrap()));
            yield_now().await;
            ends().await;
            second.join().await.unwrap();
        }
        MovesToTask => {
            let mut fiber = given.await.unwrap();
            let mut join = fiber.join();
            assert!(is_pending(&mut join).await);
            ends().await;
            join.await.unwrap();
        }
        MovesToThread => {
            let mut fiber = given.await.unwrap();
            let thread = spawn_blocking(move || drop(fiber.join().wait().unwrap()));
            ends().await;
            thread.await.unwrap();
        }
        IsCancelled => {
            first.cancel();
            assert!(first.join().await.unwrap_err().is_cancelled());
            let mut parks = spawn(|| poll_fn(woken_once()).wait());
            yield_now().await;
            ends().await;
            yield_now().await;
            assert!(parks.is_alive(), "it was woken instead");
            parks.cancel();
            let _ = parks.join().await;
        }
    }
    assert_eq!(drops.count(), 1);
    assert!(!handle.is_alive());
}

/// Polls once, with the waker of the task or fiber that waits for it.
async fn is_pending(mut future: impl Future + Unpin) -> bool {
    poll_fn(|cx| Poll::Ready(future.poll_unpin(cx).is_pending())).await
}

/// Ready when it is polled for the second time.
fn woken_once() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let mut polled = false;
    move |_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

#[test]
fn many_fibers_are_joined_by_one_through_combinators() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let some = || (0..20).map(|_| spawn(unmarked(&drops))).collect::<Vec<_>>();
        let fibers = some();
        let handles: Vec<_> = fibers.iter().map(Fiber::handle).collect();
        spawn(move || {
            for handle in handles.iter().rev() {
                handle.unpark();
                yield_now().wait();
            }
        });
        assert_eq!(join_all(fibers).wait().into_iter().flatten().count(), 20);
        let (mut a, mut b) = (spawn(unmarked(&drops)), spawn(unmarked(&drops)));
        for _ in 0..3 {
            let either = select(a.join(), b.join());
            assert!(either.wait_timeout(Duration::ZERO).is_err());
        }
        b.handle().unpark();
        match select(a.join(), b.join()).wait() {
            Either::Left(_) => panic!("that one waits"),
            Either::Right((joined, _)) => drop(joined.unwrap()),
        };
        a.handle().unpark();
        a.join().wait().unwrap();
        assert_eq!(drops.count(), 22);
    });
}
