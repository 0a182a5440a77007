//! What a hub is sent faster than it can handle it. Everything is counted, and nothing is timed.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use switchback::{Hub, HubThread, prelude::*};

use crate::support::{Drops, in_async, runtime, watched};

mod support;

/// The system's allocator, which counts the bytes that are in use.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both forward to `System` with the same arguments. The others are made of these.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Lets one test of this program run at a time, since the bytes of all of them are counted.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const MANY: u64 = 20_000;

/// How many entries of its queue a hub handles before tokio's other tasks have their turn, at most.
const TURN: u64 = 128;

/// Sends callbacks from another thread.
fn send_callbacks(hub: &Hub) {
    let hub = hub.handle();
    let send = move || (0..MANY).for_each(|_| hub.run_callback(|| ()).unwrap());
    thread::spawn(send).join().unwrap();
}

/// Gives the runtime's other tasks their turns until the hub has run all callbacks. Returns how many
/// it has run in one turn at most.
async fn most_in_a_turn(hub: &Hub) -> u64 {
    let (mut most, mut before) = (0, 0);
    while before < MANY {
        tokio::task::yield_now().await;
        let ran = hub.metrics().callbacks();
        most = most.max(ran - before);
        before = ran;
    }
    most
}

#[test]
fn a_flood_of_callbacks_leaves_others_their_turns() {
    let _alone = alone();
    in_async(async || {
        let hub = Hub::current();
        send_callbacks(&hub);
        let most = most_in_a_turn(&hub).await;
        assert!(most <= TURN, "{most} in one turn");
    });
}

#[test]
fn a_flood_of_callbacks_leaves_others_their_turns_while_the_hub_closes() {
    let _alone = alone();
    in_async(async || {
        let hub = Hub::current();
        send_callbacks(&hub);
        let mut close = tokio_test::task::spawn(hub.close());
        assert!(close.poll().is_pending());
        let most = most_in_a_turn(&hub).await;
        assert!(most <= TURN, "{most} in one turn");
        close.await;
        assert_eq!(hub.metrics().callbacks(), MANY);
    });
}

#[test]
fn a_close_under_a_flood_ends_and_runs_what_was_accepted() {
    let _alone = alone();
    watched(|| {
        let hub = HubThread::new().unwrap();
        let waits = hub.spawn(|| pending::<()>().wait()).unwrap();
        let ran = Arc::new(AtomicU64::new(0));
        let sender = |_| {
            let (hub, ran) = (hub.handle(), ran.clone());
            thread::spawn(move || {
                let mut accepted = 0;
                loop {
                    let ran = ran.clone();
                    let run = move || {
                        ran.fetch_add(1, Ordering::SeqCst);
                    };
                    match hub.run_callback(run) {
                        Ok(()) => accepted += 1,
                        Err(_) => return accepted,
                    }
                }
            })
        };
        let senders: Vec<_> = (0..3).map(sender).collect();
        while ran.load(Ordering::SeqCst) < MANY {
            thread::yield_now();
        }
        hub.close().wait();
        assert!(waits.wait().unwrap_err().is_cancelled());
        let accepted: u64 = senders.into_iter().map(|s| s.join().unwrap()).sum();
        assert_eq!(ran.load(Ordering::SeqCst), accepted);
    });
}

#[test]
fn a_wake_and_a_cancel_come_before_fibers_that_were_sent_before_them() {
    let _alone = alone();
    watched(|| {
        let hub = HubThread::new().unwrap();
        let begun = Arc::new(AtomicU64::new(0));
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let seen = begun.clone();
        let woken = hub.spawn(move || {
            woken.wait().unwrap();
            seen.load(Ordering::SeqCst)
        });
        let seen = begun.clone();
        let cancelled = hub.spawn(move || {
            let cancelled = pending::<()>().wait_or_cancelled();
            assert!(cancelled.is_err());
            seen.load(Ordering::SeqCst)
        });
        let (woken, cancelled) = (woken.unwrap(), cancelled.unwrap());
        // Both wait by the time this has begun.
        let (blocks, is_blocked) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let busy = hub.spawn(move || {
            blocks.send(()).unwrap();
            let _ = gate.recv();
        });
        is_blocked.recv().unwrap();
        for _ in 0..MANY {
            let begun = begun.clone();
            let begin = move || {
                begun.fetch_add(1, Ordering::SeqCst);
            };
            drop(hub.spawn(begin).unwrap());
        }
        wake.send(()).unwrap();
        cancelled.cancel();
        drop((open, busy));
        for seen in [woken.wait().unwrap(), cancelled.wait().unwrap()] {
            assert!(seen <= TURN, "{seen} fibers had begun");
        }
        hub.close().wait();
    });
}

#[test]
fn what_is_outstanding_is_small_and_its_memory_goes_back() {
    const OUTSTANDING: usize = 100_000;
    let _alone = alone();
    watched(|| {
        let hub = HubThread::new().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let busy = hub
            .spawn(move || {
                let _ = gate.recv();
            })
            .unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let before = BYTES.load(Ordering::SeqCst);
        for _ in 0..OUTSTANDING {
            let ran = ran.clone();
            let run = move || {
                ran.fetch_add(1, Ordering::SeqCst);
            };
            hub.handle().run_callback(run).unwrap();
        }
        let each = BYTES.load(Ordering::SeqCst).saturating_sub(before) / OUTSTANDING;
        assert!(each <= 200, "{each} bytes for each callback");
        drop(open);
        busy.wait().unwrap();
        // It hangs if the memory is kept: the hub has nothing else to do.
        while ran.load(Ordering::SeqCst) < OUTSTANDING
            || BYTES.load(Ordering::SeqCst) > before + OUTSTANDING
        {
            thread::yield_now();
        }
        hub.close().wait();
    });
}

#[test]
fn a_hub_whose_runtime_was_dropped_elsewhere_refuses_on_its_own_thread_too() {
    let _alone = alone();
    watched(|| {
        let rt = runtime();
        let hub = rt.block_on(async { Hub::current().handle() });
        thread::spawn(move || drop(rt)).join().unwrap();
        let (drops, called) = (Drops::new(), Arc::new(AtomicBool::new(false)));
        let call = || {
            let (token, called) = (drops.token(), called.clone());
            move || {
                let _token = token;
                called.store(true, Ordering::SeqCst);
            }
        };
        assert!(hub.spawn(call()).is_err());
        assert!(hub.run_callback(call()).is_err());
        assert!(hub.is_closed());
        assert_eq!(drops.count(), 2);
        assert!(!called.load(Ordering::SeqCst));
    });
}
