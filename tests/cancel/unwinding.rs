//! Waiting in destructors while a fiber unwinds, and what it does to others.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use switchback::{
    Fiber, Hub, bridge, catch_cancel, current_fiber, prelude::*, run, shield, sleep, spawn,
    with_timeout, yield_now,
};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::ending::{Count, InDrop, in_paused_fiber, poll_once, settle, unwinds};
use crate::support::{
    Log, OnDrop, forever, in_async, in_child, in_child_of, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, paused_local_runtime, runtime, test_of, watched,
};

/// A fiber that unwinds by its own panic and stands still in a destructor until
/// it is notified. It catches the panic, then runs `then`.
fn unwinding_fiber<T: 'static>(go_on: &Rc<Notify>, then: impl FnOnce() -> T + 'static) -> Fiber<T> {
    let go_on = go_on.clone();
    spawn(move || {
        assert!(unwinds(|| {
            let _guard = OnDrop(|| go_on.notified().wait());
            panic_any("of the first fiber");
        }));
        then()
    })
}

// A destructor that waits by `.wait()`.

#[test]
fn a_destructor_that_waits_completes_on_cancel_panic_and_close() {
    for end in ["cancel", "panic", "close"] {
        in_paused(move || async move {
            let marks = InDrop::new();
            let theirs = marks.clone();
            let mut fiber = spawn(move || {
                let _guard = theirs.guard(|| sleep(ms(10)).wait());
                match end {
                    "panic" => panic!("its own"),
                    _ => pending::<()>().wait(),
                }
            });
            settle().await;
            match end {
                "cancel" => assert!(fiber.cancel()),
                "close" => {
                    Hub::current().close().await;
                    marks.assert_completed();
                }
                _ => {}
            }
            let error = fiber.join().await.unwrap_err();
            assert_eq!(error.is_panic(), end == "panic", "{end}");
            assert_eq!(error.is_cancelled(), end != "panic", "{end}");
            assert_eq!(marks.ended.get(), 1, "{end}");
            marks.assert_completed();
        });
    }
}

#[test]
fn a_destructor_that_waits_on_runtime_drop_is_abandoned_with_a_warning() {
    let child = in_child(|| {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let rt = runtime();
        let mut fiber = rt.block_on(async {
            let fiber = switchback::Builder::new().name("stuck").spawn(move || {
                let _guard = theirs.guard(|| sleep(ms(1)).wait());
                pending::<()>().wait();
            });
            settle().await;
            fiber.unwrap()
        });
        drop(rt);
        marks.assert_stuck();
        assert!(!fiber.is_alive());
        assert!(!fiber.cancel());
        let error = futures::executor::block_on(fiber.join()).unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.to_string().contains("abandoned"));
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.reported("fiber 'stuck' waited again"), "{child:#?}");
        assert!(child.reported("counts as panicking"), "{child:#?}");
    }
}

#[test]
fn a_loop_that_catches_the_end_of_its_hub_is_abandoned() {
    watched(|| {
        let caught = Count::new();
        let theirs = caught.clone();
        let rt = runtime();
        let fiber = rt.block_on(async {
            let fiber = spawn(move || {
                loop {
                    if unwinds(|| pending::<()>().wait()) {
                        theirs.add();
                    }
                }
            });
            settle().await;
            fiber
        });
        drop(rt);
        assert_eq!(caught.get(), 1);
        assert!(!fiber.is_alive());
        assert!(
            !thread::panicking(),
            "it was not unwinding when it was left"
        );
    });
}

#[test]
fn several_destructors_of_one_unwinding_wait_one_after_the_other() {
    in_paused_fiber(|| {
        let (first, second) = (InDrop::new(), InDrop::new());
        assert!(unwinds(|| {
            let _second = second.guard(|| sleep(ms(10)).wait());
            let _first = first.guard(|| sleep(ms(10)).wait());
            panic!("its own");
        }));
        first.assert_completed();
        second.assert_completed();
        assert!(!thread::panicking());
    });
}

#[test]
fn a_destructor_that_unwinds_can_spawn_and_join() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        assert!(unwinds(|| {
            let _guard = marks.guard(|| {
                let mut fiber = spawn(|| {
                    yield_now().wait();
                    42
                });
                assert_eq!(fiber.join().wait().unwrap(), 42);
            });
            panic!("its own");
        }));
        marks.assert_completed();
    });
}

