//! Every span closes, and the thread is as it was, whatever happens to a fiber, to its hub and to the
//! subscriber, and whatever the subscriber does.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use switchback::{
    Hub, bridge, catch_cancel, prelude::*, scope, shield, sleep, spawn, with_timeout, yield_now,
};
use tracing::span::{Attributes, Id, Record, Span};
use tracing::subscriber::{self, DefaultGuard};
use tracing::{Event, Metadata, Subscriber, info_span};
use tracing_core::span::Current;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::support::ending::{poll_once, settle};
use crate::support::{OnDrop, forever, in_child, in_children, ms, paused_runtime};

/// Counts the spans of a subscriber.
#[derive(Clone, Default)]
struct Account(Arc<Mutex<Spans>>);

#[derive(Default)]
struct Spans {
    made: usize,
    open: HashMap<u64, &'static str>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Account {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        spans.made += 1;
        spans
            .open
            .insert(id.into_u64(), attributes.metadata().name());
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let closed = self.0.lock().unwrap().open.remove(&id.into_u64());
        closed.expect("a span is closed once");
    }
}

impl Account {
    /// Makes it this thread's subscriber until the guard is dropped.
    fn subscribe(&self) -> DefaultGuard {
        subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    #[track_caller]
    fn assert_all_closed(&self, at_least: usize) {
        let spans = self.0.lock().unwrap();
        assert!(spans.open.is_empty(), "{:?}", spans.open);
        assert!(spans.made >= at_least, "{} were made", spans.made);
    }
}

/// Waits in one span, and then does something in another that is inside of it.
fn nested(last: impl FnOnce()) {
    let _outer = info_span!("outer").entered();
    yield_now().wait();
    info_span!("inner").in_scope(|| {
        yield_now().wait();
        last();
    });
}

#[track_caller]
fn assert_current(name: Option<&str>) {
    let current = Span::current();
    assert_eq!(current.metadata().map(Metadata::name), name);
}

/// How a fiber ends that has entered two spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Returns,
    Panics,
    IsCancelled,
    CatchesACancel,
    ShieldsACancel,
    TimesOut,
    EndsInAScope,
    LeavesABridge,
    ForgetsGuards,
    HubCloses,
    HubEnds,
}

const WAYS: [Way; 11] = [
    Way::Returns,
    Way::Panics,
    Way::IsCancelled,
    Way::CatchesACancel,
    Way::ShieldsACancel,
    Way::TimesOut,
    Way::EndsInAScope,
    Way::LeavesABridge,
    Way::ForgetsGuards,
    Way::HubCloses,
    Way::HubEnds,
];

fn end(way: Way) {
    match way {
        Way::Returns => nested(|| ()),
        Way::Panics => nested(|| resume_unwind(Box::new("its own"))),
        Way::IsCancelled | Way::HubCloses | Way::HubEnds => nested(forever),
        Way::CatchesACancel => nested(|| {
            catch_cancel(|| nested(forever)).unwrap_err();
            assert_current(Some("inner"));
        }),
        Way::ShieldsACancel => nested(|| {
            shield(|| {
                nested(|| sleep(ms(1)).wait());
                assert_current(Some("inner"));
            });
            yield_now().wait();
        }),
        Way::TimesOut => nested(|| {
            with_timeout(ms(1), || nested(forever)).unwrap_err();
            assert_current(Some("inner"));
        }),
        Way::EndsInAScope => nested(|| {
            scope(|s| {
                s.spawn(|| nested(|| ()));
                s.spawn(|| nested(|| ()));
            });
            assert_current(Some("inner"));
        }),
        Way::LeavesABridge => nested(|| {
            let mut left = Box::pin(bridge(|| nested(forever)));
            assert!(poll_once(left.as_mut()).is_pending());
            yield_now().wait();
            assert!(poll_once(left.as_mut()).is_pending());
            assert_current(Some("inner"));
            drop(left);
            assert_current(Some("inner"));
        }),
        Way::ForgetsGuards => {
            let outer = info_span!("outer");
            mem::forget(outer.enter());
            yield_now().wait();
            let inner = info_span!("inner");
            mem::forget(inner.enter());
            yield_now().wait();
            assert_current(Some("inner"));
        }
    }
}

