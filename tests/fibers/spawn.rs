//! Spawning, order, waiting, parking, and what `Builder` sets.

use std::cell::Cell;
use std::env;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use switchback::{
    Builder, Fiber, Hub, bridge, current_fiber, in_fiber, park, prelude::*, scope, sleep, spawn,
    yield_now,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use crate::support::{
    Drops, Log, in_async, in_child, in_paused, in_root_fiber, ms, on_large_stacks, panic_of,
    paused_local_runtime, runtime, this_program, watched,
};

#[test]
fn hello_comes_between_start_and_back() {
    in_root_fiber(|| {
        let log = Log::new();
        let hello = log.clone();
        let _fiber = spawn(move || hello.push("Hello, there!"));
        log.push("Starting fiber");
        sleep(Duration::ZERO).wait();
        log.push("Back in root fiber");
        assert_eq!(
            log.take(),
            ["Starting fiber", "Hello, there!", "Back in root fiber"],
        );
    });
}

#[test]
fn hello_from_async_code() {
    in_async(|| async {
        let log = Log::new();
        let hello = log.clone();
        let _fiber = spawn(move || hello.push("Hello, there!"));
        log.push("Starting fiber");
        sleep(Duration::ZERO).await;
        log.push("Back in async code");
        assert_eq!(
            log.take(),
            ["Starting fiber", "Hello, there!", "Back in async code"],
        );
    });
}

#[test]
fn spawn_never_runs_the_fiber_inline() {
    in_async(|| async {
        let ran = Rc::new(Cell::new(0));
        for in_a_fiber in [false, true] {
            let ran = ran.clone();
            let body = move || {
                let before = ran.get();
                let inner = ran.clone();
                let fiber = spawn(move || inner.set(inner.get() + 1));
                assert_eq!(ran.get(), before);
                fiber
            };
            let fiber = match in_a_fiber {
                true => spawn(body).await.unwrap(),
                false => body(),
            };
            fiber.await.unwrap();
        }
        assert_eq!(ran.get(), 2);
    });
}

#[test]
fn fibers_start_in_spawn_order() {
    in_root_fiber(|| {
        let log = Log::new();
        // More than the hub runs in one turn.
        for i in 0..500 {
            let log = log.clone();
            drop(spawn(move || log.push(i)));
        }
        yield_now().wait();
        assert_eq!(log.take(), (0..500).collect::<Vec<_>>());
    });
}

#[test]
fn starts_and_wakes_share_one_queue() {
    in_root_fiber(|| {
        let log = Log::new();
        let waiter = |name: &'static str| {
            let log = log.clone();
            spawn(move || {
                park();
                log.push(name);
            })
        };
        let (a, b) = (waiter("woken first"), waiter("woken third"));
        yield_now().wait();
        let starter = |name: &'static str| {
            let log = log.clone();
            drop(spawn(move || log.push(name)));
        };
        a.handle().unpark();
        starter("started second");
        b.handle().unpark();
        starter("started fourth");
        assert_eq!(log.len(), 0, "nothing runs inline");
        yield_now().wait();
        assert_eq!(
            log.take(),
            [
                "woken first",
                "started second",
                "woken third",
                "started fourth"
            ],
        );
    });
}

#[test]
fn a_second_wake_does_not_move_a_fiber() {
    in_root_fiber(|| {
        let log = Log::new();
        let fibers: Vec<_> = (0..3)
            .map(|i| {
                let log = log.clone();
                spawn(move || {
                    park();
                    log.push(i);
                })
            })
            .collect();
        yield_now().wait();
        for i in [0, 1, 0, 2, 1] {
            fibers[i].handle().unpark();
        }
        yield_now().wait();
        assert_eq!(log.take(), [0, 1, 2]);
    });
}

