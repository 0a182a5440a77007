//! The abrupt end: everything that can be unwound is, the rest is leaked.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::pin::Pin;
use std::process;
use std::process::exit;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use switchback::{
    Builder, Fiber, Hub, bridge, catch_cancel, current_fiber, in_fiber, prelude::*, run, shield,
    sleep, spawn, with_timeout, yield_now,
};
use tokio::sync::mpsc;

use crate::support::ending::{Count, poll_once, settle, unwinds};
use crate::support::{
    Drops, OnDrop, Token, forever, in_async, in_child, ms, multi_thread_runtime,
    paused_local_runtime, paused_runtime, runtime, watched,
};

/// A fiber in each state in which the end may find it. Each holds a token, and
/// drops it if it is unwound.
struct InEachState {
    /// To be dropped by the end.
    drops: Drops,
    fibers: Vec<Fiber<()>>,
    /// How many fibers were made.
    count: usize,
    /// How many of them wait again and are abandoned.
    abandoned: usize,
}

impl InEachState {
    /// Made in two steps, so that some have run and others have not.
    async fn make() -> InEachState {
        let drops = Drops::new();
        let mut fibers = Vec::new();
        let with_token = |body: fn()| {
            let token = drops.token();
            move || {
                let _token = token;
                body();
            }
        };
        let waiting: [fn(); 9] = [
            forever,
            || sleep(Duration::from_secs(60)).wait(),
            || shield(forever),
            || {
                let _ = catch_cancel(forever);
            },
            || {
                let _ = with_timeout(Duration::from_secs(60), forever);
            },
            || {
                let _ = bridge(|| bridge(forever).wait()).wait_timeout(Duration::from_secs(60));
            },
            || {
                let _ = spawn(|| sleep(Duration::from_secs(60)).wait()).wait();
            },
            || {
                switchback::scope(|s| {
                    s.spawn(forever);
                    forever();
                });
            },
            switchback::park,
        ];
        for body in waiting {
            fibers.push(spawn(with_token(body)));
        }
        fibers.push(spawn(with_token(|| ())));
        settle().await;
        // Cancelled and not resumed yet.
        let cancelled = spawn(with_token(forever));
        settle().await;
        cancelled.cancel();
        fibers.push(cancelled);
        let stuck: [fn(); 3] = [
            || {
                for _ in 0..3 {
                    let _ = catch_cancel(forever);
                }
            },
            || {
                let _guard = OnDrop(forever);
                forever();
            },
            // The last one: what waits after it may be unwinding for all we know.
            || {
                assert!(unwinds(|| {
                    let _guard = OnDrop(forever);
                    panic!("stands still in a destructor");
                }));
            },
        ];
        for body in stuck {
            fibers.push(spawn(with_token(body)));
        }
        settle().await;
        // Started, not run; new; new and cancelled.
        fibers.push(spawn(with_token(|| ())));
        fibers.push(Fiber::new(with_token(|| ())));
        let new = Fiber::new(with_token(|| ()));
        new.cancel();
        fibers.push(new);
        let count = fibers.len();
        InEachState {
            drops,
            fibers,
            count,
            abandoned: stuck.len(),
        }
    }

    /// Everything has ended, and joins say how.
    fn check(mut self) {
        assert_eq!(self.drops.count(), self.count - self.abandoned);
        let mut abandoned = 0;
        for fiber in &mut self.fibers {
            assert!(!fiber.is_alive());
            assert!(!fiber.cancel());
            match futures::executor::block_on(fiber.join()) {
                Ok(()) => {}
                Err(error) => {
                    assert!(error.is_cancelled(), "{error}");
                    abandoned += usize::from(error.to_string().contains("abandoned"));
                }
            }
        }
        assert_eq!(abandoned, self.abandoned);
    }
}

// With fibers in each state.

#[test]
fn a_runtime_that_is_dropped_ends_fibers_in_each_state() {
    watched(|| {
        let rt = runtime();
        let fibers = rt.block_on(InEachState::make());
        drop(rt);
        fibers.check();
    });
}

