//! Nothing starves: fibers that are ready for ever leave room for timers, tasks
//! and sockets, and giving way gives way to everything.

// A yield is a future; here it leaves the runtime that it was made in.
#![allow(clippy::async_yields_async)]

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use switchback::{Hub, YieldNow, current_fiber, park, prelude::*, sleep, spawn, yield_now};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, coop};

use crate::support::ending::{poll_once, settle};
use crate::support::threads::Wakes;
use crate::support::{
    Log, in_async, in_paused, in_root_fiber, ms, multi_thread_runtime, paused_local_runtime,
    runtime, watched,
};

/// Set when the fibers of a test are to end.
type Stop = Rc<Cell<bool>>;

/// A way to be ready for ever, and its name.
type Busy = (&'static str, fn(Stop));

/// Ways to be ready for ever.
const BUSY: [Busy; 6] = [
    ("yield_now", |stop| {
        while !stop.get() {
            yield_now().wait();
        }
    }),
    ("tokio's yield_now", |stop| {
        while !stop.get() {
            tokio::task::yield_now().wait();
        }
    }),
    ("sleep of zero", |stop| {
        while !stop.get() {
            sleep(Duration::ZERO).wait();
        }
    }),
    ("unpark and park", |stop| {
        while !stop.get() {
            current_fiber().unwrap().unpark();
            park();
            yield_now().wait();
        }
    }),
    ("spawn a successor", successor),
    ("a channel that is always ready", |stop| {
        let (tx, mut rx) = mpsc::unbounded_channel();
        while !stop.get() {
            tx.send(()).unwrap();
            rx.recv().wait().unwrap();
        }
    }),
];

fn successor(stop: Stop) {
    if !stop.get() {
        drop(spawn(|| successor(stop)));
    }
}

/// Two fibers that wake each other for ever.
fn ping_pong(stop: &Stop) {
    let body = |stop: Stop, other: Rc<Cell<Option<switchback::FiberHandle>>>| {
        move || {
            let partner = loop {
                match other.take() {
                    Some(partner) => break partner,
                    None => yield_now().wait(),
                }
            };
            while !stop.get() {
                partner.unpark();
                park();
            }
            partner.unpark();
        }
    };
    let (to_a, to_b) = (Rc::default(), Rc::default());
    let a = spawn(body(stop.clone(), Rc::clone(&to_a)));
    let b = spawn(body(stop.clone(), Rc::clone(&to_b)));
    to_a.set(Some(b.handle()));
    to_b.set(Some(a.handle()));
}

/// Runs `victim` beside each kind of busy fibers, few and many of them.
async fn beside_busy_fibers<F: Future<Output = ()>>(victim: impl Fn() -> F) {
    for (kind, busy) in BUSY {
        for count in [1, 3, 200] {
            let stop = Stop::default();
            for _ in 0..count {
                let stop = stop.clone();
                drop(spawn(move || busy(stop)));
            }
            println!("beside {count} times {kind}");
            victim().await;
            stop.set(true);
        }
    }
    let stop = Stop::default();
    ping_pong(&stop);
    victim().await;
    stop.set(true);
}

/// Runs a test's body on a hub driven in each way that a current-thread runtime
/// has.
fn on_one_thread<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Clone + 'static) {
    without_local_set(body.clone());
    in_local_set(body);
}

/// The ways in which tasks and fibers share one queue of tokio's.
fn without_local_set<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Clone + 'static) {
    let first_need = body.clone();
    in_async(move || async move { first_need().await });
    in_async(move || async move { Hub::run_until(body()).await });
}

fn in_local_set<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Clone + 'static) {
    let first_need = body.clone();
    in_async(move || async move { LocalSet::new().run_until(first_need()).await });
    in_async(move || async move { LocalSet::new().run_until(Hub::run_until(body())).await });
}

fn on_a_multi_thread_runtime<F: Future<Output = ()>>(body: impl Fn() -> F + Send + 'static) {
    watched(move || multi_thread_runtime().block_on(Hub::run_until(async { body().await })));
}

/// Runs a test's body on a hub driven in each way there is.
fn however_driven<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Clone + 'static) {
    on_one_thread(body.clone());
    on_a_multi_thread_runtime(body);
}

#[test]
fn busy_fibers_do_not_starve_a_task() {
    however_driven(|| {
        beside_busy_fibers(|| async {
            let task = tokio::spawn(async {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            });
            task.await.unwrap();
        })
    });
}

