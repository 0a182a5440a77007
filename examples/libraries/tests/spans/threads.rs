//! Spans of `tracing` follow fibers: a subscriber sees for each fiber what it sees for a thread that
//! runs the same program.

use std::collections::HashSet;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use switchback::{
    HubPool, bridge, catch_cancel, prelude::*, scope, sleep, spawn, with_timeout, yield_now,
};
use tracing::span::{Attributes, EnteredSpan, Id, Span};
use tracing::{Subscriber, info, info_span, instrument};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The lines that were formatted.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The names of the spans that are open.
static OPEN: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines
    }
}

/// Keeps account of the spans that are open.
struct Account;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Account {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let name = attributes.metadata().name().to_owned();
        OPEN.lock().unwrap().push((id.into_u64(), name));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut open = OPEN.lock().unwrap();
        let at = open.iter().position(|(open, _)| *open == id.into_u64());
        open.remove(at.expect("a span is closed once"));
    }
}

fn subscribe() {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(Lines)
            .with_ansi(false)
            .without_time()
            .with_target(false);
        // A thread has no span of its own.
        let no_fibers = filter_fn(|metadata| metadata.target() != "switchback::fiber");
        tracing_subscriber::registry()
            .with(no_fibers)
            .with(lines)
            .with(Account)
            .init();
    });
}

/// The lines in the span of this test and request, in order, and without the test's name.
fn lines_of(test: &str, request: usize) -> Vec<String> {
    let lines = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    let of = format!("{test}:request{{id={request}}}");
    let lines = lines.lines().filter(|line| line.contains(&of));
    lines.map(|line| line.replace(test, "")).collect()
}

#[track_caller]
fn assert_all_closed(test: &str) {
    let open = OPEN.lock().unwrap();
    let left = open.iter().filter(|(_, name)| name == test).count();
    assert_eq!(left, 0, "spans of {test} are open");
}

/// What the program does with a thread or with a fiber.
trait World: Copy + Send + 'static {
    fn pause(self);
    fn in_child<T: Send + 'static>(self, f: impl FnOnce() -> T + Send + 'static) -> T;
    /// Unwinds out of `f`, which waits inside of it, as a cancel or a timeout does.
    fn interrupted(self, f: fn(Self));
}

#[derive(Clone, Copy)]
struct Threads;

impl World for Threads {
    fn pause(self) {
        thread::yield_now();
    }

    fn in_child<T: Send + 'static>(self, f: impl FnOnce() -> T + Send + 'static) -> T {
        let parent = Span::current();
        thread::spawn(move || parent.in_scope(f)).join().unwrap()
    }

    fn interrupted(self, f: fn(Self)) {
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            f(self);
            resume_unwind(Box::new("interrupted"));
        }));
        unwound.unwrap_err();
    }
}

#[derive(Clone, Copy)]
enum Fibers {
    Cancel,
    Timeout,
}

impl World for Fibers {
    fn pause(self) {
        yield_now().wait();
        sleep(Duration::from_micros(10)).wait();
    }

    fn in_child<T: Send + 'static>(self, f: impl FnOnce() -> T + Send + 'static) -> T {
        spawn(f).wait().unwrap()
    }

    fn interrupted(self, f: fn(Self)) {
        match self {
            Fibers::Timeout => {
                let timed = with_timeout(Duration::from_millis(20), || {
                    f(self);
                    pending::<()>().wait();
                });
                timed.unwrap_err();
            }
            Fibers::Cancel => {
                let caught = catch_cancel(|| {
                    f(self);
                    let own = switchback::current_fiber().unwrap();
                    spawn(move || own.cancel());
                    pending::<()>().wait();
                });
                caught.unwrap_err();
            }
        }
    }
}

#[instrument(skip(world))]
fn request(id: usize, world: impl World) {
    info!("begins");
    for n in 0..3 {
        step(n, world);
        world.pause();
    }
    world.interrupted(|world| {
        let _span = info_span!("interrupted").entered();
        info!("waits");
        world.pause();
        info!("has waited");
    });
    info!("goes on");
    let panicked = catch_unwind(AssertUnwindSafe(|| panics(world)));
    panicked.unwrap_err();
    let child = world.in_child(move || child(world));
    info!(child, "ends");
}

#[instrument(skip(world))]
fn step(n: usize, world: impl World) {
    info!("before");
    world.pause();
    info_span!("inner", n).in_scope(|| {
        world.pause();
        info!("inside");
    });
    world.pause();
    info!("after");
}

#[instrument(skip(world))]
fn panics(world: impl World) {
    world.pause();
    info!("before the panic");
    resume_unwind(Box::new("panics"));
}

#[instrument(skip(world), ret)]
fn child(world: impl World) -> u32 {
    world.pause();
    info!("in the child");
    42
}