#[test]
fn a_destructor_that_unwinds_can_panic_and_catch_around_its_waits() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        assert!(unwinds(|| {
            let _guard = marks.guard(|| {
                assert!(unwinds(|| {
                    let _inner = OnDrop(|| sleep(ms(1)).wait());
                    panic!("inside the destructor");
                }));
                yield_now().wait();
            });
            panic!("its own");
        }));
        marks.assert_completed();
        assert!(!thread::panicking());
    });
}

#[test]
fn a_destructor_that_unwinds_can_run_a_bridge_that_panics() {
    in_root_fiber(|| {
        let marks = InDrop::new();
        assert!(unwinds(|| {
            let _guard = marks.guard(|| {
                assert!(unwinds(|| bridge(|| {
                    sleep(ms(1)).wait();
                    panic!("in the bridge");
                })
                .wait()));
            });
            panic!("its own");
        }));
        marks.assert_completed();
    });
}

// What can return an error does.

#[test]
fn a_wait_that_returns_errors_polls_once_while_the_fiber_unwinds() {
    async fn number(is_ready: bool) -> i32 {
        if !is_ready {
            pending::<()>().await;
        }
        42
    }
    type Wait = fn(bool) -> Result<i32, String>;
    let cases: [(&str, Wait); 3] = [
        ("wait_timeout", |is_ready| {
            let result = number(is_ready).wait_timeout(ms(1000));
            result.map_err(|error| error.to_string())
        }),
        ("wait_until", |is_ready| {
            let result = number(is_ready).wait_until(Instant::now() + ms(1000));
            result.map_err(|error| io::Error::from(error).to_string())
        }),
        ("wait_or_cancelled", |is_ready| {
            let result = number(is_ready).wait_or_cancelled();
            result.map_err(|error| error.to_string())
        }),
    ];
    in_root_fiber(move || {
        for (name, wait) in cases {
            let results = Cell::new(None);
            assert!(unwinds(|| {
                let _guard = OnDrop(|| results.set(Some((wait(true), wait(false)))));
                panic!("its own");
            }));
            let (ready, late) = results.take().unwrap();
            assert_eq!(ready, Ok(42), "{name}");
            let error = late.unwrap_err();
            assert!(error.contains("unwinding"), "{name}: {error}");
        }
    });
}

#[test]
fn what_returns_an_error_still_does_after_a_bare_wait_in_the_same_unwinding() {
    in_root_fiber(|| {
        let late = Cell::new(None);
        assert!(unwinds(|| {
            let _guard = OnDrop(|| {
                sleep(ms(1)).wait();
                late.set(Some(pending::<()>().wait_timeout(ms(1000))));
            });
            panic!("its own");
        }));
        let error = late.take().unwrap().unwrap_err();
        assert!(error.to_string().contains("unwinding"), "{error}");
    });
}

#[test]
fn after_a_caught_panic_waits_take_their_time_again() {
    in_paused_fiber(|| {
        assert!(unwinds(|| {
            let _guard = OnDrop(|| sleep(ms(1)).wait());
            panic!("its own");
        }));
        assert!(sleep(ms(5)).wait_timeout(ms(10)).is_ok());
        assert!(sleep(ms(5)).wait_or_cancelled().is_ok());
    });
}

#[test]
fn a_refused_wait_in_a_destructor_that_unwinds_returns_its_error() {
    // A panic there would be the second one, which aborts.
    let child = in_child(|| {
        runtime().block_on(async {
            let mut fiber = spawn(|| {
                async {
                    let _guard = OnDrop(|| {
                        assert!(ready(()).wait_or_cancelled().is_err());
                        assert!(ready(()).wait_timeout(ms(1)).is_err());
                    });
                    panic!("in a poll");
                }
                .wait();
            });
            assert!(fiber.join().await.unwrap_err().is_panic());
        });
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

// What it does to other fibers.

#[test]
fn another_fiber_that_panics_and_catches_meanwhile_is_undisturbed() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || "went on");
        settle().await;
        assert!(
            thread::panicking(),
            "the first is suspended while it unwinds"
        );
        let mut second = spawn(|| {
            for _ in 0..3 {
                assert!(unwinds(|| panic_any("of the second fiber")));
                yield_now().wait();
            }
            "undisturbed"
        });
        assert_eq!(second.join().await.unwrap(), "undisturbed");
        go_on.notify_one();
        assert_eq!(first.join().await.unwrap(), "went on");
        assert!(!thread::panicking());
    });
}