#[test]
fn waits_that_tie_wake_in_order() {
    in_root_fiber(|| {
        let log = Log::new();
        let gate = Rc::new(Notify::new());
        for i in 0..300 {
            let (log, gate) = (log.clone(), gate.clone());
            drop(spawn(move || {
                gate.notified().wait();
                log.push(i);
            }));
        }
        yield_now().wait();
        gate.notify_waiters();
        yield_now().wait();
        assert_eq!(log.take(), (0..300).collect::<Vec<_>>());
    });
}

#[test]
fn wakes_of_another_thread_keep_their_order() {
    in_root_fiber(|| {
        let log = Log::new();
        let fibers: Vec<_> = (0..200)
            .map(|i| {
                let log = log.clone();
                spawn(move || {
                    park();
                    log.push(i);
                })
            })
            .collect();
        yield_now().wait();
        let handles: Vec<_> = fibers.iter().map(Fiber::handle).collect();
        thread::spawn(move || handles.iter().rev().for_each(|fiber| fiber.unpark()))
            .join()
            .unwrap();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
        assert_eq!(log.take(), (0..200).rev().collect::<Vec<_>>());
    });
}

#[test]
fn nothing_else_runs_while_a_fiber_does_not_wait() {
    in_root_fiber(|| {
        let busy = Rc::new(Cell::new(false));
        let seen = busy.clone();
        let mut other = spawn(move || assert!(!seen.get()));
        busy.set(true);
        // A future that is ready at once is no reason to switch.
        ready(()).wait();
        ready(()).wait_timeout(Duration::from_secs(60)).unwrap();
        busy.set(false);
        other.join().wait().unwrap();
    });
}

#[test]
fn a_chain_of_a_thousand_joins_returns_its_list() {
    fn chain(depth: usize) -> Vec<usize> {
        let mut list = match depth {
            0 => return Vec::new(),
            _ => spawn(move || chain(depth - 1)).join().wait().unwrap(),
        };
        list.push(depth - 1);
        list
    }
    in_async(|| async {
        let list = spawn(|| chain(1000)).await.unwrap();
        assert_eq!(list, (0..1000).collect::<Vec<_>>());
    });
}

#[test]
fn ten_thousand_sleepers_end_together_and_in_spawn_order() {
    in_paused(|| async {
        let begin = tokio::time::Instant::now();
        let log = Log::new();
        let fibers: Vec<_> = (0..10_000)
            .map(|i| {
                let log = log.clone();
                spawn(move || {
                    sleep(ms(100)).wait();
                    log.push((i, begin.elapsed()));
                })
            })
            .collect();
        for fiber in fibers {
            fiber.await.unwrap();
        }
        let all = log.take();
        assert!(all.iter().map(|(i, _)| *i).eq(0..10_000));
        let at = all[0].1;
        assert!(all.iter().all(|(_, elapsed)| *elapsed == at));
        assert!((100..=101).contains(&at.as_millis()), "{at:?}");
    });
}

#[test]
fn a_fiber_waits_for_a_tcp_echo() {
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let addr = listener.local_addr().unwrap();
        let mut server = spawn(move || {
            let (mut socket, _) = listener.accept().wait().unwrap();
            let mut bytes = [0; 4];
            while socket.read_exact(&mut bytes).wait().is_ok() {
                socket.write_all(&bytes).wait().unwrap();
            }
        });
        let mut socket = TcpStream::connect(addr).wait().unwrap();
        for i in 0..50_u32 {
            socket.write_all(&i.to_le_bytes()).wait().unwrap();
            let mut bytes = [0; 4];
            socket.read_exact(&mut bytes).wait().unwrap();
            assert_eq!(bytes, i.to_le_bytes());
        }
        drop(socket);
        server.join().wait().unwrap();
    });
}

#[test]
fn a_fiber_reads_and_writes_a_mocked_stream() {
    in_root_fiber(|| {
        let mut mock = tokio_test::io::Builder::new()
            .read(b"ping")
            .wait(ms(1))
            .write(b"pong")
            .build();
        let mut bytes = [0; 4];
        mock.read_exact(&mut bytes).wait().unwrap();
        assert_eq!(&bytes, b"ping");
        mock.write_all(b"pong").wait().unwrap();
    });
}