/// Runs three requests on threads, in the span of this name.
fn on_threads(test: &'static str) {
    let threads: Vec<_> = (0..3)
        .map(|id| {
            thread::spawn(move || {
                Span::current().in_scope(|| in_root(test, || request(id, Threads)))
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A span for all that a test does. Its name tells the tests apart.
fn in_root<T>(test: &'static str, f: impl FnOnce() -> T) -> T {
    let _entered = root(test).entered();
    f()
}

fn root(test: &'static str) -> Span {
    match test {
        "threads" => info_span!("threads"),
        "cancels" => info_span!("cancels"),
        "timeouts" => info_span!("timeouts"),
        "pool" => info_span!("pool"),
        "bridges" => info_span!("bridges"),
        "scopes" => info_span!("scopes"),
        _ => unreachable!("a test has a span of its own"),
    }
}

/// Compares what was logged in the span of this name with what threads log.
#[track_caller]
fn assert_as_on_threads(test: &'static str) {
    static THREADS: Once = Once::new();
    THREADS.call_once(|| on_threads("threads"));
    for id in 0..3 {
        let lines = lines_of(test, id);
        assert!(lines.len() > 10, "{lines:#?}");
        assert_eq!(lines, lines_of("threads", id));
    }
    assert_all_closed(test);
}

#[test]
fn three_fibers_that_are_cancelled() {
    subscribe();
    switchback::run(|| {
        in_root("cancels", || {
            let fibers: Vec<_> = (0..3)
                .map(|id| spawn(move || request(id, Fibers::Cancel)))
                .collect();
            for fiber in fibers {
                fiber.wait().unwrap();
            }
        });
    })
    .unwrap();
    assert_as_on_threads("cancels");
}

#[test]
fn three_fibers_that_time_out() {
    subscribe();
    switchback::run(|| {
        in_root("timeouts", || {
            let fibers: Vec<_> = (0..3)
                .map(|id| spawn(move || request(id, Fibers::Timeout)))
                .collect();
            for fiber in fibers {
                fiber.wait().unwrap();
            }
        });
    })
    .unwrap();
    assert_as_on_threads("timeouts");
}

#[test]
fn three_fibers_of_a_pool() {
    subscribe();
    let pool = HubPool::new(2).unwrap();
    in_root("pool", || {
        let fibers: Vec<_> = (0..3)
            .map(|id| pool.spawn(move || request(id, Fibers::Timeout)).unwrap())
            .collect();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
    });
    pool.close().wait();
    assert_as_on_threads("pool");
}

#[test]
fn three_children_of_a_scope() {
    subscribe();
    switchback::run(|| {
        in_root("scopes", || {
            scope(|s| {
                for id in 0..3 {
                    s.spawn(move || request(id, Fibers::Cancel));
                }
            });
        });
    })
    .unwrap();
    assert_as_on_threads("scopes");
}

#[tokio::test]
async fn three_bridges_in_one_task() {
    subscribe();
    let bridges = {
        let _root = root("bridges").entered();
        (0..3)
            .map(|id| bridge(move || request(id, Fibers::Timeout)))
            .collect::<Vec<_>>()
    };
    let mut all = futures::future::join_all(bridges);
    loop {
        // It is dropped and polled again, as in a loop over `select!`.
        tokio::select! {
            biased;
            _ = tokio::task::yield_now() => assert!(Span::current().is_none()),
            _ = &mut all => break,
        }
    }
    drop(all);
    assert_as_on_threads("bridges");
}

/// How often each of the fibers below waits: `SWITCHBACK_SPAN_WAITS`, or 50.
fn waits() -> u32 {
    let waits = std::env::var("SWITCHBACK_SPAN_WAITS");
    waits.map_or(50, |waits| waits.parse().expect("a number"))
}

/// Each of many fibers enters and exits spans at random and waits in between. Its current span is
/// always the innermost that it has entered itself.
#[test]
fn a_thousand_fibers_at_random_depth() {
    const FIBERS: u64 = 1_000;

    subscribe();
    switchback::run(|| {
        let fibers: Vec<_> = (0..FIBERS)
            .map(|n| {
                spawn(move || {
                    let mut random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                    let mut entered: Vec<EnteredSpan> = Vec::new();
                    for _ in 0..waits() {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        if random % 5 < 2 && entered.len() < 8 {
                            entered.push(info_span!("random").entered());
                        } else if random % 5 < 4 {
                            drop(entered.pop());
                        }
                        yield_now().wait();
                        assert_eq!(Span::current().id(), entered.last().and_then(|e| e.id()));
                    }
                    while entered.pop().is_some() {}
                })
            })
            .collect();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
    })
    .unwrap();
    assert!(Span::current().is_none());
    assert_all_closed("random");
    let open = OPEN.lock().unwrap();
    let ids: HashSet<_> = open.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), open.len());
}
