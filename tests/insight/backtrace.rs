//! The calls that fibers are in. A dump that asks for them resumes each fiber for a moment, which
//! nothing may notice.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::hint::black_box;
use std::panic::panic_any;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use switchback::{
    BacktraceEnd, Builder, Fiber, FiberDump, FiberId, FiberState, Hub, HubDump, HubHandle,
    HubMetrics, HubThread, bridge, dump_all, park, prelude::*, run, scope, sleep, spawn,
    with_timeout, yield_now,
};
use tokio::sync::Notify;

use crate::support::ending::unwinds;
use crate::support::{Drops, OnDrop, forever, in_child, ms, runtime, under_asan, watched};

/// Returns a dump of this hub with the backtraces of all fibers. Nothing else runs before it is taken.
fn dump() -> HubDump {
    let dump = Hub::current().handle().dump();
    dump.backtraces(usize::MAX).wait().unwrap()
}

/// As [`dump`], after everything that is ready has run.
fn settled_dump() -> HubDump {
    for _ in 0..10 {
        yield_now().wait();
    }
    dump()
}

/// Returns the names of the functions that the fiber is in, innermost first.
fn functions(fiber: &FiberDump) -> Vec<String> {
    let backtrace = fiber.backtrace().expect("it is suspended");
    let names = backtrace
        .frames()
        .map(|frame| frame.function().unwrap_or("?"));
    names.map(str::to_owned).collect()
}

/// Returns whether the fiber is in a function whose path ends like this.
fn is_in(dump: &HubDump, id: FiberId, function: &str) -> bool {
    let functions = functions(dump.fiber(id).expect("it lives"));
    // Newer compilers add generic arguments to the name.
    let generic = format!("{function}::<");
    functions
        .iter()
        .any(|name| name.ends_with(function) || name.contains(&generic))
}

#[inline(never)]
fn inner_of_the_user() {
    forever();
    black_box(());
}

#[inline(never)]
fn outer_of_the_user() {
    inner_of_the_user();
    black_box(());
}

#[test]
fn it_has_the_calls_of_the_user_and_nothing_else() {
    run(|| {
        let stuck = spawn(outer_of_the_user);
        let dump = settled_dump();
        let fiber = dump.fiber(stuck.id()).unwrap();
        let backtrace = fiber.backtrace().unwrap();
        assert_eq!(backtrace.end(), BacktraceEnd::Whole);
        let functions = functions(fiber);
        println!("{dump}");
        let place = |name: &str| functions.iter().position(|found| found.ends_with(name));
        let (inner, outer) = (place("inner_of_the_user"), place("outer_of_the_user"));
        assert!(inner.unwrap() < outer.unwrap(), "{functions:?}");
        // Before it is what was called to wait, if that was not inlined; behind it std's call of
        // the closure.
        assert!(inner.unwrap() <= 1, "{functions:?}");
        assert!(functions.len() <= outer.unwrap() + 3, "{functions:?}");
        let frame = backtrace.frames().nth(outer.unwrap()).unwrap();
        assert!(frame.address() > 0);
        let text = dump.to_string();
        assert!(text.contains("outer_of_the_user\n"), "{text}");
        // A release build has no debug information.
        if cfg!(debug_assertions) {
            assert!(frame.file().unwrap().ends_with(file!()));
            let place = format!("{}:{}", file!(), frame.line().unwrap());
            assert!(text.contains(&place), "{text}");
        }
    })
    .unwrap();
}

