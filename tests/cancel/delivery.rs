//! A cancel is delivered once, at a wait, and nothing that was ready is lost by it.

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::FutureExt as _;
use switchback::{
    Cancelled, Fiber, bridge, catch_cancel, check_cancelled, current_fiber, in_fiber, park,
    prelude::*, shield, sleep, spawn, with_timeout, yield_now,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::support::ending::{Count, InDrop, in_paused_fiber, settle, unwinds};
use crate::support::{
    Drops, Log, OnDrop, in_child, in_paused, in_root_fiber, ms, paused_local_runtime, runtime,
    watched,
};

fn cancel_myself(message: &'static str) {
    assert!(current_fiber().unwrap().cancel_with(message));
}

// Nothing that became ready is lost.

#[test]
fn a_message_that_is_there_when_the_cancel_comes_stays_in_the_channel() {
    in_paused(|| async {
        for cancel_first in [false, true] {
            let (tx, rx) = mpsc::channel(4);
            let rx = Rc::new(RefCell::new(rx));
            let theirs = rx.clone();
            let mut fiber = spawn(move || theirs.borrow_mut().recv().wait());
            settle().await;
            if cancel_first {
                fiber.cancel();
            }
            tx.try_send(7).unwrap();
            fiber.cancel();
            assert!(fiber.join().await.unwrap_err().is_cancelled());
            let mut next = spawn(move || rx.borrow_mut().recv().wait());
            assert_eq!(next.join().await.unwrap(), Some(7));
        }
    });
}

#[test]
fn a_message_that_was_there_before_the_wait_stays_in_the_channel() {
    in_root_fiber(|| {
        let (tx, mut rx) = mpsc::channel(4);
        tx.try_send(7).unwrap();
        cancel_myself("first");
        assert!(catch_cancel(|| rx.recv().wait()).is_err());
        assert_eq!(rx.recv().wait(), Some(7));
    });
}

#[test]
fn a_message_that_is_there_stays_in_the_channel_when_wait_or_cancelled_is_cancelled() {
    in_root_fiber(|| {
        let (tx, mut rx) = mpsc::channel(4);
        tx.try_send(7).unwrap();
        cancel_myself("first");
        assert!(rx.recv().wait_or_cancelled().is_err());
        assert_eq!(rx.recv().wait_or_cancelled().unwrap(), Some(7));
    });
}

#[test]
fn a_notification_passes_from_a_cancelled_fiber_to_the_next() {
    in_paused(|| async {
        let notify = Rc::new(Notify::new());
        let theirs = notify.clone();
        let mut fiber = spawn(move || theirs.notified().wait());
        settle().await;
        notify.notify_one();
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(notify.notified().now_or_never(), Some(()));
    });
}

#[test]
fn a_permit_passes_from_a_cancelled_fiber_to_the_next() {
    in_paused(|| async {
        let semaphore = Arc::new(Semaphore::new(0));
        let theirs = semaphore.clone();
        let mut fiber = spawn(move || drop(theirs.acquire_owned().wait()));
        settle().await;
        semaphore.add_permits(1);
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn a_oneshot_keeps_its_value_when_its_receiver_is_cancelled() {
    in_paused(|| async {
        let (tx, rx) = oneshot::channel();
        let rx = Rc::new(RefCell::new(rx));
        let theirs = rx.clone();
        let mut fiber = spawn(move || (&mut *theirs.borrow_mut()).wait().unwrap());
        settle().await;
        tx.send(7).unwrap();
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(rx.borrow_mut().try_recv(), Ok(7));
    });
}

#[test]
fn no_byte_of_a_tcp_stream_is_lost_to_cancelled_readers() {
    const BYTES: usize = 5000;
    in_paused(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut writer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (reader, _) = listener.accept().await.unwrap();
        let reader = Rc::new(RefCell::new(reader));
        let received = Log::new();
        let read = || {
            let (reader, received) = (reader.clone(), received.clone());
            spawn(move || {
                let mut buf = [0; 7];
                loop {
                    match reader.borrow_mut().read(&mut buf).wait().unwrap() {
                        0 => return,
                        n => buf[..n].iter().for_each(|byte| received.push(*byte)),
                    }
                }
            })
        };
        let sent: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
        for (round, chunk) in sent.chunks(50).enumerate() {
            let mut fiber = read();
            // Sometimes it is new, sometimes it waits, sometimes it is ready.
            for _ in 0..round % 4 {
                tokio::task::yield_now().await;
            }
            writer.write_all(chunk).await.unwrap();
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            fiber.cancel();
            assert!(fiber.join().await.unwrap_err().is_cancelled());
        }
        drop(writer);
        read().join().await.unwrap();
        assert_eq!(received.take(), sent);
    });
}

// In each state of a fiber.

#[test]
fn a_new_fiber_ends_as_cancelled_and_never_runs() {
    in_paused(|| async {
        let (drops, runs) = (Drops::new(), Count::new());
        let (token, ran) = (drops.token(), runs.clone());
        let mut fiber = Fiber::new(move || {
            let _token = token;
            ran.add();
        });
        assert!(fiber.cancel_with("not wanted"));
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("not wanted"));
        assert_eq!((drops.count(), runs.get()), (1, 0));
    });
}

#[test]
fn a_new_fiber_ends_by_its_cancel_without_being_joined_or_started() {
    in_paused(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = Fiber::new(move || drop(token));
        assert!(fiber.cancel());
        settle().await;
        assert_eq!(drops.count(), 1);
        assert!(!fiber.is_alive());
        assert!(!fiber.start());
        assert!(!fiber.cancel());
    });
}

#[test]
fn a_started_fiber_that_has_not_run_never_runs() {
    in_paused(|| async {
        let (drops, runs) = (Drops::new(), Count::new());
        let (token, ran) = (drops.token(), runs.clone());
        let mut fiber = spawn(move || {
            let _token = token;
            ran.add();
        });
        assert!(fiber.cancel_with("too late"));
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("too late"));
        assert_eq!((drops.count(), runs.get()), (1, 0));
    });
}

