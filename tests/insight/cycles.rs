//! Fibers that wait for each other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use switchback::{
    Fiber, Hub, HubDump, park, prelude::*, scope, sleep, spawn, with_timeout, yield_now,
};

fn on_hub(f: impl FnOnce() + 'static) {
    Hub::builder().start_paused(true).run(f).unwrap();
}

fn dump() -> HubDump {
    for _ in 0..10 {
        yield_now().wait();
    }
    Hub::current().dump()
}

/// Spawns fibers, each of which joins the next, and the last the first. Returns the handle of one.
fn ring(length: usize, limit: Option<Duration>) -> Vec<switchback::FiberHandle> {
    let late: Rc<RefCell<Vec<Option<Fiber<()>>>>> = Rc::default();
    let mut handles = Vec::new();
    for n in 0..length {
        let fibers = late.clone();
        let fiber = spawn(move || {
            let next = fibers.borrow_mut()[(n + 1) % length].take().unwrap();
            let join = || drop(next.wait());
            match limit.filter(|_| n == 0) {
                Some(limit) => drop(with_timeout(limit, join)),
                None => join(),
            }
        });
        handles.push(fiber.handle());
        late.borrow_mut().push(Some(fiber));
    }
    handles
}

#[test]
fn two_that_join_each_other_and_a_ring_of_a_hundred() {
    for length in [2, 100] {
        on_hub(move || {
            let handles = ring(length, None);
            let dump = dump();
            let cycles = dump.cycles();
            assert_eq!(cycles.len(), 1);
            assert_eq!(cycles[0].fibers().len(), length);
            assert!(!cycles[0].may_break());
            let text = dump.to_string();
            let says = format!("{length} fibers wait for each other in a cycle:");
            assert!(text.contains(&says), "{text}");
            assert!(text.contains(file!()), "{text}");
            handles[0].cancel();
        });
    }
}

#[test]
fn a_cycle_with_a_time_limit_says_so_and_ends() {
    on_hub(|| {
        let handles = ring(3, Some(Duration::from_secs(1)));
        let dump = dump();
        assert!(dump.cycles()[0].may_break());
        assert!(
            dump.to_string()
                .contains("with a time limit or for several things at once")
        );
        sleep(Duration::from_secs(2)).wait();
        assert!(handles.iter().all(|handle| !handle.is_alive()));
        assert!(Hub::current().dump().cycles().is_empty());
    });
}

#[test]
fn a_child_of_a_scope_that_joins_its_parent() {
    on_hub(|| {
        let own: Rc<RefCell<Option<Fiber<()>>>> = Rc::default();
        let late = own.clone();
        let parent = spawn(move || {
            scope(|s| {
                s.spawn(|| {
                    let parent = late.take().unwrap();
                    drop(parent.wait());
                });
            });
        });
        let handle = parent.handle();
        own.replace(Some(parent));
        let dump = dump();
        let cycles = dump.cycles();
        assert_eq!(cycles.len(), 1, "{dump}");
        assert_eq!(cycles[0].fibers().len(), 2);
        assert!(cycles[0].fibers().contains(&handle.id()));
        handle.cancel();
    });
}

#[test]
fn chains_and_trees_are_no_cycles() {
    on_hub(|| {
        let first = spawn(park);
        let unpark = first.handle();
        let mut last = first;
        for _ in 0..50 {
            last = spawn(move || drop(last.wait()));
        }
        let tree = spawn(|| {
            scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| {
                        scope(|s| {
                            s.spawn(park);
                        });
                    });
                }
            });
        });
        let dump = dump();
        assert!(dump.cycles().is_empty(), "{dump}");
        unpark.unpark();
        last.wait().unwrap();
        drop(tree.cancel_on_drop());
    });
}

