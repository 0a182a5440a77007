//! What a dump says about fibers and what they wait for.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::Location;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use switchback::{
    Builder, Fiber, FiberDump, FiberSet, FiberState, Hub, HubDump, Track, WaitsFor, park,
    prelude::*, scope, shield, sleep, spawn, with_timeout, yield_now,
};
use tokio::sync::oneshot;

use crate::stuck::on_hub;

/// Returns the dump of a fiber named "stuck" that runs `f`, when nothing else can go on, and the place
/// where it was spawned.
fn dump_of(f: impl FnOnce() + 'static) -> (HubDump, FiberDump) {
    let stuck = Builder::new().name("stuck").spawn(f).unwrap();
    for _ in 0..10 {
        yield_now().wait();
    }
    let dump = Hub::current().dump();
    let fiber = dump.fiber(stuck.id()).expect("it lives").clone();
    stuck.cancel();
    (dump, fiber)
}

#[test]
fn how_long_a_sleep_has_left() {
    on_hub(Track::Places, || {
        let hour = Duration::from_secs(3600);
        let (_, fiber) = dump_of(move || sleep(hour).wait());
        let Some(WaitsFor::Time(left)) = fiber.wait().unwrap().waits_for() else {
            panic!("{fiber:?}");
        };
        let almost = hour - Duration::from_secs(60);
        assert!((almost..=hour).contains(left), "{left:?}");
    });
}

#[test]
fn who_is_joined_and_the_fibers_of_a_scope() {
    on_hub(Track::Places, || {
        let other = || Builder::new().name("other").spawn(park).unwrap();
        let (dump, fiber) = dump_of(move || drop(other().join().wait()));
        let Some(WaitsFor::Fiber(other)) = fiber.wait().unwrap().waits_for() else {
            panic!("{fiber:?}");
        };
        assert_eq!(dump.fiber(*other).unwrap().name(), "other");
        let text = dump.to_string();
        assert!(text.contains("for the end of fiber"), "{text}");
        assert!(text.contains("'other'"), "{text}");

        let two = || {
            scope(|s| {
                s.spawn(park);
                s.spawn(park);
            });
        };
        let (dump, fiber) = dump_of(two);
        let Some(WaitsFor::Children(children)) = fiber.wait().unwrap().waits_for() else {
            panic!("{fiber:?}");
        };
        assert_eq!(children.len(), 2);
        for child in children {
            assert_eq!(dump.fiber(*child).unwrap().parent(), Some(fiber.id()));
        }
    });
}

#[test]
fn a_blocking_job() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    on_hub(Track::Places, move || {
        let wait = move || {
            let job = switchback::blocking(move || held.recv().is_ok());
            assert!(!job.wait());
        };
        let (_, fiber) = dump_of(wait);
        assert_eq!(fiber.wait().unwrap().at().file(), file!());
        assert!(fiber.wait().unwrap().type_name().contains("Offload<"));
        assert_eq!(fiber.wait().unwrap().lasts(), None, "times are not tracked");
        drop(release);
    });
}

#[test]
fn shields_limits_and_pending_cancels() {
    on_hub(Track::Places, || {
        let (release, held) = oneshot::channel::<()>();
        let wait = || shield(|| held.wait().is_ok());
        let stuck = spawn(move || with_timeout(Duration::from_secs(60), wait).is_ok());
        yield_now().wait();
        stuck.cancel();
        yield_now().wait();
        let dump = Hub::current().dump();
        let fiber = dump.fiber(stuck.id()).unwrap();
        assert_eq!((fiber.shields(), fiber.deadlines()), (1, 1));
        assert!(fiber.is_cancel_pending());
        let text = dump.to_string();
        let all = "with a cancel pending, in a shield, with a time limit";
        assert!(text.contains(all), "{text}");
        release.send(()).unwrap();
    });
}

#[test]
fn states_of_fibers_that_do_not_wait() {
    on_hub(Track::Places, || {
        let unstarted = Fiber::new(|| ());
        let ready = spawn(|| ());
        let yielding = spawn(|| {
            loop {
                yield_now().wait()
            }
        });
        yield_now().wait();
        let again = spawn(|| ());
        let dump = Hub::current().dump();
        let state = |id| dump.fiber(id).map(FiberDump::state);
        assert_eq!(state(unstarted.id()), Some(FiberState::NotStarted));
        assert_eq!(state(ready.id()), None, "it has ended");
        assert_eq!(state(yielding.id()), Some(FiberState::Ready));
        assert_eq!(state(again.id()), Some(FiberState::Ready));
        assert!(dump.fiber(again.id()).unwrap().wait().is_none());
        let own = switchback::current_fiber().unwrap().id();
        assert_eq!(state(own), Some(FiberState::Running));
        assert_eq!(dump.fibers().len(), dump.metrics().live_fibers());
        drop(yielding.cancel_on_drop());
    });
}

#[test]
fn a_hub_that_tracks_nothing_says_who_waits_and_where_it_was_spawned() {
    on_hub(Track::Off, || {
        let (dump, fiber) = dump_of(|| pending::<()>().wait());
        assert_eq!(fiber.state(), FiberState::Waiting);
        assert!(fiber.wait().is_none());
        assert_eq!(fiber.spawned_at().file(), file!());
        assert!(
            dump.to_string()
                .contains("'stuck', waiting\n    spawned at")
        );
    });
}