#[test]
fn a_fiber_that_cancels_itself_goes_on_to_its_next_wait() {
    in_paused(|| async {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            cancel_myself("enough");
            theirs.push("goes on");
            ready(()).wait();
            theirs.push("past the wait");
        });
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("enough"));
        assert_eq!(log.take(), ["goes on"]);
    });
}

#[test]
fn a_fiber_that_cancels_itself_and_does_not_wait_ends_with_its_result() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            cancel_myself("too late");
            42
        });
        assert_eq!(fiber.join().await.unwrap(), 42);
    });
}

#[test]
fn a_waiting_fiber_is_unwound_from_its_wait() {
    in_paused(|| async {
        let drops = Drops::new();
        let (captured, local) = (drops.token(), drops.token());
        let mut fiber = spawn(move || {
            let _captured = captured;
            let _local = local;
            pending::<()>().wait();
        });
        settle().await;
        assert!(fiber.cancel());
        assert_eq!(drops.count(), 0, "cancel does not run the fiber");
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_parked_fiber_is_unwound_and_keeps_its_token() {
    in_root_fiber(|| {
        let me = current_fiber().unwrap();
        me.unpark();
        me.cancel();
        assert!(catch_cancel(park).is_err());
        park(); // the token is still there
    });
}

#[test]
fn the_future_is_dropped_before_the_stack_unwinds() {
    in_paused(|| async {
        let log = Log::new();
        let (locals, futures) = (log.clone(), log.clone());
        let mut fiber = spawn(move || {
            let _local = OnDrop(|| locals.push("local"));
            let inner = OnDrop(|| futures.push("future"));
            async {
                let _inner = inner;
                pending::<()>().await;
            }
            .wait();
        });
        settle().await;
        fiber.cancel();
        assert!(fiber.join().await.is_err());
        assert_eq!(log.take(), ["future", "local"]);
    });
}

#[test]
fn a_shielded_fiber_gets_its_cancel_at_the_first_wait_after_the_shield() {
    in_paused(|| async {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            shield(|| {
                theirs.push("shielded");
                sleep(ms(2)).wait();
                theirs.push("still shielded");
                shield(|| ready(()).wait());
                ready(()).wait();
            });
            theirs.push("after");
            ready(()).wait();
            theirs.push("past the wait");
        });
        settle().await;
        fiber.cancel_with("later");
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("later"));
        assert_eq!(log.take(), ["shielded", "still shielded", "after"]);
    });
}