#[test]
fn a_fiber_sends_to_a_task_and_back() {
    in_async(|| async {
        let (to_fiber, mut from_task) = mpsc::channel::<u32>(1);
        let (to_task, mut from_fiber) = mpsc::channel::<u32>(1);
        let mut fiber = spawn(move || {
            let mut sum = 0;
            while let Some(n) = from_task.recv().wait() {
                sum += n;
                to_task.send(n * 2).wait().unwrap();
            }
            sum
        });
        for n in 0..200 {
            to_fiber.send(n).await.unwrap();
            assert_eq!(from_fiber.recv().await, Some(n * 2));
        }
        drop(to_fiber);
        assert_eq!(fiber.join().await.unwrap(), (0..200).sum());
    });
}

#[test]
fn a_fiber_waits_for_another_thread() {
    in_root_fiber(|| {
        let (tx, rx) = oneshot::channel();
        let thread = thread::spawn(move || {
            thread::sleep(ms(5));
            tx.send(7).unwrap();
        });
        assert_eq!(rx.wait().unwrap(), 7);
        thread.join().unwrap();
        assert_eq!(tokio::task::spawn_blocking(|| 8).wait().unwrap(), 8);
    });
}

#[test]
fn into_future_types_can_be_waited_for() {
    struct Later(u32);
    impl IntoFuture for Later {
        type Output = u32;
        type IntoFuture = std::future::Ready<u32>;
        fn into_future(self) -> Self::IntoFuture {
            ready(self.0)
        }
    }
    in_root_fiber(|| assert_eq!(Later(3).wait(), 3));
}

#[test]
fn waits_nest_at_any_depth_of_calls() {
    fn deep(depth: u32) -> u32 {
        let _frame = std::hint::black_box([depth; 16]);
        match depth {
            0 => {
                yield_now().wait();
                0
            }
            _ => deep(depth - 1) + 1,
        }
    }
    in_root_fiber(|| {
        let fibers: Vec<_> = (0..10).map(|i| spawn(move || deep(i * 50))).collect();
        for (i, fiber) in (0..).zip(fibers) {
            assert_eq!(fiber.wait().unwrap(), i * 50);
        }
    });
}

