// Scripts for `Barrier`, `Once`, `OnceLock` and `LazyLock`, under the `use` lines of std or ours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use sync::atomic::{AtomicUsize, Ordering};
use sync::{Arc, Barrier, LazyLock, Once, OnceLock};

fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

pub(super) fn a_barrier_lets_all_go_on_together() -> Vec<String> {
    let barrier = Arc::new(Barrier::new(4));
    let arrived = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..4)
        .map(|_| {
            let (barrier, arrived) = (barrier.clone(), arrived.clone());
            thread::spawn(move || {
                let mut leads = 0;
                for round in 0..10 {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    leads += usize::from(barrier.wait().is_leader());
                    assert!(arrived.load(Ordering::SeqCst) >= 4 * (round + 1));
                    barrier.wait();
                }
                leads
            })
        })
        .collect();
    let leads: usize = all.into_iter().map(|one| one.join().unwrap()).sum();
    let alone = Barrier::new(0).wait().is_leader() && Barrier::new(1).wait().is_leader();
    let result = Barrier::new(1).wait();
    vec![word(leads), word(arrived), word(alone), word(result), word(&barrier)]
}

pub(super) fn once_runs_one_closure() -> Vec<String> {
    static ONCE: Once = Once::new();
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    RUNS.store(0, Ordering::SeqCst);
    let before = ONCE.is_completed();
    let all: Vec<_> = (0..5)
        .map(|_| {
            thread::spawn(|| {
                ONCE.call_once(|| {
                    thread::yield_now();
                    RUNS.fetch_add(1, Ordering::SeqCst);
                });
                assert_eq!(RUNS.load(Ordering::SeqCst), 1);
            })
        })
        .collect();
    all.into_iter().for_each(|one| one.join().unwrap());
    ONCE.wait();
    ONCE.call_once_force(|_| unreachable!());
    vec![word(before), word(ONCE.is_completed()), word(&RUNS), word(&ONCE)]
}

pub(super) fn a_panic_poisons_once_and_force_goes_on() -> Vec<String> {
    let once = Once::new();
    let first = panics(|| once.call_once(|| panic!("in the closure")));
    let second = panics(|| once.call_once(|| ()));
    let waits = panics(|| once.wait());
    let mut seen = vec![word((first, second, waits, once.is_completed()))];
    once.call_once_force(|state| seen.push(word((state.is_poisoned(), state))));
    once.call_once(|| unreachable!());
    once.wait();
    once.wait_force();
    let fresh = Once::new();
    fresh.call_once_force(|state| seen.push(word(state.is_poisoned())));
    seen
}

pub(super) fn those_who_wait_for_once_go_on_after_it() -> Vec<String> {
    let once = Arc::new(Once::new());
    let waits = {
        let once = once.clone();
        thread::spawn(move || {
            once.wait_force();
            once.is_completed()
        })
    };
    thread::yield_now();
    once.call_once(|| ());
    vec![word(waits.join().unwrap())]
}

pub(super) fn a_value_is_set_once() -> Vec<String> {
    let mut lock = OnceLock::new();
    let mut seen = vec![word((&lock, lock.get())), word(lock.get_mut())];
    seen.push(word((lock.set(1), lock.set(2), lock.get())));
    seen.push(word((lock.get_or_init(|| unreachable!()), lock.wait(), &lock)));
    *lock.get_mut().unwrap() += 10;
    let copy = lock.clone();
    seen.push(word((copy == lock, copy == OnceLock::from(3), OnceLock::<u8>::default())));
    seen.push(word((lock.take(), lock.get(), lock.set(5))));
    seen.push(word(lock.into_inner()));
    let fails = OnceLock::<u8>::new();
    let failed = panics(|| {
        fails.get_or_init(|| panic!("no value"));
    });
    seen.push(word((failed, fails.get(), fails.get_or_init(|| 7))));
    seen
}

pub(super) fn one_makes_the_value_for_all() -> Vec<String> {
    let lock = Arc::new(OnceLock::new());
    let makes = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..5)
        .map(|_| {
            let (lock, makes) = (lock.clone(), makes.clone());
            thread::spawn(move || {
                *lock.get_or_init(|| {
                    thread::yield_now();
                    makes.fetch_add(1, Ordering::SeqCst);
                    42
                })
            })
        })
        .collect();
    let values: Vec<i32> = all.into_iter().map(|one| one.join().unwrap()).collect();
    vec![word(values), word(makes)]
}

pub(super) fn a_lazy_value_is_made_at_its_first_use() -> Vec<String> {
    static MAKES: AtomicUsize = AtomicUsize::new(0);
    static LAZY: LazyLock<String> = LazyLock::new(|| {
        thread::yield_now();
        MAKES.fetch_add(1, Ordering::SeqCst);
        "made".to_owned()
    });
    let before = word(&*LAZY == "made");
    let all = [(); 3].map(|()| thread::spawn(|| LAZY.len()));
    let lengths = all.map(|one| one.join().unwrap());
    let lazy = LazyLock::new(|| 3);
    let unused = word(&lazy).contains("<uninit>");
    let forced = *LazyLock::force(&lazy);
    vec![before, word(lengths), word(MAKES.load(Ordering::SeqCst)), word(unused), word(forced),
        word(&lazy), word(LazyLock::<u8>::default().to_string())]
}

pub(super) fn a_lazy_value_whose_maker_panics_is_poisoned() -> Vec<String> {
    let lazy = LazyLock::new(|| -> u8 { panic!("no value") });
    let first = panics(|| drop(LazyLock::force(&lazy).to_string()));
    let second = panics(|| drop(lazy.to_string()));
    vec![word(first), word(second)]
}