#[test]
fn a_shield_that_unwinds_is_lowered() {
    in_root_fiber(|| {
        assert!(unwinds(|| shield(|| panic!("in the shield"))));
        cancel_myself("now");
        assert!(catch_cancel(|| ready(()).wait()).is_err());
    });
}

#[test]
fn a_shield_outside_of_a_fiber_just_runs() {
    assert_eq!(shield(|| 42), 42);
    assert_eq!(futures::executor::block_on(async { shield(|| 42) }), 42);
}

#[test]
fn a_fiber_in_a_destructor_while_it_unwinds_completes_its_wait() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut fiber = spawn(move || {
            let _guard = theirs.guard(|| sleep(ms(2)).wait());
            panic!("its own");
        });
        settle().await;
        marks.assert_stuck();
        assert!(fiber.cancel());
        assert!(fiber.join().await.unwrap_err().is_panic());
        marks.assert_completed();
    });
}

#[test]
fn a_cancel_that_came_while_the_fiber_unwound_is_delivered_when_it_has_caught_the_panic() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut fiber = spawn(move || {
            let caught = unwinds(|| {
                let _guard = theirs.guard(|| sleep(ms(2)).wait());
                panic!("its own");
            });
            assert!(caught);
            ready(()).wait();
        });
        settle().await;
        assert!(fiber.cancel_with("in the destructor"));
        let error = fiber.join().await.unwrap_err();
        assert_eq!(
            error.cancelled().unwrap().message(),
            Some("in the destructor")
        );
        marks.assert_completed();
    });
}

#[test]
fn a_second_cancel_does_not_disturb_the_unwinding_that_the_first_began() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut fiber = spawn(move || {
            let _guard = theirs.guard(|| sleep(ms(2)).wait());
            pending::<()>().wait();
        });
        settle().await;
        fiber.cancel_with("first");
        settle().await;
        marks.assert_stuck();
        assert!(fiber.cancel_with("second"));
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("first"));
        marks.assert_completed();
    });
}

#[test]
fn a_destructor_that_waits_while_nothing_unwinds_is_cancelled_there() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let mut fiber = spawn(move || drop(theirs.guard(|| pending::<()>().wait())));
        settle().await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        marks.assert_stuck();
    });
}

#[test]
fn a_fiber_whose_unclaimed_result_is_being_dropped_is_cancelled_there() {
    in_paused(|| async {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let fiber = spawn(move || theirs.guard(|| pending::<()>().wait()));
        let handle = fiber.handle();
        drop(fiber);
        settle().await;
        assert!(handle.is_alive(), "its result has not been dropped");
        assert!(handle.cancel());
        settle().await;
        assert!(!handle.is_alive());
        marks.assert_stuck();
    });
}

#[test]
fn a_finished_fiber_cannot_be_cancelled_and_keeps_its_result() {
    in_paused(|| async {
        let mut fiber = spawn(|| 42);
        let handle = fiber.handle();
        settle().await;
        assert!(!fiber.cancel());
        assert!(!fiber.cancel_with("too late"));
        assert!(!handle.cancel());
        assert_eq!(fiber.join().await.unwrap(), 42);
        assert!(!fiber.cancel());
    });
}

