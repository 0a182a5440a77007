//! What a dump says about fibers that are stuck, for each kind of wait.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::Read;
use std::panic::Location;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use switchback::io::Blocking;
use switchback::{
    Builder, Fiber, FiberDump, FiberSet, FiberState, Hub, HubDump, SwitchBack, Track, WaitsFor,
    park, prelude::*, scope, shield, sleep, spawn, try_scope, with_timeout, yield_now,
};
use tokio::sync::oneshot;

/// Runs `f` on a hub with this track and the virtual clock.
fn on_hub(track: Track, f: impl FnOnce() + 'static) {
    let hub = Hub::builder().track(track).start_paused(true);
    hub.run(f).unwrap();
}

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

/// A fiber is stuck in a wait: the dump says where, for a future of this type, and since when, and the
/// text has it all. With the feature, the backtrace has the function that waits.
#[track_caller]
fn says(f: impl FnOnce() + 'static, line: Option<u32>, type_name: &'static str) {
    says_with(f, line, type_name, |_| {});
}

/// Of this crate it has at most the function that the fiber has called.
#[cfg(all(feature = "backtrace", unix))]
fn is_short(backtrace: &switchback::Backtrace) {
    // Without debug information it may have more.
    if cfg!(debug_assertions) {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
        let is_own = |frame: &switchback::BacktraceFrame| {
            frame.file().is_some_and(|file| file.starts_with(own))
        };
        let count = backtrace.frames().filter(|frame| is_own(frame)).count();
        assert!(count <= 1, "{backtrace}");
    }
}

#[track_caller]
pub(crate) fn says_with(
    f: impl FnOnce() + 'static,
    line: Option<u32>,
    type_name: &'static str,
    more: impl FnOnce(&FiberDump) + 'static,
) {
    let test = Location::caller();
    on_hub(Track::Times, move || {
        let stuck = Builder::new().name("stuck").spawn(f).unwrap();
        for _ in 0..10 {
            yield_now().wait();
        }
        // This long it has been stuck, on the virtual clock.
        let lasts = Duration::from_secs(5);
        sleep(lasts).wait();
        let dump = Hub::current().handle().dump();
        #[cfg(all(feature = "backtrace", unix))]
        let dump = dump.backtraces(usize::MAX);
        let dump = dump.wait().unwrap();
        let fiber = dump.fiber(stuck.id()).expect("it lives");
        let why = format!("{test}: {fiber:?}");
        let wait = fiber.wait().expect(&why);
        #[cfg(all(feature = "backtrace", unix))]
        {
            let backtrace = fiber.backtrace().expect(&why);
            is_short(backtrace);
            let at = wait.at();
            // Below std's adapters, the place is in those.
            let is_the_users = |frame: &switchback::BacktraceFrame| {
                let file = frame.file().is_some_and(|file| file.ends_with(test.file()));
                file && (at.file() != test.file() || frame.line() == Some(at.line()))
            };
            // A release build has no debug information.
            if cfg!(debug_assertions) {
                assert!(backtrace.frames().any(is_the_users), "{backtrace}");
            }
        }
        if let Some(line) = line {
            assert_eq!(wait.at().file(), test.file(), "{why}");
            // The wait is a few lines above or below the call of this.
            assert!(wait.at().line().abs_diff(line) < 12, "{why}");
        }
        assert!(wait.type_name().contains(type_name), "{why}");
        assert!(
            matches!(fiber.state(), FiberState::Waiting | FiberState::PutOff),
            "{why}"
        );
        assert!(wait.lasts().expect(&why) >= lasts, "{why}");
        assert_eq!(fiber.spawned_at().file(), file!());
        assert_eq!(fiber.name(), "stuck");
        assert!(fiber.stack_size() >= 64 * 1024);
        let text = dump.to_string();
        assert!(text.contains("'stuck', waiting"), "{text}");
        assert!(text.contains(&format!("at {}", wait.at())), "{text}");
        more(fiber);
        stuck.cancel();
        drop(stuck);
    });
}

#[test]
fn a_wait_for_any_future() {
    says(|| pending::<()>().wait(), Some(line!()), "Pending<()>");
}

#[test]
fn a_wait_with_a_timeout() {
    let hour = Duration::from_secs(3600);
    says(
        move || drop(pending::<()>().wait_timeout(hour)),
        Some(line!()),
        "Pending<()>",
    );
}

#[test]
fn a_wait_until_a_deadline() {
    let wait = || {
        let end = tokio::time::Instant::now() + Duration::from_secs(3600);
        drop(pending::<()>().wait_until(end))
    };
    says(wait, Some(line!()), "Pending<()>");
}

