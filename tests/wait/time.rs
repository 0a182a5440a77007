//! Sleeping, deadlines and timeouts, in fibers, in async code and on threads.

use std::future::{pending, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use switchback::{Elapsed, in_fiber, prelude::*, sleep, sleep_until, spawn, yield_now};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};

use crate::support::{
    Drops, Log, OnDrop, in_async, in_paused, in_root_fiber, ms, multi_thread_runtime,
    paused_runtime, runtime, text, watched,
};

/// Runs `body` in a fiber on a paused clock.
#[track_caller]
fn in_paused_fiber(body: impl FnOnce() + Send + 'static) {
    in_paused(|| async { spawn(body).await.unwrap() });
}

#[test]
fn a_fiber_sleeps_its_time() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        sleep(ms(250)).wait();
        assert_eq!(begin.elapsed().as_millis(), 250);
    });
}

#[test]
fn async_code_sleeps_its_time() {
    in_paused(|| async {
        let begin = Instant::now();
        sleep(ms(250)).await;
        assert_eq!(begin.elapsed().as_millis(), 250);
    });
}

#[test]
fn the_time_is_counted_from_the_call() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let long = sleep(ms(100));
        assert_eq!(long.deadline(), Some(begin + ms(100)));
        sleep(ms(60)).wait();
        long.wait();
        assert_eq!(begin.elapsed().as_millis(), 100);
    });
}

#[test]
fn sleepers_wake_by_deadline_not_by_start() {
    in_paused_fiber(|| {
        let log = Log::new();
        let fibers: Vec<_> = [30, 10, 20]
            .map(|n| {
                let log = log.clone();
                spawn(move || {
                    sleep(ms(n)).wait();
                    log.push(n);
                })
            })
            .into();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
        assert_eq!(log.take(), [10, 20, 30]);
    });
}

#[test]
fn sleep_until_takes_both_kinds_of_instant() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        sleep_until(begin + ms(10)).wait();
        assert_eq!(begin.elapsed().as_millis(), 10);
        let std: std::time::Instant = begin.into_std() + ms(30);
        sleep_until(std).wait();
        assert_eq!(begin.elapsed().as_millis(), 30);
    });
}

#[test]
fn a_deadline_in_the_past_is_over() {
    in_paused(|| async {
        let begin = Instant::now();
        tokio::time::advance(ms(20)).await;
        let mut over = task::spawn(sleep_until(begin + ms(10)));
        assert_ready!(over.poll());
        assert_eq!(begin.elapsed().as_millis(), 20);
    });
}

#[test]
fn a_sleep_is_ready_when_time_has_advanced() {
    in_paused(|| async {
        let mut asleep = task::spawn(sleep(ms(10)));
        assert_pending!(asleep.poll());
        tokio::time::advance(ms(9)).await;
        assert_pending!(asleep.poll());
        tokio::time::advance(ms(2)).await;
        assert!(asleep.is_woken());
        assert_ready!(asleep.poll());
    });
}

#[test]
fn a_sleep_of_zero_sets_no_timer() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let zero = sleep(Duration::ZERO);
        assert_eq!(zero.deadline(), None);
        zero.wait();
        assert_eq!(begin.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_timeout_gives_what_came_in_time() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        assert_eq!(ready(1).wait_timeout(ms(100)), Ok(1));
        let slow = async {
            sleep(ms(30)).await;
            2
        };
        assert_eq!(slow.wait_timeout(ms(100)), Ok(2));
        assert_eq!(begin.elapsed().as_millis(), 30);
    });
}

#[test]
fn a_timeout_that_is_over_drops_the_future() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let drops = Drops::new();
        let token = drops.token();
        let future = async move {
            let _token = token;
            pending::<()>().await;
        };
        let elapsed = future.wait_timeout(ms(100)).unwrap_err();
        assert_eq!(elapsed.to_string(), "deadline has elapsed");
        assert!((100..=101).contains(&begin.elapsed().as_millis()));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_timeout_of_zero_polls_once() {
    in_paused_fiber(|| {
        assert_eq!(ready(1).wait_timeout(Duration::ZERO), Ok(1));
        pending::<()>().wait_timeout(Duration::ZERO).unwrap_err();
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(5).unwrap();
        assert_eq!(rx.recv().wait_timeout(Duration::ZERO), Ok(Some(5)));
        rx.recv().wait_timeout(Duration::ZERO).unwrap_err();
    });
}