// Once each.

#[test]
fn a_cancel_is_delivered_once() {
    in_root_fiber(|| {
        cancel_myself("once");
        assert!(catch_cancel(|| yield_now().wait()).is_err());
        yield_now().wait();
        sleep(ms(1)).wait();
        check_cancelled();
    });
}

#[test]
fn cancels_that_are_pending_together_are_one_with_the_first_message() {
    in_root_fiber(|| {
        cancel_myself("first");
        cancel_myself("second");
        let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
        assert_eq!(cancelled.message(), Some("first"));
        yield_now().wait();
    });
}

#[test]
fn a_cancel_without_a_message_that_came_first_keeps_having_none() {
    in_root_fiber(|| {
        current_fiber().unwrap().cancel();
        cancel_myself("second");
        let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
        assert_eq!(cancelled.message(), None);
    });
}

#[test]
fn a_body_that_caught_a_cancel_can_be_cancelled_again() {
    in_paused(|| async {
        let log = Log::new();
        let theirs = log.clone();
        let mut fiber = spawn(move || {
            for _ in 0..3 {
                let payload = catch_unwind(|| pending::<()>().wait()).unwrap_err();
                let cancelled = payload.downcast::<Cancelled>().unwrap();
                theirs.push(cancelled.message().unwrap().to_owned());
            }
            "went on"
        });
        for message in ["one", "two", "three"] {
            settle().await;
            assert!(fiber.cancel_with(message));
        }
        assert_eq!(fiber.join().await.unwrap(), "went on");
        assert_eq!(log.take(), ["one", "two", "three"]);
    });
}

#[test]
fn a_rethrown_cancel_counts_as_one() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            cancel_myself("rethrown");
            let payload = catch_unwind(|| yield_now().wait()).unwrap_err();
            yield_now().wait();
            resume_unwind(payload);
        });
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("rethrown"));
    });
}

#[test]
fn a_cancel_that_another_fiber_rethrows_is_that_fibers_end() {
    in_root_fiber(|| {
        let mut first = spawn(|| {
            cancel_myself("passed on");
            catch_unwind(|| yield_now().wait()).unwrap_err()
        });
        let payload = first.join().wait().unwrap();
        let mut second = spawn(move || -> () { resume_unwind(payload) });
        let error = second.join().wait().unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("passed on"));
        assert_eq!(error.name(), second.name());
    });
}

#[test]
fn catch_cancel_lets_other_panics_pass() {
    in_root_fiber(|| {
        let payload = catch_unwind(|| catch_cancel(|| resume_unwind(Box::new(42)))).unwrap_err();
        assert_eq!(*payload.downcast::<i32>().unwrap(), 42);
        assert_eq!(catch_cancel(|| 42), Ok(42));
    });
}

#[test]
fn catch_cancel_lets_a_deadline_pass() {
    in_paused_fiber(|| {
        let inner = Cell::new(false);
        let result = with_timeout(Duration::ZERO, || {
            let _ = catch_cancel(|| yield_now().wait());
            inner.set(true);
        });
        assert!(result.is_err());
        assert!(!inner.get());
    });
}

#[test]
fn catch_cancel_leaves_a_cancel_that_was_not_delivered_pending() {
    in_root_fiber(|| {
        assert_eq!(catch_cancel(|| cancel_myself("pending")), Ok(()));
        let cancelled = catch_cancel(check_cancelled).unwrap_err();
        assert_eq!(cancelled.message(), Some("pending"));
    });
}

#[test]
fn what_follows_a_caught_panic_is_not_taken_for_unwinding() {
    in_root_fiber(|| {
        assert!(unwinds(|| panic!("caught")));
        cancel_myself("afterwards");
        assert!(catch_cancel(|| yield_now().wait()).is_err());
    });
}

// check_cancelled

