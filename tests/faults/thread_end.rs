//! What is called in the destructor of a thread-local, when the thread ends.
//!
//! Frames of suspended stacks may refer to thread-locals that are gone by then. So
//! nothing is resumed and nothing is unwound, whatever is called there: it is leaked.

use std::cell::RefCell;
use std::future::pending;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchback::{
    Bridge, Builder, Fiber, FiberHandle, Hub, HubHandle, HubPool, HubThread, SwitchBack, Switcher,
    assert_no_switchpoints, blocking, bridge, catch_cancel, check_cancelled, current_fiber,
    fiber_local, in_fiber, io, park, prelude::*, run, scope, shield, sleep, spawn, stream,
    switchpoint, with_timeout, yield_now,
};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

use crate::support::ending::{Count, poll_once};
use crate::support::runtime;
use crate::support::table::{Case, Verdict, any_text, check_fact, check_table, ensure};

const KNOWN: &[&str] = &[];

thread_local! {
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    static KEPT: RefCell<Option<Bridge<()>>> = const { RefCell::new(None) };
    /// What the frames of suspended stacks refer to.
    static BORROWED: RefCell<Vec<u64>> = RefCell::new(vec![7; 1000]);
}

fiber_local! {
    static LOCAL: RefCell<Option<Bridge<()>>> = RefCell::new(None);
    static NUMBER: u64 = 7;
}

/// Calls a function in the destructor of a thread-local.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        let f = self.0.take().unwrap();
        // Nothing may unwind out of the destructor of a thread-local.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            mem::forget(payload);
        }
    }
}

/// The frames of a suspended stack: whether anything of them is touched.
#[derive(Clone)]
struct Frames {
    touched: Count,
    go_on: Arc<Notify>,
}

impl Frames {
    fn new() -> Frames {
        Frames {
            touched: Count::new(),
            go_on: Arc::default(),
        }
    }

    /// A body that waits until it is told to go on.
    fn body(&self) -> impl FnOnce() + use<> {
        struct Frame<'a>(&'a RefCell<Vec<u64>>, Count);
        impl Drop for Frame<'_> {
            fn drop(&mut self) {
                self.1.add();
                std::hint::black_box(self.0.borrow().iter().sum::<u64>());
            }
        }
        let frames = self.clone();
        move || {
            BORROWED.with(|borrowed| {
                let _frame = Frame(borrowed, frames.touched.clone());
                frames.go_on.notified().wait();
                frames.touched.add();
            });
        }
    }
}

/// What the thread has come to when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    HubWithFibers,
    HubClosed,
    HubLost,
    NoHub,
    BridgeInThreadLocal,
    BridgeInFiberLocal,
}

const STATES: [State; 6] = [
    State::HubWithFibers,
    State::HubClosed,
    State::HubLost,
    State::NoHub,
    State::BridgeInThreadLocal,
    State::BridgeInFiberLocal,
];

/// What is at hand in the destructor. What a function does not use is forgotten.
struct Kit {
    frames: Frames,
    /// The runtime of the hub, if there is one that lives.
    runtime: Option<Runtime>,
    handle: Handle,
    hub: Option<Hub>,
    hub_handle: Option<HubHandle>,
    fiber: Option<Fiber<()>>,
    fiber_handle: Option<FiberHandle>,
    switch_back: Option<SwitchBack<u8>>,
    switcher: Option<Switcher<u8>>,
    bridge: Option<Bridge<()>>,
}

