//! Rows `mutex...`, `condvar` and `mpsc...`: the module `sync` against std's on threads, tokio's on
//! tasks, and may's.

use std::hint::black_box;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Instant;

use may::sync as may_sync;
use switchback::HubPool;
use switchback::sync::{self, mpsc};
use tokio::sync as tokio_sync;
use tokio::sync::mpsc as tokio_mpsc;
use tokio::task::spawn_local;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_coroutine, in_fiber, in_multi_thread_task, in_task, on_runtime};

/// Sections, hand-overs or round trips per sample on a single thread.
const MANY: u64 = 100_000;
/// The same between threads.
const FEW: u64 = 1_500;

pub(crate) fn rows() -> [Row; 7] {
    let trip = Unit::NanosPer("round trip");
    [
        Row::new("mutex", Unit::NanosPer("lock and unlock"))
            .column(Column::Switchback, || in_fiber(ours_alone))
            .column(Column::TokioTasks, tokios_alone)
            .column(Column::May, mays_alone)
            .column(Column::Threads, stds_alone),
        Row::new("mutex-thread", Unit::NanosPer("lock and unlock"))
            .column(Column::Switchback, || on_thread(ours_alone))
            .column(Column::Threads, stds_alone),
        Row::new("mutex-handed", Unit::NanosPer("hand-over"))
            .column(Column::Switchback, ours_handed)
            .column(Column::TokioTasks, tokios_handed)
            .column(Column::May, mays_handed)
            .column(Column::Threads, stds_handed),
        Row::new("condvar", trip)
            .column(Column::Switchback, ours_in_turn)
            .column(Column::TokioTasks, tokios_in_turn)
            .column(Column::May, mays_in_turn)
            .column(Column::Threads, stds_in_turn),
        Row::new("mpsc", trip)
            .column(Column::Switchback, fiber_and_fiber)
            .column(Column::TokioTasks, task_and_task)
            .column(Column::May, coroutine_and_coroutine)
            .column(Column::Threads, thread_and_thread),
        Row::new("mpsc-thread", trip)
            .column(Column::Switchback, fiber_and_thread)
            .column(Column::TokioTasks, task_and_thread)
            .column(Column::May, coroutine_and_thread)
            .column(Column::Threads, thread_and_thread),
        Row::new("mpsc-hubs", trip)
            .column(Column::Switchback, hub_and_hub)
            .column(Column::TokioTasks, worker_and_worker)
            .column(Column::Threads, thread_and_thread),
    ]
}

fn nanos_per(count: u64, work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64 / count as f64
}

fn on_thread(work: fn() -> f64) -> f64 {
    thread::spawn(work)
        .join()
        .expect("the thread does not panic")
}

fn ours_alone() -> f64 {
    let mutex = black_box(sync::Mutex::new(0_u64));
    nanos_per(MANY, || {
        for _ in 0..MANY {
            *mutex.lock().expect("nobody panics") += 1;
        }
    })
}

fn stds_alone() -> f64 {
    let mutex = black_box(std::sync::Mutex::new(0_u64));
    nanos_per(MANY, || {
        for _ in 0..MANY {
            *mutex.lock().expect("nobody panics") += 1;
        }
    })
}

fn mays_alone() -> f64 {
    in_coroutine(|| {
        let mutex = black_box(may_sync::Mutex::new(0_u64));
        nanos_per(MANY, || {
            for _ in 0..MANY {
                *mutex.lock().expect("nobody panics") += 1;
            }
        })
    })
}

fn tokios_alone() -> f64 {
    in_task(async {
        let mutex = black_box(tokio_sync::Mutex::new(0_u64));
        let begin = Instant::now();
        for _ in 0..MANY {
            *mutex.lock().await += 1;
        }
        begin.elapsed().as_nanos() as f64 / MANY as f64
    })
}

/// Two have a lock in turn, each over a yield.
fn ours_handed() -> f64 {
    in_fiber(|| {
        let mutex = Arc::new(sync::Mutex::new(0_u64));
        let section = |mutex: &sync::Mutex<u64>| {
            for _ in 0..MANY / 2 {
                let mut count = mutex.lock().expect("nobody panics");
                switchback::yield_now().wait();
                *count += 1;
            }
        };
        let other = mutex.clone();
        let fiber = sync_spawn(move || section(&other));
        nanos_per(MANY, || {
            section(&mutex);
            fiber.join().expect("the fiber does not panic");
        })
    })
}

fn sync_spawn(body: impl FnOnce() + 'static) -> switchback::thread::JoinHandle<()> {
    switchback::thread::spawn(body)
}

fn tokios_handed() -> f64 {
    async fn section(mutex: Arc<tokio_sync::Mutex<u64>>) {
        for _ in 0..MANY / 2 {
            let mut count = mutex.lock().await;
            tokio::task::yield_now().await;
            *count += 1;
        }
    }
    in_task(async {
        let mutex = Arc::new(tokio_sync::Mutex::new(0));
        let other = spawn_local(section(mutex.clone()));
        let begin = Instant::now();
        section(mutex).await;
        other.await.expect("the task does not panic");
        begin.elapsed().as_nanos() as f64 / MANY as f64
    })
}

