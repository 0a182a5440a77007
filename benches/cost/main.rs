//! Repeats one operation a given number of times, for `ci/cost.sh` to count its
//! instructions.
//!
//! Run with: `cargo bench --bench cost -- THING COUNT`. Without a thing it runs each
//! operation a few times, and lists them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use switchback::sync::{Mutex, mpsc};
use switchback::{Hub, HubBuilder, Track, prelude::*, spawn};

use thing::{Thing, in_fiber, in_fibers_of, yields};

mod thing;

const THINGS: [Thing; 15] = [
    ("yield", |count| yields(10, count)),
    ("yield-of-1000", |count| yields(1000, count)),
    ("wake-self", |count| wakes_of_self(10, count)),
    ("wake-self-of-1000", |count| wakes_of_self(1000, count)),
    ("spawn-join", spawns_and_joins),
    ("spawn-join-async", spawns_and_joins_async),
    ("wake", wakes),
    ("ready-wait", ready_waits),
    ("mpsc", messages),
    ("sleep", |count| sleeps(10, count)),
    ("sleep-of-1000", |count| sleeps(1000, count)),
    ("lock", |count| locks(Track::Places, count)),
    ("lock-track-off", |count| locks(Track::Off, count)),
    ("wake-self-track-off", |count| {
        wakes_of_self_tracked(Track::Off, count)
    }),
    ("wake-self-track-times", |count| {
        wakes_of_self_tracked(Track::Times, count)
    }),
];

fn main() -> ExitCode {
    thing::main(&THINGS)
}

/// One fiber takes a free mutex and gives it back.
fn locks(track: Track, count: u64) {
    in_fibers_of(Hub::builder().track(track), 1, move || {
        let mutex = black_box(Mutex::new(0));
        for n in 0..count {
            *mutex.lock().unwrap() += n;
        }
    });
}

/// A number of fibers wait for futures that wake them at once, `count` times in total.
fn wakes_of_self(fibers: u64, count: u64) {
    wakes_of_self_on(Hub::builder(), fibers, count);
}

/// The same, of ten fibers on a hub that tracks this.
fn wakes_of_self_tracked(track: Track, count: u64) {
    wakes_of_self_on(Hub::builder().track(track), 10, count);
}

fn wakes_of_self_on(hub: HubBuilder, fibers: u64, count: u64) {
    in_fibers_of(hub, fibers, move || {
        for _ in 0..count / fibers {
            let mut woken = false;
            let wakes = poll_fn(|cx| {
                if !woken {
                    woken = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            wakes.wait();
        }
    });
}

/// A fiber spawns and joins one fiber after the other, on a warm stack.
fn spawns_and_joins(count: u64) {
    in_fiber(move || {
        for n in 0..count {
            let mut child = spawn(move || black_box(n));
            child.join().wait().expect("the child does not panic");
        }
    });
}

/// Async code spawns and joins one fiber after the other.
fn spawns_and_joins_async(count: u64) {
    switchback_in_task(async move {
        for n in 0..count {
            let mut child = spawn(move || black_box(n));
            child.join().await.expect("the child does not panic");
        }
    });
}

fn switchback_in_task(future: impl Future<Output = ()> + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime can be made");
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

/// Two fibers wake each other in turn: each of the `count` wakes suspends the waking fiber
/// and resumes the other.
fn wakes(count: u64) {
    #[derive(Default)]
    struct Cell {
        turn: u64,
        waker: Option<Waker>,
    }
    in_fiber(move || {
        let cell = Rc::new(RefCell::new(Cell::default()));
        let player = |own: u64| {
            let cell = cell.clone();
            move || {
                for turn in (own..count).step_by(2) {
                    let my_turn = poll_fn(|cx| {
                        let mut cell = cell.borrow_mut();
                        if cell.turn == turn {
                            return Poll::Ready(());
                        }
                        match &mut cell.waker {
                            Some(waker) => waker.clone_from(cx.waker()),
                            none => *none = Some(cx.waker().clone()),
                        }
                        Poll::Pending
                    });
                    my_turn.wait();
                    let waker = {
                        let mut cell = cell.borrow_mut();
                        cell.turn += 1;
                        cell.waker.take()
                    };
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
            }
        };
        for mut fiber in [spawn(player(0)), spawn(player(1))] {
            fiber.join().wait().expect("the fiber does not panic");
        }
    });
}

/// A number of fibers sleep, `count` times in total, between 1 and 50 ms of a clock that stands still
/// while anything is ready.
fn sleeps(fibers: u64, count: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime can be made");
    runtime.block_on(async move {
        let sleep = |fiber: u64| {
            move || {
                for n in 0..count / fibers {
                    switchback::sleep(Duration::from_millis((31 * fiber + 17 * n) % 50 + 1)).wait();
                }
            }
        };
        let fibers: Vec<_> = (0..fibers).map(|fiber| spawn(sleep(fiber))).collect();
        for fiber in fibers {
            fiber.await.expect("the fiber does not panic");
        }
    });
}

/// A fiber waits for futures that are ready.
fn ready_waits(count: u64) {
    in_fiber(move || {
        for n in 0..count {
            black_box(async { black_box(n) }.wait());
        }
    });
}

/// Two fibers send `count` messages to each other in turn, each of which wakes its receiver.
fn messages(count: u64) {
    in_fiber(move || {
        let (to_pong, from_ping) = mpsc::channel();
        let (to_ping, from_pong) = mpsc::channel();
        let pong = spawn(move || from_ping.iter().try_for_each(|n| to_ping.send(n)));
        for n in 0..count / 2 {
            to_pong.send(n).expect("the other fiber receives");
            assert_eq!(from_pong.recv(), Ok(n));
        }
        drop(to_pong);
        pong.wait()
            .expect("the fiber does not panic")
            .expect("this one receives");
    });
}