impl Kit {
    fn new(state: State) -> Kit {
        let frames = Frames::new();
        let runtime = runtime();
        let mut kit = Kit {
            frames: frames.clone(),
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            hub: None,
            hub_handle: None,
            fiber: None,
            fiber_handle: None,
            switch_back: None,
            switcher: None,
            bridge: None,
        };
        let runtime = kit.runtime.as_ref().unwrap();
        match state {
            State::HubWithFibers | State::HubLost | State::HubClosed => runtime.block_on(async {
                let hub = Hub::current();
                let fiber = spawn(frames.body());
                for _ in 0..3 {
                    yield_now().await;
                }
                let switch_back = SwitchBack::new();
                kit.switcher = Some(switch_back.switcher());
                kit.switch_back = Some(switch_back);
                kit.fiber_handle = Some(fiber.handle());
                kit.fiber = Some(fiber);
                kit.hub_handle = Some(hub.handle());
                if state == State::HubClosed {
                    hub.close().await;
                }
                kit.hub = Some(hub);
            }),
            State::NoHub => {}
            State::BridgeInThreadLocal => KEPT.with_borrow_mut(|kept| {
                let mut bridge = bridge(frames.body());
                assert!(poll_once(Pin::new(&mut bridge)).is_pending());
                *kept = Some(bridge);
            }),
            State::BridgeInFiberLocal => LOCAL.with_borrow_mut(|kept| {
                let mut bridge = bridge(frames.body());
                assert!(poll_once(Pin::new(&mut bridge)).is_pending());
                *kept = Some(bridge);
            }),
        }
        let mut other = bridge(frames.body());
        assert!(poll_once(Pin::new(&mut other)).is_pending());
        kit.bridge = Some(other);
        if state == State::HubLost {
            let runtime = kit.runtime.take();
            thread::spawn(move || drop(runtime)).join().unwrap();
        }
        kit
    }

    /// What was touched by the end of the hub before the thread ends.
    fn touched(&self) -> usize {
        self.frames.touched.get()
    }
}