#[test]
fn a_wait_or_cancelled() {
    says(
        || drop(pending::<()>().wait_or_cancelled()),
        Some(line!()),
        "Pending<()>",
    );
}

#[test]
fn a_wait_for_async_code() {
    says(
        || async { pending::<()>().await }.wait(),
        Some(line!()),
        "a_wait_for_async_code",
    );
}

#[test]
fn a_sleep() {
    let nap = || sleep(Duration::from_secs(3600)).wait();
    says_with(nap, Some(line!()), "Sleep", |fiber| {
        let Some(WaitsFor::Time(left)) = fiber.wait().unwrap().waits_for() else {
            panic!("{fiber:?}");
        };
        let hour = Duration::from_secs(3600);
        assert!(
            *left < hour && *left > hour - Duration::from_secs(60),
            "{left:?}"
        );
    });
}

#[test]
fn a_park() {
    says(|| park(), Some(line!()), "Parked");
}

#[test]
fn a_join() {
    let join = || {
        let mut other = Builder::new().name("other").spawn(park).unwrap();
        drop(other.join().wait());
    };
    says_with(join, Some(line!()), "Join<", |fiber| {
        let waits_for = fiber.wait().unwrap().waits_for();
        assert!(matches!(waits_for, Some(WaitsFor::Fiber(_))), "{fiber:?}");
        let text = Hub::current().dump().to_string();
        assert!(text.contains("'other'"), "{text}");
    });
}

#[test]
fn a_wait_for_a_fiber() {
    let join = || drop(spawn(park).wait());
    says_with(join, Some(line!()), "Fiber<", |fiber| {
        let waits_for = fiber.wait().unwrap().waits_for();
        assert!(matches!(waits_for, Some(WaitsFor::Fiber(_))), "{fiber:?}");
    });
}

#[test]
fn a_join_of_a_fiber_of_another_hub() {
    let join = || {
        let thread = switchback::HubThread::new().unwrap();
        let fiber = thread
            .spawn(|| pending::<()>().wait())
            .unwrap()
            .cancel_on_drop();
        drop(fiber.wait());
    };
    says_with(join, Some(line!()), "CancelOnDrop<", |fiber| {
        let waits_for = fiber.wait().unwrap().waits_for();
        assert!(matches!(waits_for, Some(WaitsFor::Fiber(_))), "{fiber:?}");
    });
}

#[test]
fn the_end_of_a_scope() {
    let begin = || {
        scope(|s| {
            s.spawn(park);
            s.spawn(park);
        })
    };
    says_with(begin, Some(line!()), "Scope", |fiber| {
        let Some(WaitsFor::Children(children)) = fiber.wait().unwrap().waits_for() else {
            panic!("{fiber:?}");
        };
        assert_eq!(children.len(), 2);
        let dump = Hub::current().dump();
        for child in children {
            assert_eq!(dump.fiber(*child).unwrap().parent(), Some(fiber.id()));
        }
    });
}

#[test]
fn the_end_of_a_try_scope() {
    let begin = || {
        let ended = try_scope(|s| {
            s.spawn(|| -> Result<(), ()> {
                park();
                Ok(())
            });
            Ok(())
        });
        let _: Result<(), ()> = ended;
    };
    says(begin, Some(line!()), "Scope");
}

#[test]
fn a_switch_back() {
    let wait = || {
        let (back, _switcher) = {
            let back = SwitchBack::<()>::new();
            let s = back.switcher();
            (back, s)
        };
        drop(back.wait())
    };
    says(wait, Some(line!()), "SwitchBack<");
}

#[test]
fn a_fiber_set() {
    let wait = || {
        let mut set = FiberSet::new();
        set.spawn(park);
        drop(set.join_next().wait())
    };
    says(wait, Some(line!()), "FiberSet<");
}

#[test]
fn a_read_through_blocking() {
    let read = || {
        let (ours, _theirs) = tokio::io::duplex(64);
        drop(Blocking::new(ours).read(&mut [0; 8]))
    };
    says(read, None, "");
}

#[test]
fn a_channel() {
    let receive = || {
        let (_sender, receiver) = oneshot::channel::<()>();
        drop(receiver.wait())
    };
    says(receive, Some(line!()), "oneshot::Receiver<()>");
}

#[test]
fn a_stream_and_a_sink() {
    let next = || {
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        let _: Option<()> = receiver.next().wait();
    };
    says(next, Some(line!()), "Next<");
    let send = || {
        let (mut sender, _receiver) = mpsc::channel::<()>(0);
        while sender.send(()).wait().is_ok() {}
    };
    says(send, Some(line!()), "Send<");
    let iterate = || {
        let (_sender, receiver) = mpsc::channel::<()>(1);
        let _: Option<()> = receiver.wait_iter().next();
    };
    says(iterate, None, "");
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