#[test]
fn a_runtime_that_is_shut_down_in_the_background_ends_fibers_in_each_state() {
    watched(|| {
        let rt = runtime();
        let fibers = rt.block_on(InEachState::make());
        rt.shutdown_background();
        fibers.check();
    });
}

#[test]
fn a_run_until_that_is_dropped_ends_fibers_in_each_state() {
    watched(|| {
        for multi in [false, true] {
            // On a thread of its own each, since the first one marks it.
            watched(move || {
                let rt = if multi {
                    multi_thread_runtime()
                } else {
                    runtime()
                };
                let made = rt.block_on(async {
                    let made = Rc::new(RefCell::new(None));
                    let theirs = made.clone();
                    let driven = Hub::run_until(async move {
                        let fibers = InEachState::make().await;
                        theirs.replace(Some(fibers));
                        pending::<()>().await;
                    });
                    let mut driven = Box::pin(driven);
                    while made.borrow().is_none() {
                        assert!(poll_once::<_>(driven.as_mut()).is_pending());
                    }
                    drop(driven);
                    made.take().unwrap()
                });
                made.check();
            });
        }
    });
}

#[test]
fn a_bridge_that_is_dropped_with_a_hub_inside_ends_its_fibers() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let drops = Drops::new();
            let token = drops.token();
            let mut outer = Box::pin(bridge(move || {
                Hub::run_until(async move {
                    drop(spawn(move || {
                        let _token = token;
                        forever();
                    }));
                    pending::<()>().await;
                })
                .wait();
            }));
            for _ in 0..5 {
                assert!(poll_once(outer.as_mut()).is_pending());
            }
            drop(outer);
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_runtime_that_is_dropped_while_the_thread_panics_ends_fibers_in_each_state() {
    watched(|| {
        let kept = Rc::new(RefCell::new(None));
        let theirs = kept.clone();
        assert!(unwinds(move || {
            let rt = runtime();
            theirs.replace(Some(rt.block_on(InEachState::make())));
            panic!("around the runtime");
        }));
        let fibers = kept.take().unwrap();
        fibers.check();
    });
}

#[test]
fn a_runtime_that_is_dropped_while_the_thread_panics_completes_what_does_not_wait() {
    watched(|| {
        let drops = Drops::new();
        let tokens = drops.clone();
        assert!(unwinds(move || {
            let rt = runtime();
            rt.block_on(async {
                for _ in 0..10 {
                    let token = tokens.token();
                    drop(spawn(move || {
                        let _token = token;
                        forever();
                    }));
                }
                settle().await;
                for _ in 0..10 {
                    let token = tokens.token();
                    drop(spawn(move || drop(token)));
                }
            });
            panic!("around the runtime");
        }));
        assert_eq!(drops.count(), 20);
        assert!(!thread::panicking());
    });
}

#[test]
fn the_warning_claims_no_mark_on_the_thread_where_there_is_none() {
    let child = in_child(|| {
        assert!(unwinds(|| {
            let rt = runtime();
            rt.block_on(async {
                drop(spawn(|| {
                    for _ in 0..2 {
                        let _ = catch_cancel(forever);
                    }
                }));
                settle().await;
            });
            panic!("around the runtime");
        }));
        assert!(!thread::panicking());
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.reported("its stack is leaked"), "{child:#?}");
        // Whether it was unwinding cannot be known: the thread was panicking.
        assert!(!child.stderr.contains("it was unwinding"), "{child:#?}");
    }
}

// Joiners.

#[test]
fn a_joiner_on_another_thread_is_told_of_an_abandoned_fiber() {
    watched(|| {
        let rt = runtime();
        let fiber = rt.block_on(async {
            let fiber = spawn(|| {
                for _ in 0..2 {
                    let _ = catch_cancel(forever);
                }
            });
            settle().await;
            fiber
        });
        let joiner = thread::spawn(move || fiber.wait().unwrap_err().to_string());
        thread::sleep(ms(5));
        drop(rt);
        assert!(joiner.join().unwrap().contains("abandoned"));
    });
}