#[test]
fn a_timeout_that_lost_loses_no_message() {
    in_paused_fiber(|| {
        let (tx, mut rx) = mpsc::channel(1);
        rx.recv().wait_timeout(ms(10)).unwrap_err();
        let _fiber = spawn(move || tx.send(1).wait().unwrap());
        assert_eq!(rx.recv().wait_timeout(ms(10)), Ok(Some(1)));
    });
}

#[test]
fn an_old_timeout_never_ends_a_later_wait() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        for _ in 0..10 {
            ready(()).wait_timeout(ms(5)).unwrap();
            let short = async { yield_now().await };
            short.wait_timeout(ms(5)).unwrap();
        }
        sleep(ms(100)).wait();
        assert_eq!(begin.elapsed().as_millis(), 100);
    });
}

#[test]
fn a_deadline_by_both_kinds_of_instant() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        assert_eq!(ready(1).wait_until(begin), Ok(1));
        pending::<()>().wait_until(begin + ms(20)).unwrap_err();
        assert!((20..=21).contains(&begin.elapsed().as_millis()));
        let std = begin.into_std() + ms(40);
        pending::<()>().wait_until(std).unwrap_err();
        assert!((40..=41).contains(&begin.elapsed().as_millis()));
        // In the past.
        pending::<()>().wait_until(begin).unwrap_err();
        assert!((40..=41).contains(&begin.elapsed().as_millis()));
    });
}

/// More than any clock can count, and just less.
const HUGE: [Duration; 4] = [
    Duration::MAX,
    Duration::from_secs(u64::MAX),
    Duration::from_secs(u64::MAX / 2),
    Duration::from_secs(i64::MAX as u64 / 1_000_000),
];

#[test]
fn huge_durations_are_no_panic_and_no_timeout() {
    in_root_fiber(|| {
        for huge in HUGE {
            assert_eq!(ready(1).wait_timeout(huge), Ok(1));
            let soon = async { sleep(ms(1)).await };
            soon.wait_timeout(huge).unwrap();
            sleep(huge).wait_timeout(ms(1)).unwrap_err();
        }
    });
}

#[test]
fn huge_durations_on_a_plain_thread() {
    watched(|| {
        for huge in HUGE {
            assert_eq!(ready(1).wait_timeout(huge), Ok(1));
            let soon = async { sleep(ms(1)).await };
            soon.wait_timeout(huge).unwrap();
            sleep(huge).wait_timeout(ms(1)).unwrap_err();
        }
    });
}

#[test]
fn elapsed_converts_from_tokios_and_into_io() {
    in_paused(|| async {
        let ours = spawn(|| pending::<()>().wait_timeout(ms(1)).unwrap_err());
        let ours = ours.await.unwrap();
        let tokios = tokio::time::timeout(ms(1), pending::<()>()).await;
        assert_eq!(Elapsed::from(tokios.unwrap_err()), ours);
        let error = io::Error::from(ours);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "deadline has elapsed");
    });
}

#[test]
fn a_busy_future_does_not_outrun_its_deadline() {
    in_root_fiber(|| {
        let (tx, mut rx) = mpsc::unbounded_channel();
        // Always ready, so it is tokio's budget that makes it give way.
        let busy = async {
            loop {
                tx.send(()).unwrap();
                rx.recv().await;
            }
        };
        let result: Result<(), Elapsed> = busy.wait_timeout(ms(10));
        result.unwrap_err();
    });
}

#[test]
fn a_plain_thread_sleeps() {
    watched(|| {
        assert!(!in_fiber());
        let begin = std::time::Instant::now();
        sleep(ms(5)).wait();
        assert!(begin.elapsed() >= ms(5));
        sleep_until(begin + ms(10)).wait();
        assert!(begin.elapsed() >= ms(10));
        sleep(Duration::ZERO).wait();
        yield_now().wait();
    });
}