#[test]
fn every_span_closes_however_its_fiber_ends() {
    for way in WAYS {
        let account = Account::default();
        let subscribed = account.subscribe();
        let runtime = paused_runtime();
        runtime.block_on(async {
            let spawner = info_span!("spawner").entered();
            let fiber = spawn(move || end(way));
            let other = spawn(|| nested(forever));
            drop(spawner);
            for _ in 0..30 {
                tokio::task::yield_now().await;
                assert_current(None);
            }
            match way {
                Way::IsCancelled | Way::CatchesACancel | Way::ShieldsACancel => {
                    fiber.cancel();
                }
                Way::HubCloses => Hub::current().close().await,
                _ => {}
            }
            if way != Way::HubEnds {
                let ended = fiber.await;
                let fails = matches!(way, Way::Panics | Way::IsCancelled | Way::HubCloses);
                assert_eq!(
                    ended.is_err(),
                    fails || way == Way::ShieldsACancel,
                    "{way:?}"
                );
            }
            assert_current(None);
            drop(other);
        });
        drop(runtime);
        assert_current(None);
        drop(subscribed);
        account.assert_all_closed(5);
    }
}

#[test]
fn the_spans_of_who_resumes_are_not_the_fibers() {
    let account = Account::default();
    let subscribed = account.subscribe();
    paused_runtime().block_on(async {
        let fiber = spawn(|| {
            for _ in 0..3 {
                assert_current(Some("runtime.spawn"));
                nested(|| assert_current(Some("inner")));
                yield_now().wait();
            }
        });
        let mut bridged = Box::pin(bridge(|| {
            for _ in 0..3 {
                assert_current(None);
                nested(|| assert_current(Some("inner")));
                yield_now().wait();
            }
        }));
        let task = info_span!("task").entered();
        let _inside = info_span!("inside").entered();
        for _ in 0..5 {
            let _ = poll_once(bridged.as_mut());
            assert_current(Some("inside"));
            tokio::task::yield_now().await;
            assert_current(Some("inside"));
        }
        bridged.await;
        fiber.await.unwrap();
        assert_current(Some("inside"));
        drop(_inside);
        assert_current(Some("task"));
        drop(task);
    });
    drop(subscribed);
    account.assert_all_closed(15);
}

#[test]
fn spans_close_where_the_subscriber_has_changed_in_between() {
    let accounts = [Account::default(), Account::default()];
    paused_runtime().block_on(async {
        let first = accounts[0].subscribe();
        let fiber = spawn(|| nested(|| nested(|| ())));
        // It waits in both of its spans.
        tokio::task::yield_now().await;
        drop(first);
        let second = accounts[1].subscribe();
        let other = spawn(|| nested(|| ()));
        fiber.await.unwrap();
        other.await.unwrap();
        assert_current(None);
        drop(second);
    });
    accounts[0].assert_all_closed(2);
    accounts[1].assert_all_closed(2);
}

#[test]
fn spans_of_a_fiber_that_is_abandoned_are_not_left_on_the_thread() {
    let Some(child) = in_child(|| {
        let account = Account::default();
        let _subscribed = account.subscribe();
        let runtime = paused_runtime();
        runtime.block_on(async {
            // Its destructor waits for ever while it unwinds.
            let abandoned = spawn(|| {
                nested(|| {
                    let _waits = OnDrop(forever);
                    forever();
                });
            });
            let other = spawn(|| nested(|| ()));
            settle().await;
            other.await.unwrap();
            drop(abandoned);
        });
        drop(runtime);
        assert_current(None);
        // Those that are on its stack.
        let spans = account.0.lock().unwrap();
        let mut open: Vec<_> = spans.open.values().copied().collect();
        open.sort_unstable();
        assert_eq!(open, ["inner", "outer", "runtime.spawn"]);
    }) else {
        return;
    };
    child.assert_success();
}