#[test]
fn a_task_of_another_runtime_is_told_of_a_fiber_that_was_unwound() {
    watched(|| {
        let rt = runtime();
        let fiber = rt.block_on(async {
            let fiber = spawn(forever);
            settle().await;
            fiber
        });
        runtime().block_on(async {
            let joiner = tokio::spawn(fiber);
            settle().await;
            rt.shutdown_background();
            assert!(joiner.await.unwrap().unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_hub_is_told_of_the_end_of_another_hub_whose_fiber_its_own_joins() {
    watched(|| {
        let (one, two) = (runtime(), runtime());
        let fiber = one.block_on(async {
            let fiber = spawn(forever);
            settle().await;
            fiber
        });
        two.block_on(async {
            let mut joiner = spawn(move || fiber.wait().unwrap_err().is_cancelled());
            settle().await;
            one.shutdown_background();
            assert!(joiner.join().await.unwrap());
        });
    });
}

#[test]
fn fibers_of_two_runtimes_on_a_thread_end_with_their_own() {
    watched(|| {
        let (one, two) = (paused_runtime(), paused_runtime());
        let drops = Drops::new();
        let make = |token: Token| async move {
            let fiber = spawn(move || {
                let _token = token;
                sleep(ms(2)).wait();
            });
            settle().await;
            fiber
        };
        let first = one.block_on(make(drops.token()));
        let second = two.block_on(make(drops.token()));
        drop(one);
        assert_eq!(drops.count(), 1);
        two.block_on(async { second.await.unwrap() });
        assert!(futures::executor::block_on(first).is_err());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_yield_of_another_task_is_not_lost_when_run_until_is_dropped() {
    in_async(|| async {
        let mut driven = Box::pin(Hub::run_until(pending::<()>()));
        assert!(poll_once(driven.as_mut()).is_pending());
        tokio::join!(yield_now(), async { drop(driven) });
    });
}

// In and below fibers.

#[test]
fn a_fiber_that_drops_another_runtime_ends_the_fibers_of_that() {
    watched(|| {
        let inner = runtime();
        let drops = Drops::new();
        let token = drops.token();
        inner.block_on(async {
            drop(spawn(move || {
                let _token = token;
                let me = current_fiber().unwrap().id();
                let _guard = OnDrop(|| assert_eq!(current_fiber().unwrap().id(), me));
                forever();
            }));
            settle().await;
        });
        runtime().block_on(async {
            let mut fiber = spawn(move || {
                let me = current_fiber().unwrap().id();
                inner.shutdown_background();
                assert_eq!(current_fiber().unwrap().id(), me);
                yield_now().wait();
            });
            fiber.join().await.unwrap();
        });
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_fiber_that_drops_another_runtime_while_it_unwinds_ends_the_fibers_of_that() {
    watched(|| {
        let inner = runtime();
        let drops = Drops::new();
        let token = drops.token();
        inner.block_on(async {
            drop(spawn(move || {
                let _token = token;
                forever();
            }));
            settle().await;
        });
        runtime().block_on(async {
            let mut inner = Some(inner);
            let mut fiber = spawn(move || {
                let _guard = OnDrop(|| inner.take().unwrap().shutdown_background());
                panic!("its own");
            });
            assert!(fiber.join().await.unwrap_err().is_panic());
            let mut next = spawn(forever);
            settle().await;
            next.cancel();
            assert!(next.join().await.unwrap_err().is_cancelled());
        });
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_fiber_that_is_ended_can_cancel_and_drop_the_others() {
    watched(|| {
        let rt = runtime();
        let drops = Drops::new();
        let (one, two) = (drops.token(), drops.token());
        rt.block_on(async {
            let others: Rc<RefCell<Vec<Fiber<()>>>> = Rc::default();
            let theirs = others.clone();
            drop(spawn(move || {
                let _token = one;
                let _guard = OnDrop(|| {
                    for other in theirs.take() {
                        other.cancel();
                        drop(other);
                    }
                });
                forever();
            }));
            others.borrow_mut().push(spawn(move || {
                let _token = two;
                forever();
            }));
            others.borrow_mut().push(Fiber::new(|| ()));
            settle().await;
        });
        drop(rt);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn wakes_after_the_end_go_nowhere() {
    watched(|| {
        let (tx, mut rx) = mpsc::channel::<i32>(1);
        let rt = runtime();
        let fiber = rt.block_on(async {
            let fiber = spawn(move || {
                loop {
                    let _ = catch_cancel(|| rx.recv().wait());
                }
            });
            settle().await;
            fiber
        });
        let handle = fiber.handle();
        drop(rt);
        let _ = tx.try_send(1); // wakes a stack that was left
        handle.unpark();
        thread::spawn(move || {
            handle.unpark();
            assert!(!handle.cancel());
            let _ = tx.try_send(2);
        })
        .join()
        .unwrap();
        runtime().block_on(settle());
        assert_eq!(run(|| spawn(|| 42).wait().unwrap()).unwrap(), 42);
    });
}

// Threads.

#[test]
fn a_runtime_dropped_on_another_thread_loses_its_fibers_and_says_so_to_joiners() {
    watched(|| {
        let rt = runtime();
        let drops = Drops::new();
        let token = drops.token();
        let fiber = rt.block_on(async {
            let fiber = spawn(move || {
                let _token = token;
                forever();
            });
            settle().await;
            fiber
        });
        thread::spawn(move || drop(rt)).join().unwrap();
        assert!(!fiber.is_alive());
        assert!(!fiber.cancel());
        let error = futures::executor::block_on(fiber).unwrap_err();
        assert!(
            error.to_string().contains("was lost with its hub"),
            "{error}"
        );
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn a_runtime_that_another_thread_has_driven_meanwhile_goes_on_at_home() {
    watched(|| {
        let rt = paused_runtime();
        let done = Count::new();
        let theirs = done.clone();
        let mut fiber = rt.block_on(async {
            let fiber = spawn(move || {
                sleep(ms(2)).wait();
                theirs.add();
            });
            settle().await;
            fiber
        });
        let rt = thread::spawn(move || {
            rt.block_on(async { tokio::time::sleep(ms(10)).await });
            rt
        })
        .join()
        .unwrap();
        assert_eq!(done.get(), 0);
        rt.block_on(async { fiber.join().await.unwrap() });
        assert_eq!(done.get(), 1);
    });
}

#[test]
fn a_runtime_returned_to_and_dropped_on_another_thread_leaves_its_stacks_alone() {
    watched(|| {
        let rt = runtime();
        let drops = Drops::new();
        let make = |token| async move {
            drop(spawn(move || {
                let _token: Token = token;
                forever();
            }));
            settle().await;
        };
        rt.block_on(make(drops.token()));
        let rt = thread::spawn(move || {
            rt.block_on(async { settle().await });
            rt
        })
        .join()
        .unwrap();
        rt.block_on(make(drops.token()));
        thread::spawn(move || drop(rt)).join().unwrap();
        assert_eq!(drops.count(), 0);
        // The thread goes on with other hubs.
        assert_eq!(run(|| spawn(|| 42).wait().unwrap()).unwrap(), 42);
    });
}

/// A thread-local that knows whether it is still there.
struct Local(RefCell<Vec<String>>);

thread_local! {
    static LOCAL: Local = const { Local(RefCell::new(Vec::new())) };
    static GONE: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Local {
    fn drop(&mut self) {
        GONE.set(true);
    }
}

/// Suspends for ever with a reference to a thread-local in its frame, and uses
/// it when it is unwound.
fn over_a_thread_local() {
    LOCAL.with(|local| {
        local.0.borrow_mut().push("suspended".to_owned());
        let _guard = OnDrop(|| {
            if GONE.get() {
                println!("a destroyed thread-local was used");
            }
            local.0.borrow_mut().push("unwound".to_owned());
        });
        forever();
    });
}

#[test]
fn a_thread_that_exits_leaves_its_suspended_fibers_alone_and_says_so() {
    let child = in_child(|| {
        let fiber = thread::spawn(|| {
            let rt = runtime();
            let fiber = rt.block_on(async {
                let body = || over_a_thread_local();
                let fiber = switchback::Builder::new().name("left").spawn(body);
                settle().await;
                fiber.unwrap()
            });
            std::mem::forget(rt);
            fiber
        })
        .join()
        .unwrap();
        let error = futures::executor::block_on(fiber).unwrap_err();
        assert!(
            error.to_string().contains("was lost with its hub"),
            "{error}"
        );
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(!child.stdout.contains("destroyed"), "{child:#?}");
        assert!(
            child.reported("a thread ended with suspended fibers"),
            "{child:#?}"
        );
        assert!(child.reported("left"), "{child:#?}");
    }
}

thread_local! {
    static KEPT_RUNTIME: RefCell<Option<tokio::runtime::Runtime>> = const { RefCell::new(None) };
    static KEPT_BRIDGE: RefCell<Option<Pin<Box<switchback::Bridge<()>>>>> =
        const { RefCell::new(None) };
}

#[test]
fn a_thread_that_exits_with_a_runtime_in_a_frame_unwinds_its_fibers() {
    watched(|| {
        let drops = Drops::new();
        let token = drops.token();
        thread::spawn(move || {
            let rt = runtime();
            rt.block_on(async {
                drop(spawn(move || {
                    let _token = token;
                    forever();
                }));
                settle().await;
            });
        })
        .join()
        .unwrap();
        assert_eq!(drops.count(), 1);
    });
}

// process::exit

#[test]
fn a_process_may_exit_from_a_fiber() {
    let child = in_child(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(over_a_thread_local));
            settle().await;
            drop(spawn(|| process::exit(7)));
            pending::<()>().await;
        });
    });
    if let Some(child) = child {
        assert_eq!(child.status.code(), Some(7), "{child:#?}");
        assert!(!child.stdout.contains("destroyed"), "{child:#?}");
    }
}

#[test]
fn a_process_may_exit_from_a_destructor_of_a_fiber_that_unwinds() {
    let child = in_child(|| {
        runtime().block_on(async {
            let fiber = spawn(|| {
                let _guard = OnDrop(|| process::exit(7));
                forever();
            });
            settle().await;
            fiber.cancel();
            pending::<()>().await;
        });
    });
    if let Some(child) = child {
        assert_eq!(child.status.code(), Some(7), "{child:#?}");
    }
}

#[test]
fn a_process_may_exit_from_a_bridge_and_from_a_scopes_child() {
    let child = in_child(|| {
        runtime().block_on(bridge(|| {
            switchback::scope(|s| {
                s.spawn(forever);
                s.spawn(|| bridge(|| process::exit(7)).wait());
            });
        }));
    });
    if let Some(child) = child {
        assert_eq!(child.status.code(), Some(7), "{child:#?}");
    }
}

// Joins that fail before the fiber has ended.

#[test]
fn a_lost_fiber_whose_join_has_failed_is_unwound_by_the_next_hub_of_its_thread() {
    let child = in_child(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let mut fiber = rt.block_on(async {
            let fiber = spawn(move || {
                let _token = token;
                forever();
            });
            settle().await;
            fiber
        });
        thread::spawn(move || drop(rt)).join().unwrap();
        let error = fiber.join().wait().unwrap_err();
        assert!(error.to_string().contains("was lost with its hub"));
        assert_eq!(drops.count(), 0);
        assert_eq!(run(|| 1).unwrap(), 1);
        assert_eq!(drops.count(), 1);
        drop(fiber);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_fiber_that_never_ran_and_whose_join_has_failed_is_dropped_by_the_next_hub() {
    let child = in_child(|| {
        let drops = Drops::new();
        let token = drops.token();
        let rt = runtime();
        let mut fiber = {
            let _context = rt.enter();
            spawn(move || drop(token))
        };
        // The thread that drives the runtime is another one.
        thread::spawn(move || rt.block_on(async { settle().await }))
            .join()
            .unwrap();
        assert!(fiber.join().wait().is_err());
        assert_eq!(drops.count(), 0);
        assert_eq!(run(|| 1).unwrap(), 1);
        assert_eq!(drops.count(), 1);
        drop(fiber);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn an_end_returned_by_wait_or_cancelled_does_not_stop_the_unwinding() {
    let drops = Drops::new();
    let token = drops.token();
    let runtime = paused_local_runtime();
    runtime.block_on(async {
        drop(spawn(move || {
            let _token = token;
            let _ = pending::<()>().wait_or_cancelled();
            pending::<()>().wait();
        }));
        sleep(ms(1)).await;
    });
    drop(runtime);
    assert_eq!(drops.count(), 1, "the stack is unwound, not leaked");
}

#[test]
fn what_was_told_of_the_end_and_waits_again_is_left_and_not_told_again() {
    let told = Rc::new(Cell::new(0));
    let count = told.clone();
    let runtime = paused_local_runtime();
    runtime.block_on(async {
        drop(spawn(move || {
            for _ in 0..3 {
                let caught = catch_cancel(|| pending::<()>().wait());
                count.set(count.get() + u32::from(caught.is_err()));
            }
        }));
        sleep(ms(1)).await;
    });
    drop(runtime);
    assert_eq!(told.get(), 1);
}

#[test]
fn a_join_on_another_thread_is_told_that_the_thread_of_the_hub_has_ended() {
    watched(|| {
        let (tell, told) = std::sync::mpsc::channel();
        let hub = std::thread::spawn(move || {
            // The runtime outlives its thread: nobody ends the fibers.
            let runtime = runtime();
            runtime.block_on(async {
                let fiber = spawn(|| pending::<u8>().wait());
                yield_now().await;
                tell.send(fiber).unwrap();
            });
            std::mem::forget(runtime);
            std::thread::sleep(ms(50));
        });
        let mut fiber = told.recv().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(fiber.join().wait()));
        let joined = told.recv();
        let error = joined.expect("it is told").unwrap_err();
        assert!(
            error.to_string().contains("was lost with its hub"),
            "{error}"
        );
        hub.join().unwrap();
    });
}

/// Calls a function when its thread, or the process, ends.
struct AtExit(Cell<Option<fn()>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.get() {
            f();
        }
    }
}

thread_local! {
    static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
}

/// Has `f` called by the end of the process or the thread, after the end of what is
/// made later.
fn at_exit(f: fn()) {
    AT_EXIT.with(|at_exit| at_exit.0.set(Some(f)));
}

#[test]
fn a_detached_fiber_that_ends_the_process_is_there_for_what_ends_with_its_thread() {
    let child = in_child(|| {
        at_exit(|| {
            assert!(in_fiber());
            let own = current_fiber().unwrap();
            println!("ended by {}", own.name());
            own.unpark();
            yield_now().wait();
            assert!(Hub::try_current().is_some());
            // It goes to the hub and comes back.
            pending::<()>().wait_or_cancelled().unwrap_err();
            println!("all done");
        });
        switchback::run(|| {
            drop(Builder::new().name("the last one").spawn(|| exit(0)));
            pending::<()>().wait();
        })
        .unwrap();
    });
    let Some(child) = child else { return };
    child.assert_success();
    if cfg!(target_os = "linux") {
        assert!(child.stdout.contains("ended by the last one"), "{child:#?}");
        assert!(child.stdout.contains("all done"), "{child:#?}");
    }
}
