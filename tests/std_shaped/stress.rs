//! Fibers of two hubs, plain threads and async tasks use the same locks and channels, while cancels
//! and time limits fire. Nothing is lost, and sums are right.
//!
//! `SWITCHBACK_SYNC_OPS` sets the number of operations. Of 1,000,000, in release:
//!
//! ```sh
//! SWITCHBACK_SYNC_OPS=1000000 cargo test --release --all-features --test std_shaped stress
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use switchback::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use switchback::sync::{Condvar, RwLock, Semaphore, nonpoison};
use switchback::{HubPool, catch_cancel, shield, thread, with_timeout};

use crate::support::{multi_thread_runtime, watched};

/// How many operations are made unless the variable says so. About a second in debug.
const OPS: u64 = 12_000;
const WORKERS: u64 = 12;

/// What all share.
struct World {
    queue: nonpoison::Mutex<VecDeque<u64>>,
    added: nonpoison::Condvar,
    /// For a condition with a mutex that is poisoned by the cancels.
    poisoned: switchback::sync::Mutex<u64>,
    changed: Condvar,
    map: RwLock<BTreeMap<u64, u64>>,
    permits: Semaphore,
    /// How many permits are held.
    held: AtomicI64,
    send: Sender<u64>,
    receive: Receiver<u64>,
    bounded: SyncSender<u64>,
    from_bounded: Receiver<u64>,
    /// What went in and has not come out. At the end it is what is left.
    queued: AtomicI64,
    sent: AtomicI64,
    /// The same of the channel with a bound.
    bounded_sent: AtomicI64,
    /// What was on its way when its sender gave up, and may have been sent.
    unsure: AtomicI64,
    mapped: AtomicU64,
    cancelled: AtomicU64,
    timed_out: AtomicU64,
    /// How many have begun that are to be cancelled.
    begun: AtomicU64,
}

/// A small generator, so that a run can be repeated as far as threads let it.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

const PERMITS: usize = 3;

/// Counts the permits that somebody holds, who takes no more than there are.
struct Held<'a>(&'a World, i64);

impl Held<'_> {
    fn new(world: &World, permits: usize) -> Held<'_> {
        let permits = i64::try_from(permits).unwrap();
        let held = world.held.fetch_add(permits, Ordering::SeqCst) + permits;
        assert!(held <= PERMITS as i64, "{held} are held");
        Held(world, permits)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(self.1, Ordering::SeqCst);
    }
}

const SOON: Duration = Duration::from_micros(300);

impl World {
    fn new() -> World {
        let (send, receive) = channel();
        let (bounded, from_bounded) = sync_channel(3);
        World {
            queue: nonpoison::Mutex::new(VecDeque::new()),
            added: nonpoison::Condvar::new(),
            poisoned: switchback::sync::Mutex::new(0),
            changed: Condvar::new(),
            map: RwLock::new(BTreeMap::new()),
            permits: Semaphore::new(PERMITS),
            held: AtomicI64::new(0),
            send,
            receive,
            bounded,
            from_bounded,
            queued: AtomicI64::new(0),
            sent: AtomicI64::new(0),
            bounded_sent: AtomicI64::new(0),
            unsure: AtomicI64::new(0),
            mapped: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        }
    }

    fn count(&self, of: &AtomicI64, n: u64, sign: i64) {
        of.fetch_add(sign * i64::try_from(n).unwrap(), Ordering::SeqCst);
    }

    /// Returns whether cancels and time limits have struck.
    fn is_interrupted(&self) -> bool {
        [&self.cancelled, &self.timed_out]
            .iter()
            .all(|count| count.load(Ordering::SeqCst) > 0)
    }