#[test]
fn a_plain_thread_times_out() {
    watched(|| {
        pending::<()>().wait_timeout(ms(2)).unwrap_err();
        pending::<()>().wait_timeout(Duration::ZERO).unwrap_err();
        pending::<()>().wait_until(Instant::now()).unwrap_err();
        let (tx, rx) = oneshot::channel();
        let sender = thread::spawn(move || {
            sleep(ms(2)).wait();
            tx.send(3).unwrap();
        });
        assert_eq!(rx.wait_timeout(Duration::MAX).unwrap().unwrap(), 3);
        sender.join().unwrap();
    });
}

#[test]
fn many_plain_threads_sleep_at_once() {
    watched(|| {
        let threads: Vec<_> = (0..8)
            .map(|_| thread::spawn(|| (0..5).for_each(|_| sleep(ms(1)).wait())))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_blocking_task_sleeps_and_times_out() {
    in_async(|| async {
        let blocking = || {
            sleep(ms(2)).wait();
            sleep(Duration::ZERO).wait();
            yield_now().wait();
            pending::<()>().wait_timeout(ms(1)).unwrap_err();
        };
        // The runtime's thread is blocked meanwhile, so that its own timers
        // would not fire.
        let blocked = tokio::task::spawn_blocking(blocking);
        while !blocked.is_finished() {
            thread::sleep(ms(1));
        }
        blocked.await.unwrap();
    });
}

#[test]
fn a_blocking_task_of_a_paused_runtime_sleeps_in_real_time() {
    watched(|| {
        paused_runtime().block_on(async {
            let begin = std::time::Instant::now();
            let blocked = tokio::task::spawn_blocking(|| sleep(ms(3)).wait());
            blocked.await.unwrap();
            assert!(begin.elapsed() >= ms(3));
        });
    });
}

#[test]
fn an_entered_runtime_that_nobody_drives_is_no_hang() {
    watched(|| {
        for runtime in [runtime(), paused_runtime(), multi_thread_runtime()] {
            let _current = runtime.enter();
            sleep(ms(1)).wait();
            sleep(Duration::ZERO).wait();
            yield_now().wait();
            pending::<()>().wait_timeout(ms(1)).unwrap_err();
        }
    });
}

#[test]
fn block_in_place_sleeps() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let blocking = || {
                tokio::task::block_in_place(|| {
                    sleep(ms(1)).wait();
                    sleep(Duration::ZERO).wait();
                    yield_now().wait();
                    pending::<()>().wait_timeout(ms(1)).unwrap_err();
                    tokio::time::sleep(ms(1)).wait();
                });
            };
            blocking();
            tokio::spawn(async move { blocking() }).await.unwrap();
        });
    });
}

#[test]
fn a_sleep_made_on_a_thread_works_in_a_task() {
    watched(|| {
        let made_outside = sleep(ms(2));
        runtime().block_on(made_outside);
        let made_outside = sleep(ms(2));
        runtime().block_on(async { spawn(|| made_outside.wait()).await.unwrap() });
    });
}

/// Polls a sleep once on this fiber, which then waits for it, unless something else happens.
fn begun(duration: Duration) -> switchback::Sleep {
    let mut begun = sleep(duration);
    poll_fn(|cx| {
        assert_pending!(Pin::new(&mut begun).poll(cx));
        Poll::Ready(())
    })
    .wait();
    begun
}

#[test]
fn a_sleep_that_a_fiber_has_begun_ends_wherever_it_goes() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let in_same = begun(ms(10));
        in_same.wait();
        assert_eq!(begin.elapsed(), ms(10));
        let in_other = begun(ms(10));
        spawn(|| in_other.wait()).wait().unwrap();
        assert_eq!(begin.elapsed(), ms(20));
        let in_task = begun(ms(10));
        tokio::spawn(in_task).wait().unwrap();
        assert_eq!(begin.elapsed(), ms(30));
        let mut behind_others = begun(ms(10));
        let waits = async { tokio::join!(&mut behind_others, sleep(ms(5)), sleep(ms(15))) };
        task::spawn(waits).wait();
        assert_eq!(begin.elapsed(), ms(45));
        let late = begun(ms(10));
        sleep(ms(20)).wait();
        late.wait();
        assert_eq!(begin.elapsed(), ms(65));
    });
    in_root_fiber(|| {
        let begin = Instant::now();
        let on_thread = begun(ms(2));
        let thread = thread::spawn(move || on_thread.wait());
        switchback::blocking(|| thread.join().unwrap()).wait();
        assert!(begin.elapsed() >= ms(2));
    });
}