#[test]
fn busy_fibers_do_not_starve_a_timer() {
    however_driven(|| {
        beside_busy_fibers(|| async {
            tokio::time::sleep(ms(2)).await;
            sleep(ms(1)).await;
        })
    });
}

#[test]
fn busy_fibers_do_not_starve_a_timer_of_the_paused_clock() {
    in_paused(|| {
        beside_busy_fibers(|| async {
            let timer = tokio::spawn(tokio::time::sleep(ms(50)));
            let fiber = spawn(|| sleep(ms(60)).wait());
            yield_now().await;
            // Busy fibers keep the clock from advancing.
            assert!(!timer.is_finished());
            tokio::time::advance(ms(100)).await;
            timer.await.unwrap();
            fiber.await.unwrap();
        })
    });
}

#[test]
fn busy_fibers_do_not_starve_a_socket() {
    however_driven(|| {
        beside_busy_fibers(|| async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut byte = [0];
                while socket.read_exact(&mut byte).await.is_ok() {
                    socket.write_all(&byte).await.unwrap();
                }
            });
            let mut socket = TcpStream::connect(addr).await.unwrap();
            for i in 0..5 {
                socket.write_all(&[i]).await.unwrap();
                let mut byte = [0];
                socket.read_exact(&mut byte).await.unwrap();
                assert_eq!(byte, [i]);
            }
            drop(socket);
            server.await.unwrap();
        })
    });
}

#[test]
fn busy_fibers_do_not_starve_other_fibers() {
    however_driven(|| {
        beside_busy_fibers(|| async {
            let fiber = spawn(|| {
                for _ in 0..20 {
                    yield_now().wait();
                }
                sleep(Duration::ZERO).wait();
                sleep(ms(1)).wait();
            });
            fiber.await.unwrap();
        })
    });
}

#[test]
fn busy_fibers_do_not_starve_wakes_of_other_threads() {
    however_driven(|| {
        beside_busy_fibers(|| async {
            let fiber = spawn(park);
            let handle = fiber.handle();
            tokio::task::spawn_blocking(move || handle.unpark())
                .await
                .unwrap();
            fiber.await.unwrap();
        })
    });
}

#[test]
fn busy_tasks_do_not_starve_fibers() {
    in_async(|| async {
        let set = LocalSet::new();
        set.run_until(async {
            let stop = Stop::default();
            for i in 0..100 {
                let stop = stop.clone();
                tokio::task::spawn_local(async move {
                    while !stop.get() {
                        match i % 3 {
                            0 => yield_now().await,
                            1 => tokio::task::yield_now().await,
                            _ => sleep(Duration::ZERO).await,
                        }
                    }
                });
            }
            let fiber = spawn(|| {
                for _ in 0..20 {
                    yield_now().wait();
                }
                sleep(ms(1)).wait();
                sleep(Duration::ZERO).wait();
            });
            fiber.await.unwrap();
            stop.set(true);
        })
        .await;
    });
}

#[test]
fn a_yielding_fiber_goes_behind_every_ready_fiber() {
    in_root_fiber(|| {
        let log = Log::new();
        for i in 0..200 {
            let log = log.clone();
            drop(spawn(move || log.push(i)));
        }
        yield_now().wait();
        assert_eq!(log.len(), 200);
    });
}

