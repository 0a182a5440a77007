//! Load: counted, not timed. How fast it is, is for the benches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use switchback::{Builder, Fiber, Hub, HubHandle, HubThread, prelude::*, spawn, yield_now};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::support::ending::poll_once;
use crate::support::table::{
    Case, LONG, Verdict, any_text, check_fact, check_table, ensure, within,
};
use crate::support::{Drops, runtime};

const KNOWN: &[&str] = &[];

/// How many things other threads send at once.
const MANY: usize = 3_000;

/// How many of these may come before something else gets its turn.
const FEW: usize = 1024;

/// A hub on a thread that does nothing before it is let go.
struct Held {
    thread: HubThread,
    gate: mpsc::Sender<()>,
}

impl Held {
    /// `first` runs before the hub is held, in a fiber.
    fn new(first: impl FnOnce() + Send + 'static) -> Held {
        let thread = HubThread::new().unwrap();
        thread.spawn(first).unwrap().wait().unwrap();
        let (gate, is_open) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let holds = move || {
            tell.send(()).unwrap();
            let _ = is_open.recv();
        };
        drop(thread.spawn(holds).unwrap());
        told.recv().unwrap();
        Held { thread, gate }
    }

    fn let_go(self) -> HubThread {
        drop(self.gate);
        self.thread
    }
}

/// What other threads send in such numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Fibers,
    Callbacks,
}

/// What must get its turn meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Wake,
    Cancel,
    FiberThatYields,
    Timer,
    Task,
}

/// Counts what has run and what was refused.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn gets_its_turn(sent: Sent, other: Other, closing: bool) -> Verdict {
    let count = Arc::new(AtomicUsize::new(0));
    let (tell, told) = mpsc::channel::<usize>();
    let (wake, woken) = oneshot::channel::<()>();
    let (handles, handle) = mpsc::channel();
    let is_let_go = Arc::new(AtomicBool::new(false));
    let (of_other, of_hub) = (count.clone(), is_let_go.clone());
    let held = Held::new(move || {
        let say = move || {
            tell.send(of_other.load(Ordering::SeqCst))
                .unwrap_or_default()
        };
        let body: Box<dyn FnOnce()> = match other {
            Other::Wake => Box::new(move || {
                let _ = switchback::shield(|| woken.wait());
                say();
            }),
            Other::Cancel => Box::new(move || {
                let _ = std::future::pending::<()>().wait_or_cancelled();
                say();
            }),
            Other::FiberThatYields => Box::new(move || {
                switchback::shield(|| {
                    while !of_hub.load(Ordering::SeqCst) {
                        yield_now().wait();
                    }
                });
                say();
            }),
            Other::Timer => Box::new(move || {
                tokio::task::spawn_local(async move {
                    while !of_hub.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    say();
                });
            }),
            Other::Task => Box::new(move || {
                tokio::task::spawn_local(async move {
                    while !of_hub.load(Ordering::SeqCst) {
                        tokio::task::yield_now().await;
                    }
                    say();
                });
            }),
        };
        let fiber = spawn(body);
        yield_now().wait();
        handles.send(fiber.handle()).unwrap();
    });
    let handle = handle.recv().unwrap();
    for _ in 0..MANY {
        let counted = Counted(count.clone());
        let one = move || {
            drop(counted);
            if other == Other::Timer {
                // So that all of them take much longer than the timer.
                thread::sleep(Duration::from_micros(10));
            }
        };
        match sent {
            Sent::Fibers => drop(held.thread.spawn(one).unwrap()),
            Sent::Callbacks => held.thread.handle().run_callback(one).unwrap(),
        }
    }
    let _ = wake.send(());
    if other == Other::Cancel {
        handle.cancel();
    }
    // It may have begun to wait before, so it looks again at what has come since.
    is_let_go.store(true, Ordering::SeqCst);
    let close = closing.then(|| {
        let mut close = Box::pin(held.thread.close());
        let _ = poll_once(close.as_mut());
        close
    });
    let thread = held.let_go();
    let first = told.recv().map_err(|_| "it never gets its turn")?;
    match close {
        Some(close) => close.wait(),
        None => thread.close().wait(),
    }
    ensure(
        first <= FEW,
        format!("it gets its turn after {first} of {MANY}"),
    )
}

