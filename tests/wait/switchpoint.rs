//! Where nothing may suspend, and how functions say that they may.

use std::cell::{Cell, RefCell};
use std::future::{IntoFuture, pending, ready};
use std::panic::{Location, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use switchback::{
    Fiber, Hub, assert_no_switchpoints, bridge, catch_cancel, check_cancelled, current_fiber,
    in_fiber, park, prelude::*, scope, shield, sleep, spawn, switchpoint, with_timeout, yield_now,
};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::support::ending::{Count, in_paused_fiber, poll_once, settle, unwinds};
use crate::support::{
    Log, OnDrop, assert_panics, in_async, in_child, in_root_fiber, ms, multi_thread_runtime,
    panic_of, runtime, watched,
};

fn forbidden(call: &str) -> String {
    format!(
        "{call} is a switchpoint and was called inside `assert_no_switchpoints`; wait before or \
         after that block"
    )
}

const SWITCHPOINT: &str = "a function that calls `switchpoint()`";

/// Whatever may suspend in a fiber or bridge is refused, here, by its name.
fn assert_all_forbidden() {
    assert_waits_forbidden();
    assert_panics(&forbidden("`scope`"), || scope(|_| ()));
    if in_fiber() {
        current_fiber().unwrap().unpark();
        assert_panics(&forbidden("`park()`"), || {
            park();
        });
    }
}

/// Every wait is refused, here, by its name.
fn assert_waits_forbidden() {
    assert_panics(&forbidden("`.wait()`"), || ready(()).wait());
    assert_panics(&forbidden("`.wait()`"), || pending::<()>().wait());
    assert_panics(&forbidden("`.wait()`"), || sleep(Duration::ZERO).wait());
    assert_panics(&forbidden("`.wait()`"), || yield_now().wait());
    assert_panics(&forbidden("`.wait_or_cancelled()`"), || {
        ready(()).wait_or_cancelled()
    });
    let ms = ms(1);
    assert_panics(&forbidden("`.wait_timeout()`"), || {
        ready(()).wait_timeout(ms)
    });
    let now = Instant::now();
    assert_panics(&forbidden("`.wait_until()`"), || ready(()).wait_until(now));
    assert_panics(&forbidden(SWITCHPOINT), || {
        switchpoint();
    });
}

/// Ready at once; counts how often it was made and polled.
#[derive(Clone, Default)]
struct Watched {
    made: Count,
    polled: Count,
}

struct Polled(Count);

impl IntoFuture for Watched {
    type Output = ();
    type IntoFuture = Polled;

    fn into_future(self) -> Polled {
        self.made.add();
        Polled(self.polled)
    }
}

impl Future for Polled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.add();
        Poll::Ready(())
    }
}

// What is refused.

#[test]
fn everything_that_may_suspend_is_refused_by_name_though_it_would_not_have_blocked() {
    in_root_fiber(|| {
        assert_no_switchpoints(assert_all_forbidden);
        // And only there.
        ready(()).wait();
        park(); // has a token
        assert_eq!(scope(|_| 1), 1);
        switchpoint();
    });
}

