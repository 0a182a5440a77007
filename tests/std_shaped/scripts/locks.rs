// Scripts for `Mutex`, `RwLock` and `Condvar`, under the `use` lines of std or ours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use sync::atomic::{AtomicUsize, Ordering};
use sync::{Arc, Condvar, Mutex, RwLock, RwLockWriteGuard, TryLockError};

fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn panics(f: impl FnOnce()) {
    let caught = catch_unwind(AssertUnwindSafe(f));
    assert!(caught.is_err());
}

pub(super) fn a_mutex_keeps_sums_right() -> Vec<String> {
    static SUM: Mutex<u64> = Mutex::new(0);
    let adders: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                for _ in 0..100 {
                    let mut sum = SUM.lock().unwrap();
                    let before = *sum;
                    thread::yield_now();
                    *sum = before + n;
                }
            })
        })
        .collect();
    adders.into_iter().for_each(|adder| adder.join().unwrap());
    vec![word(SUM.lock().unwrap())]
}

pub(super) fn a_mutex_is_poisoned_by_a_panic() -> Vec<String> {
    let mutex = Arc::new(Mutex::new(1));
    let other = mutex.clone();
    let failed = thread::spawn(move || {
        let mut guard = other.lock().unwrap();
        *guard = 2;
        panic!("with the lock");
    });
    let failed: Result<(), _> = failed.join();
    let mut seen = vec![word(failed.is_err()), word(mutex.is_poisoned())];
    seen.push(word(mutex.lock().map(|guard| *guard).map_err(|e| *e.into_inner())));
    seen.push(match mutex.try_lock() {
        Err(TryLockError::Poisoned(e)) => word(e.get_ref()),
        other => word(other.is_ok()),
    });
    seen.push(word(&mutex));
    mutex.clear_poison();
    seen.push(word(mutex.lock().is_ok()));
    panics(|| {
        let _guard = mutex.lock().unwrap();
        panic!("again");
    });
    let mut mutex = Arc::into_inner(mutex).unwrap();
    seen.push(word(mutex.get_mut().map_err(|e| **e.get_ref() + 1)));
    seen.push(word(mutex.into_inner().map_err(|e| e.into_inner())));
    seen
}

pub(super) fn a_guard_from_a_destructor_does_not_poison() -> Vec<String> {
    struct Locks<'a>(&'a Mutex<u32>);
    impl Drop for Locks<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let mutex = Mutex::new(0);
    panics(|| {
        let _locks = Locks(&mutex);
        panic!("it locks while it unwinds");
    });
    vec![word(mutex.is_poisoned()), word(mutex.lock().unwrap())]
}

pub(super) fn a_mutex_tells_what_it_holds() -> Vec<String> {
    let mutex = Mutex::new("value".to_owned());
    let free = word(&mutex);
    let guard = mutex.lock().unwrap();
    let would_block = matches!(mutex.try_lock(), Err(TryLockError::WouldBlock));
    let seen = vec![free, word(word(&mutex).contains("<locked>")), word(&guard), format!("{guard}"), word(would_block)];
    drop(guard);
    let unsized_one: &Mutex<[u8]> = &Mutex::new([1, 2, 3]);
    unsized_one.lock().unwrap()[0] = 9;
    let made = [word(Mutex::from(3)), word(Mutex::<u8>::default()), word(unsized_one)];
    seen.into_iter().chain(made).collect()
}

pub(super) fn readers_share_and_writers_do_not() -> Vec<String> {
    let lock = Arc::new(RwLock::new(0_u64));
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let mut all = Vec::new();
    for n in 0..4 {
        let (lock, most, now) = (lock.clone(), most.clone(), now.clone());
        all.push(thread::spawn(move || {
            for _ in 0..50 {
                if n == 0 {
                    let mut value = lock.write().unwrap();
                    assert_eq!(now.fetch_add(100, Ordering::SeqCst), 0);
                    thread::yield_now();
                    *value += 1;
                    now.fetch_sub(100, Ordering::SeqCst);
                } else {
                    let value = lock.read().unwrap();
                    let before = now.fetch_add(1, Ordering::SeqCst);
                    assert!(before < 3, "no writer is in");
                    most.fetch_max(before + 1, Ordering::SeqCst);
                    let read = *value;
                    thread::yield_now();
                    assert_eq!(*value, read);
                    now.fetch_sub(1, Ordering::SeqCst);
                }
            }
        }));
    }
    all.into_iter().for_each(|one| one.join().unwrap());
    let (one, other) = (lock.read().unwrap(), lock.read().unwrap());
    vec![word(*one), word(*other), word(lock.try_write().is_err()), word(lock.try_read().is_ok())]
}