type Named = (&'static str, fn(&mut Kit));

/// Polls something once that may refuse, in whatever runtime.
fn poll<F: Future>(future: F) {
    let _ = poll_once(Box::pin(future).as_mut());
}

/// Every public function that can be called.
const CALLS: &[Named] = &[
    ("nothing", |_| ()),
    ("spawn", |_| drop(spawn(|| ()))),
    ("spawn in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        drop(spawn(|| ()));
    }),
    ("Fiber::new", |_| drop(Fiber::new(|| ()))),
    ("Builder::create", |_| drop(Builder::new().create(|| ()))),
    ("Fiber::new and start", |kit| {
        let _guard = kit.handle.enter();
        Fiber::new(|| ()).start();
    }),
    ("Hub::current", |_| drop(Hub::current())),
    ("Hub::current in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        drop(Hub::current());
    }),
    ("Hub::try_current", |_| drop(Hub::try_current())),
    ("Hub::try_current in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        drop(Hub::try_current());
    }),
    ("bridge and poll", |_| poll(bridge(|| ()))),
    ("bridge and poll that waits", |_| {
        poll(bridge(|| pending::<()>().wait()));
    }),
    ("bridge dropped unpolled", |_| drop(bridge(|| ()))),
    ("scope in a bridge", |kit| {
        let _guard = kit.handle.enter();
        poll(bridge(|| {
            scope(|s| {
                s.spawn(|| ());
            });
        }));
    }),
    ("drive the runtime", |kit| {
        kit.frames.go_on.notify_waiters();
        if let Some(runtime) = &kit.runtime {
            runtime.block_on(async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }),
    ("drive the runtime with a hub's yields", |kit| {
        kit.frames.go_on.notify_waiters();
        if let Some(runtime) = &kit.runtime {
            runtime.block_on(async {
                for _ in 0..3 {
                    yield_now().await;
                }
            });
        }
    }),
    ("drive a new runtime", |_| {
        runtime().block_on(async {
            for _ in 0..3 {
                yield_now().await;
            }
        });
    }),
    ("drive a new runtime with a fiber", |_| {
        let _ = runtime().block_on(async { spawn(|| ()).await });
    }),
    ("run", |_| drop(run(|| ()))),
    ("run a wait", |_| drop(run(|| yield_now().wait()))),
    ("run_until", |kit| {
        let _guard = kit.handle.enter();
        poll(Hub::run_until(async {}));
    }),
    ("run_until in the runtime", |kit| {
        if let Some(runtime) = &kit.runtime {
            runtime.block_on(Hub::run_until(async {}));
        }
    }),
    ("HubHandle::spawn", |kit| {
        if let Some(hub) = &kit.hub_handle {
            drop(hub.spawn(|| ()));
        }
    }),
    ("HubHandle::spawn and poll its join", |kit| {
        if let Some(hub) = &kit.hub_handle {
            if let Ok(fiber) = hub.spawn(|| ()) {
                poll(fiber);
            }
        }
    }),
    ("HubHandle::run_callback", |kit| {
        if let Some(hub) = &kit.hub_handle {
            let _ = hub.run_callback(|| ());
        }
    }),
    ("HubHandle::close", |kit| {
        if let Some(hub) = &kit.hub_handle {
            poll(hub.close());
        }
    }),
    ("HubHandle::close_within", |kit| {
        if let Some(hub) = &kit.hub {
            poll(hub.close_within(Duration::ZERO));
        }
    }),
    ("HubHandle::is_closed and metrics", |kit| {
        if let Some(hub) = &kit.hub_handle {
            let _ = (hub.is_closed(), hub.metrics());
        }
    }),
    ("Hub::close", |kit| {
        if let Some(hub) = &kit.hub {
            poll(hub.close());
        }
    }),
    ("Hub::run_callback", |kit| {
        if let Some(hub) = &kit.hub {
            hub.run_callback(|| ());
        }
    }),
    ("Hub::data", |kit| {
        if let Some(hub) = &kit.hub {
            hub.data().insert(7_u8);
        }
    }),
    ("Hub::metrics, name, runtime", |kit| {
        if let Some(hub) = &kit.hub {
            let _ = (hub.metrics(), hub.name(), hub.runtime());
            let _ = (format!("{hub:?}"), hub.deepest_stacks());
        }
    }),
    ("Hub dropped", |kit| drop(kit.hub.take())),
    ("Fiber polled", |kit| {
        if let Some(fiber) = &mut kit.fiber {
            poll(fiber.join());
        }
    }),
    ("Fiber dropped", |kit| drop(kit.fiber.take())),
    ("Fiber::cancel", |kit| {
        if let Some(fiber) = &kit.fiber {
            fiber.cancel();
        }
    }),
    ("Fiber joined by a wait", |kit| {
        // Of a hub that lives, the join is for ever, as that of a thread would be.
        if kit.runtime.is_none() {
            drop(kit.fiber.take().map(|fiber| fiber.wait()));
        }
    }),
    ("FiberHandle::cancel", |kit| {
        if let Some(fiber) = &kit.fiber_handle {
            fiber.cancel();
        }
    }),
    ("FiberHandle::unpark", |kit| {
        if let Some(fiber) = &kit.fiber_handle {
            fiber.unpark();
        }
    }),
    ("FiberHandle::stack_used, name, is_alive", |kit| {
        if let Some(fiber) = &kit.fiber_handle {
            let _ = (fiber.stack_used(), fiber.name(), fiber.is_alive());
        }
    }),
    ("FiberHandle::cancel, and the runtime driven", |kit| {
        if let (Some(fiber), Some(runtime)) = (&kit.fiber_handle, &kit.runtime) {
            fiber.cancel();
            runtime.block_on(async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }),
    ("the fiber is woken", |kit| {
        kit.frames.go_on.notify_waiters()
    }),
    ("Switcher::switch", |kit| {
        if let Some(switcher) = &kit.switcher {
            switcher.switch(7);
        }
    }),
    ("Switcher::throw", |kit| {
        if let Some(switcher) = &kit.switcher {
            switcher.throw("thrown");
        }
    }),
    (
        "SwitchBack::new and poll",
        |_| poll(SwitchBack::<u8>::new()),
    ),
    ("SwitchBack polled", |kit| {
        if let Some(switch_back) = &mut kit.switch_back {
            let _ = poll_once(Pin::new(switch_back));
        }
    }),
    ("SwitchBack dropped", |kit| drop(kit.switch_back.take())),
    ("Bridge polled", |kit| {
        if let Some(bridge) = &mut kit.bridge {
            let _ = poll_once(Pin::new(bridge));
        }
    }),
    ("Bridge woken and polled", |kit| {
        kit.frames.go_on.notify_waiters();
        if let Some(bridge) = &mut kit.bridge {
            let _ = poll_once(Pin::new(bridge));
        }
    }),
    ("Bridge dropped", |kit| drop(kit.bridge.take())),
    ("Bridge of a fiber-local polled", |kit| {
        kit.frames.go_on.notify_waiters();
        let _ = LOCAL.try_with(|kept| {
            if let Some(bridge) = kept.borrow_mut().as_mut() {
                let _ = poll_once(Pin::new(bridge));
            }
        });
    }),
    ("Bridge of a fiber-local dropped", |_| {
        let _ = LOCAL.try_with(|kept| drop(kept.take()));
    }),
    ("fiber_local read", |_| {
        let _ = NUMBER.try_with(|n| *n);
    }),
    ("fiber_local made in a bridge", |_| {
        poll(bridge(|| NUMBER.with(|n| *n)));
    }),
    ("scope", |_| {
        scope(|s| {
            s.spawn(|| ());
        });
    }),
    ("scope in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        scope(|s| {
            s.spawn(|| ());
        });
    }),
    ("sleep", |_| sleep(Duration::from_millis(1)).wait()),
    ("sleep in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        sleep(Duration::from_millis(1)).wait();
    }),
    ("sleep polled", |_| poll(sleep(Duration::from_millis(1)))),
    ("yield_now", |_| yield_now().wait()),
    ("yield_now in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        yield_now().wait();
    }),
    ("yield_now polled", |_| poll(yield_now())),
    ("wait_timeout", |_| {
        let _ = pending::<()>().wait_timeout(Duration::from_millis(1));
    }),
    ("wait_or_cancelled", |_| {
        drop(yield_now().wait_or_cancelled())
    }),
    ("park", |_| {
        // A plain thread is woken by a token that is there.
        thread::current().unpark();
        park();
    }),
    ("blocking", |_| blocking(|| ()).wait()),
    ("blocking in the runtime entered", |kit| {
        let _guard = kit.handle.enter();
        poll(blocking(|| ()));
    }),
    ("check_cancelled", |_| check_cancelled()),
    ("catch_cancel", |_| {
        drop(catch_cancel(|| yield_now().wait()))
    }),
    ("with_timeout", |_| {
        let _ = with_timeout(Duration::from_millis(1), || yield_now().wait());
    }),
    ("shield", |_| shield(|| yield_now().wait())),
    ("current_fiber", |_| {
        let _ = (current_fiber(), in_fiber());
    }),
    ("switchpoint", |_| switchpoint()),
    ("assert_no_switchpoints", |_| assert_no_switchpoints(|| ())),
    ("HubThread::new", |_| {
        let thread = HubThread::new().unwrap();
        let _ = thread.spawn(|| ()).unwrap().wait();
        thread.close().wait();
    }),
    ("HubPool::new", |_| {
        let pool = HubPool::new(1).unwrap();
        let _ = pool.spawn(|| ()).unwrap().wait();
        pool.close().wait();
    }),
    ("AsyncReader", |_| {
        let mut reader = io::AsyncReader::new(|| std::io::Cursor::new(vec![7]));
        poll(async move {
            let mut byte = [0];
            tokio::io::AsyncReadExt::read(&mut reader, &mut byte).await
        });
    }),
    ("from_iter", |_| {
        let mut stream = stream::from_iter(|| 0..3);
        poll(futures::future::poll_fn(move |cx| {
            futures::Stream::poll_next(Pin::new(&mut stream), cx)
        }));
    }),
    ("Poller", |kit| {
        if let Some(hub) = &kit.hub {
            let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
            let handle = hub.poll().add(fd, switchback::Events::READABLE, |_, _| ());
            hub.poll().remove(&handle.unwrap());
        }
    }),
    ("the runtime dropped", |kit| drop(kit.runtime.take())),
    ("the runtime shut down", |kit| {
        if let Some(runtime) = kit.runtime.take() {
            runtime.shutdown_background();
        }
    }),
    ("the runtime dropped elsewhere, and a hub made", |kit| {
        let old = kit.runtime.take();
        thread::spawn(move || drop(old)).join().unwrap();
        runtime().block_on(async { drop(Hub::current()) });
    }),
];