#[test]
fn the_ancestors_block_lets_two_steps_through_and_catches_a_switchpoint_between_them() {
    // with assert_no_switchpoints(): do_something(); do_something_else()
    in_root_fiber(|| {
        let log = Log::new();
        assert_no_switchpoints(|| {
            log.push("something");
            log.push("something else");
        });
        let panic = panic_of(|| {
            assert_no_switchpoints(|| {
                log.push("something");
                sleep(Duration::ZERO).wait();
                log.push("something else");
            });
        });
        assert_eq!(panic.message, forbidden("`.wait()`"));
        let expected = ["something", "something else", "something"];
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn a_refused_wait_neither_makes_nor_polls_its_future() {
    in_root_fiber(|| {
        let watched = Watched::default();
        let theirs = watched.clone();
        assert_no_switchpoints(move || {
            assert!(unwinds(|| theirs.clone().wait()));
            assert!(unwinds(|| theirs.clone().wait_or_cancelled()));
            assert!(unwinds(|| theirs.clone().wait_timeout(ms(1))));
            assert!(unwinds(|| theirs.wait_until(Instant::now())));
        });
        assert_eq!((watched.made.get(), watched.polled.get()), (0, 0));
        watched.clone().wait();
        assert_eq!((watched.made.get(), watched.polled.get()), (1, 1));
    });
}

#[test]
fn what_a_refused_wait_would_have_taken_is_there_afterwards() {
    in_root_fiber(|| {
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(1).unwrap();
        let (one, mut shot) = oneshot::channel();
        one.send(2).unwrap();
        let mutex = Mutex::new(3);
        let mut ended = spawn(|| 4);
        yield_now().wait();
        assert!(!ended.is_alive());
        assert_no_switchpoints(|| {
            assert!(unwinds(|| rx.recv().wait()));
            assert!(unwinds(|| (&mut shot).wait()));
            assert!(unwinds(|| *mutex.lock().wait()));
            assert!(unwinds(|| ended.join().wait()));
        });
        assert_eq!(rx.recv().wait(), Some(1));
        assert_eq!(shot.wait(), Ok(2));
        assert_eq!(*mutex.try_lock().unwrap(), 3);
        assert_eq!(ended.join().wait().unwrap(), 4);
    });
}

#[test]
fn a_refused_park_takes_no_token() {
    in_root_fiber(|| {
        current_fiber().unwrap().unpark();
        assert_no_switchpoints(|| assert!(unwinds(park)));
        park();
    });
}

#[test]
fn a_refused_scope_does_not_run_its_closure() {
    in_root_fiber(|| {
        let ran = Cell::new(false);
        assert_no_switchpoints(|| assert!(unwinds(|| scope(|_| ran.set(true)))));
        assert!(!ran.get());
    });
}

#[test]
fn a_refused_wait_for_the_close_does_not_begin_it() {
    in_root_fiber(|| {
        let hub = Hub::current();
        assert_no_switchpoints(|| assert!(unwinds(|| hub.close().wait())));
        assert_eq!(spawn(|| 1).wait().unwrap(), 1);
        hub.close().wait();
    });
}

#[test]
fn the_panic_of_a_refused_wait_is_one_like_any_other() {
    in_async(|| async {
        let mut fiber = spawn(|| {
            assert_no_switchpoints(|| sleep(ms(1)).wait());
        });
        let error = fiber.join().await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("inside `assert_no_switchpoints`")
        );
        assert!(error.is_panic());
    });
}

#[test]
fn a_function_that_tracks_its_caller_is_blamed_where_it_is_called() {
    #[track_caller]
    fn tracks() -> u32 {
        switchpoint();
        1
    }
    fn does_not() -> &'static Location<'static> {
        let here = Location::caller();
        switchpoint();
        here
    }
    in_root_fiber(|| {
        let inside = does_not();
        assert_no_switchpoints(|| {
            assert_panics(&forbidden(SWITCHPOINT), || tracks() + 1);
            let panic = panic_of(does_not);
            panic.assert(&forbidden(SWITCHPOINT), inside);
        });
    });
}

// What is not refused.

#[test]
fn what_does_not_suspend_is_allowed() {
    in_paused_fiber(|| {
        let (spawned, unstarted) = assert_no_switchpoints(|| {
            assert_eq!(with_timeout(ms(1), || 1), Ok(1));
            assert!(catch_cancel(|| ()).is_ok());
            shield(check_cancelled);
            current_fiber().unwrap().unpark();
            let unstarted = Fiber::new(|| 2);
            assert!(unstarted.start());
            let never = spawn(|| unreachable!("it was cancelled"));
            assert!(never.cancel());
            drop(bridge(|| ()));
            drop(sleep(ms(1)));
            (spawn(|| 1), unstarted)
        });
        assert_eq!(spawned.wait().unwrap(), 1);
        assert_eq!(unstarted.wait().unwrap(), 2);
        park();
    });
}

#[test]
fn it_returns_what_its_closure_returns() {
    in_root_fiber(|| assert_eq!(assert_no_switchpoints(|| 42), 42));
}

// Nesting and ends.

#[test]
fn blocks_nest() {
    in_root_fiber(|| {
        assert_no_switchpoints(|| {
            assert_no_switchpoints(assert_all_forbidden);
            assert_all_forbidden();
        });
        yield_now().wait();
    });
}

#[test]
fn a_panic_ends_the_blocks_that_it_leaves() {
    in_root_fiber(|| {
        assert_no_switchpoints(|| {
            assert!(unwinds(|| assert_no_switchpoints(|| yield_now().wait())));
            assert_all_forbidden();
        });
        yield_now().wait();
        // The shield too.
        current_fiber().unwrap().cancel();
        assert!(catch_cancel(|| yield_now().wait()).is_err());
    });
}

#[test]
fn a_panic_out_of_the_block_of_a_bridge_leaves_that_of_the_fiber_alone() {
    in_root_fiber(|| {
        let mut bridge = Box::pin(bridge(|| assert_no_switchpoints(|| yield_now().wait())));
        assert_no_switchpoints(|| {
            assert!(unwinds(|| poll_once(bridge.as_mut())));
            assert_all_forbidden();
        });
        yield_now().wait();
    });
}

// Whose block it is.

#[test]
fn a_fiber_that_is_spawned_in_a_block_may_wait() {
    in_root_fiber(|| {
        let mut child = assert_no_switchpoints(|| {
            spawn(|| {
                yield_now().wait();
                sleep(ms(1)).wait();
                1
            })
        });
        assert_eq!(child.join().wait().unwrap(), 1);
    });
}

#[test]
fn other_fibers_may_wait_while_one_is_in_a_block() {
    in_root_fiber(|| {
        let go_on = Rc::new(Notify::new());
        let theirs = go_on.clone();
        // Only while it unwinds can a fiber suspend inside.
        let mut inside = spawn(move || {
            assert!(unwinds(|| {
                let _guard = OnDrop(|| assert_no_switchpoints(|| theirs.notified().wait()));
                panic_any("unwinds");
            }));
            assert_no_switchpoints(assert_all_forbidden);
        });
        yield_now().wait();
        let mut other = spawn(|| {
            yield_now().wait();
            sleep(ms(1)).wait();
            scope(|s| s.spawn(|| 1).join().wait().unwrap())
        });
        assert_eq!(other.join().wait().unwrap(), 1);
        go_on.notify_one();
        inside.join().wait().unwrap();
    });
}

#[test]
fn the_body_of_a_bridge_may_wait_though_it_is_polled_in_a_block() {
    in_root_fiber(|| {
        let mut bridge = Box::pin(bridge(|| {
            yield_now().wait();
            1
        }));
        assert_no_switchpoints(|| assert!(poll_once(bridge.as_mut()).is_pending()));
        assert_eq!(bridge.wait(), 1);
    });
}

#[test]
fn a_bridge_that_is_dropped_in_a_block_is_told_of_its_end_and_not_of_the_block() {
    in_root_fiber(|| {
        let told = Rc::new(RefCell::new(None));
        let theirs = told.clone();
        let mut bridge = Box::pin(bridge(move || {
            let _ = catch_cancel(|| pending::<()>().wait());
            *theirs.borrow_mut() = ready(()).wait_or_cancelled().err();
        }));
        assert!(poll_once(bridge.as_mut()).is_pending());
        assert_no_switchpoints(|| drop(bridge));
        let told = told.take().unwrap();
        assert_eq!(told.message(), Some("the hub has ended"));
    });
}

#[test]
fn the_body_of_a_bridge_has_blocks_of_its_own() {
    in_async(|| async {
        bridge(|| {
            assert_no_switchpoints(assert_waits_forbidden);
            yield_now().wait();
            assert_no_switchpoints(assert_waits_forbidden);
        })
        .await;
    });
}

#[test]
fn a_scoped_child_has_blocks_of_its_own() {
    in_root_fiber(|| {
        scope(|s| {
            let mut child = s.spawn(|| assert_no_switchpoints(assert_all_forbidden));
            child.join().wait().unwrap();
            // Spawned in one, joined after it.
            let mut child = assert_no_switchpoints(|| s.spawn(|| yield_now().wait()));
            child.join().wait().unwrap();
        });
    });
}

#[test]
fn a_scope_whose_closure_panics_in_a_block_waits_for_its_children() {
    in_root_fiber(|| {
        let ended = Count::new();
        let theirs = ended.clone();
        assert!(unwinds(|| scope(|s| {
            s.spawn(|| {
                let _guard = OnDrop(|| theirs.add());
                pending::<()>().wait();
            });
            yield_now().wait();
            assert_no_switchpoints(|| yield_now().wait());
        })));
        assert_eq!(ended.get(), 1);
    });
}

// Outside of fibers.

#[test]
fn a_wait_that_would_block_a_plain_thread_is_refused() {
    watched(|| {
        assert_no_switchpoints(|| {
            assert_waits_forbidden();
            assert_no_switchpoints(assert_waits_forbidden);
            assert_waits_forbidden();
        });
        ready(()).wait();
        assert!(unwinds(|| assert_no_switchpoints(|| ready(()).wait())));
        sleep(ms(1)).wait();
    });
}

#[test]
fn a_wait_that_would_block_a_blocking_thread_is_refused() {
    watched(|| {
        runtime().block_on(async {
            let blocking = || assert_no_switchpoints(assert_waits_forbidden);
            tokio::task::spawn_blocking(blocking).await.unwrap();
        });
        multi_thread_runtime().block_on(async {
            tokio::task::block_in_place(|| {
                assert_no_switchpoints(assert_waits_forbidden);
                ready(()).wait();
            });
        });
    });
}

#[test]
fn the_block_of_a_thread_is_for_no_other_thread() {
    watched(|| {
        assert_no_switchpoints(|| {
            thread::spawn(|| sleep(ms(1)).wait()).join().unwrap();
        });
    });
}

#[test]
fn fibers_that_a_thread_drives_in_its_block_may_wait() {
    watched(|| {
        assert_no_switchpoints(|| {
            let body = || {
                sleep(ms(1)).wait();
                scope(|s| s.spawn(|| yield_now().wait()).join().wait().unwrap());
                assert_no_switchpoints(assert_all_forbidden);
                yield_now().wait();
            };
            runtime().block_on(async move { spawn(body).await.unwrap() });
            switchback::run(body).unwrap();
            futures::executor::block_on(bridge(|| yield_now().wait()));
            assert_waits_forbidden();
        });
    });
}

#[test]
fn in_async_code_waits_are_refused_as_ever() {
    in_async(|| async {
        let refused = "`.wait()` would block the runtime; use `.await`, or move this code into \
                       `switchback::spawn` or `bridge`";
        assert_no_switchpoints(|| assert_panics(refused, || ready(()).wait()));
        assert_eq!(assert_no_switchpoints(|| spawn(|| 1)).await.unwrap(), 1);
    });
}

#[test]
fn in_a_poll_waits_are_refused_as_ever() {
    in_root_fiber(|| {
        let refused = "`.wait()` inside a future's `poll`, or a destructor that it runs, would \
                       suspend the executor half way; use `.await` there, or wait outside of the \
                       future";
        async { assert_no_switchpoints(|| assert_panics(refused, || ready(()).wait())) }.wait();
        yield_now().wait();
    });
}

// Cancels.

#[test]
fn a_cancel_stays_pending_and_is_delivered_at_the_first_wait_after_the_block() {
    in_root_fiber(|| {
        let steps = Cell::new(0);
        let cancelled = catch_cancel(|| {
            assert_no_switchpoints(|| {
                current_fiber().unwrap().cancel_with("later");
                check_cancelled();
                steps.set(1);
            });
            steps.set(2);
            yield_now().wait();
            steps.set(3);
        });
        assert_eq!(cancelled.unwrap_err().message(), Some("later"));
        assert_eq!(steps.get(), 2);
    });
}

#[test]
fn a_pending_cancel_does_not_hide_the_refusal_and_is_not_used_up_by_it() {
    in_root_fiber(|| {
        current_fiber().unwrap().cancel();
        assert_no_switchpoints(assert_waits_forbidden);
        assert!(catch_cancel(check_cancelled).is_err());
        check_cancelled();
    });
}

#[test]
fn a_shield_around_or_inside_changes_nothing() {
    in_root_fiber(|| {
        current_fiber().unwrap().cancel();
        shield(|| {
            assert_no_switchpoints(|| {
                assert_all_forbidden();
                shield(assert_all_forbidden);
                check_cancelled();
            });
            check_cancelled();
            yield_now().wait();
        });
        assert!(catch_cancel(check_cancelled).is_err());
    });
}

#[test]
fn a_close_stays_pending() {
    in_async(|| async {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            let closed = catch_cancel(|| pending::<()>().wait());
            assert!(closed.is_err());
            assert_no_switchpoints(|| {
                check_cancelled();
                assert_all_forbidden();
                theirs.push("not in the block");
            });
            check_cancelled();
            theirs.push("not after it");
        });
        settle().await;
        Hub::current().close().await;
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["not in the block"]);
    });
}