#[test]
fn only_suspended_fibers_have_one_and_only_so_many() {
    run(|| {
        let waits = spawn(forever);
        let yields = spawn(|| {
            loop {
                yield_now().wait();
            }
        });
        let has_child = spawn(|| scope(|s| drop(s.spawn(forever))));
        let unstarted = Fiber::new(|| ());
        settled_dump();
        let ready = spawn(|| ());
        let dump = dump();
        let has_one = |id| dump.fiber(id).unwrap().backtrace().is_some();
        let own = switchback::current_fiber().unwrap().id();
        assert!(has_one(waits.id()) && has_one(yields.id()) && has_one(has_child.id()));
        assert!(!has_one(own) && !has_one(unstarted.id()) && !has_one(ready.id()));

        let few = Hub::current().handle().dump().backtraces(2).wait().unwrap();
        let taken = few
            .fibers()
            .iter()
            .filter(|fiber| fiber.backtrace().is_some());
        assert_eq!(taken.count(), 2);
        let none = Hub::current().handle().dump().wait().unwrap();
        assert!(
            none.fibers()
                .iter()
                .all(|fiber| fiber.backtrace().is_none())
        );
    })
    .unwrap();
}

#[test]
fn those_of_other_hubs_are_taken_there() {
    let thread = HubThread::new().unwrap();
    let stuck = thread.spawn(outer_of_the_user).unwrap();
    loop {
        let dump = thread.handle().dump().backtraces(10).wait().unwrap();
        let fiber = dump.fiber(stuck.id());
        if fiber.is_some_and(|fiber| fiber.state() == FiberState::Waiting) {
            assert!(is_in(&dump, stuck.id(), "outer_of_the_user"));
            break;
        }
    }
    let all = dump_all().backtraces(10).wait();
    let mut hubs = all.hubs().filter(|hub| hub.fiber(stuck.id()).is_some());
    assert!(hubs.any(|hub| hub.to_string().contains("outer_of_the_user")));
}

#[test]
fn those_that_are_alike_are_one_entry() {
    run(|| {
        let fibers: Vec<_> = (0..1000).map(|_| spawn(outer_of_the_user)).collect();
        let dump = settled_dump();
        assert!(
            fibers
                .iter()
                .all(|fiber| is_in(&dump, fiber.id(), "outer_of_the_user"))
        );
        let text = dump.to_string();
        assert!(text.contains("1,000 fibers, waiting"), "{text}");
        assert_eq!(text.matches("outer_of_the_user\n").count(), 1, "{text}");
    })
    .unwrap();
}

/// Recurses so often, and then waits.
#[inline(never)]
fn recurse(times: u32) {
    match times {
        0 => forever(),
        _ => recurse(times - 1),
    }
    black_box(());
}

#[test]
fn a_long_one_is_cut() {
    run(|| {
        let deep = Builder::new().stack_size(1 << 20);
        let deep = deep.spawn(|| recurse(1000)).unwrap();
        let dump = settled_dump();
        let backtrace = dump.fiber(deep.id()).unwrap().backtrace().unwrap();
        assert_eq!(backtrace.end(), BacktraceEnd::Cut);
        assert!((200..=300).contains(&backtrace.frames().count()));
    })
    .unwrap();
}

/// Uses the stack until so many bytes are left below this frame, of `size` bytes from `base` on, and
/// then waits.
#[inline(never)]
fn dive(base: usize, size: usize, left: usize) {
    let bytes = black_box([0_u8; 64]);
    let here = bytes.as_ptr().addr();
    match size.saturating_sub(base - here) {
        now if now > left => dive(base, size, left),
        _ => park(),
    }
    black_box(&bytes);
}