#[test]
fn what_others_send_is_taken_in_by_turns() {
    let mut cases = Vec::new();
    for sent in [Sent::Fibers, Sent::Callbacks] {
        for other in [
            Other::Wake,
            Other::Cancel,
            Other::FiberThatYields,
            Other::Timer,
            Other::Task,
        ] {
            for closing in [false, true] {
                let is_task = matches!(other, Other::Timer | Other::Task);
                if closing && is_task && sent == Sent::Fibers {
                    // The fibers are refused, so nothing keeps the hub or its tasks.
                    continue;
                }
                let time = if closing { "closing" } else { "open" };
                let name = format!("{sent:?}/{other:?}/{time}");
                let body = move || gets_its_turn(sent, other, closing);
                cases.push(Case::new(name, body));
            }
        }
    }
    check_table("load::what_others_send_is_taken_in_by_turns", KNOWN, cases);
}

/// A burst needs no stack for each of its fibers.
#[test]
fn no_more_fibers_are_launched_than_a_turn_can_begin() {
    let test = "load::no_more_fibers_are_launched_than_a_turn_can_begin";
    check_fact(test, KNOWN, || {
        let held = Held::new(|| ());
        let most = Arc::new(AtomicUsize::new(0));
        for _ in 0..MANY {
            let most = most.clone();
            let one = move || {
                let live = Hub::current().metrics().live_fibers();
                most.fetch_max(live, Ordering::SeqCst);
            };
            drop(held.thread.spawn(one).unwrap());
        }
        let last = held.thread.spawn(|| ()).unwrap();
        let _thread = held.let_go();
        last.wait().unwrap();
        let most = most.load(Ordering::SeqCst);
        ensure(
            most <= FEW / 2,
            format!("{most} of {MANY} are there at once"),
        )
    });
}

#[test]
fn a_callback_that_queues_itself_for_ever_does_not_keep_a_hub_that_closes() {
    let test = "load::a_callback_that_queues_itself_for_ever_does_not_keep_a_hub_that_closes";
    check_fact(test, KNOWN, || {
        fn again() {
            // It panics when the hub takes no more.
            Hub::current().run_callback(again);
        }
        let ends = async {
            let hub = Hub::current();
            hub.run_callback(again);
            hub.close().await;
        };
        let ends = runtime().block_on(within(LONG, ends));
        ensure(ends.is_some(), "the close hangs")
    });
}

#[test]
fn a_hub_that_has_no_fibers_left_closes_under_a_flood_of_callbacks() {
    let test = "load::a_hub_that_has_no_fibers_left_closes_under_a_flood_of_callbacks";
    check_fact(test, KNOWN, || {
        let thread = HubThread::new().unwrap();
        let hub = thread.handle();
        let (accepted, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // Each callback sends the next: there is always one.
        fn send(hub: &HubHandle, accepted: &Arc<AtomicUsize>, ran: &Arc<AtomicUsize>) {
            let again = (hub.clone(), accepted.clone(), ran.clone());
            accepted.fetch_add(1, Ordering::SeqCst);
            let sent = hub.run_callback(move || {
                let (hub, accepted, ran) = again;
                ran.fetch_add(1, Ordering::SeqCst);
                send(&hub, &accepted, &ran);
            });
            if sent.is_err() {
                accepted.fetch_sub(1, Ordering::SeqCst);
            }
        }
        for _ in 0..10 {
            send(&hub, &accepted, &ran);
        }
        thread.close().wait();
        let (accepted, ran) = (accepted.load(Ordering::SeqCst), ran.load(Ordering::SeqCst));
        ensure(
            accepted == ran,
            format!("of {accepted} callbacks that were taken, {ran} ran"),
        )
    });
}

type Asks = (&'static str, fn(&Hub, &HubHandle, Dropped) -> Answer);

/// Something that is dropped with a closure.
type Dropped = crate::support::Token;

enum Answer {
    Refused,
    Taken,
    Fiber(Fiber<()>),
}

fn answer<T>(result: Result<T, switchback::HubClosed>) -> Answer {
    match result {
        Ok(_) => Answer::Taken,
        Err(_) => Answer::Refused,
    }
}

fn unless_it_panics(f: impl FnOnce() -> Answer) -> Answer {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(answer) => answer,
        Err(payload) => {
            assert_ne!(any_text(&*payload), "(no text)");
            Answer::Refused
        }
    }
}

/// What a hub can be asked for on its own thread.
const ASKS: &[Asks] = &[
    ("HubHandle::spawn", |_, handle, held| {
        match handle.spawn(move || drop(held)) {
            Ok(fiber) => Answer::Fiber(fiber),
            Err(_) => Answer::Refused,
        }
    }),
    ("HubHandle::run_callback", |_, handle, held| {
        answer(handle.run_callback(move || drop(held)))
    }),
    ("Hub::run_callback", |hub, _, held| {
        unless_it_panics(|| {
            hub.run_callback(move || drop(held));
            Answer::Taken
        })
    }),
    ("is_closed", |_, handle, held| {
        drop(held);
        match handle.is_closed() {
            true => Answer::Refused,
            false => Answer::Taken,
        }
    }),
];

/// How a hub comes to be without a runtime, or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Lost,
    Dropped,
    Closed,
}