#[test]
fn a_future_is_dropped_on_the_fiber_that_waited() {
    in_root_fiber(|| {
        struct ReadyAtOnce;
        impl Future for ReadyAtOnce {
            type Output = ();
            fn poll(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<()> {
                assert!(!in_fiber(), "polls count as async code");
                std::task::Poll::Ready(())
            }
        }
        impl Drop for ReadyAtOnce {
            fn drop(&mut self) {
                // It may wait there.
                assert!(in_fiber());
                yield_now().wait();
            }
        }
        ReadyAtOnce.wait();
        assert!(in_fiber());
    });
}

#[test]
fn a_fiber_goes_on_after_a_poll_has_panicked() {
    in_root_fiber(|| {
        let panic = panic_of(|| async { panic!("in the poll") }.wait());
        assert_eq!(panic.message, "in the poll");
        assert!(in_fiber());
        sleep(ms(1)).wait();
    });
}

#[test]
fn names_are_given_or_numbered() {
    in_root_fiber(|| {
        let plain = Fiber::new(|| current_fiber().unwrap().name().to_owned());
        let number = format!("{}", plain.id());
        assert_eq!(plain.name(), format!("Fiber-{number}"));
        assert_eq!(plain.handle().name(), plain.name());
        assert_eq!(format!("{:?}", plain.id()), format!("FiberId({number})"));
        let expected = plain.name().to_owned();
        assert_eq!(plain.wait().unwrap(), expected);

        let named = Builder::new().name("parser");
        let mut fiber = named
            .spawn(|| current_fiber().unwrap().name().to_owned())
            .unwrap();
        assert_eq!(fiber.name(), "parser");
        assert_eq!(fiber.join().wait().unwrap(), "parser");
        assert_eq!(current_fiber().unwrap().name(), "Root");
    });
}

#[test]
fn ids_differ_and_stay() {
    in_root_fiber(|| {
        let (mut a, b) = (spawn(|| current_fiber().unwrap().id()), spawn(|| ()));
        assert_ne!(a.id(), b.id());
        assert_eq!(a.handle().id(), a.id());
        assert_eq!(a.join().wait().unwrap(), a.id());
    });
}

#[test]
fn debug_shows_name_and_phase() {
    in_root_fiber(|| {
        let fiber = Builder::new().name("shown").create(|| ()).unwrap();
        let new = format!("{fiber:?}");
        assert!(new.contains("shown") && new.contains("New"), "{new}");
        fiber.start();
        yield_now().wait();
        let ended = format!("{:?}", fiber.handle());
        assert!(
            ended.contains("shown") && ended.contains("Ended"),
            "{ended}"
        );
    });
}

#[test]
fn a_stack_that_cannot_be_had_is_an_error() {
    in_root_fiber(|| {
        // Half of an address space of 32 bits may be had.
        let large: &[usize] = if cfg!(target_pointer_width = "32") {
            &[]
        } else {
            &[isize::MAX as usize, usize::MAX >> 4]
        };
        for &size in [usize::MAX, usize::MAX - 4096].iter().chain(large) {
            let error = Builder::new().stack_size(size).spawn(|| ()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("stack of {size} bytes")), "{text}");
            Builder::new().stack_size(size).create(|| ()).unwrap_err();
        }
        // Nothing is left half made.
        spawn(|| ()).join().wait().unwrap();
    });
}

#[test]
fn small_stacks_are_raised_to_what_a_panic_needs() {
    in_root_fiber(|| {
        for size in [0, 1, 4096, 65_535, 65_536] {
            let fiber = Builder::new().stack_size(size).spawn(move || {
                yield_now().wait();
                panic_of(|| panic!("on {size} bytes")).message
            });
            assert_eq!(fiber.unwrap().wait().unwrap(), format!("on {size} bytes"));
        }
    });
}

#[test]
fn a_large_stack_can_be_used() {
    fn eat(kib: usize) -> usize {
        let page = std::hint::black_box([1_u8; 1024]);
        match kib {
            0 => 0,
            _ => eat(kib - 1) + usize::from(page[kib % 1024]),
        }
    }
    in_root_fiber(|| {
        let fiber = Builder::new().stack_size(16 << 20).spawn(|| eat(4 << 10));
        assert_eq!(fiber.unwrap().wait().unwrap(), 4 << 10);
    });
}

#[test]
fn stacks_are_reused_whatever_their_size() {
    in_root_fiber(|| {
        for round in 0..300 {
            let size = [64 << 10, 1 << 20, 100_000][round % 3];
            let fiber = Builder::new().stack_size(size).spawn(move || {
                yield_now().wait();
                round
            });
            assert_eq!(fiber.unwrap().wait().unwrap(), round);
        }
    });
}

#[test]
fn large_closures_run_and_are_whole() {
    fn check<const N: usize>() {
        let bytes: [u8; N] = std::array::from_fn(|i| (i % 251) as u8);
        let fiber = spawn(move || {
            yield_now().wait();
            bytes
        });
        assert!(fiber.wait().unwrap() == bytes, "{N} bytes");
    }
    // Unoptimised code copies a closure from frame to frame.
    on_large_stacks(|| {
        check::<0>();
        check::<1>();
        check::<400>();
        check::<479>();
        check::<480>();
        check::<481>();
        check::<900>();
        check::<960>();
        check::<1023>();
        check::<1024>();
        check::<1025>();
        check::<5_000>();
        check::<20_000>();
    });
}