#[test]
fn it_needs_little_room_and_says_if_there_is_less() {
    const SIZE: usize = 64 * 1024;
    if under_asan() {
        return; // it keeps variables elsewhere than on the stack
    }
    let child = in_child(|| {
        run(|| {
            // Without optimizations, the wait itself needs more than 5,000 bytes.
            let lefts = match cfg!(debug_assertions) {
                true => [20_000, 12_000, 9_000, 8_000],
                false => [6_000, 5_000, 3_900, 2_000],
            };
            let mut refused = 0;
            for left in lefts {
                let deep = Builder::new().stack_size(SIZE).spawn(move || {
                    let start = 0_u8;
                    let base = std::ptr::from_ref(black_box(&start)).addr() + 512;
                    dive(base, SIZE, left);
                });
                let mut deep = deep.unwrap();
                for _ in 0..3 {
                    let dump = settled_dump();
                    let fiber = dump.fiber(deep.id()).unwrap();
                    let backtrace = fiber.backtrace().unwrap();
                    let room = fiber.stack_in_use().map(|used| SIZE - used);
                    if backtrace.end() == BacktraceEnd::NoRoom {
                        refused += 1;
                        assert!(room.is_none_or(|room| room < 4096), "{room:?}");
                        assert_eq!(backtrace.frames().count(), 0);
                        let says = "too little of its stack is left";
                        assert!(dump.to_string().contains(says));
                    } else {
                        assert!(room.is_none_or(|room| room >= 4096), "{room:?}");
                        assert!(is_in(&dump, deep.id(), "dive"));
                    }
                }
                // A cancel would need more room.
                deep.handle().unpark();
                deep.join().wait().unwrap();
            }
            assert!(refused >= 6 || cfg!(debug_assertions));
        })
        .unwrap();
    });
    if let Some(child) = child {
        assert!(child.status.success(), "{child:#?}");
    }
}

/// Takes a dump of this hub with backtraces, at once.
fn take() {
    let mut dump = Box::pin(Hub::current().handle().dump().backtraces(usize::MAX));
    let mut cx = Context::from_waker(Waker::noop());
    // The fibers have been resumed, and their functions are looked for.
    let _ = dump.as_mut().poll(&mut cx);
}

/// What fibers did, in order: the fiber, the step, and how often a future was polled.
type History = Vec<(u32, u32, u32)>;

/// Returns what fibers did, and the hub's figures. If `dumps`, there are dumps meanwhile.
fn history(dumps: bool) -> (History, HubMetrics) {
    let history = Rc::new(RefCell::new(Vec::new()));
    let all = history.clone();
    let hub = Hub::builder().start_paused(true);
    let metrics = hub.run(move || {
        let fibers = (0..20).map(|n| {
            let all = all.clone();
            spawn(move || {
                for step in 0..40 {
                    let mut polls = 0;
                    match n % 5 {
                        0 => yield_now().wait(),
                        // This spends the budget that all fibers share.
                        1 => tokio::task::coop::consume_budget().wait(),
                        2 => with_timeout(ms(500), || sleep(ms(u64::from(n))).wait()).unwrap(),
                        3 => {
                            let counted = poll_fn(|_| {
                                polls += 1;
                                Poll::<()>::Pending
                            });
                            assert!(counted.wait_timeout(ms(7)).is_err());
                        }
                        _ => scope(|s| drop(s.spawn(|| yield_now().wait()))),
                    }
                    all.borrow_mut().push((n, step, polls));
                }
            })
        });
        let fibers: Vec<_> = fibers.collect();
        for _ in 0..300 {
            if dumps {
                take();
            }
            sleep(ms(1)).wait();
            if dumps {
                take();
            }
            yield_now().wait();
        }
        for fiber in fibers {
            fiber.wait().unwrap();
        }
        Hub::current().metrics()
    });
    (history.take(), metrics.unwrap())
}

#[test]
#[cfg(feature = "test-util")]
fn a_dump_changes_no_order_poll_budget_or_figure() {
    let without = history(false);
    assert_eq!(without.0.len(), 800);
    assert_eq!(history(true), without);
}

/// A fiber that panics and stands still in a destructor until it is notified.
fn unwinding(go_on: &Rc<Notify>) -> Fiber<()> {
    let go_on = go_on.clone();
    spawn(move || {
        assert!(unwinds(|| {
            let _guard = OnDrop(|| go_on.notified().wait());
            panic_any("on purpose");
        }));
    })
}

