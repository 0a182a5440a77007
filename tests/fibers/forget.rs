//! Forgetting a handle or a future half way is sound, and stops no other fiber.

use std::future::pending;
use std::mem::forget;
use std::pin::pin;
use std::time::Duration;

use futures::future::FutureExt as _;
use futures::stream::StreamExt as _;
use switchback::io::{AsyncReader, AsyncWriter};
use switchback::stream::from_iter;
use switchback::{Builder, Fiber, Hub, bridge, prelude::*, scope, sleep, spawn, yield_now};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::sync::{mpsc, oneshot};

use crate::support::ending::{Count, in_paused_fiber, poll_once, settle};
use crate::support::{Drops, forever, in_async, in_paused, in_root_fiber, ms, runtime, watched};

#[test]
fn a_forgotten_fiber_runs_to_its_end() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || {
            let _token = token;
            sleep(ms(1)).wait();
        });
        let handle = fiber.handle();
        forget(fiber);
        while handle.is_alive() {
            tokio::task::yield_now().await;
        }
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_forgotten_fiber_keeps_its_result_for_ever() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || token);
        let handle = fiber.handle();
        forget(fiber);
        settle().await;
        assert!(!handle.is_alive());
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn a_forgotten_fiber_can_be_cancelled_by_its_handle() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || {
            let _token = token;
            forever();
        });
        let handle = fiber.handle();
        forget(fiber);
        settle().await;
        assert!(handle.cancel());
        settle().await;
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_forgotten_new_fiber_ends_with_its_hub() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        rt.block_on(async {
            forget(Fiber::new(move || drop(token)));
            settle().await;
        });
        assert_eq!(drops.count(), 0);
        drop(rt);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_forgotten_new_fiber_does_not_hold_up_a_close() {
    in_async(|| async {
        forget(Fiber::new(|| ()));
        Hub::current().close().await;
    });
}

#[test]
fn a_forgotten_fiber_that_waits_is_unwound_with_its_runtime() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        rt.block_on(async {
            forget(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
        });
        drop(rt);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_forgotten_join_leaves_the_fiber_to_its_end() {
    in_async(|| async {
        let done = Count::new();
        let theirs = done.clone();
        let mut fiber = spawn(move || {
            sleep(ms(1)).wait();
            theirs.add();
            42
        });
        let mut join = Box::pin(fiber.join());
        assert!(poll_once(join.as_mut()).is_pending());
        forget(join);
        assert_eq!(fiber.join().await.unwrap(), 42);
        assert_eq!(done.get(), 1);
    });
}

#[test]
fn a_forgotten_handle_and_builder_hold_up_nothing() {
    in_async(|| async {
        forget(Builder::new().name("forgotten"));
        let fiber = spawn(|| 42);
        forget(fiber.handle());
        assert_eq!(fiber.await.unwrap(), 42);
        forget(Hub::current());
        Hub::current().close().await;
    });
}

#[test]
fn a_forgotten_hub_of_a_runtime_that_is_gone_holds_up_nothing() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
            forget(Hub::current());
        });
        drop(rt);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_forgotten_yield_in_the_queue_holds_up_nothing() {
    in_async(|| async {
        let hub = Hub::current();
        let mut yielded = Box::pin(yield_now());
        assert!(poll_once(yielded.as_mut()).is_pending());
        forget(yielded);
        let mut zero = Box::pin(sleep(Duration::ZERO));
        assert!(poll_once(zero.as_mut()).is_pending());
        forget(zero);
        assert_eq!(spawn(|| 42).await.unwrap(), 42);
        hub.close().await;
    });
}

#[test]
fn a_forgotten_sleep_that_fires_wakes_nobody() {
    in_paused(|| async {
        let mut timer = Box::pin(sleep(ms(1)));
        assert!(poll_once(timer.as_mut()).is_pending());
        forget(timer);
        tokio::time::sleep(ms(5)).await;
        assert_eq!(spawn(|| 42).await.unwrap(), 42);
    });
}

#[test]
fn a_wait_of_a_fiber_forgets_a_future_that_its_timer_wakes_later() {
    in_paused_fiber(|| {
        let timer = Box::pin(sleep(ms(2)));
        let mut timer = std::mem::ManuallyDrop::new(timer);
        assert!(timer.as_mut().wait_timeout(ms(1)).is_err());
        // The timer still has the fiber's waker: a stray wake.
        for _ in 0..5 {
            sleep(ms(1)).wait();
        }
    });
}

#[test]
fn a_forgotten_close_goes_on() {
    in_async(|| async {
        let fiber = spawn(forever);
        settle().await;
        let mut close = Box::pin(Hub::current().close());
        assert!(poll_once(close.as_mut()).is_pending());
        forget(close);
        let mut close = Box::pin(Hub::current().close_within(ms(1000)));
        assert!(poll_once(close.as_mut()).is_pending());
        forget(close);
        assert!(fiber.await.unwrap_err().is_cancelled());
        assert_eq!(Hub::current().close().now_or_never(), Some(()));
    });
}

#[test]
fn the_fibers_of_a_forgotten_run_until_end_with_its_runtime() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        rt.block_on(async {
            let mut driven = Box::pin(Hub::run_until(async {
                drop(spawn(move || {
                    let _token = token;
                    forever();
                }));
                pending::<()>().await;
            }));
            for _ in 0..3 {
                assert!(poll_once(driven.as_mut()).is_pending());
            }
            forget(driven);
            settle().await;
        });
        assert_eq!(drops.count(), 0);
        drop(rt);
        assert_eq!(drops.count(), 1);
        assert_eq!(switchback::run(|| 42).unwrap(), 42);
    });
}