/// A clock that is paused does not advance while nobody sleeps, however long that takes.
#[test]
fn a_sleep_that_is_dropped_leaves_the_clock_alone() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let dropped: [fn(switchback::Sleep); 4] = [
            drop,
            |begun| spawn(move || drop(begun)).wait().unwrap(),
            |begun| drop(tokio::spawn(async move { drop(begun) }).wait()),
            |begun| {
                thread::spawn(move || drop(begun)).join().unwrap();
                // A task removes it.
                tokio::task::yield_now().wait();
            },
        ];
        for dropped in dropped {
            dropped(begun(Duration::from_secs(10)));
            let (sender, receiver) = oneshot::channel();
            thread::spawn(|| {
                thread::sleep(ms(5));
                sender.send(())
            });
            receiver.wait().unwrap();
            assert_eq!(begin.elapsed(), Duration::ZERO);
        }
    });
}

#[test]
fn many_sleepers_wake_at_their_times_and_those_that_are_cancelled_do_not() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let woken = Log::new();
        let fibers: Vec<_> = (0..2_000_u64)
            .map(|n| {
                let woken = woken.clone();
                spawn(move || {
                    // In an order of their own, some of them again.
                    for duration in [n * 7_919 % 1_999 + 1, n % 3] {
                        sleep(ms(duration)).wait();
                    }
                    let slept = n * 7_919 % 1_999 + 1 + n % 3;
                    assert_eq!(begin.elapsed(), ms(slept));
                    woken.push(slept);
                })
            })
            .collect();
        sleep(ms(500)).wait();
        let cancelled = |n: &u64| n * 7_919 % 1_999 >= 600 && n % 4 < 3;
        for n in (0..2_000).filter(cancelled) {
            fibers[n as usize].cancel();
        }
        for (n, fiber) in (0..).zip(fibers) {
            assert_eq!(fiber.wait().is_err(), cancelled(&n));
        }
        let woken = woken.take();
        assert!(woken.is_sorted());
        assert_eq!(woken.len(), (0..2_000).filter(|n| !cancelled(n)).count());
    });
}

#[test]
fn the_clock_may_jump_over_many_sleeps() {
    in_paused(|| async {
        let sleepers: Vec<_> = (1..=300)
            .map(|n| spawn(move || sleep(ms(n)).wait()))
            .collect();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let begin = Instant::now();
        tokio::time::advance(ms(250)).await;
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
        assert_eq!(begin.elapsed(), ms(300));
    });
}

/// No number of nanoseconds in 64 bits tells when these are over.
#[test]
fn sleeps_of_centuries_are_no_obstacle_to_others() {
    in_paused(|| async {
        let centuries = Duration::from_secs(86_400 * 365 * 700);
        let soon: Vec<_> = (0..64).map(|_| spawn(|| sleep(ms(1)).wait())).collect();
        let late: Vec<_> = (0..64)
            .map(|_| spawn(move || sleep(centuries).wait()))
            .collect();
        for sleeper in soon {
            sleeper.await.unwrap();
        }
        let begin = Instant::now();
        spawn(|| sleep(ms(1)).wait()).await.unwrap();
        assert!(begin.elapsed() < ms(3));
        drop(late);
    });
}

#[test]
fn another_runtime_that_is_entered_while_a_sleep_begins_does_not_make_it_longer() {
    watched(|| {
        let other = paused_runtime();
        other.block_on(tokio::time::advance(Duration::from_secs(3_600)));
        let entered = other.handle().clone();
        paused_runtime().block_on(async {
            let begin = Instant::now();
            let sleeper = spawn(move || {
                let mut slept = sleep(ms(10));
                let waits = poll_fn(|cx| {
                    let _entered = entered.enter();
                    Pin::new(&mut slept).poll(cx)
                });
                waits.wait();
                sleep(ms(10)).wait();
            });
            sleeper.await.unwrap();
            assert_eq!(begin.elapsed(), ms(20));
        });
    });
}

/// Nothing drives the runtime, so its timers do not fire.
#[test]
fn fibers_sleep_on_a_hub_that_a_blocked_thread_drives() {
    watched(|| {
        let runtime = runtime();
        let _entered = runtime.enter();
        let sleeper = async { spawn(|| (0..3).for_each(|_| sleep(ms(1)).wait())).await };
        switchback::Hub::run_until(sleeper).wait().unwrap();
    });
}