fn is_refused(
    gone: Gone,
    asks: fn(&Hub, &HubHandle, Dropped) -> Answer,
    elsewhere: bool,
) -> Verdict {
    let runtime: Runtime = runtime();
    let hub = runtime.block_on(async {
        let hub = Hub::current();
        yield_now().await;
        hub
    });
    let handle = hub.handle();
    let mut kept = None;
    match gone {
        Gone::Lost => thread::spawn(move || drop(runtime)).join().unwrap(),
        Gone::Dropped => drop(runtime),
        Gone::Closed => {
            runtime.block_on(hub.close());
            kept = Some(runtime);
        }
    }
    let drops = Drops::new();
    let held = drops.token();
    let answer = if elsewhere {
        let other = move || match handle.spawn(move || drop(held)) {
            Ok(fiber) => Answer::Fiber(fiber),
            Err(_) => Answer::Refused,
        };
        thread::spawn(other).join().unwrap()
    } else {
        asks(&hub, &handle, held)
    };
    drop(kept);
    match answer {
        Answer::Refused => ensure(drops.count() == 1, "what is refused is not dropped"),
        Answer::Taken => Err("it is taken, and nothing comes of it".to_owned()),
        Answer::Fiber(fiber) => {
            let joined = self::runtime().block_on(within(Duration::from_millis(300), fiber));
            ensure(
                joined.is_some_and(|joined| joined.is_err()),
                "the fiber is taken, and its join hangs",
            )?;
            ensure(
                drops.count() == 1,
                "the fiber is taken, and its closure kept",
            )
        }
    }
}

#[test]
fn a_hub_that_is_gone_refuses() {
    let mut cases = Vec::new();
    for gone in [Gone::Lost, Gone::Dropped, Gone::Closed] {
        for (name, asks) in ASKS {
            let asks = *asks;
            let body = move || is_refused(gone, asks, false);
            cases.push(Case::new(format!("{gone:?}/{name}"), body));
        }
        let body = move || is_refused(gone, ASKS[0].1, true);
        cases.push(Case::new(format!("{gone:?}/elsewhere"), body));
    }
    check_table("load::a_hub_that_is_gone_refuses", KNOWN, cases);
}

#[test]
fn a_hub_that_is_closed_stays_closed_whatever_other_runtimes_there_are() {
    let test = "load::a_hub_that_is_closed_stays_closed_whatever_other_runtimes_there_are";
    check_fact(test, KNOWN, || {
        let first = runtime();
        first.block_on(Hub::run_until(async {}));
        for _ in 0..100 {
            runtime().block_on(Hub::run_until(async {}));
        }
        first.block_on(async {
            let later = std::panic::catch_unwind(|| Builder::new().spawn(|| ()).is_ok());
            ensure(
                !matches!(later, Ok(true)),
                "a hub that was closed takes a fiber",
            )
        })
    });
}
