//! The span that each fiber has of its own, in the shape of those of tokio's tasks, so that what shows
//! tasks, such as tokio-console, shows fibers too.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Mutex;
use std::task::{Poll, Waker};
use std::thread;

use switchback::{Builder, HubThread, prelude::*, scope, spawn, yield_now};
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber, info_span, subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// What a console is told of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Task {
    fields: HashMap<&'static str, String>,
    parent: Option<String>,
    /// What was done with its wakers.
    wakers: Vec<String>,
    polls: u32,
    is_running: bool,
    is_closed: bool,
}

impl Visit for Task {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Reads the spans of tasks as a console does.
#[derive(Default)]
struct Console(Mutex<HashMap<u64, Task>>);

impl Console {
    fn with(&self, id: &Id, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.0.lock().unwrap().get_mut(&id.into_u64()) {
            change(task);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for &'static Console {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != "runtime.spawn" {
            return;
        }
        assert_eq!(attributes.metadata().target(), "switchback::fiber");
        let parent = context.span(id).unwrap().parent();
        let mut task = Task {
            parent: parent.map(|parent| parent.name().to_owned()),
            ..Task::default()
        };
        attributes.record(&mut task);
        self.0.lock().unwrap().insert(id.into_u64(), task);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "runtime::waker" {
            return;
        }
        let mut told = Task::default();
        event.record(&mut told);
        let id = Id::from_u64(told.fields["task.id"].parse().unwrap());
        self.with(&id, |task| {
            assert!(!task.is_closed);
            task.wakers.push(told.fields["op"].clone());
        });
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.with(id, |task| {
            task.polls += 1;
            task.is_running = true;
        });
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.with(id, |task| task.is_running = false);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.with(&id, |task| {
            assert!(!task.is_closed, "a span is closed once");
            task.is_closed = true;
        });
    }
}

/// Runs `body` under a console, and returns the tasks that it was told of, by name.
fn watched(body: impl FnOnce(&'static Console) + 'static) -> HashMap<String, Task> {
    // The spans of a registry that ends have no console to tell.
    let console: &'static Console = Box::leak(Box::default());
    let registry = tracing_subscriber::registry().with(console);
    subscriber::with_default(registry, || switchback::run(move || body(console))).unwrap();
    let tasks = console.0.lock().unwrap();
    let by_name = tasks
        .values()
        .map(|task| (task.fields["task.name"].clone(), task.clone()));
    by_name.collect()
}

#[test]
fn a_console_sees_each_fiber_by_name_with_its_place_and_polls() {
    let tasks = watched(|console| {
        let fibers: Vec<_> = (0..100)
            .map(|n| {
                let builder = Builder::new().name(format!("worker {n}"));
                builder
                    .spawn(move || (0..n).for_each(|_| yield_now().wait()))
                    .unwrap()
            })
            .collect();
        yield_now().wait();
        let now = console.0.lock().unwrap().clone();
        let workers = || {
            now.values()
                .filter(|task| task.fields["task.name"] != "Root")
        };
        assert_eq!(workers().count(), 100);
        assert!(workers().all(|task| task.polls == 1 && !task.is_running));
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
    });
    for n in 0..100 {
        let task = &tasks[&format!("worker {n}")];
        assert_eq!(task.polls, n + 1);
        assert_eq!(task.fields["kind"], "fiber");
        assert!(task.fields["loc.file"].ends_with("own.rs"));
        assert!(task.fields["loc.line"].parse::<u32>().unwrap() > 0);
        assert!(task.fields["loc.col"].parse::<u32>().unwrap() > 0);
        assert!(task.fields["task.id"].parse::<u64>().unwrap() > 0);
    }
    assert!(
        tasks
            .values()
            .all(|task| task.is_closed && !task.is_running)
    );
}

#[test]
fn its_parent_is_the_span_in_which_it_was_made() {
    let tasks = watched(|_| {
        let request = info_span!("request").entered();
        let below = spawn(|| {
            scope(|s| {
                s.spawn(|| yield_now().wait());
            });
        });
        drop(request);
        below.wait().unwrap();
        let cancelled = Builder::new().name("cancelled").spawn(|| ()).unwrap();
        cancelled.cancel();
        assert!(cancelled.wait().is_err());
    });
    let parents = |of: Option<&str>| {
        tasks
            .values()
            .filter(|task| task.parent.as_deref() == of)
            .count()
    };
    // The root and the one that was cancelled; that of the request; the child of the scope.
    let found = [None, Some("request"), Some("runtime.spawn")].map(parents);
    assert_eq!(found.iter().sum::<usize>(), 4);
    assert_eq!(found[1], 1);
    assert!(tasks.values().all(|task| task.is_closed));
}

#[test]
fn bridges_and_fibers_without_a_subscriber_have_none() {
    let before = HubThread::new().unwrap();
    let tasks = watched(move |_| {
        switchback::bridge(|| yield_now().wait()).wait();
        // The subscriber is this thread's.
        before.spawn(|| yield_now().wait()).unwrap().wait().unwrap();
    });
    assert_eq!(tasks.len(), 1, "{tasks:?}");
}

#[test]
fn a_console_is_told_what_is_done_with_wakers() {
    let tasks = watched(|_| {
        let builder = Builder::new().name("waiter");
        let waiter = builder.spawn(|| {
            yield_now().wait();
            let mut thread = None;
            poll_fn(|cx| match thread.take() {
                None => {
                    thread = Some(wakes_elsewhere(cx.waker().clone()));
                    Poll::Pending
                }
                Some(_) => Poll::Ready(()),
            })
            .wait();
            let mut is_woken = false;
            poll_fn(|cx| match std::mem::replace(&mut is_woken, true) {
                false => {
                    let own = cx.waker().clone();
                    own.wake();
                    Poll::Pending
                }
                true => Poll::Ready(()),
            })
            .wait();
        });
        let joiner = Builder::new().name("joiner");
        let joiner = joiner.spawn(|| waiter.unwrap().wait().unwrap()).unwrap();
        joiner.wait().unwrap();
    });
    let told = |task: &str| tasks[task].wakers.clone();
    let own = [
        "wake_by_ref",
        "clone",
        "wake_by_ref",
        "drop",
        "clone",
        "wake",
    ];
    assert_eq!(told("waiter"), own.map(|op| format!("waker.{op}")));
    assert_eq!(told("joiner"), ["waker.wake_by_ref"]);
}

/// Wakes and drops the waker on another thread, under the subscriber of this one.
fn wakes_elsewhere(waker: Waker) -> thread::JoinHandle<()> {
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let thread = thread::spawn(move || {
        dispatcher::with_default(&subscriber, || {
            waker.wake_by_ref();
            drop(waker);
        });
    });
    while !thread.is_finished() {
        thread::yield_now();
    }
    thread
}

#[test]
fn nobody_is_told_of_the_wakers_of_fibers_without_a_span() {
    let console: &'static Console = Box::leak(Box::default());
    let no_fibers = filter_fn(|metadata| metadata.target() != "switchback::fiber");
    let registry = tracing_subscriber::registry().with(no_fibers).with(Refuses);
    subscriber::with_default(registry.with(console), || {
        switchback::run(|| spawn(|| yield_now().wait()).wait().unwrap())
    })
    .unwrap();
    assert!(console.0.lock().unwrap().is_empty());
}

/// Must not be told of wakers.
struct Refuses;

impl<S: Subscriber> Layer<S> for Refuses {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        assert_ne!(event.metadata().target(), "runtime::waker");
    }
}
