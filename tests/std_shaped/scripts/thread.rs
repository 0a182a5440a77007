// Scripts for `thread`, under the `use` lines of std or ours.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

pub(super) fn a_join_returns_the_result_or_the_panic() -> Vec<String> {
    let number = thread::spawn(|| 42).join().unwrap();
    let text = thread::spawn(|| -> () { panic!("a text") }).join().unwrap_err();
    let made = thread::spawn(|| -> () { panic!("{}", 7) }).join().unwrap_err();
    let any = thread::spawn(|| -> () { std::panic::panic_any(8_u8) }).join().unwrap_err();
    vec![
        word(number),
        word(text.downcast_ref::<&str>()),
        word(made.downcast_ref::<String>()),
        word(any.downcast_ref::<u8>()),
    ]
}

pub(super) fn a_handle_tells_whether_it_has_finished() -> Vec<String> {
    let gate = thread::spawn(thread::park);
    let before = gate.is_finished();
    gate.thread().unpark();
    while !gate.is_finished() {
        thread::yield_now();
    }
    vec![word(before), word(gate.is_finished()), word(gate.join())]
}

pub(super) fn names_are_those_that_were_given() -> Vec<String> {
    let own = || thread::current().name().map(str::to_owned);
    let builder = thread::Builder::new().name("given".to_owned()).stack_size(256 * 1024);
    let named = builder.spawn(own).unwrap();
    let unnamed = thread::spawn(own);
    let outside = word(named.thread().name());
    let scoped = thread::scope(|s| {
        let builder = thread::Builder::new().name("in a scope".to_owned());
        builder.spawn_scoped(s, own).unwrap().join().unwrap()
    });
    vec![outside, word(named.join().unwrap()), word(unnamed.join().unwrap()), word(scoped)]
}

pub(super) fn ids_tell_one_from_another() -> Vec<String> {
    let mut ids = HashSet::from([thread::current().id()]);
    let inside = (0..10).map(|_| thread::spawn(|| thread::current().id()));
    for handle in inside.collect::<Vec<_>>() {
        let id = handle.thread().id();
        ids.insert(id);
        assert_eq!(handle.join().unwrap(), id);
    }
    let same = thread::current().id() == thread::current().clone().id();
    let debug = word(thread::current().id()).starts_with("ThreadId(");
    vec![word(ids.len()), word(same), word(debug)]
}

pub(super) fn a_token_is_kept_for_one_park() -> Vec<String> {
    let this = thread::current();
    this.unpark();
    this.unpark();
    thread::park();
    // Two made one, so this one waits for the whole time.
    let begin = Instant::now();
    let time = Duration::from_millis(20);
    let mut rounds = 0;
    while begin.elapsed() < time {
        thread::park_timeout(time - begin.elapsed());
        rounds += 1;
    }
    this.unpark();
    thread::park_timeout(Duration::from_secs(3600));
    vec![word(rounds >= 1)]
}

pub(super) fn parked_ones_are_unparked_from_elsewhere() -> Vec<String> {
    let turn = Arc::new(AtomicUsize::new(0));
    let first = thread::current();
    let second = thread::spawn({
        let turn = turn.clone();
        move || {
            for n in 0..100 {
                while turn.load(Ordering::Acquire) != 2 * n + 1 {
                    thread::park();
                }
                turn.store(2 * n + 2, Ordering::Release);
                first.unpark();
            }
        }
    });
    for n in 0..100 {
        turn.store(2 * n + 1, Ordering::Release);
        second.thread().unpark();
        while turn.load(Ordering::Acquire) != 2 * n + 2 {
            thread::park();
        }
    }
    second.join().unwrap();
    vec![word(turn)]
}

pub(super) fn a_scope_borrows_and_waits_for_all() -> Vec<String> {
    let mut seen = Vec::new();
    let mut total = 0;
    let ended = AtomicUsize::new(0);
    let returned = thread::scope(|s| {
        s.spawn(|| seen.push("one"));
        s.spawn(|| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(1));
                ended.fetch_add(1, Ordering::SeqCst)
            });
            ended.fetch_add(1, Ordering::SeqCst)
        });
        let joined = s.spawn(|| total += 2);
        joined.thread().unpark();
        joined.join().unwrap();
        "returned"
    });
    vec![word(seen), word(total), word(ended), word(returned)]
}

pub(super) fn a_scope_panics_for_a_child_that_was_not_joined() -> Vec<String> {
    let unjoined = catch_unwind(|| {
        thread::scope(|s| {
            s.spawn(|| panic!("not joined"));
        })
    });
    let joined = catch_unwind(|| {
        thread::scope(|s| s.spawn(|| -> () { panic!("joined") }).join().is_err())
    });
    let finished = AtomicUsize::new(0);
    let body = catch_unwind(AssertUnwindSafe(|| {
        thread::scope(|s| {
            s.spawn(|| finished.fetch_add(1, Ordering::SeqCst)).join().unwrap();
            panic!("the body");
        })
    }));
    let body: Result<(), _> = body;
    vec![
        word(unjoined.is_err()),
        word(joined.unwrap()),
        word(finished),
        word(body.unwrap_err().downcast_ref::<&str>()),
    ]
}

local! {
    static COUNT: Cell<u32> = const { Cell::new(1) };
}

pub(super) fn each_has_its_own_locals() -> Vec<String> {
    let add = || {
        COUNT.set(COUNT.get() + 1);
        thread::yield_now();
        COUNT.set(COUNT.get() + 1);
        COUNT.get()
    };
    let others = [thread::spawn(add), thread::spawn(add)];
    let others = others.map(|other| other.join().unwrap());
    vec![word(others), word(COUNT.get())]
}

pub(super) fn one_that_is_detached_goes_on() -> Vec<String> {
    let ended = Arc::new(AtomicUsize::new(0));
    let this = thread::current();
    drop(thread::spawn({
        let ended = ended.clone();
        move || {
            thread::sleep(Duration::from_millis(1));
            ended.store(1, Ordering::SeqCst);
            this.unpark();
        }
    }));
    while ended.load(Ordering::SeqCst) == 0 {
        thread::park();
    }
    vec![word(ended)]
}

pub(super) fn a_sleep_is_no_shorter_than_was_asked_for() -> Vec<String> {
    let time = Duration::from_millis(3);
    let begin = Instant::now();
    thread::sleep(time);
    #[allow(deprecated)]
    thread::sleep_ms(3);
    thread::sleep(Duration::ZERO);
    #[allow(deprecated)]
    thread::park_timeout_ms(0);
    vec![word(begin.elapsed() >= 2 * time)]
}

pub(super) fn panicking_is_told_in_destructors() -> Vec<String> {
    struct Told<'a>(&'a Cell<Option<bool>>);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            self.0.set(Some(thread::panicking()));
        }
    }
    let (calm, unwinds) = (Cell::new(None), Cell::new(None));
    drop(Told(&calm));
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _told = Told(&unwinds);
        panic!("unwinds");
    }));
    let result: Result<(), _> = result;
    vec![word(calm), word(unwinds), word(result.is_err()), word(thread::panicking())]
}

pub(super) fn parallelism_is_known() -> Vec<String> {
    vec![word(thread::available_parallelism().unwrap())]
}