/// When a thread-local is registered. The last one goes first when the thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Before those of this crate: in its destructor, they are gone.
    First,
    /// After those of this crate, and before those that the suspended frames refer to:
    /// in its destructor, only the latter are gone. The dangerous one.
    Between,
    /// After all: in its destructor, everything is still there, and nobody can tell that
    /// the thread ends. What is resumed then does no harm.
    Last,
}

/// A thread that comes to `state` and ends, with `call` in the destructor of a
/// thread-local.
fn end_of_thread(state: State, order: Order, call: fn(&mut Kit)) -> Verdict {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let register = || {
            AT_END.with(|_| ());
            KEPT.with(|_| ());
            LOCAL.with(|_| ());
        };
        if order == Order::First {
            register();
        }
        drop(bridge(|| ()));
        runtime().block_on(async { drop(Hub::current()) });
        if order == Order::Between {
            register();
        }
        BORROWED.with(|_| ());
        // Forgotten, whether the call panics or not.
        let mut kit = ManuallyDrop::new(Kit::new(state));
        tell.send((kit.frames.touched.clone(), kit.touched()))
            .unwrap();
        AT_END.set(Some(AtEnd(Some(Box::new(move || call(&mut kit))))));
    });
    let ended = thread.join();
    let (touched, at_first) = told.recv().unwrap();
    ensure(ended.is_ok(), "the thread panicked")?;
    ensure(
        touched.get() == at_first || order == Order::Last,
        "a suspended stack was resumed or unwound",
    )
}