#[test]
fn fibers_suspended_while_they_unwind_can_go_on_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        in_paused(move || async move {
            let gates = [(); 3].map(|()| Rc::new(Notify::new()));
            let mut fibers = Vec::new();
            for gate in &gates {
                fibers.push(unwinding_fiber(gate, || yield_now().wait()));
                settle().await;
            }
            for i in order {
                gates[i].notify_one();
                fibers[i].join().await.unwrap();
            }
            assert!(!thread::panicking());
        });
    }
}

#[test]
fn a_fiber_that_waited_before_the_unwinding_began_is_cancelled_meanwhile() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut waiting = spawn(|| pending::<()>().wait());
        settle().await;
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        assert!(thread::panicking());
        waiting.cancel();
        assert!(waiting.join().await.unwrap_err().is_cancelled());
        go_on.notify_one();
        first.join().await.unwrap();
    });
}

#[test]
fn a_fiber_that_may_be_unwinding_is_cancelled_when_the_other_has_finished() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let mut second = spawn(|| pending::<()>().wait());
        settle().await;
        second.cancel_with("put off");
        settle().await;
        assert!(second.is_alive(), "nobody can tell that it does not unwind");
        go_on.notify_one();
        let error = second.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("put off"));
        first.join().await.unwrap();
    });
}

#[test]
fn a_deadline_that_was_put_off_is_delivered_when_the_other_has_finished() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let mut second = spawn(|| with_timeout(ms(2), || pending::<()>().wait()));
        tokio::time::sleep(ms(20)).await;
        assert!(second.is_alive());
        go_on.notify_one();
        assert!(second.join().await.unwrap().is_err());
        first.join().await.unwrap();
    });
}

#[test]
fn a_close_that_was_put_off_is_delivered_when_the_other_has_finished() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let mut second = spawn(|| pending::<()>().wait());
        settle().await;
        let close = Hub::current().close();
        let opener = async {
            settle().await;
            go_on.notify_one();
        };
        tokio::join!(close, opener);
        assert!(second.join().await.unwrap_err().is_cancelled());
        first.join().await.unwrap();
    });
}

#[test]
fn cancels_of_fibers_that_all_unwind_reach_each_of_them_later() {
    in_paused(|| async {
        let gates = [(); 3].map(|()| Rc::new(Notify::new()));
        let mut fibers = Vec::new();
        for gate in &gates {
            fibers.push(unwinding_fiber(gate, || pending::<()>().wait()));
            settle().await;
        }
        for fiber in &fibers {
            assert!(fiber.cancel());
        }
        settle().await;
        assert!(fibers.iter().all(Fiber::is_alive));
        for gate in &gates {
            gate.notify_one();
        }
        for fiber in &mut fibers {
            assert!(fiber.join().await.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn wait_or_cancelled_is_cancelled_while_another_fiber_unwinds() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let mut second = spawn(|| pending::<()>().wait_or_cancelled());
        settle().await;
        second.cancel_with("at once");
        let cancelled = second.join().await.unwrap().unwrap_err();
        assert_eq!(cancelled.message(), Some("at once"));
        go_on.notify_one();
        first.join().await.unwrap();
    });
}

#[test]
fn a_cancel_that_waits_for_a_bridge_that_unwinds_is_delivered_when_that_has_finished() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let gate = go_on.clone();
        let unwinding = bridge(move || {
            assert!(unwinds(|| {
                let _guard = OnDrop(|| gate.notified().wait());
                panic_any("of the bridge");
            }));
        });
        let rest = async {
            settle().await;
            assert!(thread::panicking());
            let mut second = spawn(|| pending::<()>().wait());
            settle().await;
            second.cancel();
            settle().await;
            go_on.notify_one();
            assert!(second.join().await.unwrap_err().is_cancelled());
        };
        tokio::join!(unwinding, rest);
    });
}