#[test]
fn check_cancelled_delivers_without_giving_way() {
    in_root_fiber(|| {
        let runs = Count::new();
        let ran = runs.clone();
        let mut other = spawn(move || ran.add());
        check_cancelled();
        cancel_myself("here");
        let cancelled = catch_cancel(check_cancelled).unwrap_err();
        assert_eq!(cancelled.message(), Some("here"));
        check_cancelled();
        assert_eq!(runs.get(), 0);
        other.join().wait().unwrap();
    });
}

#[test]
fn check_cancelled_respects_a_shield() {
    in_root_fiber(|| {
        cancel_myself("here");
        shield(check_cancelled);
        assert!(catch_cancel(check_cancelled).is_err());
    });
}

#[test]
fn check_cancelled_does_nothing_while_the_fiber_unwinds() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        assert!(unwinds(|| {
            let _guard = marks.guard(|| {
                cancel_myself("later");
                check_cancelled();
            });
            panic!("its own");
        }));
        marks.assert_completed();
        assert!(catch_cancel(check_cancelled).is_err());
    });
}

#[test]
fn check_cancelled_does_nothing_outside_of_fibers() {
    check_cancelled();
    futures::executor::block_on(bridge(check_cancelled));
    in_paused(|| async { check_cancelled() });
}

// wait_or_cancelled

#[test]
fn wait_or_cancelled_returns_the_output() {
    in_root_fiber(|| {
        assert_eq!(ready(42).wait_or_cancelled().unwrap(), 42);
        assert_eq!(sleep(ms(1)).wait_or_cancelled(), Ok(()));
    });
}

#[test]
fn wait_or_cancelled_returns_a_cancel_that_is_pending() {
    in_root_fiber(|| {
        cancel_myself("before");
        let cancelled = pending::<()>().wait_or_cancelled().unwrap_err();
        assert_eq!(cancelled.message(), Some("before"));
        assert_eq!(ready(42).wait_or_cancelled().unwrap(), 42);
        ready(()).wait();
    });
}

#[test]
fn wait_or_cancelled_returns_a_cancel_that_comes_while_it_waits() {
    in_paused(|| async {
        let mut fiber = spawn(|| pending::<()>().wait_or_cancelled().unwrap_err());
        settle().await;
        fiber.cancel_with("during");
        let cancelled = fiber.join().await.unwrap();
        assert_eq!(cancelled.message(), Some("during"));
    });
}

#[test]
fn wait_or_cancelled_returns_no_cancel_in_a_shield() {
    in_root_fiber(|| {
        cancel_myself("later");
        assert_eq!(shield(|| yield_now().wait_or_cancelled()), Ok(()));
        assert!(yield_now().wait_or_cancelled().is_err());
    });
}

#[test]
fn wait_or_cancelled_returns_a_cancel_while_the_fiber_unwinds() {
    in_root_fiber(|| {
        let got = RefCell::new(None);
        assert!(unwinds(|| {
            let _guard = OnDrop(|| {
                cancel_myself("in the destructor");
                got.replace(ready(()).wait_or_cancelled().err());
            });
            panic!("its own");
        }));
        let got = got.into_inner().unwrap();
        assert_eq!(got.message(), Some("in the destructor"));
        ready(()).wait();
    });
}

#[test]
fn wait_or_cancelled_in_an_expired_deadline_returns_that_each_time() {
    in_paused_fiber(|| {
        let result = with_timeout(Duration::ZERO, || {
            for _ in 0..2 {
                let cancelled = ready(()).wait_or_cancelled().unwrap_err();
                assert_eq!(cancelled.message(), Some("deadline has elapsed"));
            }
            42
        });
        assert_eq!(result, Ok(42));
        assert_eq!(ready(()).wait_or_cancelled(), Ok(()));
    });
}