    /// One operation in blocking style. `yields` gives way in a section.
    fn step(&self, random: &mut Random) {
        let n = random.below(100);
        let gives_way = random.below(4) == 0;
        match random.below(9) {
            0 | 1 => {
                let mut queue = self.queue.lock();
                queue.push_back(n);
                self.count(&self.queued, n, 1);
                if gives_way {
                    thread::yield_now();
                }
                drop(queue);
                self.added.notify_one();
            }
            2 => {
                let queue = self.queue.lock();
                let (mut queue, result) = self.added.wait_timeout(queue, SOON);
                if result.timed_out() {
                    self.timed_out.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(n) = queue.pop_front() {
                    self.count(&self.queued, n, -1);
                }
            }
            3 => {
                let mut map = self.map.write().unwrap_or_else(|e| e.into_inner());
                let before = map.get(&n).copied().unwrap_or(0);
                if gives_way {
                    thread::yield_now();
                }
                map.insert(n, before + 1);
                self.mapped.fetch_add(1, Ordering::SeqCst);
            }
            4 => {
                let map = self.map.read().unwrap_or_else(|e| e.into_inner());
                let before = map.get(&n).copied();
                if gives_way {
                    thread::yield_now();
                }
                assert_eq!(map.get(&n).copied(), before, "nobody writes meanwhile");
            }
            5 => {
                self.send.send(n).unwrap();
                self.count(&self.sent, n, 1);
            }
            6 => match self.receive.recv_timeout(SOON) {
                Ok(n) => self.count(&self.sent, n, -1),
                Err(_) => drop(self.timed_out.fetch_add(1, Ordering::Relaxed)),
            },
            7 => {
                let permits = 1 + n as usize % PERMITS;
                let _permits = self.permits.acquire_many(permits);
                let _held = Held::new(self, permits);
                if gives_way {
                    thread::yield_now();
                }
            }
            _ => {
                if self.bounded.try_send(n).is_ok() {
                    self.count(&self.bounded_sent, n, 1);
                } else if let Ok(n) = self.from_bounded.try_recv() {
                    self.count(&self.bounded_sent, n, -1);
                }
            }
        }
    }

    /// One operation in async style.
    async fn step_async(&self, random: &mut Random) {
        let n = random.below(100);
        let gives_way = random.below(4) == 0;
        match random.below(9) {
            0 | 1 => {
                let mut queue = self.queue.lock_async().await;
                queue.push_back(n);
                self.count(&self.queued, n, 1);
                if gives_way {
                    tokio::task::yield_now().await;
                }
                drop(queue);
                self.added.notify_one();
            }
            2 => {
                // Dropped half way, at times with a notification.
                let popped = tokio::time::timeout(SOON, async {
                    let queue = self.queue.lock_async().await;
                    let mut queue = self.added.wait_async(queue).await;
                    if let Some(n) = queue.pop_front() {
                        self.count(&self.queued, n, -1);
                    }
                });
                if popped.await.is_err() {
                    self.timed_out.fetch_add(1, Ordering::Relaxed);
                }
            }
            3 => {
                let mut map = self
                    .map
                    .write_async()
                    .await
                    .unwrap_or_else(|e| e.into_inner());
                let before = map.get(&n).copied().unwrap_or(0);
                if gives_way {
                    tokio::task::yield_now().await;
                }
                map.insert(n, before + 1);
                self.mapped.fetch_add(1, Ordering::SeqCst);
            }
            4 => {
                let map = self
                    .map
                    .read_async()
                    .await
                    .unwrap_or_else(|e| e.into_inner());
                let before = map.get(&n).copied();
                if gives_way {
                    tokio::task::yield_now().await;
                }
                assert_eq!(map.get(&n).copied(), before, "nobody writes meanwhile");
            }
            5 => {
                self.send.send(n).unwrap();
                self.count(&self.sent, n, 1);
            }
            6 => match tokio::time::timeout(SOON, self.receive.recv_async()).await {
                Ok(received) => self.count(&self.sent, received.unwrap(), -1),
                Err(_) => drop(self.timed_out.fetch_add(1, Ordering::Relaxed)),
            },
            7 => {
                let permits = 1 + n as usize % PERMITS;
                // Dropped half way, at times with permits.
                let took = tokio::time::timeout(SOON, async {
                    let _permits = self.permits.acquire_many_async(permits).await;
                    let _held = Held::new(self, permits);
                    tokio::task::yield_now().await;
                });
                if took.await.is_err() {
                    self.timed_out.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {
                let sent = tokio::time::timeout(SOON, self.bounded.send_async(n)).await;
                match sent {
                    Ok(sent) => {
                        sent.unwrap();
                        self.count(&self.bounded_sent, n, 1);
                    }
                    Err(_) => {
                        self.count(&self.unsure, n, 1);
                        let n = self.from_bounded.recv_async().await.unwrap();
                        self.count(&self.bounded_sent, n, -1);
                    }
                }
            }
        }
    }

    /// One operation of a fiber that is cancelled, or whose time passes, anywhere in it.
    fn victim_step(&self, random: &mut Random) {
        let choice = random.below(6);
        let n = random.below(100);
        let section = || match choice {
            0 => {
                let _guard = self.queue.lock();
                thread::yield_now();
            }
            1 => {
                let guard = self.poisoned.lock().unwrap_or_else(|e| e.into_inner());
                let _guard = self.changed.wait(guard).unwrap_or_else(|e| e.into_inner());
                thread::yield_now();
            }
            2 => {
                let queue = self.queue.lock();
                drop(self.added.wait(queue));
                // It keeps the notification, and so passes it on.
                self.added.notify_one();
            }
            3 => {
                let _permits = self.permits.acquire_many(2);
                let _held = Held::new(self, 2);
                thread::yield_now();
            }
            4 => {
                let _shared = self.map.read().unwrap_or_else(|e| e.into_inner());
                thread::yield_now();
            }
            _ => {
                let _shared = self.map.write().unwrap_or_else(|e| e.into_inner());
                thread::park_timeout(Duration::from_micros(50 * n));
            }
        };
        let ended = catch_cancel(|| with_timeout(SOON, section));
        match ended {
            Err(_) => drop(self.cancelled.fetch_add(1, Ordering::Relaxed)),
            Ok(Err(_)) => drop(self.timed_out.fetch_add(1, Ordering::Relaxed)),
            Ok(Ok(())) => {}
        }
        shield(|| *self.poisoned.lock().unwrap_or_else(|e| e.into_inner()) += 1);
        self.changed.notify_one();
    }
}

#[test]
fn nothing_is_lost_between_hubs_threads_and_tasks() {
    let ops = env::var("SWITCHBACK_SYNC_OPS").map_or(OPS, |ops| ops.parse().unwrap());
    let run = move || multi_thread_runtime().block_on(stress(ops));
    match ops > OPS {
        true => run(), // for as long as it takes
        false => watched(run),
    }
}

async fn stress(ops: u64) {
    let world = Arc::new(World::new());
    let each = ops / WORKERS;
    let pool = HubPool::new(2).unwrap();
    let mut fibers = Vec::new();
    let mut victims = Vec::new();
    for n in 0..6 {
        let world = world.clone();
        let is_victim = n >= 4;
        let body = move || {
            let mut random = Random(0x9e37_79b9 + n);
            if is_victim {
                world.begun.fetch_add(1, Ordering::SeqCst);
                // Until one of each kind has struck at least.
                let mut steps = 0;
                while steps < each || !world.is_interrupted() {
                    world.victim_step(&mut random);
                    steps += 1;
                }
            } else {
                (0..each).for_each(|_| world.step(&mut random));
            }
        };
        let fiber = pool.spawn_by_key(n, body).unwrap();
        if is_victim {
            victims.push(fiber.handle());
        }
        fibers.push(fiber);
    }
    let mut tasks = Vec::new();
    for n in 0..4 {
        let world = world.clone();
        tasks.push(tokio::spawn(async move {
            let mut random = Random(0x517c_c1b7 + n);
            for _ in 0..each {
                world.step_async(&mut random).await;
            }
        }));
    }
    let threads: Vec<_> = (0..2)
        .map(|n| {
            let world = world.clone();
            std::thread::spawn(move || {
                let mut random = Random(0xb5ad_4ece + n);
                (0..each).for_each(|_| world.step(&mut random));
            })
        })
        .collect();
    // Cancels, as long as one is left to be cancelled; and room in the channel for those who wait.
    let helper = {
        let world = world.clone();
        std::thread::spawn(move || {
            // One that has not begun would never run.
            while world.begun.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            while victims.iter().any(switchback::FiberHandle::is_alive) {
                victims.iter().for_each(|victim| {
                    victim.cancel();
                });
                std::thread::sleep(Duration::from_micros(200));
                world.changed.notify_all();
            }
        })
    };
    let drain = {
        let world = world.clone();
        tokio::spawn(async move {
            loop {
                let received = tokio::time::timeout(SOON, world.from_bounded.recv_async()).await;
                if let Ok(Ok(n)) = received {
                    world.count(&world.bounded_sent, n, -1);
                }
                // For those who wait for room or for a message.
                tokio::time::sleep(SOON).await;
                let _ = world.bounded.try_send(0);
            }
        })
    };
    for fiber in fibers {
        fiber.await.unwrap();
    }
    for task in tasks {
        task.await.unwrap();
    }
    tokio::task::block_in_place(|| {
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        helper.join().unwrap();
    });
    drain.abort();
    let _ = drain.await;

    let left: u64 = world.queue.try_lock().unwrap().iter().sum();
    assert_eq!(
        world.queued.load(Ordering::SeqCst),
        i64::try_from(left).unwrap()
    );
    let left: u64 = world.receive.try_iter().sum();
    assert_eq!(
        world.sent.load(Ordering::SeqCst),
        i64::try_from(left).unwrap()
    );
    let left: u64 = world.from_bounded.try_iter().sum();
    let more = i64::try_from(left).unwrap() - world.bounded_sent.load(Ordering::SeqCst);
    let unsure = world.unsure.load(Ordering::SeqCst);
    assert!((0..=unsure).contains(&more), "{more} of {unsure}");
    let map = world
        .map
        .read_async()
        .await
        .unwrap_or_else(|e| e.into_inner());
    assert_eq!(
        map.values().sum::<u64>(),
        world.mapped.load(Ordering::SeqCst)
    );
    assert_eq!(world.permits.available_permits(), PERMITS);
    assert!(world.is_interrupted());
    println!(
        "{ops} operations: {} cancels, {} time limits",
        world.cancelled.load(Ordering::Relaxed),
        world.timed_out.load(Ordering::Relaxed),
    );
    drop(map);
    pool.close().await;
}
