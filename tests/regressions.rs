//! Faults that were found by random testing, each reduced to its smallest form.
// A `Fiber` is a future; that it leaves its runtime is what some tests need.
#![allow(clippy::async_yields_async)]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use switchback::prelude::*;
use switchback::{
    Fiber, Hub, JoinError, bridge, catch_cancel, scope, shield, sleep, spawn, with_timeout,
    yield_now,
};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

const MS: Duration = Duration::from_millis(1);

fn runtime() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap()
}

/// Waits by a bare `.wait()` when it is dropped.
struct WaitsInDrop(Duration);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        sleep(self.0).wait();
    }
}

async fn ends<T>(fiber: &mut Fiber<T>) -> Result<T, JoinError> {
    let joined = tokio::time::timeout(Duration::from_secs(60), fiber.join()).await;
    joined.expect("the fiber ends")
}

#[test]
fn a_cancel_that_reaches_a_panicking_scope_is_not_lost() {
    let result = switchback::run(|| {
        let mut fiber = spawn(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    let _child = s.spawn(|| shield(|| sleep(10 * MS).wait()));
                    yield_now().wait();
                    std::panic::resume_unwind(Box::new("the body panics"));
                });
            }));
            assert!(caught.is_err());
            catch_cancel(|| yield_now().wait()).is_err()
        });
        sleep(3 * MS).wait();
        assert!(fiber.cancel());
        fiber.join().wait().unwrap()
    });
    assert!(result.unwrap(), "the cancel is delivered after the scope");
}

#[test]
fn a_cancel_put_off_because_of_an_unwinding_bridge_is_delivered() {
    runtime().block_on(async {
        let unwinding = tokio::task::spawn_local(bridge(|| {
            let _waits = WaitsInDrop(10 * MS);
            std::panic::resume_unwind(Box::new("the bridge panics"));
        }));
        sleep(MS).await;
        let mut fiber = spawn(|| pending::<()>().wait());
        sleep(MS).await;
        fiber.cancel();
        assert!(unwinding.await.is_err());
        assert!(ends(&mut fiber).await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_deadline_in_a_bridge_put_off_because_of_an_unwinding_fiber_is_delivered() {
    runtime().block_on(async {
        let mut unwinding = spawn(|| {
            let _waits = WaitsInDrop(10 * MS);
            std::panic::resume_unwind(Box::new("the fiber panics"));
        });
        sleep(MS).await;
        let late = bridge(|| with_timeout(MS, || pending::<()>().wait()));
        let late = tokio::time::timeout(Duration::from_secs(60), late);
        let begin = tokio::time::Instant::now();
        assert!(late.await.expect("the deadline passes").is_err());
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert!(ends(&mut unwinding).await.unwrap_err().is_panic());
    });
}

#[test]
fn a_bridge_is_not_taken_for_unwinding_after_another_was_abandoned() {
    let thread = std::thread::spawn(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let runtime = runtime();
        let _entered = runtime.enter();
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        let (tx2, rx2) = tokio::sync::oneshot::channel::<()>();
        struct WaitsFor(Option<tokio::sync::oneshot::Receiver<()>>);
        impl Drop for WaitsFor {
            fn drop(&mut self) {
                let _ = self.0.take().unwrap().wait();
            }
        }
        // It begins on a thread that does not panic, so it surely unwinds.
        let mut first = Box::pin(bridge(move || {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _waits = WaitsFor(Some(rx));
                std::panic::resume_unwind(Box::new("the first panics"));
            }));
            // It does not unwind any more, and may wait.
            rx2.wait_or_cancelled().is_ok()
        }));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let (_never, rx3) = tokio::sync::oneshot::channel();
        let mut second = Box::pin(bridge(move || {
            let _waits = WaitsFor(Some(rx3));
            std::panic::resume_unwind(Box::new("the second panics"));
        }));
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(second);
        tx.send(()).unwrap();
        assert!(first.as_mut().poll(&mut cx).is_pending(), "it waits");
        tx2.send(()).unwrap();
        assert_eq!(first.as_mut().poll(&mut cx), Poll::Ready(true));
    });
    thread.join().unwrap();
}

#[test]
fn a_hub_that_is_closing_is_not_replaced() {
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            shield(|| sleep(10 * MS).wait());
            1
        });
        sleep(MS).await;
        {
            // The close begins, and goes on by itself.
            let mut close = pin!(Hub::current().close());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(close.as_mut().poll(&mut cx).is_pending());
        }
        let again = tokio::task::spawn_local(Hub::run_until(async {}));
        let _ = again.await;
        assert_eq!(ends(&mut fiber).await.unwrap(), 1);
    });
}

#[test]
fn a_driver_inside_a_fiber_does_not_keep_its_own_hub_from_its_end() {
    let runtime = runtime();
    let out = std::cell::Cell::new(None);
    runtime.block_on(async {
        out.set(Some(spawn(|| Hub::run_until(pending::<()>()).wait())));
        sleep(MS).await;
    });
    drop(runtime);
    let mut fiber = out.take().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(fiber.join()).poll(&mut cx).is_ready());
}

#[test]
fn run_until_closes_although_a_fiber_of_it_drives_the_hub_too() {
    runtime().block_on(async {
        let out = std::cell::Cell::new(None);
        Hub::run_until(async {
            out.set(Some(spawn(|| Hub::run_until(pending::<()>()).wait())));
            sleep(MS).await;
        })
        .await;
        let mut fiber = out.take().unwrap();
        assert!(ends(&mut fiber).await.unwrap_err().is_cancelled());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn runtimes_used_with_run_until_are_freed() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Hub::run_until(async { spawn(|| 1).await.unwrap() }));
    };
    round();
    let before = open();
    (0..100).for_each(|_| round());
    assert!(open() < before + 50, "{} files stay open", open() - before);
}

/// Spawns in a scope when it is dropped.
struct ScopeInDrop;

impl Drop for ScopeInDrop {
    fn drop(&mut self) {
        scope(|s| {
            let _ = s.spawn(|| ());
        });
    }
}

#[test]
fn a_scope_in_a_destructor_does_not_abort_on_a_closed_hub() {
    let child = std::env::var_os("SWITCHBACK_FINDINGS_CHILD").is_some();
    if !child {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_scope_in_a_destructor_does_not_abort_on_a_closed_hub",
            ])
            .env("SWITCHBACK_FINDINGS_CHILD", "1")
            .status();
        assert!(status.unwrap().success(), "it aborts");
        return;
    }
    runtime().block_on(async {
        let mut fiber = spawn(|| {
            let _scope = ScopeInDrop;
            pending::<()>().wait();
        });
        sleep(MS).await;
        Hub::current().close().await;
        assert!(fiber.join().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn an_end_returned_by_wait_or_cancelled_does_not_stop_the_unwinding() {
    struct Sets(std::rc::Rc<std::cell::Cell<bool>>);
    impl Drop for Sets {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = std::rc::Rc::new(std::cell::Cell::new(false));
    let sets = Sets(dropped.clone());
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn(move || {
            let _sets = sets;
            let _ = pending::<()>().wait_or_cancelled();
            pending::<()>().wait();
        }));
        sleep(MS).await;
    });
    drop(runtime);
    assert!(dropped.get(), "the stack is unwound, not leaked");
}