#[test]
fn wait_or_cancelled_on_a_plain_thread_blocks_it() {
    watched(|| {
        assert_eq!(ready(42).wait_or_cancelled().unwrap(), 42);
        assert_eq!(sleep(ms(1)).wait_or_cancelled(), Ok(()));
    });
}

#[test]
fn wait_or_cancelled_drops_the_future_before_it_returns() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        cancel_myself("here");
        let future = async move {
            let _token = token;
            pending::<()>().await;
        };
        assert!(future.wait_or_cancelled().is_err());
        assert_eq!(drops.count(), 1);
    });
}

// From other threads.

#[test]
fn another_thread_can_cancel_a_waiting_fiber() {
    in_paused(|| async {
        let mut fiber = spawn(|| pending::<()>().wait());
        settle().await;
        let handle = fiber.handle();
        let canceller = thread::spawn(move || handle.cancel_with("from elsewhere"));
        let error = fiber.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("from elsewhere"));
        assert!(canceller.join().unwrap());
    });
}

#[test]
fn a_closure_that_never_ran_is_dropped_on_its_own_stack_when_another_thread_cancels() {
    in_paused(|| async {
        let here = thread::current().id();
        let marks = InDrop::new();
        let (tx, rx) = oneshot::channel();
        let mut tx = Some(tx);
        let guard = marks.guard(move || {
            let own = current_fiber().map(|fiber| fiber.id());
            sleep(ms(1)).wait();
            let place = (in_fiber(), thread::current().id(), own);
            tx.take().unwrap().send(place).unwrap();
        });
        let mut fiber = Fiber::new(move || drop(guard));
        let (id, handle) = (fiber.id(), fiber.handle());
        thread::spawn(move || assert!(handle.cancel()))
            .join()
            .unwrap();
        assert_eq!(rx.await.unwrap(), (true, here, Some(id)));
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        marks.assert_completed();
    });
}

#[test]
fn a_fiber_that_is_dropped_unstarted_on_another_thread_drops_its_closure_at_home() {
    struct Where(Option<oneshot::Sender<thread::ThreadId>>);
    impl Drop for Where {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(thread::current().id());
        }
    }
    in_paused(|| async {
        let (tx, rx) = oneshot::channel();
        let token = Where(Some(tx));
        let fiber = Fiber::new(move || drop(token));
        thread::spawn(move || drop(fiber)).join().unwrap();
        assert_eq!(rx.await.unwrap(), thread::current().id());
    });
}

#[test]
fn threads_that_cancel_at_the_same_time_cancel_once() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            let first = catch_cancel(|| pending::<()>().wait());
            // A cancel that came before that one was delivered is part of it.
            yield_now().wait_or_cancelled().ok();
            first.unwrap_err()
        });
        settle().await;
        let cancellers: Vec<_> = (0..8)
            .map(|_| {
                let handle = fiber.handle();
                thread::spawn(move || handle.cancel_with("one of many"))
            })
            .collect();
        for canceller in cancellers {
            canceller.join().unwrap();
        }
        let cancelled = fiber.join().await.unwrap();
        assert_eq!(cancelled.message(), Some("one of many"));
    });
}

// What others see of it.

#[test]
fn the_panic_hook_is_not_called_for_a_cancel() {
    let child = in_child(|| {
        let calls = Count::new();
        let called = calls.clone();
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |_| called.add()));
        let rt = runtime();
        rt.block_on(async {
            let mut fiber = spawn(|| pending::<()>().wait());
            let mut late = spawn(|| {
                let _ = with_timeout(Duration::ZERO, || yield_now().wait());
            });
            settle().await;
            fiber.cancel();
            assert!(fiber.join().await.is_err());
            late.join().await.unwrap();
            drop(spawn(|| pending::<()>().wait()));
            settle().await;
        });
        drop(rt); // unwinds the last one
        drop(std::panic::take_hook());
        std::panic::set_hook(others);
        assert_eq!(calls.get(), 0);
    });
    if let Some(child) = child {
        child.assert_success();
        assert_eq!(child.stderr, "");
    }
}