#[test]
fn a_deadline_around_a_block_stays_pending_and_one_inside_works() {
    in_paused_fiber(|| {
        let steps = Cell::new(0);
        let outer = with_timeout(Duration::ZERO, || {
            assert_no_switchpoints(|| {
                check_cancelled();
                steps.set(1);
                let inner = with_timeout(Duration::ZERO, check_cancelled);
                assert!(inner.is_err());
                let refused = panic_of(|| with_timeout(Duration::ZERO, || ready(()).wait()));
                assert_eq!(refused.message, forbidden("`.wait()`"));
            });
            steps.set(2);
            check_cancelled();
            steps.set(3);
        });
        assert!(outer.is_err());
        assert_eq!(steps.get(), 2);
    });
}

#[test]
fn the_abrupt_end_stays_pending() {
    let steps = watched(|| {
        let runtime = runtime();
        let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
        let theirs = steps.clone();
        let mut fiber = None;
        runtime.block_on(async {
            fiber = Some(spawn(move || {
                // Learns of the end without being unwound.
                assert!(pending::<()>().wait_or_cancelled().is_err());
                assert_no_switchpoints(|| {
                    check_cancelled();
                    theirs.lock().unwrap().push("not in the block");
                });
                check_cancelled();
                theirs.lock().unwrap().push("not after it");
            }));
            settle().await;
        });
        drop(runtime);
        assert!(fiber.unwrap().wait().unwrap_err().is_cancelled());
        Arc::into_inner(steps).unwrap().into_inner().unwrap()
    });
    assert_eq!(steps, ["not in the block"]);
}