/// A hub with sleeping fibers, driven by a future which is kept when the runtime has gone.
fn with_hub_after_shutdown(check: impl FnOnce(Pin<&mut dyn Future<Output = ()>>)) {
    let runtime = multi_thread_runtime();
    let mut driver = Box::pin(switchback::Hub::run_until(async {
        let fibers: Vec<_> = (1..=3)
            .map(|n| {
                spawn(move || {
                    let mut slept = sleep(Duration::from_secs(1_000 * n));
                    // The sleep is dropped while the stack unwinds.
                    poll_fn(|cx| Pin::new(&mut slept).poll(cx)).wait();
                })
            })
            .collect();
        for fiber in fibers {
            let failed = fiber.await.unwrap_err();
            assert!(text(&*failed.into_panic()).contains("being shutdown"));
        }
    }));
    runtime.block_on(async {
        for _ in 0..3 {
            poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx).is_pending())).await;
        }
    });
    drop(runtime);
    check(driver.as_mut());
}

#[test]
fn a_hub_that_outlives_its_runtime_drops_sleeps_quietly() {
    watched(|| with_hub_after_shutdown(|_| ()));
}

#[test]
fn a_sleep_is_not_over_because_its_runtime_is_shut_down() {
    watched(|| {
        with_hub_after_shutdown(|mut driver| {
            let mut polls = 0..100;
            let mut driver = task::spawn(poll_fn(|cx| driver.as_mut().poll(cx)));
            assert!(polls.any(|_| driver.poll().is_ready()));
        });
    });
}

#[test]
fn a_cancelled_sleep_ends_at_once() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut fiber = spawn(|| sleep(Duration::from_secs(3600)).wait());
        yield_now().wait();
        fiber.cancel();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(begin.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_destructor_may_sleep_at_the_end_of_a_fiber() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut fiber = spawn(|| drop(OnDrop(|| sleep(ms(10)).wait())));
        fiber.join().wait().unwrap();
        assert_eq!(begin.elapsed().as_millis(), 10);
    });
}

#[test]
fn an_unwinding_fiber_is_told_instead_of_waiting_with_a_timeout() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let log = Log::new();
        let seen = log.clone();
        let mut fiber = spawn(move || {
            let _guard = OnDrop(|| {
                let late = pending::<()>().wait_timeout(ms(10));
                seen.push(late.unwrap_err().to_string());
                // What is ready is given.
                assert_eq!(ready(1).wait_timeout(ms(10)), Ok(1));
            });
            std::panic::resume_unwind(Box::new(()));
        });
        fiber.join().wait().unwrap_err();
        assert_eq!(log.take(), ["the fiber is unwinding and cannot wait"]);
        assert_eq!(begin.elapsed(), Duration::ZERO);
    });
}

#[test]
fn an_unwinding_fiber_sleeps_with_a_bare_wait() {
    in_paused_fiber(|| {
        let begin = Instant::now();
        let mut fiber = spawn(|| {
            let _guard = OnDrop(|| sleep(ms(10)).wait());
            std::panic::resume_unwind(Box::new("the payload"));
        });
        let mut other = spawn(|| {
            // It runs while the first one is suspended in its destructor.
            sleep(ms(5)).wait();
            std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(()))).unwrap_err();
        });
        other.join().wait().unwrap();
        let error = fiber.join().wait().unwrap_err();
        assert_eq!(text(&*error.into_panic()), "the payload");
        assert_eq!(begin.elapsed().as_millis(), 10);
        assert!(!thread::panicking());
    });
}

#[test]
fn time_advances_only_when_all_fibers_wait() {
    in_paused_fiber(|| {
        let notify = std::rc::Rc::new(Notify::new());
        let begin = Instant::now();
        let yielding = notify.clone();
        let mut fiber = spawn(move || {
            for _ in 0..1000 {
                yield_now().wait();
            }
            assert_eq!(begin.elapsed(), Duration::ZERO);
            yielding.notify_one();
        });
        notify.notified().wait_timeout(ms(10)).unwrap();
        fiber.join().wait().unwrap();
    });
}