#[test]
fn a_cancelled_fiber_that_nobody_joins_is_not_reported() {
    let child = in_child(|| {
        runtime().block_on(async {
            let fiber = spawn(|| pending::<()>().wait());
            settle().await;
            fiber.cancel();
            drop(fiber);
            settle().await;
        });
    });
    if let Some(child) = child {
        child.assert_success();
        assert_eq!(child.stderr, "");
    }
}

#[test]
fn a_cancel_says_so_in_every_form() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| pending::<()>().wait());
        fiber.cancel_with("by hand");
        let error = fiber.join().wait().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("fiber '{}' was cancelled: by hand", fiber.name()),
        );
        assert!(error.is_cancelled() && !error.is_panic());
        let cancelled = error.cancelled().unwrap().clone();
        assert_eq!(cancelled.to_string(), "cancelled: by hand");
        let error: io::Error = cancelled.into();
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(error.to_string(), "cancelled: by hand");
    });
}

#[test]
fn a_joiner_that_is_cancelled_leaves_the_result_to_the_next() {
    in_paused(|| async {
        let child = Rc::new(RefCell::new(spawn(|| {
            sleep(ms(2)).wait();
            42
        })));
        let theirs = child.clone();
        let mut joiner = spawn(move || theirs.borrow_mut().join().wait().unwrap());
        settle().await;
        joiner.cancel();
        assert!(joiner.join().await.unwrap_err().is_cancelled());
        let mut child = Rc::into_inner(child).unwrap().into_inner();
        assert_eq!(child.join().await.unwrap(), 42);
    });
}

#[test]
fn cancelling_a_joiner_does_not_cancel_what_it_joins() {
    in_paused(|| async {
        let inner = Count::new();
        let done = inner.clone();
        let mut outer = spawn(move || {
            spawn(move || {
                sleep(ms(2)).wait();
                done.add();
            })
            .wait()
            .unwrap();
        });
        settle().await;
        outer.cancel();
        assert!(outer.join().await.is_err());
        sleep(ms(20)).await;
        assert_eq!(inner.get(), 1);
    });
}

#[test]
fn a_destructor_that_panics_in_the_dropped_future_is_what_the_joiner_sees() {
    in_paused(|| async {
        let mut fiber = spawn(|| {
            async {
                let _bomb = OnDrop(|| panic!("in the future's destructor"));
                pending::<()>().await;
            }
            .wait();
        });
        settle().await;
        fiber.cancel();
        let error = fiber.join().await.unwrap_err();
        assert!(error.to_string().contains("in the future's destructor"));
    });
}

#[test]
fn a_fiber_can_be_cancelled_while_it_polls() {
    in_root_fiber(|| {
        let me = current_fiber().unwrap();
        let mut polls = 0;
        let future = std::future::poll_fn(|_| {
            polls += 1;
            me.cancel();
            std::task::Poll::<()>::Pending
        });
        assert!(catch_cancel(AssertUnwindSafe(|| future.wait()).0).is_err());
        assert_eq!(polls, 1);
    });
}

#[test]
fn a_future_that_is_ready_in_the_poll_that_cancels_is_returned_first() {
    in_root_fiber(|| {
        let me = current_fiber().unwrap();
        let future = async {
            me.cancel();
            42
        };
        assert_eq!(future.wait(), 42);
        assert!(catch_cancel(|| ready(()).wait()).is_err());
    });
}

#[test]
fn a_cancel_is_used_up_by_its_delivery() {
    paused_local_runtime().block_on(async {
        let mut fiber = spawn(|| {
            current_fiber().unwrap().cancel();
            assert!(catch_cancel(|| yield_now().wait()).is_err());
            yield_now().wait();
            sleep(ms(1)).wait();
        });
        fiber.join().await.unwrap();
    });
}