/// Random spawns, joins, joins with limits, cancels and yields, in which fibers join only fibers that
/// are older, so that there is never a cycle.
#[test]
fn no_false_cycle_in_random_operations() {
    let operations = std::env::var("SWITCHBACK_INSIGHT_OPERATIONS");
    let operations = operations.map_or(20_000, |n| n.parse().expect("a number"));
    on_hub(move || {
        let seed = Rc::new(std::cell::Cell::new(7_u64));
        let random = Rc::new(move |below: u64| {
            seed.set(
                seed.get()
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407),
            );
            (seed.get() >> 33) % below
        });
        let mut fibers: Vec<Fiber<()>> = Vec::new();
        for n in 0..operations {
            match random(8) {
                0..4 => {
                    let older = match fibers.is_empty() {
                        true => None,
                        false => {
                            let which = random(fibers.len() as u64) as usize;
                            Some(fibers.swap_remove(which))
                        }
                    };
                    let random = random.clone();
                    fibers.push(spawn(move || {
                        let Some(mut older) = older else {
                            return park();
                        };
                        match random(3) {
                            0 => drop(older.join().wait_timeout(Duration::from_millis(random(20)))),
                            1 => drop(older.join().wait()),
                            _ => {
                                let both = async {
                                    tokio::select! {
                                        _ = older.join() => {}
                                        () = sleep(Duration::from_millis(3)) => {}
                                    }
                                };
                                both.wait();
                                sleep(Duration::from_millis(random(5))).wait();
                            }
                        }
                    }));
                }
                4 => drop(fibers.pop()),
                5 => drop(fibers.first().map(Fiber::cancel)),
                6 => sleep(Duration::from_millis(1)).wait(),
                _ => yield_now().wait(),
            }
            if n % 16 == 0 {
                let dump = Hub::current().dump();
                assert!(dump.cycles().is_empty(), "{dump}");
            }
            fibers.truncate(50);
        }
    });
}

#[test]
fn locks_in_opposite_order_and_a_lock_of_ones_own() {
    use switchback::WaitsFor;
    use switchback::sync::{Arc, Mutex, RwLock};

    on_hub(|| {
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(RwLock::new(())));
        let (theirs, others) = (a.clone(), b.clone());
        let first = spawn(move || {
            let _a = theirs.lock().unwrap();
            yield_now().wait();
            drop(others.write().unwrap());
        });
        let second = spawn(move || {
            let _b = b.write().unwrap();
            yield_now().wait();
            drop(a.lock().unwrap());
        });
        let own = spawn(|| {
            let lock = Mutex::new(());
            let _guard = lock.lock().unwrap();
            drop(lock.lock());
        });
        let dump = dump();
        let waits_for = |id| dump.fiber(id).unwrap().wait().unwrap().waits_for().cloned();
        assert_eq!(
            waits_for(first.id()),
            Some(WaitsFor::Lock(Some(second.id())))
        );
        assert_eq!(
            waits_for(second.id()),
            Some(WaitsFor::Lock(Some(first.id())))
        );
        assert_eq!(waits_for(own.id()), Some(WaitsFor::Lock(Some(own.id()))));
        let cycles = dump.cycles();
        let lengths: Vec<_> = cycles.iter().map(|cycle| cycle.fibers().len()).collect();
        assert_eq!(lengths, [2, 1], "{dump}");
        assert!(cycles.iter().all(|cycle| !cycle.may_break()));
        let text = dump.to_string();
        let says = format!(
            "for a lock that fiber {} '{}' has taken",
            second.id(),
            second.name()
        );
        assert!(text.contains(&says), "{text}");
        assert!(
            text.contains("waits for a lock that it has taken itself"),
            "{text}"
        );
        assert!(text.contains(file!()), "{text}");
        for fiber in [first, second, own] {
            fiber.cancel();
            drop(fiber.wait());
        }
    });
}

#[test]
fn the_holder_is_the_present_one() {
    use switchback::WaitsFor;
    use switchback::sync::{Arc, Mutex};

    on_hub(|| {
        let lock = Arc::new(Mutex::new(()));
        let fibers = (0..4).map(|_| {
            let lock = lock.clone();
            spawn(move || {
                let _guard = lock.lock().unwrap();
                park();
            })
        });
        let fibers: Vec<_> = fibers.collect();
        for (n, holder) in fibers.iter().enumerate() {
            let dump = dump();
            for waiter in &fibers[n + 1..] {
                let wait = dump.fiber(waiter.id()).unwrap().wait().unwrap();
                assert_eq!(wait.waits_for(), Some(&WaitsFor::Lock(Some(holder.id()))));
            }
            assert!(dump.cycles().is_empty());
            holder.handle().unpark();
        }
        let guard = lock.try_lock();
        drop(guard);
        dump();
        assert!(lock.try_lock().is_ok(), "all have given it back");
    });
}
