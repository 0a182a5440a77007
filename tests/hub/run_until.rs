//! `Hub::run_until`: who drives a hub, and what happens where several do.

// A `Fiber` is a future; that it leaves its runtime is what some tests need.
#![allow(clippy::async_yields_async)]

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use switchback::{Hub, prelude::*, run, sleep, spawn, yield_now};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::support::ending::{Count, poll_once, settle};
use crate::support::{
    Drops, forever, in_async, in_child, ms, paused_local_runtime, runtime, watched,
};

/// Passes polls on, and counts them.
async fn counted<F: Future>(polls: Count, future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        polls.add();
        future.as_mut().poll(cx)
    })
    .await
}

#[test]
fn run_until_on_a_hub_that_is_closed_but_for_its_root_waits_without_spinning() {
    watched(|| {
        let polls = Count::new();
        let output = Rc::new(Cell::new(None));
        let (theirs, polled) = (output.clone(), polls.clone());
        run(move || {
            let (closed, is_closed) = oneshot::channel::<()>();
            drop(tokio::task::spawn_local(async move {
                is_closed.await.unwrap();
                theirs.set(Some(counted(polled, Hub::run_until(async { 1 })).await));
            }));
            Hub::current().close().wait();
            closed.send(()).unwrap();
            for _ in 0..100 {
                sleep(ms(1) / 10).wait();
            }
            // It waits for this fiber to end.
            assert_ne!(polls.get(), 0);
            assert!(polls.get() < 50, "polled {} times", polls.get());
            assert_eq!(output.get(), None);
        })
        .unwrap();
    });
}

#[test]
fn run_until_in_the_root_of_a_closed_hub_only_awaits_its_future() {
    watched(|| {
        let out = run(|| {
            Hub::current().close().wait();
            Hub::run_until(async {
                yield_now().await;
                1
            })
            .wait()
        });
        assert_eq!(out.unwrap(), 1);
    });
}

#[test]
fn a_runtime_that_is_dropped_ends_its_fibers_though_a_run_until_of_theirs_is_kept() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let mut driver = Box::pin(Hub::run_until(pending::<()>()));
        let mut fiber = rt.block_on(async {
            let fiber = spawn(move || {
                let _token = token;
                forever();
            });
            assert!(poll_once(driver.as_mut()).is_pending());
            settle().await;
            fiber
        });
        assert_eq!(drops.count(), 0);
        drop(rt);
        assert_eq!(drops.count(), 1);
        assert!(!fiber.is_alive());
        drop(driver);
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn fibers_go_on_while_a_run_until_beside_their_driver_is_not_polled() {
    in_async(|| async {
        let count = Rc::new(Cell::new(0));
        let counts = count.clone();
        drop(spawn(move || {
            loop {
                counts.set(counts.get() + 1);
                yield_now().wait();
            }
        }));
        settle().await;
        let mut run = Box::pin(Hub::run_until(pending::<()>()));
        let _ = poll_once(run.as_mut());
        settle().await;
        let before = count.get();
        // If the fibers stand still, this hangs.
        while count.get() == before {
            tokio::time::sleep(ms(1)).await;
        }
    });
}

#[test]
fn a_close_from_another_thread_does_not_wait_for_the_future_of_a_run_until() {
    watched(|| {
        runtime().block_on(Hub::run_until(async {
            let hub = Hub::current().handle();
            let drops = Drops::new();
            let token = drops.token();
            drop(spawn(move || {
                let _token = token;
                pending::<()>().wait();
            }));
            let closes = tokio::task::spawn_blocking(move || hub.close().wait());
            closes.await.unwrap();
            assert_eq!(drops.count(), 1);
        }));
    });
}

#[test]
fn a_run_until_closes_its_own_hub_and_goes_on_with_another() {
    watched(|| {
        runtime().block_on(Hub::run_until(async {
            let hub = Hub::current();
            let mut fiber = spawn(|| pending::<()>().wait());
            hub.close().await;
            assert!(fiber.join().await.unwrap_err().is_cancelled());
            let n = Hub::run_until(async {
                let mut fiber = spawn(|| 42);
                fiber.join().await.unwrap()
            });
            assert_eq!(n.await, 42);
        }));
    });
}

#[test]
fn two_run_untils_beside_each_other_end_when_one_is_closed_by_a_handle() {
    in_async(|| async {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let one = Hub::run_until(async {
            drop(spawn(|| pending::<()>().wait()));
            tx.send(Hub::current().handle()).unwrap();
            settle().await;
        });
        let two = Hub::run_until(async {
            let hub = rx.await.unwrap();
            hub.close().await;
            assert!(hub.is_closed());
            Hub::run_until(async { spawn(|| 1).await.unwrap() }).await
        });
        assert_eq!(tokio::join!(one, two).1, 1);
    });
}

#[test]
fn a_driver_inside_a_fiber_does_not_keep_its_own_hub_from_its_end() {
    let runtime = paused_local_runtime();
    let out = std::cell::Cell::new(None);
    runtime.block_on(async {
        out.set(Some(spawn(|| Hub::run_until(pending::<()>()).wait())));
        sleep(ms(1)).await;
    });
    drop(runtime);
    let mut fiber = out.take().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(fiber.join()).poll(&mut cx).is_ready());
}

#[test]
fn run_until_closes_although_a_fiber_of_it_drives_the_hub_too() {
    paused_local_runtime().block_on(async {
        let out = std::cell::Cell::new(None);
        Hub::run_until(async {
            out.set(Some(spawn(|| Hub::run_until(pending::<()>()).wait())));
            sleep(ms(1)).await;
        })
        .await;
        let mut fiber = out.take().unwrap();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn runtimes_used_with_run_until_are_freed() {
    // Other tests of this process open files too.
    let child = in_child(|| {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let round = || {
            runtime().block_on(Hub::run_until(async { spawn(|| 1).await.unwrap() }));
        };
        round();
        let before = open();
        (0..100).for_each(|_| round());
        assert!(open() < before + 50, "{} files stay open", open() - before);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_wake_that_comes_while_a_fiber_drives_its_own_hub_is_not_lost() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            let woken = Cell::new(false);
            // Woken while it polls, before it drives the hub in the same poll.
            let inner = poll_fn(|cx| {
                if woken.replace(true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            let (_never, receiver) = oneshot::channel::<()>();
            let mut receiver = pin!(receiver);
            let mut driven = pin!(Hub::run_until(inner));
            poll_fn(|cx| {
                let _ = receiver.as_mut().poll(cx);
                driven.as_mut().poll(cx)
            })
            .wait();
        });
        let joined = timeout(ms(60_000), fiber.join()).await;
        joined.expect("it ends").unwrap();
    });
}

#[test]
fn a_driver_that_leaves_hands_the_hub_to_another() {
    paused_local_runtime().block_on(async {
        // Made on first need: it has a task that drives it.
        let mut fiber = spawn(|| sleep(ms(3)).wait());
        {
            let mut inside = pin!(Hub::run_until(pending::<()>()));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(inside.as_mut().poll(&mut cx).is_pending());
        }
        timeout(ms(60_000), fiber.join())
            .await
            .expect("it ends")
            .unwrap();
    });
}