#[test]
fn a_call_in_the_destructor_of_a_thread_local() {
    let mut cases = Vec::new();
    for state in STATES {
        for (name, call) in CALLS {
            for order in [Order::First, Order::Between, Order::Last] {
                let name = format!("{state:?}/{order:?}/{name}");
                let call = *call;
                cases.push(Case::new(name, move || end_of_thread(state, order, call)));
            }
        }
    }
    let test = "thread_end::a_call_in_the_destructor_of_a_thread_local";
    check_table(test, KNOWN, cases);
}

#[test]
fn a_lost_hub_is_left_alone_by_who_asks_for_it_at_the_thread_s_end() {
    let test = "thread_end::a_lost_hub_is_left_alone_by_who_asks_for_it_at_the_thread_s_end";
    check_fact(test, KNOWN, || {
        let call = |kit: &mut Kit| {
            let _guard = kit.handle.enter();
            drop(Hub::try_current());
        };
        end_of_thread(State::HubLost, Order::Between, call)
    });
}

#[test]
fn a_lost_hub_is_left_alone_by_who_makes_another_at_the_thread_s_end() {
    let test = "thread_end::a_lost_hub_is_left_alone_by_who_makes_another_at_the_thread_s_end";
    check_fact(test, KNOWN, || {
        let call = |_: &mut Kit| runtime().block_on(async { drop(Hub::current()) });
        end_of_thread(State::HubLost, Order::Between, call)
    });
}

#[test]
fn run_until_is_refused_at_the_thread_s_end() {
    let test = "thread_end::run_until_is_refused_at_the_thread_s_end";
    check_fact(test, KNOWN, || {
        static SAID: Mutex<Option<String>> = Mutex::new(None);
        let call = |kit: &mut Kit| {
            let _guard = kit.handle.enter();
            let mut driver = Box::pin(Hub::run_until(async { drop(spawn(|| ())) }));
            let polled = catch_unwind(AssertUnwindSafe(|| poll_once(driver.as_mut()).is_ready()));
            *SAID.lock().unwrap() = Some(match polled {
                Ok(ended) => format!("not refused, ended: {ended}"),
                Err(payload) => any_text(&*payload),
            });
        };
        end_of_thread(State::HubWithFibers, Order::Between, call)?;
        let said = SAID.lock().unwrap().take().unwrap_or_default();
        ensure(said.contains("thread is ending"), said)
    });
}