// While the fiber unwinds. A panic in a destructor would abort the process.

/// Runs a body in a child process, which must not abort.
#[track_caller]
fn no_abort(body: impl FnOnce()) {
    if let Some(child) = in_child(body) {
        child.assert_success();
        assert!(!child.stderr.contains("is a switchpoint"), "{child:#?}");
    }
}

/// What returns an error returns it, without a poll.
fn assert_errors_instead() {
    let future = Watched::default();
    let theirs = future.clone();
    assert_no_switchpoints(move || {
        let message = "cancelled: the fiber is unwinding and cannot wait";
        let cancelled = theirs.clone().wait_or_cancelled().unwrap_err();
        assert_eq!(cancelled.to_string(), message);
        let message = "the fiber is unwinding and cannot wait";
        let elapsed = theirs.clone().wait_timeout(ms(1)).unwrap_err();
        assert_eq!(elapsed.to_string(), message);
        let elapsed = theirs.wait_until(Instant::now()).unwrap_err();
        assert_eq!(elapsed.to_string(), message);
        switchpoint();
    });
    assert_eq!((future.made.get(), future.polled.get()), (0, 0));
}

#[test]
fn in_an_unwinding_refused_waits_return_their_error_and_are_not_polled() {
    no_abort(|| {
        in_async(|| async {
            let done = Count::new();
            let theirs = done.clone();
            // By a panic.
            let mut fiber = spawn(move || {
                let _guard = OnDrop(|| {
                    assert_errors_instead();
                    theirs.add();
                });
                panic_any("unwinds");
            });
            assert!(fiber.join().await.unwrap_err().is_panic());
            // By a cancel.
            let theirs = done.clone();
            let mut fiber = spawn(move || {
                let _guard = OnDrop(|| {
                    assert_errors_instead();
                    theirs.add();
                });
                pending::<()>().wait();
            });
            settle().await;
            fiber.cancel();
            assert!(fiber.join().await.unwrap_err().is_cancelled());
            assert_eq!(done.get(), 2);
        });
    });
}

