//! Threads that end with hubs, bridges, locals and fibers left on them, while the
//! destructors of their thread-locals call the library.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use switchback::prelude::*;
use switchback::{
    Bridge, Fiber, Hub, HubHandle, SwitchBack, bridge, current_fiber, fiber_local, run, scope,
    sleep, spawn, yield_now,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::ledger::Counted;
use crate::show::Stage;
use crate::tally::Op;

thread_local! {
    static AT_END: RefCell<Vec<AtEnd>> = const { RefCell::new(Vec::new()) };
    static KEPT: RefCell<Vec<Watched>> = const { RefCell::new(Vec::new()) };
    /// What the frames of suspended stacks refer to.
    static BORROWED: RefCell<Vec<u64>> = RefCell::new(vec![7; 100]);
}

fiber_local! {
    static LOCAL: RefCell<Vec<Watched>> = RefCell::new(Vec::new());
}

/// Does something when it is dropped.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            // Nothing may unwind out of the destructor of a thread-local.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
                std::mem::forget(payload);
            }
        }
    }
}

/// What happened to the suspended stacks of a thread.
#[derive(Clone, Default)]
struct Marks {
    /// How many of them were resumed or unwound.
    touched: Arc<AtomicU64>,
    /// How many bridges were dropped, and how many of those were unwound.
    dropped: Arc<AtomicU64>,
    unwound: Arc<AtomicU64>,
    go_on: Arc<Notify>,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::SeqCst);
}

impl Marks {
    /// A body that waits over a thread-local that it has borrowed.
    fn body(&self, token: Counted) -> impl FnOnce() + use<> {
        struct Frame<'a>(&'a RefCell<Vec<u64>>, Marks);
        impl Drop for Frame<'_> {
            fn drop(&mut self) {
                add(&self.1.touched);
                std::hint::black_box(self.0.borrow().iter().sum::<u64>());
            }
        }
        let marks = self.clone();
        move || {
            BORROWED.with(|borrowed| {
                let _frame = Frame(borrowed, marks.clone());
                let _token = token;
                marks.go_on.notified().wait();
            });
        }
    }

    fn bridge(&self, token: Counted) -> Watched {
        let mut watched = self.watch(self.body(token));
        if let Some(bridge) = &mut watched.bridge {
            poll(bridge);
        }
        watched
    }

    fn watch(&self, body: impl FnOnce() + 'static) -> Watched {
        let is_over = Arc::new(AtomicU64::new(0));
        let over = is_over.clone();
        // Dropped with the closure, whether or not that has begun.
        let at_end = AtEnd(Some(Box::new(move || add(&over))));
        let bridge = bridge(move || {
            let _at_end = at_end;
            body();
        });
        Watched {
            bridge: Some(bridge),
            is_over,
            marks: self.clone(),
        }
    }
}

/// A bridge that tells what its drop has come to.
struct Watched {
    bridge: Option<Bridge<()>>,
    is_over: Arc<AtomicU64>,
    marks: Marks,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let was_over = self.is_over.load(Ordering::SeqCst) > 0;
        drop(self.bridge.take());
        if !was_over {
            add(&self.marks.dropped);
            if self.is_over.load(Ordering::SeqCst) > 0 {
                add(&self.marks.unwound);
            }
        }
    }
}

/// What is at hand in the destructors.
struct Kit {
    marks: Marks,
    runtime: Option<Runtime>,
    hub: Option<Hub>,
    handle: Option<HubHandle>,
    fibers: Vec<Fiber<()>>,
    bridges: Vec<Watched>,
    switch_back: Option<SwitchBack<u8>>,
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().build();
    runtime.expect("a runtime can be made")
}

/// Returns whether it is done.
fn poll<F: Future>(future: F) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    pin!(future).poll(&mut cx).is_ready()
}