/// What a subscriber does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ExitDoesNothing,
    KnowsNoCurrent,
    PanicsInCurrent,
    PanicsInExit,
    PanicsInEnter,
    WaitsInExit,
    WakesInEvent,
}

/// A registry with a fault, while it is armed.
struct Faulty {
    registry: Registry,
    fault: Fault,
    exits: Arc<AtomicUsize>,
}

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
    /// The waker of a fiber.
    static WAKER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

impl Faulty {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault && IS_ARMED.get()
    }
}

impl Subscriber for Faulty {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.registry.enabled(metadata)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.registry.new_span(attributes)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.registry.record(id, values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.registry.record_follows_from(id, follows);
    }

    fn event(&self, event: &Event<'_>) {
        if self.is(Fault::WakesInEvent) && event.metadata().target() == "runtime::waker" {
            // It is told of a wake, and wakes.
            WAKER.with_borrow(|waker| waker.iter().for_each(|waker| waker.wake_by_ref()));
        }
    }

    fn enter(&self, id: &Id) {
        assert!(!self.is(Fault::PanicsInEnter), "in `enter`");
        self.registry.enter(id);
    }

    fn exit(&self, id: &Id) {
        self.exits.fetch_add(1, Ordering::Relaxed);
        assert!(!self.is(Fault::PanicsInExit), "in `exit`");
        if self.is(Fault::WaitsInExit) {
            yield_now().wait();
        }
        if !self.is(Fault::ExitDoesNothing) {
            self.registry.exit(id);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.registry.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.registry.try_close(id)
    }

    fn current_span(&self) -> Current {
        assert!(!self.is(Fault::PanicsInCurrent), "in `current_span`");
        match self.is(Fault::KnowsNoCurrent) {
            true => Current::none(),
            false => self.registry.current_span(),
        }
    }
}

const FAULTS: [Fault; 7] = [
    Fault::ExitDoesNothing,
    Fault::KnowsNoCurrent,
    Fault::PanicsInCurrent,
    Fault::PanicsInExit,
    Fault::PanicsInEnter,
    Fault::WaitsInExit,
    Fault::WakesInEvent,
];

/// Runs fibers that wait in spans while the subscriber has its fault.
fn run_under(fault: Fault) -> usize {
    let exits = Arc::default();
    let faulty = Faulty {
        registry: tracing_subscriber::registry(),
        fault,
        exits: Arc::clone(&exits),
    };
    // For the process: the one of a thread is not told of what happens in it.
    subscriber::set_global_default(faulty).unwrap();
    let outcomes = switchback::run(|| {
        let fibers = [1, 2, 3].map(|n| {
            spawn(move || {
                let _span = info_span!("span").entered();
                poll_fn(|cx| {
                    WAKER.set(Some(cx.waker().clone()));
                    Poll::Ready(())
                })
                .wait();
                yield_now().wait();
                bridge(|| yield_now().wait()).wait();
                while IS_ARMED.get() {
                    yield_now().wait();
                }
                n
            })
        });
        // They have entered their spans.
        yield_now().wait();
        IS_ARMED.set(true);
        (0..5).for_each(|_| yield_now().wait());
        IS_ARMED.set(false);
        fibers.map(|fiber| fiber.wait().unwrap())
    });
    WAKER.take();
    assert_eq!(outcomes.unwrap(), [1, 2, 3]);
    exits.load(Ordering::Relaxed)
}

#[test]
fn a_subscriber_that_misbehaves_harms_no_fiber() {
    let children = in_children(FAULTS.len(), |case| {
        let exits = run_under(FAULTS[case]);
        if FAULTS[case] == Fault::ExitDoesNothing {
            // Each of the suspensions gives up after some hundred.
            assert!((256..256 * 200).contains(&exits), "{exits}");
        }
    });
    for child in children.into_iter().flatten() {
        child.assert_success();
    }
}