#[test]
fn a_future_that_was_ready_leaves_nothing_behind() {
    on_hub(Track::Places, || {
        let mut other = spawn(park);
        let stuck = spawn(move || {
            // It polls the join, which is not ready, and is ready itself.
            let mut join = other.join();
            let polled = poll_fn(|cx| {
                assert!(std::pin::Pin::new(&mut join).poll(cx).is_pending());
                Poll::Ready(())
            });
            polled.wait();
            pending::<()>().wait();
        });
        yield_now().wait();
        let dump = Hub::current().dump();
        let wait = dump.fiber(stuck.id()).unwrap().wait().unwrap();
        assert_eq!(wait.waits_for(), None);
        drop(stuck.cancel_on_drop());
    });
}

#[test]
fn spawn_places_are_the_callers() {
    #[track_caller]
    fn here() -> u32 {
        Location::caller().line()
    }
    on_hub(Track::Places, move || {
        let nap = || pending::<()>().wait();
        let mut all = Vec::new();
        let mut note = |line, id, what| all.push((line, id, what));
        let a = (spawn(nap), here());
        note(a.1, a.0.id(), "spawn");
        let b = (Fiber::new(nap), here());
        note(b.1, b.0.id(), "Fiber::new");
        let c = (Builder::new().spawn(nap).unwrap(), here());
        note(c.1, c.0.id(), "Builder::spawn");
        let d = (Hub::current().handle().spawn(nap).unwrap(), here());
        note(d.1, d.0.id(), "HubHandle::spawn");
        let hub = Hub::current().handle();
        let e = (Builder::new().spawn_on(&hub, nap).unwrap(), here());
        note(e.1, e.0.id(), "Builder::spawn_on");
        let mut set = FiberSet::new();
        let f = (set.spawn(nap).id(), here());
        note(f.1, f.0, "FiberSet::spawn");
        let g = (set.spawn_on(&hub, nap).unwrap().id(), here());
        note(g.1, g.0, "FiberSet::spawn_on");
        let dump = Hub::current().dump();
        for (line, id, what) in all {
            let place = dump.fiber(id).unwrap().spawned_at();
            assert_eq!((place.file(), place.line()), (file!(), line), "{what}");
            let parent = dump.fiber(id).unwrap().parent();
            assert_eq!(
                parent,
                Some(switchback::current_fiber().unwrap().id()),
                "{what}"
            );
        }
    });
}

#[test]
fn many_that_are_alike_are_one_entry() {
    on_hub(Track::Places, || {
        for _ in 0..5000 {
            drop(spawn(|| pending::<()>().wait()));
        }
        for _ in 0..100 {
            yield_now().wait();
        }
        let text = Hub::current().dump().to_string();
        assert!(
            text.contains("5,001 fibers: 1 running, 5,000 waiting"),
            "{text}"
        );
        assert!(text.contains("5,000 fibers, waiting\n"), "{text}");
        assert!(text.contains("and 4,988 more"), "{text}");
        assert!(text.len() < 2000, "{text}");
    });
}

#[test]
fn a_dump_changes_nothing() {
    on_hub(Track::Times, || {
        let polls = Rc::new(Cell::new(0));
        let counts = polls.clone();
        let stuck = spawn(move || {
            poll_fn(|_| {
                counts.set(counts.get() + 1);
                Poll::<()>::Pending
            })
            .wait();
        });
        yield_now().wait();
        let hub = Hub::current();
        let (before, polled) = (hub.metrics(), polls.get());
        for _ in 0..100 {
            drop(hub.dump());
            drop(hub.handle().dump().wait().unwrap());
        }
        assert_eq!((hub.metrics(), polls.get()), (before, polled));
        drop(stuck.cancel_on_drop());
    });
}

#[test]
fn a_dump_from_a_destructor_a_callback_a_panic_and_a_future() {
    struct Dumps(Rc<Cell<u32>>);
    impl Drop for Dumps {
        fn drop(&mut self) {
            assert!(!Hub::current().dump().fibers().is_empty());
            self.0.set(self.0.get() + 1);
        }
    }
    on_hub(Track::Times, || {
        let count = Rc::new(Cell::new(0));
        let dumps = || Dumps(count.clone());
        let local = dumps();
        let panics = spawn(move || {
            let _local = local;
            panic!("on purpose");
        });
        let local = dumps();
        let cancelled = spawn(move || {
            let _local = local;
            pending::<()>().wait()
        });
        let local = dumps();
        Hub::current().run_callback(move || drop(local));
        let local = dumps();
        async { drop(local) }.wait();
        yield_now().wait();
        cancelled.cancel();
        assert!(cancelled.wait().unwrap_err().is_cancelled());
        assert!(panics.wait().unwrap_err().is_panic());
        assert_eq!(count.get(), 4);
    });
}

#[test]
fn the_root_fiber_was_spawned_where_the_program_called() {
    fn place() -> (String, u32) {
        let dump = Hub::current().dump();
        let root = &dump.fibers()[0];
        let at = root.spawned_at();
        (at.file().to_owned(), at.line())
    }
    let here = |line: u32| Ok((file!().to_owned(), line));
    let (run, line) = (switchback::run(place), line!());
    assert_eq!(run.map_err(|e| e.to_string()), here(line));
    let (run, line) = (Hub::builder().run(place), line!());
    assert_eq!(run.map_err(|e| e.to_string()), here(line));
}