fn mays_handed() -> f64 {
    in_coroutine(|| {
        let mutex = Arc::new(may_sync::Mutex::new(0_u64));
        let section = |mutex: &may_sync::Mutex<u64>| {
            for _ in 0..MANY / 2 {
                let mut count = mutex.lock().expect("nobody panics");
                may::coroutine::yield_now();
                *count += 1;
            }
        };
        let other = mutex.clone();
        let coroutine = may::go!(move || section(&other));
        nanos_per(MANY, || {
            section(&mutex);
            coroutine.join().expect("the coroutine does not panic");
        })
    })
}

fn stds_handed() -> f64 {
    let mutex = Arc::new(std::sync::Mutex::new(0_u64));
    let section = |mutex: &std::sync::Mutex<u64>| {
        for _ in 0..FEW / 2 {
            let mut count = mutex.lock().expect("nobody panics");
            thread::yield_now();
            *count += 1;
        }
    };
    let other = mutex.clone();
    let thread = thread::spawn(move || section(&other));
    nanos_per(FEW, || {
        section(&mutex);
        thread.join().expect("the thread does not panic");
    })
}

/// Two who wait for their turns.
mod turns {
    use may::sync as may_sync;
    use std::sync as std_sync;
    use switchback::sync as our_sync;

    macro_rules! turns {
        ($name:ident, $sync:ident) => {
            pub(super) fn $name(
                shared: &($sync::Mutex<u64>, $sync::Condvar),
                own: u64,
                count: u64,
            ) {
                let (turn, changed) = shared;
                let mut turn = turn.lock().expect("nobody panics");
                for _ in 0..count {
                    while *turn % 2 != own {
                        turn = changed.wait(turn).expect("nobody panics");
                    }
                    *turn += 1;
                    changed.notify_one();
                }
            }
        };
    }

    turns!(ours, our_sync);
    turns!(stds, std_sync);
    turns!(mays, may_sync);
}

fn ours_in_turn() -> f64 {
    in_fiber(|| {
        let shared = Arc::new((sync::Mutex::new(0), sync::Condvar::new()));
        let other = shared.clone();
        let fiber = sync_spawn(move || turns::ours(&other, 1, MANY));
        nanos_per(MANY, || {
            turns::ours(&shared, 0, MANY);
            fiber.join().expect("the fiber does not panic");
        })
    })
}

fn stds_in_turn() -> f64 {
    let shared = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
    let other = shared.clone();
    let thread = thread::spawn(move || turns::stds(&other, 1, FEW));
    nanos_per(FEW, || {
        turns::stds(&shared, 0, FEW);
        thread.join().expect("the thread does not panic");
    })
}

fn mays_in_turn() -> f64 {
    in_coroutine(|| {
        let shared = Arc::new((may_sync::Mutex::new(0), may_sync::Condvar::new()));
        let other = shared.clone();
        let coroutine = may::go!(move || turns::mays(&other, 1, MANY));
        nanos_per(MANY, || {
            turns::mays(&shared, 0, MANY);
            coroutine.join().expect("the coroutine does not panic");
        })
    })
}

/// Tokio has no condition variable: what its users write with a `Notify`.
fn tokios_in_turn() -> f64 {
    async fn turns(shared: Arc<(tokio_sync::Mutex<u64>, [tokio_sync::Notify; 2])>, own: usize) {
        let (turn, changed) = &*shared;
        for _ in 0..MANY {
            loop {
                let mut turn = turn.lock().await;
                if *turn % 2 == own as u64 {
                    *turn += 1;
                    break;
                }
                drop(turn);
                changed[own].notified().await;
            }
            changed[1 - own].notify_one();
        }
    }
    in_task(async {
        let shared = Arc::new((tokio_sync::Mutex::new(0), Default::default()));
        let other = spawn_local(turns(shared.clone(), 1));
        let begin = Instant::now();
        turns(shared, 0).await;
        other.await.expect("the task does not panic");
        begin.elapsed().as_nanos() as f64 / MANY as f64
    })
}

fn ping(count: u64, to: &mpsc::Sender<u64>, from: &mpsc::Receiver<u64>) -> f64 {
    nanos_per(count, || {
        for n in 0..count {
            to.send(n).expect("the other is there");
            assert_eq!(from.recv(), Ok(n));
        }
    })
}

fn pong(from: &mpsc::Receiver<u64>, to: &mpsc::Sender<u64>) {
    while let Ok(n) = from.recv() {
        to.send(n).expect("the other is there");
    }
}

fn fiber_and_fiber() -> f64 {
    in_fiber(|| {
        let (to_pong, from_ping) = mpsc::channel();
        let (to_ping, from_pong) = mpsc::channel();
        let fiber = sync_spawn(move || pong(&from_ping, &to_ping));
        let nanos = ping(MANY, &to_pong, &from_pong);
        drop(to_pong);
        fiber.join().expect("the fiber does not panic");
        nanos
    })
}