pub(super) fn a_writer_poisons_and_a_reader_does_not() -> Vec<String> {
    let lock = RwLock::new(1);
    panics(|| {
        let _guard = lock.read().unwrap();
        panic!("a reader");
    });
    let after_reader = lock.is_poisoned();
    panics(|| {
        let mut guard = lock.write().unwrap();
        *guard = 2;
        panic!("a writer");
    });
    let mut seen = vec![
        word(after_reader),
        word(lock.is_poisoned()),
        word(lock.read().map_err(|e| **e.get_ref()).map(|_| ())),
        word(lock.write().map_err(|e| **e.get_ref()).map(|_| ())),
        word(matches!(lock.try_read(), Err(TryLockError::Poisoned(_)))),
        word(matches!(lock.try_write(), Err(TryLockError::Poisoned(_)))),
        word(&lock),
    ];
    lock.clear_poison();
    let mut guard = lock.write().unwrap();
    *guard = 3;
    seen.push(word(&lock));
    let reader = RwLockWriteGuard::downgrade(guard);
    seen.push(word(lock.try_read().is_ok() && lock.try_write().is_err()));
    seen.push(format!("{reader} {reader:?}"));
    drop(reader);
    let mut lock = lock;
    seen.push(word(lock.get_mut()));
    seen.push(word(lock.into_inner()));
    seen
}

pub(super) fn a_condition_wakes_one_or_all() -> Vec<String> {
    let shared = Arc::new((Mutex::new((0_usize, 0_usize)), Condvar::new(), Condvar::new()));
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (state, tokens, arrived) = &*shared;
                let mut guard = state.lock().unwrap();
                guard.1 += 1;
                arrived.notify_one();
                let mut guard = tokens.wait_while(guard, |(tokens, _)| *tokens == 0).unwrap();
                guard.0 -= 1;
                guard.1 -= 1;
                arrived.notify_one();
            })
        })
        .collect();
    let (state, tokens, arrived) = &*shared;
    let mut guard = arrived.wait_while(state.lock().unwrap(), |(_, waiting)| *waiting < 5).unwrap();
    guard.0 += 1;
    tokens.notify_one();
    let mut guard = arrived.wait_while(guard, |(_, waiting)| *waiting == 5).unwrap();
    let after_one = *guard;
    guard.0 += 4;
    tokens.notify_all();
    drop(guard);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    vec![word(after_one), word(state.lock().unwrap())]
}

pub(super) fn a_wait_for_a_condition_ends_with_its_time() -> Vec<String> {
    let (mutex, condition) = (Mutex::new(0), Condvar::new());
    let time = Duration::from_millis(5);
    let begin = Instant::now();
    let mut guard = mutex.lock().unwrap();
    loop {
        let (locked, result) = condition.wait_timeout(guard, time).unwrap();
        guard = locked;
        if result.timed_out() {
            break;
        }
    }
    let waited = begin.elapsed() >= time;
    let (guard, never) =
        condition.wait_timeout_while(guard, time, |_| true).unwrap();
    let (guard, at_once) =
        condition.wait_timeout_while(guard, Duration::from_secs(3600), |_| false).unwrap();
    let (mut guard, zero) = condition
        .wait_timeout_while(guard, Duration::ZERO, |n| {
            *n += 1;
            *n < 2
        })
        .unwrap();
    *guard += 10;
    #[allow(deprecated)]
    let (guard, _) = condition.wait_timeout_ms(guard, 0).unwrap();
    vec![
        word(waited),
        word(never.timed_out()),
        word(at_once.timed_out()),
        word((zero.timed_out(), *guard >= 11)),
    ]
}

pub(super) fn a_wait_tells_that_the_mutex_was_poisoned() -> Vec<String> {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let other = shared.clone();
    let waiter = thread::spawn(move || {
        let mut guard = other.0.lock().unwrap();
        loop {
            match other.1.wait(guard) {
                Ok(locked) if *locked => return "calm",
                Ok(locked) => guard = locked,
                Err(_) => return "poisoned",
            }
        }
    });
    panics(|| {
        let mut guard = shared.0.lock().unwrap();
        *guard = true;
        shared.1.notify_all();
        panic!("with the lock");
    });
    // The waiter may have come after the panic.
    let seen = match catch_unwind(AssertUnwindSafe(|| waiter.join())) {
        Ok(Ok(seen)) => seen,
        _ => "poisoned",
    };
    vec![word(seen)]
}