#[test]
fn in_an_unwinding_bare_waits_are_let_through() {
    no_abort(|| {
        in_async(|| async {
            let log = Log::new();
            let theirs = log.clone();
            let mut fiber = spawn(move || {
                let _guard = OnDrop(|| {
                    assert_no_switchpoints(|| {
                        sleep(ms(1)).wait();
                        theirs.push("slept");
                        current_fiber().unwrap().unpark();
                        park();
                        theirs.push("parked");
                        scope(|s| {
                            s.spawn(|| yield_now().wait());
                        });
                        theirs.push("scoped");
                    });
                });
                panic_any("unwinds");
            });
            assert!(fiber.join().await.unwrap_err().is_panic());
            assert_eq!(log.take(), ["slept", "parked", "scoped"]);
        });
    });
}

#[test]
fn in_an_unwinding_through_the_block_itself_waits_do_not_abort() {
    no_abort(|| {
        in_root_fiber(|| {
            let waited = Cell::new(0);
            assert!(unwinds(|| assert_no_switchpoints(|| {
                let _guard = OnDrop(|| {
                    assert!(ready(()).wait_or_cancelled().is_err());
                    yield_now().wait();
                    waited.set(waited.get() + 1);
                });
                panic_any("unwinds");
            })));
            assert_eq!(waited.get(), 1);
            yield_now().wait();
        });
    });
}