#[test]
fn a_cancel_beside_an_unwinder_is_delivered_as_before() {
    for dumps in [false, true] {
        run(move || {
            let calm = spawn(forever);
            yield_now().wait();
            let go_on = Rc::new(Notify::new());
            let unwinds = unwinding(&go_on);
            yield_now().wait();
            assert!(thread::panicking());
            // It began to wait while the thread counted a panic: it may be the one that unwinds.
            let late = spawn(forever);
            yield_now().wait();
            if dumps {
                for _ in 0..3 {
                    let dump = dump();
                    assert!(is_in(&dump, unwinds.id(), "support::ending::unwinds"));
                    assert!(is_in(&dump, calm.id(), "forever"));
                }
            }
            calm.cancel();
            late.cancel();
            for _ in 0..3 {
                yield_now().wait();
                if dumps {
                    take();
                }
            }
            assert!(!calm.is_alive(), "it surely does not unwind");
            assert!(late.is_alive(), "its cancel is put off");
            let state = Hub::current().dump().fiber(late.id()).unwrap().state();
            assert_eq!(state, FiberState::PutOff);
            go_on.notify_one();
            unwinds.wait().unwrap();
            assert!(!thread::panicking());
            assert!(late.wait().unwrap_err().is_cancelled());
        })
        .unwrap();
    }
}

#[test]
fn from_a_panic_hook_a_callback_a_destructor_and_a_future() {
    let child = in_child(|| {
        thread_local! { static TAKEN: Cell<u32> = const { Cell::new(0) }; }
        let takes = || {
            take();
            TAKEN.set(TAKEN.get() + 1);
        };
        std::panic::set_hook(Box::new(move |_| takes()));
        run(move || {
            let stuck = spawn(outer_of_the_user);
            yield_now().wait();
            let panics = spawn(move || {
                let _guard = OnDrop(takes);
                panic!("on purpose");
            });
            assert!(panics.wait().unwrap_err().is_panic());
            assert_eq!(TAKEN.get(), 2);
            let cancelled = spawn(move || {
                let _guard = OnDrop(takes);
                forever();
            });
            Hub::current().run_callback(takes);
            async { takes() }.wait();
            yield_now().wait();
            cancelled.cancel();
            assert!(cancelled.wait().unwrap_err().is_cancelled());
            assert_eq!(TAKEN.get(), 5);
            assert!(is_in(&dump(), stuck.id(), "outer_of_the_user"));
            stuck.cancel();
            assert!(stuck.wait().unwrap_err().is_cancelled());
        })
        .unwrap();
    });
    if let Some(child) = child {
        assert!(child.status.success(), "{child:#?}");
    }
}

#[test]
fn from_a_fiber_that_drives_the_hub_and_from_a_bridge() {
    run(|| {
        let stuck = spawn(outer_of_the_user);
        let id = stuck.id();
        let drives = spawn(move || {
            let own = switchback::current_fiber().unwrap().id();
            let dumps = async move {
                // It is taken at the first poll.
                let dump = Hub::current()
                    .handle()
                    .dump()
                    .backtraces(100)
                    .await
                    .unwrap();
                assert!(is_in(&dump, id, "outer_of_the_user"));
                let drives = dump.fiber(own).unwrap();
                assert_eq!(drives.state(), FiberState::Running);
                assert!(drives.backtrace().is_none());
            };
            Hub::run_until(dumps).wait();
        });
        drives.wait().unwrap();
        let in_bridge = spawn(|| {
            let body = || {
                take();
                forever();
            };
            bridge(body).wait();
        });
        let dump = settled_dump();
        let fiber = dump.fiber(in_bridge.id()).unwrap();
        assert!(fiber.backtrace().is_some());
        for fiber in [stuck, in_bridge] {
            fiber.cancel();
            assert!(fiber.wait().unwrap_err().is_cancelled());
        }
    })
    .unwrap();
}

#[test]
fn after_a_trim_and_between_the_waits_of_a_fiber() {
    run(|| {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || {
            let _token = token;
            let mut sum = 0_u64;
            for n in 0..100 {
                // Touches much of the stack, and leaves it.
                let bytes = black_box([n as u8; 20_000]);
                sum += u64::from(bytes[n]);
                yield_now().wait();
            }
            sum
        });
        for _ in 0..50 {
            yield_now().wait();
            Hub::current().trim();
            take();
            yield_now().wait();
            take();
            Hub::current().trim();
        }
        assert_eq!(fiber.wait().unwrap(), (0..100).sum::<u64>());
        assert_eq!(drops.count(), 1);
    })
    .unwrap();
}