/// Calls of the library, of which none may touch a suspended stack.
const CALLS: &[fn(&mut Kit)] = &[
    |_| drop(spawn(|| ())),
    |kit| {
        if let Some(runtime) = &kit.runtime {
            let _guard = runtime.enter();
            drop(spawn(|| ()));
        }
    },
    |kit| {
        if let Some(runtime) = &kit.runtime {
            let _guard = runtime.enter();
            drop(Hub::current());
        }
    },
    |kit| {
        kit.marks.go_on.notify_waiters();
        if let Some(runtime) = &kit.runtime {
            runtime.block_on(async {
                for _ in 0..3 {
                    yield_now().await;
                }
            });
        }
    },
    |kit| {
        if let Some(runtime) = &kit.runtime {
            runtime.block_on(Hub::run_until(async {}));
        }
    },
    |_| drop(runtime().block_on(async { spawn(|| ()).await })),
    |_| runtime().block_on(Hub::run_until(yield_now())),
    |_| drop(run(|| yield_now().wait())),
    |kit| {
        let mut watched = kit.marks.watch(|| yield_now().wait());
        if let Some(bridge) = &mut watched.bridge {
            poll(bridge);
        }
    },
    |_| scope(|s| drop(s.spawn(|| ()))),
    |kit| {
        for fiber in &kit.fibers {
            fiber.cancel();
        }
        kit.fibers.clear();
    },
    |kit| {
        if kit
            .fibers
            .first_mut()
            .is_some_and(|fiber| poll(fiber.join()))
        {
            kit.fibers.remove(0);
        }
    },
    |kit| {
        if let Some(handle) = &kit.handle {
            drop(handle.spawn(|| ()));
            let _ = handle.run_callback(|| ());
        }
    },
    |kit| {
        if let Some(hub) = &kit.hub {
            poll(hub.close());
        }
    },
    |kit| drop(kit.hub.take()),
    |kit| kit.bridges.clear(),
    |kit| {
        kit.marks.go_on.notify_waiters();
        for watched in &mut kit.bridges {
            if watched.bridge.as_mut().is_some_and(poll) {
                watched.bridge = None;
            }
        }
    },
    |_| drop(LOCAL.try_with(|kept| kept.take())),
    |kit| {
        if let Some(switch_back) = kit.switch_back.take() {
            switch_back.switcher().switch(7);
        }
    },
    |_| sleep(Duration::from_micros(1)).wait(),
    |_| yield_now().wait(),
    |_| drop(pending::<()>().wait_timeout(Duration::from_micros(1))),
    |_| drop(current_fiber()),
    |kit| drop(kit.runtime.take()),
    |kit| {
        let old = kit.runtime.take();
        let _ = thread::spawn(move || drop(old)).join();
        runtime().block_on(async { drop(Hub::current()) });
    },
];

/// When the thread-locals of the user's are registered. The last goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    First,
    Between,
    /// In their destructors nothing is gone, and nobody can tell that the thread ends: what is
    /// resumed there does no harm.
    Last,
}

fn register() {
    AT_END.with(|_| ());
    KEPT.with(|_| ());
    LOCAL.with(|_| ());
}

/// What the thread does before it ends.
fn come_to_the_end(stage: &Stage, order: Order, marks: &Marks) -> Kit {
    if order == Order::First {
        register();
    }
    drop(bridge(|| ()));
    runtime().block_on(async { drop(Hub::current()) });
    if order == Order::Between {
        register();
    }
    BORROWED.with(|_| ());
    let runtime = runtime();
    let mut kit = Kit {
        marks: marks.clone(),
        runtime: None,
        hub: None,
        handle: None,
        fibers: Vec::new(),
        bridges: Vec::new(),
        switch_back: None,
    };
    if stage.chance(75) {
        runtime.block_on(async {
            let hub = Hub::current();
            for _ in 0..stage.below(4) {
                kit.fibers.push(spawn(marks.body(stage.may_leak())));
            }
            yield_now().await;
            yield_now().await;
            kit.switch_back = Some(SwitchBack::new());
            kit.handle = Some(hub.handle());
            if stage.chance(20) {
                hub.close().await;
            }
            kit.hub = Some(hub);
        });
    }
    for _ in 0..stage.below(3) {
        let bridge = marks.bridge(stage.may_leak());
        match stage.below(3) {
            0 => KEPT.with_borrow_mut(|kept| kept.push(bridge)),
            1 => LOCAL.with_borrow_mut(|kept| kept.push(bridge)),
            _ => kit.bridges.push(bridge),
        }
    }
    kit.runtime = Some(runtime);
    if stage.chance(20) {
        let runtime = kit.runtime.take();
        let _ = thread::spawn(move || drop(runtime)).join();
    }
    kit
}

/// A thread comes to something and ends.
pub(crate) fn of_a_thread(stage: &Stage) {
    let order = match stage.below(4) {
        0 => Order::First,
        1 | 2 => Order::Between,
        _ => Order::Last,
    };
    stage.hit(match order {
        Order::First => Op::ThreadLocalFirst,
        Order::Between => Op::ThreadLocalBetween,
        Order::Last => Op::ThreadLocalLast,
    });
    let calls: Vec<_> = (0..stage.below(4))
        .map(|_| CALLS[stage.below(CALLS.len() as u64) as usize])
        .collect();
    let marks = Marks::default();
    let (of_thread, its_stage) = (marks.clone(), stage.split());
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        // What the calls leave of it is forgotten.
        let mut kit = ManuallyDrop::new(come_to_the_end(&its_stage, order, &of_thread));
        let _ = tell.send(of_thread.touched.load(Ordering::SeqCst));
        let at_end = move || {
            for call in calls {
                let called = catch_unwind(AssertUnwindSafe(|| call(&mut kit)));
                called.unwrap_or_else(std::mem::forget);
            }
        };
        AT_END.with_borrow_mut(|all| all.push(AtEnd(Some(Box::new(at_end)))));
    });
    if thread.join().is_err() {
        stage.fault("a thread that ends panicked");
    }
    let before = told.recv().unwrap_or_default();
    let [touched, dropped, unwound] =
        [&marks.touched, &marks.dropped, &marks.unwound].map(|count| count.load(Ordering::SeqCst));
    if order != Order::Last && touched != before {
        stage.fault("a suspended stack was resumed or unwound while its thread ended");
    }
    stage.abandoned(dropped - unwound);
}