#[test]
fn after_the_unwinding_was_caught_waits_are_refused_again() {
    in_root_fiber(|| {
        assert_no_switchpoints(|| {
            assert!(unwinds(|| panic_any("unwinds")));
            assert_all_forbidden();
        });
    });
}

#[test]
fn a_fiber_that_may_be_unwinding_gets_the_error_too() {
    in_async(|| async {
        let go_on = Rc::new(Notify::new());
        let theirs = go_on.clone();
        let mut first = spawn(move || {
            assert!(unwinds(|| {
                let _guard = OnDrop(|| theirs.notified().wait());
                panic_any("unwinds");
            }));
        });
        settle().await;
        // It begins while the thread counts the panic of the first.
        let mut second = spawn(|| {
            assert_errors_instead();
        });
        second.join().await.unwrap();
        go_on.notify_one();
        first.join().await.unwrap();
        // Nobody unwinds any more.
        let refuses = || assert_no_switchpoints(assert_all_forbidden);
        spawn(refuses).await.unwrap();
    });
}

#[test]
fn a_plain_thread_that_unwinds_gets_errors_or_is_let_through() {
    no_abort(|| {
        watched(|| {
            let done = Cell::new(false);
            assert!(unwinds(|| {
                let _guard = OnDrop(|| {
                    assert_errors_instead();
                    assert_no_switchpoints(|| sleep(ms(1)).wait());
                    done.set(true);
                });
                panic_any("unwinds");
            }));
            assert!(done.get());
        });
    });
}