#[test]
fn over_aligned_closures_and_results_stay_aligned() {
    macro_rules! check {
        ($($align:literal)*) => {$({
            #[repr(align($align))]
            struct Aligned(u8);
            let value = Aligned(7);
            let fiber = spawn(move || {
                let value = value;
                assert_eq!((&raw const value).addr() % $align, 0);
                yield_now().wait();
                value
            });
            let value = fiber.wait().unwrap();
            assert_eq!((&raw const value).addr() % $align, 0);
            assert_eq!(value.0, 7);
        })*};
    }
    on_large_stacks(|| {
        check!(16 32 64 128 256 512 1024 4096);
    });
}

#[test]
fn zero_sized_closures_and_results() {
    #[derive(Debug, PartialEq)]
    struct Nothing;
    in_root_fiber(|| {
        assert_eq!(spawn(|| Nothing).wait().unwrap(), Nothing);
        spawn(|| ()).wait().unwrap();
        fn plain() -> [u64; 0] {
            []
        }
        assert_eq!(spawn(plain).wait().unwrap(), []);
    });
}

#[test]
fn results_that_cannot_be_sent_stay_on_the_thread() {
    in_async(|| async {
        let shared = Rc::new(5);
        let inner = shared.clone();
        let back: Rc<i32> = spawn(move || inner).await.unwrap();
        assert!(Rc::ptr_eq(&shared, &back));
    });
}

#[test]
fn the_current_fiber_is_known_in_each_place() {
    in_async(|| async {
        let nowhere = || !in_fiber() && current_fiber().is_none();
        assert!(nowhere(), "async code");
        assert!(
            tokio::spawn(async move { nowhere() }).await.unwrap(),
            "a task"
        );
        let mut fiber = spawn(move || {
            let id = current_fiber().unwrap().id();
            assert!(in_fiber());
            assert!(async move { nowhere() }.wait(), "a poll");
            assert!(thread::spawn(nowhere).join().unwrap(), "a thread");
            yield_now().wait();
            assert_eq!(current_fiber().unwrap().id(), id, "after a switch");
            id
        });
        assert_eq!(fiber.join().await.unwrap(), fiber.id());
        assert!(nowhere(), "async code again");
    });
}

#[test]
fn the_hub_counts_as_no_fiber() {
    struct AsksWhere(std::sync::Mutex<Option<bool>>);
    impl std::task::Wake for AsksWhere {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = Some(in_fiber());
        }
    }
    in_async(|| async {
        Hub::current();
        let asks = Arc::new(AsksWhere(std::sync::Mutex::new(None)));
        let waker = std::task::Waker::from(asks.clone());
        // In async code a yield's waker is woken by the hub.
        let mut giving_way = std::pin::pin!(yield_now());
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(giving_way.as_mut().poll(&mut cx).is_pending());
        tokio::task::yield_now().await;
        assert_eq!(*asks.0.lock().unwrap(), Some(false));
    });
}

#[test]
fn unpark_before_park_is_kept() {
    in_root_fiber(|| {
        current_fiber().unwrap().unpark();
        park();
    });
}

#[test]
fn two_unparks_are_one_token() {
    in_root_fiber(|| {
        let me = current_fiber().unwrap();
        me.unpark();
        me.unpark();
        park();
        let log = Log::new();
        let other = log.clone();
        drop(spawn(move || {
            other.push("unparks");
            me.unpark();
        }));
        park();
        log.push("goes on");
        assert_eq!(log.take(), ["unparks", "goes on"]);
    });
}

#[test]
fn unpark_before_the_start_is_kept() {
    in_root_fiber(|| {
        let mut fiber = Fiber::new(park);
        fiber.handle().unpark();
        yield_now().wait();
        fiber.join().wait().unwrap();
    });
}

