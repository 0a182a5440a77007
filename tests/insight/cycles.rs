//! Fibers that wait for each other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use switchback::sync::nonpoison::{RwLock, RwLockWriteGuard};
use switchback::{
    Fiber, FiberState, Hub, HubDump, WaitsFor, park, prelude::*, scope, sleep, spawn, with_timeout,
    yield_now,
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

/// Random spawns, joins, joins with limits, cancels, yields, parks and locks. Fibers join only fibers that are
/// older, hold no lock when they do, and take locks in one order, so that there is never a cycle.
///
/// A dump is taken after each fourth operation.
#[test]
fn no_false_cycle_in_random_operations() {
    use switchback::{CancelOnDrop, WaitsFor};

    let operations = std::env::var("SWITCHBACK_INSIGHT_OPERATIONS");
    let operations = operations.map_or(20_000, |n| n.parse().expect("a number"));
    on_hub(move || {
        let seed = std::cell::Cell::new(7_u64);
        let random = Rc::new(move |below: usize| {
            let next = seed.get().wrapping_mul(6364136223846793005);
            seed.set(next.wrapping_add(1442695040888963407));
            (seed.get() >> 33) as usize % below
        });
        let locks: Rc<[RwLock<()>; 4]> = Rc::default();
        let milliseconds = |n: usize| Duration::from_millis(n as u64);
        let mut edges = 0;
        // One that is not kept is cancelled, so that they do not become more and more.
        let mut fibers: Vec<CancelOnDrop<()>> = Vec::new();
        for n in 0..operations {
            let any = random(fibers.len().max(1));
            match random(10) {
                0..4 => {
                    let older = (!fibers.is_empty()).then(|| fibers.swap_remove(any));
                    let random = random.clone();
                    let joins = spawn(move || {
                        let Some(mut older) = older else {
                            return park();
                        };
                        match random(3) {
                            0 => drop((&mut older).wait_timeout(milliseconds(random(20)))),
                            1 => drop((&mut older).wait()),
                            _ => {
                                let both = async {
                                    tokio::select! {
                                        _ = &mut older => {}
                                        () = sleep(milliseconds(3)) => {}
                                    }
                                };
                                both.wait();
                                sleep(milliseconds(random(5))).wait();
                            }
                        }
                    });
                    fibers.push(joins.cancel_on_drop());
                }
                4..6 => {
                    let (random, locks) = (random.clone(), locks.clone());
                    let takes = spawn(move || {
                        let first = random(3);
                        let second = first + 1 + random(3 - first);
                        let (first, second) = (&locks[first], &locks[second]);
                        let (reads, writes) = match random(2) {
                            0 => (Some(first.read()), None),
                            _ => (None, Some(first.write())),
                        };
                        sleep(milliseconds(random(20))).wait();
                        drop(second.write());
                        drop((reads, writes));
                        drop(second.read());
                    });
                    fibers.push(takes.cancel_on_drop());
                }
                6 => drop(fibers.pop()),
                7 => drop(fibers.get(any).map(|fiber| fiber.handle().unpark())),
                8 => sleep(milliseconds(1)).wait(),
                _ => yield_now().wait(),
            }
            if n % 4 == 0 {
                let dump = Hub::current().dump();
                assert!(dump.cycles().is_empty(), "{dump}");
                let waits = dump
                    .fibers()
                    .iter()
                    .filter_map(|fiber| fiber.wait()?.waits_for());
                edges += waits
                    .filter(|waits_for| {
                        matches!(waits_for, WaitsFor::Fiber(_) | WaitsFor::Lock(Some(_)))
                    })
                    .count();
                assert!(
                    dump.fibers().len() < 1000,
                    "they do not become more and more"
                );
            }
            fibers.truncate(50);
        }
        assert!(
            edges > operations / 10,
            "only {edges} times a fiber waited for another"
        );
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
fn values_that_are_made_once() {
    use switchback::sync::{Arc, Once, OnceLock};

    on_hub(|| {
        // One makes a value and joins the other, which needs the value.
        let value = Arc::new(OnceLock::new());
        let (theirs, late) = (value.clone(), Rc::new(RefCell::new(None)));
        let joins = late.clone();
        let makes = spawn(move || {
            let other: Fiber<()> = joins.take().unwrap();
            theirs.get_or_init(|| drop(other.wait()));
        });
        let needs = spawn(move || {
            value.get_or_init(|| ());
        });
        let (first, second) = (makes.id(), needs.id());
        late.replace(Some(needs));
        let once = Arc::new(Once::new());
        let own = spawn(move || {
            let run = || switchback::catch_cancel(|| once.call_once(|| ())).is_ok();
            // The closure is shielded, so only a time limit of its own ends the wait.
            once.call_once(|| assert!(with_timeout(Duration::from_secs(60), run).is_err()));
        });
        let dump = dump();
        let wait = |id| dump.fiber(id).unwrap().wait().unwrap();
        assert_eq!(wait(second).waits_for(), Some(&WaitsFor::Once(first)));
        assert_eq!(wait(own.id()).waits_for(), Some(&WaitsFor::Once(own.id())));
        let cycles = dump.cycles();
        assert_eq!(cycles.len(), 2, "{dump}");
        assert_eq!(cycles[0].fibers().len(), 2);
        assert_eq!(cycles[1].fibers(), [own.id()]);
        assert!(!cycles[0].may_break() && cycles[1].may_break());
        let text = dump.to_string();
        let says = format!("for what fiber {first} 'Fiber-{first}' does once\n");
        assert!(text.contains(&says), "{text}");
        assert!(
            text.contains("a fiber waits for the end of what it runs itself:"),
            "{text}"
        );
        makes.cancel();
        drop(makes.wait());
        own.wait().unwrap();
    });
}

/// A guard is given to another thread, which lets a reader share the lock. The hub has not noticed yet.
#[test]
fn one_who_was_woken_waits_no_more() {
    on_hub(|| {
        let lock: &RwLock<()> = Box::leak(Box::default());
        let (send, guards) = std::sync::mpsc::channel();
        let late = Rc::new(RefCell::new(None));
        let joins = late.clone();
        let writer = spawn(move || {
            send.send(lock.write()).unwrap();
            yield_now().wait();
            let reader: Fiber<()> = joins.take().unwrap();
            drop(reader.wait());
        });
        yield_now().wait();
        let reader = spawn(move || drop(lock.read()));
        let id = reader.id();
        late.replace(Some(reader));
        assert_eq!(dump().cycles().len(), 1);
        let guard = guards.recv().unwrap();
        let shares = || drop(RwLockWriteGuard::downgrade(guard));
        std::thread::scope(|s| s.spawn(shares).join().unwrap());
        let dump = Hub::current().dump();
        assert_eq!(dump.fiber(id).unwrap().state(), FiberState::Ready);
        assert!(dump.cycles().is_empty(), "{dump}");
        writer.wait().unwrap();
    });
}

#[test]
fn what_a_future_no_longer_waits_for_makes_no_cycle() {
    use switchback::sync::{Arc, Mutex};

    on_hub(|| {
        let lock = Arc::new(Mutex::new(()));
        let theirs = lock.clone();
        let tries = async move {
            let limit = Duration::from_millis(1);
            let got = tokio::time::timeout(limit, theirs.lock_async()).await;
            assert!(got.is_err());
            std::future::pending::<()>().await;
        };
        let _guard = lock.lock().unwrap();
        let tries = spawn(|| tries.wait());
        sleep(Duration::from_millis(2)).wait();
        let (handle, root) = (tries.handle(), switchback::current_fiber().unwrap().id());
        let looks = spawn(move || {
            let dump = dump();
            handle.cancel();
            dump
        });
        // The root joins `tries`, which has waited for the root's lock.
        drop(tries.wait());
        let dump = looks.wait().unwrap();
        let wait = dump.fiber(root).unwrap().wait().unwrap();
        assert!(wait.waits_for().is_some(), "{dump}");
        assert!(dump.cycles().is_empty(), "{dump}");
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

#[test]
fn waits_for_locks_of_one_type_are_one_entry_for_each_lock() {
    use switchback::sync::{Arc, Mutex, RwLock};

    on_hub(|| {
        // Who holds a lock by a `try_lock` of async code is not known.
        let locks: Vec<_> = (0..2).map(|_| Arc::new(RwLock::new(()))).collect();
        let held = Arc::new(Mutex::new(()));
        let holds = held.clone();
        let holder = spawn(move || {
            let _guard = holds.lock().unwrap();
            park();
        });
        yield_now().wait();
        let (taken, theirs) = (Rc::new(RefCell::new(0)), locks.clone());
        let counts = taken.clone();
        tokio::task::spawn_local(async move {
            let guards = theirs.iter().map(|lock| lock.try_write().unwrap());
            let guards: Vec<_> = guards.collect();
            *counts.borrow_mut() = guards.len();
            std::future::pending::<()>().await;
        });
        yield_now().wait();
        assert_eq!(*taken.borrow(), 2);
        for n in 0..5 {
            let lock = locks[n % 2].clone();
            drop(spawn(move || drop(lock.write())));
        }
        for _ in 0..3 {
            let lock = held.clone();
            drop(spawn(move || drop(lock.lock())));
        }
        let text = dump().to_string();
        let says = format!(
            "3 fibers, waiting\n    for a lock that fiber {} '{}' has taken",
            holder.id(),
            holder.name()
        );
        assert!(text.contains(&says), "{text}");
        for count in [2, 3] {
            let says = format!("{count} fibers, waiting\n    for a lock: `RwLock::write`\n");
            assert!(text.contains(&says), "{text}");
        }
        holder.handle().unpark();
    });
}

#[test]
fn a_park_that_nobody_can_end_says_so() {
    use switchback::{WaitsFor, thread};

    on_hub(|| {
        let can = [spawn(park), spawn(thread::park)];
        drop(spawn(park));
        drop(spawn(thread::park));
        drop(spawn(|| thread::park_timeout(Duration::from_secs(1))));
        let dump = dump();
        let parks = dump.fibers().iter().filter_map(|fiber| {
            let waits_for = fiber.wait()?.waits_for()?;
            assert!(
                !can.iter().any(|can| can.id() == fiber.id())
                    || *waits_for == WaitsFor::Unpark(true)
            );
            Some(waits_for.clone())
        });
        let parks: Vec<_> = parks.collect();
        // The timer may wake the last one, so it has a reference; whose that is is not known.
        let expected = [true, true, false, false, true].map(WaitsFor::Unpark);
        assert_eq!(parks, expected);
        let text = dump.to_string();
        assert!(
            text.contains("for an `unpark`, for which nobody has a handle\n"),
            "{text}"
        );
        assert!(text.contains("for an `unpark`\n"), "{text}");
        assert!(
            text.contains("for an `unpark`, with a time limit\n"),
            "{text}"
        );
        can.iter().for_each(|can| can.handle().unpark());
        // The others end with the hub.
    });
}

/// Who waits for a lock that is shared.
mod shared {
    use switchback::sync::{Arc, Mutex, RwLock};
    use switchback::{FiberId, WaitsFor, thread};

    use super::*;

    fn waits_for(dump: &HubDump, id: FiberId) -> Option<WaitsFor> {
        dump.fiber(id)?.wait()?.waits_for().cloned()
    }

    /// Spawns a fiber that shares the lock until it is unparked.
    fn reads(lock: &Arc<RwLock<()>>) -> Fiber<()> {
        let lock = lock.clone();
        let fiber = spawn(move || {
            let _read = lock.read().unwrap();
            park();
        });
        yield_now().wait();
        fiber
    }

    /// Spawns a fiber that waits to write.
    fn writes(lock: &Arc<RwLock<()>>) -> Fiber<()> {
        let lock = lock.clone();
        spawn(move || drop(lock.write().unwrap()))
    }

    #[test]
    fn a_writer_shows_who_reads_as_long_as_it_does() {
        on_hub(|| {
            let lock = Arc::new(RwLock::new(()));
            let (first, second) = (reads(&lock), reads(&lock));
            drop(lock.read().unwrap());
            let writer = writes(&lock);
            let dumped = dump();
            let lock_of = |fiber: &Fiber<()>| Some(WaitsFor::Lock(Some(fiber.id())));
            assert_eq!(waits_for(&dumped, writer.id()), lock_of(&first));
            let says = format!("for a lock that fiber {0} 'Fiber-{0}' shares\n", first.id());
            assert!(dumped.to_string().contains(&says), "{dumped}");
            // The second one is not known, but nothing false is said.
            first.handle().unpark();
            first.wait().unwrap();
            let dumped = dump();
            assert_eq!(waits_for(&dumped, writer.id()), Some(WaitsFor::Lock(None)));
            second.handle().unpark();
            writer.wait().unwrap();
            assert!(lock.try_write().is_ok());
        });
    }

    #[test]
    fn a_reader_that_writes_waits_for_itself() {
        on_hub(|| {
            let lock = Arc::new(RwLock::new(()));
            let raises = spawn(move || {
                let _read = lock.read().unwrap();
                drop(lock.write());
            });
            let dump = dump();
            let cycles = dump.cycles();
            assert_eq!(cycles.len(), 1, "{dump}");
            assert_eq!(cycles[0].fibers(), [raises.id()]);
            assert!(!cycles[0].may_break());
            raises.cancel();
        });
    }

    #[test]
    fn a_reader_that_reads_again_behind_a_writer() {
        on_hub(|| {
            let lock = Arc::new(RwLock::new(()));
            let theirs = lock.clone();
            let reader = spawn(move || {
                let _read = theirs.read().unwrap();
                park();
                drop(theirs.read().unwrap());
            });
            yield_now().wait();
            let writer = writes(&lock);
            let other = lock.clone();
            let reads_too = spawn(move || drop(other.read().unwrap()));
            yield_now().wait();
            reader.handle().unpark();
            let dump = dump();
            let cycles = dump.cycles();
            assert_eq!(cycles.len(), 1, "{dump}");
            assert_eq!(cycles[0].fibers(), [reader.id()]);
            // It goes on if the writer gives up.
            assert!(cycles[0].may_break());
            let text = dump.to_string();
            let says = format!(
                "for a lock that fiber {0} 'Fiber-{0}' shares, behind one",
                reader.id()
            );
            assert_eq!(text.matches(&says).count(), 2, "{text}");
            assert!(
                text.contains(", to read, behind one who waits to write\n"),
                "{text}"
            );
            writer.cancel();
            reader.wait().unwrap();
            reads_too.wait().unwrap();
        });
    }

    #[test]
    fn locks_in_opposite_order_one_of_them_shared() {
        on_hub(|| {
            let (a, b) = (Arc::new(RwLock::new(())), Arc::new(Mutex::new(())));
            let (theirs, others) = (a.clone(), b.clone());
            let reads = spawn(move || {
                let _a = theirs.read().unwrap();
                yield_now().wait();
                drop(others.lock());
            });
            let writes = spawn(move || {
                let _b = b.lock().unwrap();
                yield_now().wait();
                drop(a.write());
            });
            let dump = dump();
            let cycles = dump.cycles();
            assert_eq!(cycles.len(), 1, "{dump}");
            let mut fibers = cycles[0].fibers().to_vec();
            fibers.sort_unstable();
            assert_eq!(fibers, [reads.id(), writes.id()]);
            assert!(!cycles[0].may_break());
            reads.cancel();
            writes.wait().unwrap();
        });
    }

    #[test]
    fn one_who_goes_on_as_a_reader_is_still_known() {
        use switchback::sync::RwLockWriteGuard;

        on_hub(|| {
            let lock = Arc::new(RwLock::new(()));
            let theirs = lock.clone();
            let first = spawn(move || {
                let writes = theirs.write().unwrap();
                park();
                let _reads = RwLockWriteGuard::downgrade(writes);
                park();
            });
            yield_now().wait();
            let other = writes(&lock);
            let known = Some(WaitsFor::Lock(Some(first.id())));
            for _ in 0..2 {
                assert_eq!(waits_for(&dump(), other.id()), known);
                first.handle().unpark();
            }
            first.wait().unwrap();
            other.wait().unwrap();
        });
    }

    /// What a fiber has taken is given back by another one, or kept for ever.
    #[test]
    fn a_share_that_moves_or_is_forgotten() {
        on_hub(|| {
            let lock: &'static RwLock<()> = Box::leak(Box::default());
            let taken: Rc<RefCell<Vec<_>>> = Rc::default();
            let puts = taken.clone();
            let takes = spawn(move || puts.borrow_mut().push(lock.read().unwrap()));
            let taker = takes.id();
            takes.wait().unwrap();
            let writer = thread::spawn(|| drop(lock.write().unwrap()));
            let dumped = dump();
            let waits: Vec<_> = dumped.fibers().iter().map(|fiber| fiber.id()).collect();
            assert_eq!(
                waits_for(&dumped, waits[1]),
                Some(WaitsFor::Lock(Some(taker)))
            );
            assert!(dumped.cycles().is_empty());
            assert!(
                dumped
                    .to_string()
                    .contains(&format!("fiber {taker} shares\n"))
            );
            taken.borrow_mut().clear();
            writer.join().unwrap();

            std::mem::forget(lock.read().unwrap());
            assert!(lock.try_write().is_err());
            let own = switchback::current_fiber().unwrap().id();
            let writer = spawn(|| drop(lock.write()));
            let dumped = dump();
            assert_eq!(
                waits_for(&dumped, writer.id()),
                Some(WaitsFor::Lock(Some(own)))
            );
            assert!(dumped.cycles().is_empty());
            writer.cancel();
        });
    }

    /// Fibers of three threads read and write, and never wait for anything while they do: whatever is
    /// said of who waits for whom at any time is no cycle, and names those only who have the lock.
    #[test]
    fn readers_and_writers_on_several_threads() {
        use std::sync::atomic::{AtomicBool, Ordering};

        let rounds = std::env::var("SWITCHBACK_INSIGHT_ROUNDS");
        let rounds: u32 = rounds.map_or(2_000, |n| n.parse().expect("a number"));
        let locks: Arc<[RwLock<u64>; 3]> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let hub = |_| Hub::builder().name("readers").start_thread().unwrap();
        let hubs: Vec<_> = (0..3).map(hub).collect();
        let mut fibers = Vec::new();
        for (n, hub) in (0_u32..).zip(&hubs) {
            for k in 0..3 {
                let locks = locks.clone();
                let works = move || {
                    let mut seed = u64::from(n * 10 + k + 1);
                    for _ in 0..rounds {
                        seed = seed
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        let pick = (seed >> 33) as usize;
                        let (first, second) = (&locks[0], &locks[1 + pick % 2]);
                        match pick / 2 % 4 {
                            0 => drop((first.write(), second.read())),
                            1 => {
                                let _first = first.read().unwrap();
                                yield_now().wait();
                                *second.write().unwrap() += 1;
                            }
                            2 => {
                                let _first = first.read().unwrap();
                                drop(second.read().unwrap());
                                yield_now().wait();
                            }
                            _ => drop(second.write().unwrap()),
                        }
                    }
                };
                fibers.push(hub.spawn(works).unwrap());
            }
        }
        let (over, looked_over) = (is_over.clone(), locks.clone());
        let looks = std::thread::spawn(move || {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                let dump = switchback::dump_all().wait();
                // Other tests of this process have cycles.
                let cycles = dump.cycles();
                let of_three = |cycle: &&switchback::Cycle| {
                    let hubs = dump.hubs().filter(|hub| hub.name() == "readers");
                    hubs.flat_map(|hub| hub.fibers())
                        .any(|f| cycle.fibers().contains(&f.id()))
                };
                assert_eq!(cycles.iter().find(of_three).map(ToString::to_string), None);
                looks += 1;
            }
            drop(looked_over);
            looks
        });
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        is_over.store(true, Ordering::Relaxed);
        assert!(looks.join().unwrap() > 0);
        assert!(locks.iter().all(|lock| lock.try_write().is_ok()));
    }
}