#[test]
fn a_cancel_that_waits_for_a_fiber_of_another_hub_is_delivered_when_that_has_finished() {
    watched(|| {
        let (one, two) = (runtime(), runtime());
        let go_on = Rc::new(Notify::new());
        let mut unwinding = one.block_on(async {
            let fiber = unwinding_fiber(&go_on, || ());
            settle().await;
            fiber
        });
        let mut second = two.block_on(async {
            let fiber = spawn(|| pending::<()>().wait());
            settle().await;
            fiber.cancel();
            settle().await;
            fiber
        });
        assert!(second.is_alive());
        one.block_on(async {
            go_on.notify_one();
            unwinding.join().await.unwrap();
        });
        assert!(!thread::panicking());
        two.block_on(async {
            assert!(second.join().await.unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_deadline_of_a_bridge_that_was_put_off_is_delivered_when_the_other_has_finished() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let local = tokio::task::LocalSet::new();
        let in_tasks = local.run_until(async {
            let body = || with_timeout(ms(2), || pending::<()>().wait()).is_err();
            let late = tokio::task::spawn_local(bridge(body));
            tokio::time::sleep(ms(20)).await;
            go_on.notify_one();
            first.join().await.unwrap();
            assert!(late.await.unwrap());
        });
        in_tasks.await;
    });
}

#[test]
fn a_cancel_that_was_put_off_is_delivered_once() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let mut second = spawn(|| {
            let first = catch_cancel(|| pending::<()>().wait()).unwrap_err();
            yield_now().wait();
            first
        });
        settle().await;
        second.cancel_with("first");
        settle().await;
        second.cancel_with("second");
        settle().await;
        go_on.notify_one();
        let cancelled = second.join().await.unwrap();
        assert_eq!(cancelled.message(), Some("first"));
        first.join().await.unwrap();
    });
}

#[test]
fn a_fiber_that_starts_meanwhile_may_wait_with_a_timeout() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let mut second = spawn(|| sleep(ms(5)).wait_timeout(ms(10)).is_ok());
        assert!(second.join().await.unwrap());
        go_on.notify_one();
        first.join().await.unwrap();
    });
}

#[test]
fn a_shielded_fiber_that_may_be_unwinding_gets_its_cancel_after_both() {
    in_paused(|| async {
        let go_on = Rc::new(Notify::new());
        let open = Rc::new(Notify::new());
        let mut first = unwinding_fiber(&go_on, || ());
        settle().await;
        let shielded = open.clone();
        let mut second = spawn(move || {
            shield(|| shielded.notified().wait());
            pending::<()>().wait();
        });
        settle().await;
        second.cancel();
        settle().await;
        open.notify_one();
        settle().await;
        assert!(second.is_alive());
        go_on.notify_one();
        assert!(second.join().await.unwrap_err().is_cancelled());
        first.join().await.unwrap();
    });
}

// At the end of the runtime.

/// std's `Write` over a stream that takes nothing.
struct Stuck {
    stream: DuplexStream,
    errors: Count,
}