#[test]
fn yielding_fibers_take_turns() {
    in_root_fiber(|| {
        let log = Log::new();
        let fibers: Vec<_> = (0..100)
            .map(|i| {
                let log = log.clone();
                spawn(move || {
                    for round in 0..5 {
                        log.push((round, i));
                        yield_now().wait();
                    }
                })
            })
            .collect();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
        let expected: Vec<_> = (0..5).flat_map(|r| (0..100).map(move |i| (r, i))).collect();
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn a_yielding_fiber_goes_behind_ready_tasks() {
    on_one_thread(|| async {
        let fiber = spawn(|| {
            for _ in 0..10 {
                let task = tokio::spawn(async {});
                yield_now().wait();
                assert!(task.is_finished());
            }
        });
        fiber.await.unwrap();
    });
}

#[test]
fn yielding_async_code_goes_behind_ready_tasks() {
    on_one_thread(|| async {
        for with_a_hub in [false, true] {
            for _ in 0..10 {
                if with_a_hub {
                    Hub::current();
                }
                let task = tokio::spawn(async {});
                yield_now().await;
                assert!(task.is_finished());
            }
        }
    });
}

#[test]
fn yielding_async_code_goes_behind_every_ready_fiber() {
    on_one_thread(|| async {
        let log = Log::new();
        for round in 1..=3 {
            for i in 0..200 {
                let log = log.clone();
                drop(spawn(move || log.push(i)));
            }
            yield_now().await;
            assert_eq!(log.len(), 200 * round);
        }
    });
}

#[test]
fn a_yielding_local_task_goes_behind_every_ready_fiber() {
    however_driven(|| async {
        let set = LocalSet::new();
        set.run_until(async {
            let task = tokio::task::spawn_local(async {
                let log = Log::new();
                for i in 0..200 {
                    let log = log.clone();
                    drop(spawn(move || log.push(i)));
                }
                yield_now().await;
                assert_eq!(log.len(), 200);
            });
            task.await.unwrap();
        })
        .await;
    });
}

#[test]
fn fibers_and_tasks_that_yield_take_turns() {
    without_local_set(|| async {
        let log = Arc::new(Mutex::new(Vec::new()));
        let in_fiber = log.clone();
        let fiber = spawn(move || {
            for i in 0..50 {
                in_fiber.lock().unwrap().push(("fiber", i));
                yield_now().wait();
            }
        });
        let in_task = log.clone();
        let task = tokio::spawn(async move {
            for i in 0..50 {
                in_task.lock().unwrap().push(("task", i));
                yield_now().await;
            }
        });
        fiber.await.unwrap();
        task.await.unwrap();
        // Neither is ever two rounds ahead of the other.
        let (mut fiber, mut task) = (0_i32, 0_i32);
        for (who, i) in log.lock().unwrap().iter() {
            match *who {
                "fiber" => fiber = *i,
                _ => task = *i,
            }
            assert!((fiber - task).abs() <= 2, "fiber {fiber}, task {task}");
        }
    });
}

#[test]
fn a_sleep_of_zero_goes_behind_every_ready_fiber() {
    on_one_thread(|| async {
        let log = Log::new();
        let first = log.clone();
        let root = spawn(move || {
            for i in 0..200 {
                let log = first.clone();
                drop(spawn(move || log.push(i)));
            }
            sleep(Duration::ZERO).wait();
            assert_eq!(first.len(), 200);
        });
        root.await.unwrap();
        for i in 0..200 {
            let log = log.clone();
            drop(spawn(move || log.push(i)));
        }
        sleep(Duration::ZERO).await;
        assert_eq!(log.len(), 400);
    });
}

/// A connected pair of sockets.
async fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

#[test]
fn a_sleep_of_zero_lets_io_in() {
    in_async(|| async {
        for from_fiber in [false, true] {
            let (mut client, mut server) = socket_pair().await;
            let log = Log::new();
            let reads = log.clone();
            let reader = spawn(move || {
                for _ in 0..20 {
                    let byte = server.read_u8().wait().unwrap();
                    reads.push(byte);
                }
            });
            yield_now().await;
            if from_fiber {
                let writer = spawn(move || {
                    for i in 0..20 {
                        client.write_u8(i).wait().unwrap();
                        sleep(Duration::ZERO).wait();
                        assert_eq!(log.take(), [i]);
                    }
                });
                writer.await.unwrap();
            } else {
                for i in 0..20 {
                    client.write_u8(i).await.unwrap();
                    sleep(Duration::ZERO).await;
                    // The reader is ready by now; so this goes behind it.
                    yield_now().await;
                    assert_eq!(log.take(), [i]);
                }
            }
            reader.await.unwrap();
        }
    });
}

#[test]
fn io_is_polled_while_fibers_yield() {
    in_async(|| async {
        let (mut client, mut server) = socket_pair().await;
        let reader = spawn(move || server.read_u8().wait().unwrap());
        yield_now().await;
        let yields = spawn(move || {
            client.write_u8(7).wait().unwrap();
            let mut yields = 0;
            while reader.is_alive() {
                yield_now().wait();
                yields += 1;
            }
            yields
        });
        // A hub polls for I/O after 128 resumes, and then some for the turns of the reader and of the
        // hub itself.
        let yields = yields.await.unwrap();
        assert!(yields <= 290, "{yields} yields went by");
    });
}

#[test]
fn the_main_task_of_a_multi_thread_runtime_yields_to_every_ready_fiber() {
    on_a_multi_thread_runtime(|| async {
        let log = Log::new();
        for i in 0..200 {
            let log = log.clone();
            drop(spawn(move || log.push(i)));
        }
        yield_now().await;
        assert_eq!(log.len(), 200);
    });
}

#[test]
fn a_sleep_of_zero_of_a_multi_thread_main_task_goes_behind_every_ready_fiber() {
    on_a_multi_thread_runtime(|| async {
        let log = Log::new();
        for i in 0..200 {
            let log = log.clone();
            drop(spawn(move || log.push(i)));
        }
        sleep(Duration::ZERO).await;
        assert_eq!(log.len(), 200);
    });
}

/// Spends tokio's budget, and is ready when it is polled for the second time.
fn spends_the_budget() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let mut polled = false;
    move |cx| {
        if mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        let mut noop = Context::from_waker(Waker::noop());
        while pin!(coop::consume_budget()).poll(&mut noop).is_ready() {}
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A hub that has more to do wakes its driver at once but, every so often, leaves that to
/// tokio, which polls for I/O before.
#[test]
fn fibers_that_spend_the_budget_let_io_in_as_often_as_others() {
    in_async(|| async {
        let mut hub = pin!(Hub::run_until(async {
            spawn(|| {
                loop {
                    poll_fn(spends_the_budget()).wait();
                }
            });
            pending::<()>().await;
        }));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut turns = 0;
        // Each turn in a poll of the task, which has a budget of its own.
        poll_fn(|cx| {
            woken.0.store(0, Ordering::Relaxed);
            let polled = hub.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            turns += 1;
            cx.waker().wake_by_ref();
            match woken.0.load(Ordering::Relaxed) {
                0 => Poll::Ready(()),
                _ if turns > 1000 => panic!("it never waits for a poll for I/O"),
                _ => Poll::Pending,
            }
        })
        .await;
        assert!(turns <= 128, "I/O is polled after {turns} turns");
    });
}

// Yields that move to another hub, and yields that are polled more than once.

#[test]
fn a_yield_that_moves_to_a_fiber_of_another_hub_does_not_wait_for_its_old_place() {
    watched(|| {
        let (first, second) = (runtime(), runtime());
        let moved: YieldNow = first.block_on(async {
            let fiber = spawn(|| {
                for _ in 0..10_000 {
                    yield_now().wait();
                }
                let mut moved = yield_now();
                poll_fn(|cx| {
                    assert!(Pin::new(&mut moved).poll(cx).is_pending());
                    Poll::Ready(())
                })
                .wait();
                moved
            });
            fiber.await.unwrap()
        });
        second.block_on(async {
            let turns = Rc::new(Cell::new(0));
            let theirs = turns.clone();
            let fiber = spawn(move || {
                moved.wait();
                theirs.get()
            });
            let counter = spawn(move || {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now().wait();
                }
            });
            let turns = fiber.await.unwrap();
            assert!(turns < 100, "it waited for {turns} turns");
            counter.cancel();
        });
    });
}

#[test]
fn a_yield_that_moves_to_a_task_of_another_runtime_ends_there() {
    watched(|| {
        let (first, second) = (runtime(), runtime());
        let moved = first.block_on(async {
            let _hub = Hub::current();
            let mut moved = yield_now();
            assert!(poll_once(Pin::new(&mut moved)).is_pending());
            moved
        });
        second.block_on(moved);
        // And where there is a hub.
        let moved = first.block_on(async {
            let mut moved = yield_now();
            assert!(poll_once(Pin::new(&mut moved)).is_pending());
            moved
        });
        second.block_on(async {
            assert_eq!(spawn(|| 42).await.unwrap(), 42);
            moved.await;
        });
    });
}

#[test]
fn a_yield_that_is_polled_many_times_with_one_waker_is_queued_once() {
    in_async(|| async {
        let _hub = Hub::current();
        settle().await;
        let wakes = Wakes::new();
        let waker = Waker::from(wakes.clone());
        let mut future = yield_now();
        for _ in 0..1000 {
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
        }
        // Each place in the queue keeps the waker.
        assert!(Arc::strong_count(&wakes) < 10);
        settle().await;
        assert_eq!(wakes.count(), 1);
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut future).poll(&mut cx).is_ready());
    });
}

#[test]
fn a_fiber_that_gives_way_gives_way_to_tasks_too() {
    paused_local_runtime().block_on(async {
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        // Always ready: it is polled as often as its turn comes.
        let task = tokio::task::spawn_local(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let mut fiber = spawn(move || {
            let gave_way = (0..100).filter(|_| {
                let before = polls.get();
                yield_now().wait();
                polls.get() > before
            });
            gave_way.count()
        });
        let gave_way = fiber.join().await.unwrap();
        assert!(gave_way > 90, "{gave_way} of 100 times");
        task.abort();
    });
}