fn fiber_and_thread() -> f64 {
    let (to_pong, from_ping) = mpsc::channel();
    let (to_ping, from_pong) = mpsc::channel();
    let thread = thread::spawn(move || pong(&from_ping, &to_ping));
    let nanos = in_fiber(move || ping(FEW, &to_pong, &from_pong));
    thread.join().expect("the thread does not panic");
    nanos
}

fn hub_and_hub() -> f64 {
    let pool = HubPool::new(2).expect("two threads can be made");
    let (to_pong, from_ping) = mpsc::channel();
    let (to_ping, from_pong) = mpsc::channel();
    let workers: Vec<_> = pool.handles().cloned().collect();
    let other = workers[1].spawn(move || pong(&from_ping, &to_ping));
    let nanos = workers[0].spawn(move || ping(FEW, &to_pong, &from_pong));
    let nanos = on_runtime(nanos.expect("the hub is open")).expect("the fiber does not panic");
    on_runtime(other.expect("the hub is open")).expect("the fiber does not panic");
    on_runtime(pool.close());
    nanos
}

async fn task_pong(
    mut from: tokio_mpsc::UnboundedReceiver<u64>,
    to: tokio_mpsc::UnboundedSender<u64>,
) {
    while let Some(n) = from.recv().await {
        to.send(n).expect("the other is there");
    }
}

async fn task_ping(
    count: u64,
    to: tokio_mpsc::UnboundedSender<u64>,
    mut from: tokio_mpsc::UnboundedReceiver<u64>,
) -> f64 {
    let begin = Instant::now();
    for n in 0..count {
        to.send(n).expect("the other is there");
        assert_eq!(from.recv().await, Some(n));
    }
    begin.elapsed().as_nanos() as f64 / count as f64
}

fn task_and_task() -> f64 {
    in_task(async {
        let (to_pong, from_ping) = tokio_mpsc::unbounded_channel();
        let (to_ping, from_pong) = tokio_mpsc::unbounded_channel();
        let other = spawn_local(task_pong(from_ping, to_ping));
        let nanos = task_ping(MANY, to_pong, from_pong).await;
        other.await.expect("the task does not panic");
        nanos
    })
}

fn task_and_thread() -> f64 {
    let (to_pong, mut from_ping) = tokio_mpsc::unbounded_channel();
    let (to_ping, from_pong) = tokio_mpsc::unbounded_channel();
    let thread = thread::spawn(move || {
        while let Some(n) = from_ping.blocking_recv() {
            to_ping.send(n).expect("the other is there");
        }
    });
    let nanos = in_task(task_ping(FEW, to_pong, from_pong));
    thread.join().expect("the thread does not panic");
    nanos
}

fn worker_and_worker() -> f64 {
    in_multi_thread_task(async {
        let (to_pong, from_ping) = tokio_mpsc::unbounded_channel();
        let (to_ping, from_pong) = tokio_mpsc::unbounded_channel();
        let other = tokio::spawn(task_pong(from_ping, to_ping));
        let nanos = task_ping(FEW, to_pong, from_pong).await;
        other.await.expect("the task does not panic");
        nanos
    })
}

fn may_ping(
    count: u64,
    to: &may_sync::mpsc::Sender<u64>,
    from: &may_sync::mpsc::Receiver<u64>,
) -> f64 {
    nanos_per(count, || {
        for n in 0..count {
            to.send(n).expect("the other is there");
            assert_eq!(from.recv(), Ok(n));
        }
    })
}

fn may_pong(from: &may_sync::mpsc::Receiver<u64>, to: &may_sync::mpsc::Sender<u64>) {
    while let Ok(n) = from.recv() {
        to.send(n).expect("the other is there");
    }
}

fn coroutine_and_coroutine() -> f64 {
    let (to_pong, from_ping) = may_sync::mpsc::channel();
    let (to_ping, from_pong) = may_sync::mpsc::channel();
    in_coroutine(move || {
        let pong = may::go!(move || may_pong(&from_ping, &to_ping));
        let nanos = may_ping(MANY, &to_pong, &from_pong);
        drop(to_pong);
        pong.join().expect("the coroutine does not panic");
        nanos
    })
}

fn coroutine_and_thread() -> f64 {
    let (to_pong, from_ping) = may_sync::mpsc::channel();
    let (to_ping, from_pong) = may_sync::mpsc::channel();
    let thread = thread::spawn(move || may_pong(&from_ping, &to_ping));
    let nanos = in_coroutine(move || may_ping(FEW, &to_pong, &from_pong));
    thread.join().expect("the thread does not panic");
    nanos
}

fn thread_and_thread() -> f64 {
    let (to_pong, from_ping) = std_mpsc::channel();
    let (to_ping, from_pong) = std_mpsc::channel();
    let pong = thread::spawn(move || {
        while let Ok(n) = from_ping.recv() {
            to_ping.send(n).expect("the other is there");
        }
    });
    let nanos = nanos_per(FEW, || {
        for n in 0..FEW {
            to_pong.send(n).expect("the other is there");
            assert_eq!(from_pong.recv(), Ok(n));
        }
    });
    drop(to_pong);
    pong.join().expect("the thread does not panic");
    nanos
}