impl Write for Stuck {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(buf).wait_timeout(Duration::from_secs(60));
        if written.is_err() {
            self.errors.add();
        }
        written?
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_hundred_runtimes_dropped_over_stuck_writers_cancellation_still_works() {
    const RUNTIMES: usize = 100;
    watched(|| {
        let (errors, drops) = (Count::new(), Count::new());
        for _ in 0..RUNTIMES {
            let rt = runtime();
            rt.block_on(async {
                let (stream, _peer) = tokio::io::duplex(1);
                let stuck = Stuck {
                    stream,
                    errors: errors.clone(),
                };
                let dropped = drops.clone();
                drop(spawn(move || {
                    let _last = OnDrop(|| dropped.add());
                    let mut writer = BufWriter::new(stuck);
                    writer.write_all(b"never gets through").unwrap();
                    let _peer = _peer;
                    pending::<()>().wait();
                }));
                settle().await;
            });
            drop(rt);
            assert!(!thread::panicking());
        }
        assert_eq!(errors.get(), RUNTIMES);
        assert_eq!(drops.get(), RUNTIMES, "a stack was abandoned");
        runtime().block_on(async {
            let mut fiber = spawn(|| pending::<()>().wait());
            settle().await;
            fiber.cancel();
            assert!(fiber.join().await.unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_writer_that_is_flushed_while_a_cancel_unwinds_gives_up() {
    in_paused(|| async {
        let (stream, _peer) = tokio::io::duplex(1);
        let errors = Count::new();
        let stuck = Stuck {
            stream,
            errors: errors.clone(),
        };
        let mut fiber = spawn(move || {
            let mut writer = BufWriter::new(stuck);
            writer.write_all(b"never gets through").unwrap();
            pending::<()>().wait();
        });
        settle().await;
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_cancelled());
        assert_eq!(errors.get(), 1);
    });
}

#[test]
fn a_fiber_abandoned_while_it_unwinds_leaves_later_cancels_to_wait_or_cancelled() {
    // On a thread of its own, which it spoils.
    watched(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {
                let _guard = OnDrop(|| pending::<()>().wait());
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(rt);
        assert!(thread::panicking());
        let rt = runtime();
        rt.block_on(async {
            let mut tries = spawn(|| pending::<()>().wait_or_cancelled());
            let waits = spawn(|| pending::<()>().wait());
            settle().await;
            tries.cancel_with("by value");
            waits.cancel();
            let cancelled = tries.join().await.unwrap().unwrap_err();
            assert_eq!(cancelled.message(), Some("by value"));
            settle().await;
            assert!(waits.is_alive());
            // Never a wrong answer to what does not unwind.
            let mut works = spawn(|| {
                sleep(ms(1)).wait();
                sleep(ms(1)).wait_timeout(ms(1000)).unwrap();
                42
            });
            assert_eq!(works.join().await.unwrap(), 42);
        });
    });
}

#[test]
fn wait_timeout_in_a_destructor_when_the_runtime_is_dropped_returns_an_error() {
    watched(|| {
        let (late, tried) = (Log::new(), Log::new());
        let (late_too, tried_too) = (late.clone(), tried.clone());
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(move || {
                let _guard = OnDrop(|| {
                    late_too.push(ready(()).wait_timeout(ms(1)).is_err());
                    tried_too.push(ready(()).wait_or_cancelled().is_err());
                });
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(rt);
        assert_eq!((late.take(), tried.take()), (vec![true], vec![true]));
        assert!(!thread::panicking());
    });
}

#[test]
fn with_timeout_in_a_destructor_when_the_runtime_is_dropped_does_not_abort() {
    let child = in_child(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {
                let _guard = OnDrop(|| {
                    let _ = with_timeout(ms(1), || ());
                });
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(rt);
        println!("survived");
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("survived"));
    }
}

#[test]
fn a_sleep_in_a_destructor_when_the_runtime_is_dropped_is_abandoned_and_not_polled() {
    let child = in_child(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {
                let _guard = OnDrop(|| sleep(ms(1)).wait());
                pending::<()>().wait();
            }));
            drop(spawn(|| {
                let _guard = OnDrop(|| tokio::time::sleep(ms(1)).wait());
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(rt);
    });
    if let Some(child) = child {
        child.assert_reported("its stack is leaked", 2);
    }
}

#[test]
fn a_hub_in_a_multi_thread_runtime_that_is_dropped_outside_of_it_does_not_abort() {
    let child = in_child(|| {
        let rt = multi_thread_runtime();
        let mut driven = Box::pin(Hub::run_until(async {
            drop(spawn(|| {
                let _guard = OnDrop(|| {
                    let _ = pending::<()>().wait_timeout(ms(1));
                    pending::<()>().wait();
                });
                pending::<()>().wait();
            }));
            pending::<()>().await;
        }));
        rt.block_on(async {
            assert!(poll_once(driven.as_mut()).is_pending());
            assert!(poll_once(driven.as_mut()).is_pending());
        });
        drop(driven); // no runtime is entered here
        println!("survived");
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("survived"));
    }
}

#[test]
fn a_fiber_told_of_the_end_by_wait_or_cancelled_is_unwound_at_its_next_wait() {
    // An error that it handled is no unwinding.
    watched(|| {
        let marks = InDrop::new();
        let theirs = marks.clone();
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(move || {
                let _guard = theirs.guard(|| ());
                assert!(pending::<()>().wait_or_cancelled().is_err());
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(rt);
        marks.assert_completed();
    });
}

// Payloads.

#[test]
fn a_panic_whose_payload_panics_when_nobody_takes_it_is_no_abort() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb2);
        }
    }
    struct Bomb2;
    impl Drop for Bomb2 {
        fn drop(&mut self) {
            panic!("in the payload of the payload");
        }
    }
    let child = in_child(|| {
        runtime().block_on(async {
            drop(spawn(|| panic_any(Bomb)));
            settle().await;
        });
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_payload_that_waits_in_its_destructor_is_dropped_on_the_stack_of_its_fiber() {
    struct Waits(InDrop);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.began.add();
            sleep(ms(1)).wait();
            self.0.ended.add();
        }
    }
    in_async(|| async {
        let marks = InDrop::new();
        let payload = Waits(marks.clone());
        let mut fiber = spawn(move || {
            let inner = spawn(move || resume_unwind(Box::new(payload)));
            let handle = inner.handle();
            drop(inner);
            while handle.is_alive() {
                yield_now().wait();
            }
        });
        fiber.join().await.unwrap();
        marks.assert_completed();
    });
}

#[test]
fn a_result_whose_destructor_panics_and_nobody_takes_ends_there() {
    in_paused(|| async {
        let handle = {
            let fiber = spawn(|| OnDrop(|| panic!("in the result's destructor")));
            fiber.handle()
        };
        settle().await;
        assert!(!handle.is_alive());
        let mut next = spawn(|| 42);
        assert_eq!(next.join().await.unwrap(), 42);
    });
}

#[test]
fn a_closure_whose_destructor_panics_when_it_is_cancelled_unrun_ends_in_that_panic() {
    in_paused(|| async {
        let bomb = OnDrop(|| panic!("in the closure's destructor"));
        let mut fiber = Fiber::new(move || drop(bomb));
        fiber.cancel();
        assert!(fiber.join().await.unwrap_err().is_panic());
    });
}

#[test]
fn a_panic_that_unwinds_through_a_wait_in_a_poll_is_the_fibers() {
    in_paused(|| async {
        let marks = RefCell::new(0);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            assert!(current_fiber().is_none());
            *marks.borrow_mut() += 1;
        }));
        assert!(payload.is_ok());
        let mut fiber = spawn(|| async { panic_any(7) }.wait());
        let payload = fiber.join().await.unwrap_err().into_panic();
        assert_eq!(*payload.downcast::<i32>().unwrap(), 7);
    });
}

// Waits that are refused while a stack unwinds.

/// Whether a wait is refused, in a destructor.
fn refused_in_drop(refused: &Rc<Cell<Option<bool>>>) -> OnDrop<impl FnMut() + use<>> {
    let refused = refused.clone();
    OnDrop(move || refused.set(Some(sleep(ms(1)).wait_or_cancelled().is_err())))
}

#[test]
fn a_wait_is_refused_when_a_runtime_is_dropped_inside_an_executor_of_futures() {
    let child = in_child(|| {
        let refused = Rc::new(Cell::new(None));
        futures::executor::block_on(async {
            let rt = runtime();
            let guard = refused_in_drop(&refused);
            rt.block_on(async {
                drop(spawn(move || {
                    let _guard = guard;
                    forever();
                }));
                settle().await;
            });
            drop(rt);
        });
        assert_eq!(refused.get(), Some(true));
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_wait_is_refused_when_run_until_is_dropped_inside_an_executor_of_futures() {
    let child = in_child(|| {
        let refused = Rc::new(Cell::new(None));
        let rt = runtime();
        let _context = rt.enter();
        futures::executor::block_on(async {
            let guard = refused_in_drop(&refused);
            let mut driver = Box::pin(Hub::run_until(async {
                drop(spawn(move || {
                    let _guard = guard;
                    forever();
                }));
                pending::<()>().await;
            }));
            assert!(poll_once(driver.as_mut()).is_pending());
            assert!(poll_once(driver.as_mut()).is_pending());
            assert_eq!(refused.get(), None);
            drop(driver);
        });
        assert_eq!(refused.get(), Some(true));
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_wait_in_a_destructor_of_a_future_that_panics_in_its_poll_does_not_abort() {
    let child = in_child(|| {
        let refused = Rc::new(Cell::new(None));
        let guard = refused_in_drop(&refused);
        let panic = panic_of(|| {
            run(move || {
                async move {
                    let _guard = guard;
                    panic!("of the future");
                }
                .wait();
            })
        });
        assert_eq!(panic.message, "of the future");
        assert_eq!(refused.get(), Some(true));
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

// Payloads that panic when they are dropped.

/// Panics with another one of itself when it is dropped.
struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        resume_unwind(Box::new(Again));
    }
}

/// Panics when it is dropped, with a payload that panics when it is dropped.
struct Once;

impl Drop for Once {
    fn drop(&mut self) {
        struct Second;
        impl Drop for Second {
            fn drop(&mut self) {
                panic!("of the payload");
            }
        }
        panic_any(Second);
    }
}

/// A detached fiber that ends like `body` harms nobody, in a child.
#[track_caller]
fn assert_harmless<T: 'static>(body: impl FnOnce() -> T + 'static) {
    let child = in_child_of(&test_of(&body), || {
        run(move || {
            drop(spawn(body));
            let other = spawn(|| {
                sleep(ms(1)).wait();
                42
            });
            assert_eq!(other.wait().unwrap(), 42);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_payload_whose_drop_panics_for_ever_does_not_abort() {
    assert_harmless(|| resume_unwind(Box::new(Again)));
}

#[test]
fn a_result_whose_drop_panics_with_a_payload_whose_drop_panics_does_not_abort() {
    let child = in_child(|| {
        run(|| {
            drop(spawn(|| Once));
            yield_now().wait();
            assert_eq!(spawn(|| 42).wait().unwrap(), 42);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

// A stack is not taken for unwinding because another one on its thread unwinds.

#[test]
fn a_fiber_whose_bridge_waits_in_its_unwinding_is_not_taken_for_unwinding() {
    watched(|| {
        let (tried, timed) = run(|| {
            let fiber = spawn(|| {
                let mut unwinding = Box::pin(bridge(|| {
                    let _guard = OnDrop(|| sleep(ms(5)).wait());
                    resume_unwind(Box::new(1));
                }));
                poll_fn(|cx| {
                    assert!(unwinding.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .wait();
                assert!(thread::panicking());
                let tried = sleep(ms(1)).wait_or_cancelled();
                let timed = sleep(ms(1)).wait_timeout(Duration::from_secs(20));
                let over = poll_fn(|cx| {
                    let poll = catch_unwind(AssertUnwindSafe(|| unwinding.as_mut().poll(cx)));
                    match poll {
                        Ok(Poll::Pending) => Poll::Pending,
                        Ok(Poll::Ready(())) => Poll::Ready(false),
                        Err(_) => Poll::Ready(true),
                    }
                });
                assert!(over.wait());
                assert!(!thread::panicking());
                (tried, timed)
            });
            fiber.wait().unwrap()
        })
        .unwrap();
        assert!(tried.is_ok(), "{tried:?}");
        assert!(timed.is_ok(), "{timed:?}");
    });
}

/// Waits by a bare `.wait()` when it is dropped.
struct WaitsInDrop(Duration);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        sleep(self.0).wait();
    }
}

#[test]
fn a_cancel_put_off_because_of_an_unwinding_bridge_is_delivered() {
    paused_local_runtime().block_on(async {
        let unwinding = tokio::task::spawn_local(bridge(|| {
            let _waits = WaitsInDrop(ms(10));
            std::panic::resume_unwind(Box::new("the bridge panics"));
        }));
        sleep(ms(1)).await;
        let mut fiber = spawn(|| pending::<()>().wait());
        sleep(ms(1)).await;
        fiber.cancel();
        assert!(unwinding.await.is_err());
        assert!(fiber.join().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_deadline_in_a_bridge_put_off_because_of_an_unwinding_fiber_is_delivered() {
    paused_local_runtime().block_on(async {
        let mut unwinding = spawn(|| {
            let _waits = WaitsInDrop(ms(10));
            std::panic::resume_unwind(Box::new("the fiber panics"));
        });
        sleep(ms(1)).await;
        let late = bridge(|| with_timeout(ms(1), || pending::<()>().wait()));
        let late = tokio::time::timeout(Duration::from_secs(60), late);
        let begin = Instant::now();
        assert!(late.await.expect("the deadline passes").is_err());
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert!(unwinding.join().await.unwrap_err().is_panic());
    });
}

#[test]
fn the_end_of_run_until_waits_for_a_shield_entered_after_the_close_was_put_off() {
    // The thread counts as panicking until its end.
    let thread = std::thread::spawn(|| {
        paused_local_runtime().block_on(async {
            let mut unwinding = bridge(|| {
                let _waits = OnDrop(|| pending::<()>().wait());
                resume_unwind(Box::new("the bridge panics"));
            });
            assert!(poll_once(Pin::new(&mut unwinding)).is_pending());
            let left_shield = Rc::new(Cell::new(false));
            let theirs = left_shield.clone();
            let hub = Hub::run_until(async move {
                drop(spawn(move || {
                    shield(|| sleep(ms(10)).wait());
                    // Here the close is put off, and the wait is over at once.
                    ready(()).wait();
                    shield(|| sleep(ms(10)).wait());
                    theirs.set(true);
                }));
                settle().await;
            });
            hub.await;
            assert!(left_shield.get(), "it was unwound in the shield");
            std::mem::forget(unwinding);
        });
    });
    thread.join().unwrap();
}

#[test]
fn a_bridge_is_not_taken_for_unwinding_after_another_was_abandoned() {
    let thread = std::thread::spawn(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let runtime = paused_local_runtime();
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

/// Panics, and waits so long while it unwinds.
fn unwind_for(duration: Duration) {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _waits = OnDrop(|| sleep(duration).wait());
        resume_unwind(Box::new("a panic"));
    }));
    assert!(caught.is_err());
}

#[test]
fn a_fiber_that_has_caught_its_panic_may_wait_while_another_unwinds() {
    paused_local_runtime().block_on(async {
        let mut short = spawn(|| {
            unwind_for(ms(5));
            sleep(ms(1)).wait_or_cancelled().is_ok()
        });
        let mut long = spawn(|| unwind_for(ms(20)));
        assert!(short.join().await.unwrap());
        long.join().await.unwrap();
    });
}

#[test]
fn a_fiber_that_alone_unwinds_is_refused_also_after_a_wait() {
    paused_local_runtime().block_on(async {
        let begin = Instant::now();
        let mut fiber = spawn(|| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _waits = OnDrop(|| {
                    sleep(ms(5)).wait();
                    assert!(sleep(ms(60_000)).wait_or_cancelled().is_err());
                });
                resume_unwind(Box::new("a panic"));
            }));
            assert!(caught.is_err());
        });
        fiber.join().await.unwrap();
        assert!(begin.elapsed() < ms(60_000));
    });
}

#[test]
fn unwinding_again_and_again_is_told_apart_each_time() {
    paused_local_runtime().block_on(async {
        // Were the count of suspended unwinds not kept, the second would be
        // taken for one of two.
        for _ in 0..2 {
            let begin = Instant::now();
            let mut fiber = spawn(|| {
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let _waits = OnDrop(|| {
                        sleep(ms(5)).wait();
                        let _ = sleep(ms(60_000)).wait_timeout(ms(60_000));
                    });
                    resume_unwind(Box::new("a panic"));
                }));
            });
            fiber.join().await.unwrap();
            assert!(begin.elapsed() < ms(60_000));
        }
    });
}

#[test]
fn a_fiber_that_is_resumed_while_another_unwinds_may_wait() {
    paused_local_runtime().block_on(async {
        let mut calm = spawn(|| {
            sleep(ms(5)).wait();
            sleep(ms(1)).wait_or_cancelled().is_ok()
        });
        sleep(ms(1)).await;
        let mut unwinds = spawn(|| unwind_for(ms(20)));
        assert!(calm.join().await.unwrap());
        unwinds.join().await.unwrap();
    });
}