#[test]
fn a_wait_that_is_let_through_at_the_abrupt_end_is_abandoned_as_ever() {
    let child = in_child(|| {
        watched(|| {
            let runtime = runtime();
            runtime.block_on(async {
                spawn(|| {
                    let _guard = OnDrop(|| assert_no_switchpoints(|| yield_now().wait()));
                    pending::<()>().wait();
                });
                settle().await;
            });
            drop(runtime);
        });
    });
    if let Some(child) = child {
        child.assert_reported("waited again while it was being ended", 1);
    }
}

// `switchpoint()` itself.

#[test]
fn a_switchpoint_suspends_nothing_where_waiting_is_possible() {
    in_root_fiber(|| {
        let ran = Rc::new(Cell::new(false));
        let theirs = ran.clone();
        let mut other = spawn(move || theirs.set(true));
        switchpoint();
        assert!(!ran.get());
        // Not even for a cancel.
        current_fiber().unwrap().cancel();
        switchpoint();
        assert!(catch_cancel(|| other.join().wait()).is_err());
        other.join().wait().unwrap();
        bridge(switchpoint).wait();
    });
    watched(|| {
        switchpoint();
        let blocking = tokio::task::spawn_blocking;
        runtime().block_on(async { blocking(switchpoint).await.unwrap() });
    });
}

#[test]
fn a_switchpoint_panics_where_a_wait_would() {
    in_async(|| async {
        let refused = "a function that calls `switchpoint()` would block the runtime; use \
                       `.await`, or move this code into `switchback::spawn` or `bridge`";
        assert_panics(refused, || {
            switchpoint();
        });
        let polls = spawn(|| {
            let refused = "a function that calls `switchpoint()` inside a future's `poll`, or a \
                           destructor that it runs, would suspend the executor half way; use \
                           `.await` there, or wait outside of the future";
            async {
                assert_panics(refused, || {
                    switchpoint();
                })
            }
            .wait();
        });
        polls.await.unwrap();
    });
}

#[test]
fn a_switchpoint_panics_in_the_hub() {
    struct Calls(std::sync::Mutex<Option<String>>);
    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = Some(panic_of(switchpoint).message);
        }
    }
    in_async(|| async {
        Hub::current();
        let calls = Arc::new(Calls(std::sync::Mutex::new(None)));
        let waker = Waker::from(calls.clone());
        let mut giving_way = std::pin::pin!(yield_now());
        let mut cx = Context::from_waker(&waker);
        assert!(giving_way.as_mut().poll(&mut cx).is_pending());
        settle().await;
        let message = calls.0.lock().unwrap().take().unwrap();
        assert_eq!(
            message,
            "a function that calls `switchpoint()` in a callback of the hub would stop every \
             fiber; spawn a fiber that waits",
        );
    });
}

#[test]
fn while_the_thread_is_panicking_a_switchpoint_never_panics() {
    no_abort(|| {
        fn in_drop() {
            assert!(unwinds(|| {
                let _guard = OnDrop(|| {
                    switchpoint();
                    assert_no_switchpoints(switchpoint);
                });
                panic_any("unwinds");
            }));
        }
        watched(in_drop);
        in_async(|| async {
            in_drop();
            let body = || {
                in_drop();
                async { in_drop() }.wait();
            };
            spawn(body).await.unwrap();
        });
    });
}