#[test]
fn beside_threads_that_print_backtraces() {
    watched(|| {
        let ends = Arc::new(AtomicBool::new(false));
        let printers = (0..2).map(|_| {
            let ends = ends.clone();
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let backtrace = std::backtrace::Backtrace::force_capture();
                    black_box(backtrace.to_string());
                }
            })
        });
        let printers: Vec<_> = printers.collect();
        run(|| {
            let stuck: Vec<_> = (0..50).map(|_| spawn(outer_of_the_user)).collect();
            for _ in 0..10 {
                let dump = settled_dump();
                assert!(
                    stuck
                        .iter()
                        .all(|fiber| is_in(&dump, fiber.id(), "outer_of_the_user"))
                );
            }
        })
        .unwrap();
        ends.store(true, Ordering::Relaxed);
        printers
            .into_iter()
            .for_each(|printer| printer.join().unwrap());
    });
}

#[test]
fn abandoned_fibers_and_futures_that_were_forgotten_harm_nothing() {
    let child = in_child(|| {
        let runtime = runtime();
        let kept = runtime.block_on(async {
            let abandoned = spawn(|| {
                let _guard = OnDrop(forever);
                forever();
            });
            let stuck = spawn(outer_of_the_user);
            let handle = abandoned.handle();
            yield_now().await;
            // A dump that was asked for and is never taken.
            let mut dump = Box::pin(Hub::current().handle().dump().backtraces(10));
            let mut cx = Context::from_waker(Waker::noop());
            let _ = dump.as_mut().poll(&mut cx);
            std::mem::forget(dump);
            // A wait whose future is forgotten half way.
            let mut join = Box::pin(stuck);
            assert!(join.as_mut().poll(&mut cx).is_pending());
            std::mem::forget(join);
            handle.cancel();
            for _ in 0..5 {
                yield_now().await;
            }
            let dump = Hub::current().handle().dump().backtraces(10).await.unwrap();
            assert_eq!(dump.fibers().len(), 2);
            assert!(dump.to_string().contains("outer_of_the_user"));
            (Hub::current().handle(), abandoned)
        });
        drop(runtime);
        assert!(kept.0.dump().backtraces(10).wait().is_err());
    });
    if let Some(child) = child {
        assert!(child.status.success(), "{child:#?}");
    }
}

#[test]
fn a_dump_at_the_end_of_a_thread_harms_nothing() {
    /// Takes a dump when the thread ends.
    struct AtEnd(Cell<Option<HubHandle>>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            let hub = self.0.take().unwrap();
            let mut dump = Box::pin(hub.dump().backtraces(10));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..100 {
                if dump.as_mut().poll(&mut cx).is_ready() {
                    return;
                }
                thread::yield_now();
            }
        }
    }
    thread_local! { static AT_END: AtEnd = const { AtEnd(Cell::new(None)) }; }
    let child = in_child(|| {
        let before = thread::spawn(|| {
            AT_END.with(|_| ());
            leave_a_hub_with_a_fiber();
        });
        before.join().unwrap();
        let after = thread::spawn(|| {
            leave_a_hub_with_a_fiber();
            AT_END.with(|_| ());
        });
        after.join().unwrap();
    });
    fn leave_a_hub_with_a_fiber() {
        let runtime = runtime();
        let hub = runtime.block_on(async {
            drop(spawn(outer_of_the_user));
            yield_now().await;
            Hub::current().handle()
        });
        AT_END.with(|end| end.0.set(Some(hub)));
        // So the hub lives until the thread's end.
        std::mem::forget(runtime);
    }
    if let Some(child) = child {
        assert!(child.status.success(), "{child:#?}");
    }
}