#[test]
fn a_bridge_forgotten_before_its_first_poll_keeps_its_closure() {
    let drops = Drops::new();
    let token = drops.token();
    forget(bridge(move || drop(token)));
    assert_eq!(drops.count(), 0);
}

#[test]
fn a_bridge_forgotten_half_way_stays_where_it_is() {
    in_async(|| async {
        let (tx, mut rx) = mpsc::channel::<i32>(4);
        let drops = Drops::new();
        let token = drops.token();
        let mut future = Box::pin(bridge(move || {
            let _token = token;
            let local = [1, 2, 3];
            while rx.recv().wait().is_some() {
                assert_eq!(local, [1, 2, 3]);
            }
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        forget(future);
        // Its node in the channel points into the stack that was forgotten.
        tx.send(1).await.unwrap();
        drop(tx);
        settle().await;
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn filters_forgotten_half_way_stay_where_they_are() {
    in_async(|| async {
        let (near, mut far) = duplex(1);
        let (mut reads, writes) = split(near);
        let drops = Drops::new();
        let tokens = [(); 3].map(|()| drops.token());
        let [in_reader, in_writer, in_iterator] = tokens;

        let (notify, notified) = oneshot::channel::<()>();
        let mut reader = AsyncReader::new(move || {
            let _token = in_reader;
            notified.wait().unwrap();
            std::io::empty()
        });
        assert!(poll_once(pin!(reader.fill_buf())).is_pending());

        let keep = move |sink| {
            let _ = &in_writer;
            sink
        };
        let mut writer = AsyncWriter::new(writes, keep, |_| Ok(()));
        assert!(poll_once(pin!(writer.write(b"abc"))).is_ready());

        let mut items = from_iter(move || {
            let token = in_iterator;
            std::iter::from_fn(move || {
                let _ = &token;
                Some(reads.read_u8().wait())
            })
        });
        assert!(poll_once(pin!(items.next())).is_pending());

        forget((reader, writer, items));
        // Their nodes and wakers are on, or point into, the stacks that were forgotten.
        notify.send(()).unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'a');
        far.write_all(b"x").await.unwrap();
        settle().await;
        assert_eq!(
            drops.count(),
            1,
            "only the closure that made a writer has ended"
        );
    });
}

#[test]
fn a_bridge_forgotten_with_a_timer_is_not_touched_when_it_fires() {
    in_paused(|| async {
        let mut future = Box::pin(bridge(|| sleep(ms(2)).wait()));
        assert!(poll_once(future.as_mut()).is_pending());
        forget(future);
        let mut future = Box::pin(bridge(|| {
            let _ = switchback::with_timeout(ms(2), forever);
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        forget(future);
        tokio::time::sleep(ms(10)).await;
    });
}

#[test]
fn a_bridge_forgotten_in_a_scope_keeps_the_frame_that_its_children_borrow() {
    in_paused(|| async {
        let reads = Count::new();
        let theirs = reads.clone();
        let mut future = Box::pin(bridge(move || {
            let frame = [1, 2, 3];
            scope(|s| {
                s.spawn(|| {
                    sleep(ms(2)).wait();
                    assert_eq!(frame.len(), 3);
                    theirs.add();
                });
                forever();
            });
        }));
        assert!(poll_once(future.as_mut()).is_pending());
        forget(future);
        tokio::time::sleep(ms(20)).await;
        assert_eq!(reads.get(), 1);
    });
}

#[test]
fn a_bridge_forgotten_in_a_scope_leaves_its_children_to_the_runtimes_end() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        rt.block_on(async {
            let mut future = Box::pin(bridge(move || {
                let frame = [1, 2, 3];
                scope(|s| {
                    let frame = &frame;
                    s.spawn(move || {
                        let _token = token;
                        forever();
                        assert_eq!(frame.len(), 3);
                    });
                });
            }));
            assert!(poll_once(future.as_mut()).is_pending());
            settle().await;
            forget(future);
        });
        drop(rt);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_forgotten_scoped_fiber_and_join_do_not_let_the_parent_go() {
    in_root_fiber(|| {
        let done = Count::new();
        let frame = vec![1, 2, 3];
        scope(|s| {
            let (frame, done) = (&frame, &done);
            forget(s.spawn(move || {
                sleep(ms(1)).wait();
                done.add();
                frame
            }));
            let mut child = s.spawn(move || {
                sleep(ms(2)).wait();
                done.add();
                frame
            });
            let mut join = Box::pin(child.join());
            assert!(poll_once(join.as_mut()).is_pending());
            forget(join);
            forget(child);
        });
        assert_eq!(done.get(), 2);
    });
}

#[test]
fn a_forgotten_error_and_panic_payload_hold_up_nothing() {
    in_async(|| async {
        let fiber = spawn(|| panic!("forgotten"));
        let error: switchback::JoinError = fiber.await.map(|(): ()| ()).unwrap_err();
        forget(error);
        let fiber = spawn(forever);
        settle().await;
        fiber.cancel();
        forget(fiber.await.unwrap_err());
        assert_eq!(spawn(|| 42).await.unwrap(), 42);
    });
}