#[test]
fn unpark_from_another_thread() {
    in_root_fiber(|| {
        for _ in 0..100 {
            let me = current_fiber().unwrap();
            let thread = thread::spawn(move || me.unpark());
            park();
            thread.join().unwrap();
        }
    });
}

#[test]
fn unpark_does_not_end_another_wait() {
    in_root_fiber(|| {
        let (tx, rx) = oneshot::channel();
        let fiber = spawn(|| rx.wait().unwrap());
        yield_now().wait();
        fiber.handle().unpark();
        yield_now().wait();
        assert!(fiber.is_alive());
        tx.send(1).unwrap();
        assert_eq!(fiber.wait().unwrap(), 1);
    });
}

#[test]
fn unpark_of_an_ended_fiber_does_nothing() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| ());
        fiber.join().wait().unwrap();
        let old = fiber.handle();
        // It takes the place of the one that has ended.
        let next = spawn(park);
        yield_now().wait();
        old.unpark();
        yield_now().wait();
        assert!(next.is_alive());
        next.handle().unpark();
        next.wait().unwrap();
    });
}

#[test]
fn the_hub_of_a_fiber_is_its_own() {
    watched(|| {
        let other = runtime();
        let handle = other.handle().clone();
        switchback::run(move || {
            let hub = Hub::current();
            let current = handle.enter();
            assert_eq!(Hub::current().runtime().id(), hub.runtime().id());
            assert!(Hub::try_current().is_some());
            // So is that of its children.
            let child = spawn(|| ());
            drop(current);
            child.wait().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn try_current_never_makes_a_hub() {
    in_async(|| async {
        assert!(Hub::try_current().is_none());
        Hub::current();
        assert!(Hub::try_current().is_some());
        assert!(
            thread::spawn(|| Hub::try_current().is_none())
                .join()
                .unwrap()
        );
    });
}

#[test]
fn a_lost_waker_keeps_nothing_alive() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        let (tx, rx) = oneshot::channel::<()>();
        let fiber = spawn(move || {
            let _token = token;
            let _ = rx.wait();
        });
        yield_now().wait();
        drop(tx);
        fiber.wait().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_wait_that_is_cancelled_unwinds_the_fiber() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut fiber = spawn(move || {
            let _token = token;
            pending::<()>().wait();
        });
        yield_now().wait();
        assert!(fiber.cancel_with("enough"));
        let error = fiber.join().wait().unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.cancelled().unwrap().message(), Some("enough"));
        assert_eq!(drops.count(), 1);
        assert!(!fiber.cancel(), "it has ended");
    });
}

#[test]
fn a_large_result_fits_on_a_default_stack() {
    // A 32nd of the stack.
    const LEN: usize = if cfg!(target_pointer_width = "32") {
        8 << 10
    } else {
        64 << 10
    };
    let child = in_child(|| {
        in_root_fiber(|| {
            let bytes = spawn(|| [7_u8; LEN]).wait().unwrap();
            assert_eq!(bytes[bytes.len() - 1], 7);
        });
    });
    let Some(child) = child else { return };
    child.assert_success();
}

#[test]
fn a_waker_of_a_fiber_that_ended_does_not_wake_the_next_in_its_place() {
    paused_local_runtime().block_on(async {
        let waker = Rc::new(Cell::new(None));
        let out = waker.clone();
        let mut first = spawn(move || {
            let take = poll_fn(|cx| {
                out.set(Some(cx.waker().clone()));
                Poll::Ready(())
            });
            take.wait();
        });
        first.join().await.unwrap();
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        let second = spawn(move || {
            let count = poll_fn(|_| {
                counted.set(counted.get() + 1);
                Poll::<()>::Pending
            });
            count.wait();
        });
        sleep(ms(1)).await;
        let stale: Waker = waker.take().unwrap();
        stale.wake();
        sleep(ms(1)).await;
        assert_eq!(polls.get(), 1);
        drop(second);
    });
}

#[test]
fn a_fiber_that_was_not_started_does_not_run_when_it_is_unparked() {
    paused_local_runtime().block_on(async {
        let ran = Rc::new(Cell::new(false));
        let seen = ran.clone();
        let fiber = Fiber::new(move || seen.set(true));
        fiber.handle().unpark();
        sleep(ms(1)).await;
        assert!(!ran.get());
        assert!(fiber.start());
        sleep(ms(1)).await;
        assert!(ran.get());
    });
}

#[test]
fn a_fiber_is_woken_from_elsewhere_again_and_again() {
    let runtime = runtime();
    runtime.block_on(async {
        let mut fiber = spawn(|| {
            for _ in 0..3 {
                let (sender, receiver) = oneshot::channel();
                let other = std::thread::spawn(move || {
                    std::thread::sleep(ms(5));
                    sender.send(()).unwrap();
                });
                receiver.wait().unwrap();
                other.join().unwrap();
            }
        });
        let joined = timeout(Duration::from_secs(20), fiber.join()).await;
        joined.expect("no wake is lost").unwrap();
    });
}

/// A result that is out of the ordinary.
#[test]
fn results_and_closures_of_any_size_and_alignment_get_there() {
    #[derive(Debug)]
    #[repr(align(4096))]
    struct Empty;
    #[repr(align(512))]
    struct Wide([u8; 512]);
    fn at<T>(value: &T) {
        assert_eq!(std::ptr::from_ref(value).addr() % align_of::<T>(), 0);
    }
    in_root_fiber(|| {
        spawn(|| ()).join().wait().unwrap();
        at(&spawn(|| Empty).join().wait().unwrap());
        let empty = Empty;
        spawn(move || at(&{ empty })).join().wait().unwrap();
        let wide = Wide([7; 512]);
        let back = spawn(move || {
            at(&wide);
            wide
        });
        assert_eq!({ back }.join().wait().unwrap().0, [7; 512]);
        let aligned = AlignedBy64([3; 64]);
        let sum = move || {
            at(&aligned);
            yield_now().wait();
            aligned.0.iter().map(|n| u32::from(*n)).sum::<u32>()
        };
        assert_eq!(spawn(sum).join().wait().unwrap(), 192);
        let huge = spawn(|| [9_u8; 10_000]).join().wait().unwrap();
        assert!(huge.iter().all(|n| *n == 9));
        drop(spawn(|| [9_u8; 10_000]));
        drop(spawn(|| Empty));
    });
}

#[repr(align(64))]
struct AlignedBy64([u8; 64]);

#[test]
fn the_backtrace_of_a_panic_ends_where_the_fiber_begins() {
    const CHILD: &str = "SWITCHBACK_TEST_BACKTRACE";
    const WHERE: [&str; 3] = ["fiber", "bridge", "scope"];

    fn panics_here() {
        yield_now().wait();
        panic!("with a backtrace");
    }
    if let Ok(place) = env::var(CHILD) {
        let caught = move || match place.as_str() {
            "fiber" => drop(spawn(panics_here).wait()),
            "bridge" => bridge(panics_here).wait(),
            _ => scope(|s| drop(s.spawn(panics_here))),
        };
        switchback::run(move || drop(catch_unwind(AssertUnwindSafe(caught)))).unwrap();
        return;
    }
    for place in WHERE {
        let child = this_program()
            .args(["spawn::the_backtrace_of_a_panic_ends_where_the_fiber_begins"])
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, place)
            .env("RUST_BACKTRACE", "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8(child.stderr).unwrap();
        assert!(child.status.success(), "{stderr}");
        let (_, backtrace) = stderr.split_once("stack backtrace:").unwrap();
        let (backtrace, _) = backtrace.split_once("note:").unwrap();
        assert!(backtrace.contains("panics_here"), "{place}: {backtrace}");
        assert!(backtrace.lines().count() < 30, "{place}: {backtrace}");
    }
}
