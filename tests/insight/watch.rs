//! The watchdog, and who runs.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchback::{
    BlockedHub, Builder, HubThread, ThreadActivity, WatchGuard, dump_all, prelude::*, watch,
};

const LIMIT: Duration = Duration::from_millis(30);

/// Watches, and sends what is told about fibers of this name.
fn told_of(name: &'static str) -> (WatchGuard, Receiver<BlockedHub>) {
    let (tell, told) = mpsc::channel();
    let guard = watch(LIMIT, move |blocked| {
        // Other tests of this process have hubs too.
        if blocked.fiber().name() == name {
            let _ = tell.send(blocked.clone());
        }
    });
    (guard.unwrap(), told)
}

/// A fiber named `name` runs `blocks` on a hub of its own until it is told: with its name, its place and
/// what the thread does. `free` lets it go on, after that.
fn is_told(
    name: &'static str,
    blocks: impl FnOnce() + Send + 'static,
    free: impl FnOnce(),
    does: fn(ThreadActivity) -> bool,
) {
    let (_guard, told) = told_of(name);
    let thread = HubThread::new().unwrap();
    let line = line!() + 1;
    let fiber = Builder::new().name(name).spawn_on(&thread, blocks).unwrap();
    // While it lasts: only then it is freed.
    let blocked = told.recv().unwrap();
    assert_eq!(blocked.fiber().id(), fiber.id());
    assert_eq!(blocked.fiber().spawned_at().line(), line);
    assert_eq!(blocked.fiber().spawned_at().file(), file!());
    assert!(blocked.lasts() >= LIMIT);
    let text = blocked.to_string();
    assert!(text.contains(&format!("'{name}'")), "{text}");
    if cfg!(target_os = "linux") {
        // A thread may be looked at between two states.
        let activity = blocked.activity().expect("the system says it");
        assert!(
            does(activity) || activity == ThreadActivity::Computes,
            "{text}"
        );
    }
    assert!(told.try_recv().is_err(), "it is told once");
    free();
    fiber.wait().unwrap();
    thread.close().wait();
}

fn sleeps_in(activity: ThreadActivity, calls: &[&str]) -> bool {
    match activity {
        ThreadActivity::Sleeps {
            call: Some(call), ..
        } => calls.contains(&call),
        // Where the process may not read it.
        ThreadActivity::Sleeps { number, .. } => number < 0,
        _ => false,
    }
}

#[test]
fn a_sleep_of_std() {
    let (free, freed) = mpsc::channel::<()>();
    let naps = move || {
        while freed.try_recv().is_err() {
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    is_told(
        "sleeps",
        naps,
        || free.send(()).unwrap(),
        |activity| sleeps_in(activity, &["clock_nanosleep", "nanosleep"]),
    );
}

#[test]
fn a_mutex_of_std_that_another_thread_holds() {
    let mutex = Arc::new(Mutex::new(()));
    let guard = mutex.lock().unwrap();
    let wanted = mutex.clone();
    let locks = move || drop(wanted.lock());
    is_told(
        "locks",
        locks,
        || drop(guard),
        |activity| sleeps_in(activity, &["futex"]),
    );
}

#[test]
fn a_channel_of_std() {
    let (free, freed): (Sender<()>, _) = mpsc::channel();
    let receives = move || freed.recv().unwrap();
    is_told(
        "receives",
        receives,
        || free.send(()).unwrap(),
        |activity| sleeps_in(activity, &["futex"]),
    );
}

#[test]
fn a_busy_loop() {
    let (free, freed) = mpsc::channel::<()>();
    let computes = move || while freed.try_recv().is_err() {};
    is_told("computes", computes, || free.send(()).unwrap(), |_| false);
}

#[test]
fn an_executor_that_blocks() {
    let (free, freed) = tokio::sync::oneshot::channel::<()>();
    let blocks = move || futures::executor::block_on(freed).unwrap();
    is_told(
        "block_on",
        blocks,
        || free.send(()).unwrap(),
        |activity| sleeps_in(activity, &["futex"]),
    );
}

#[test]
fn where_the_fiber_has_waited_is_told() {
    let (_guard, told) = told_of("has waited");
    let thread = HubThread::new().unwrap();
    let (free, freed) = mpsc::channel::<()>();
    let fiber = Builder::new().name("has waited");
    let waits = move || {
        let place = line!() + 1;
        switchback::sleep(Duration::from_millis(1)).wait();
        freed.recv().unwrap();
        place
    };
    let fiber = fiber.spawn_on(&thread, waits).unwrap();
    // It may be told before it has waited, on a machine that is busy.
    let mut told = told.iter();
    let blocked = told.find(|told| told.fiber().waited_at().is_some());
    free.send(()).unwrap();
    let blocked = blocked.unwrap();
    let at = blocked.fiber().waited_at().unwrap();
    assert_eq!((at.file(), at.line()), (file!(), fiber.wait().unwrap()));
    let text = blocked.to_string();
    assert!(text.contains(&format!("since its wait at {at}")), "{text}");
}

#[test]
fn a_fiber_that_waits_is_not_told() {
    let (_guard, told) = told_of("waits");
    let thread = HubThread::new().unwrap();
    let waits = || switchback::sleep(4 * LIMIT).wait();
    let fiber = Builder::new()
        .name("waits")
        .spawn_on(&thread, waits)
        .unwrap();
    fiber.wait().unwrap();
    assert!(told.try_recv().is_err());
}

#[test]
fn a_watch_ends_with_its_guard_also_in_its_own_closure() {
    let own: Arc<Mutex<Option<WatchGuard>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let guard = {
        let own = own.clone();
        watch(LIMIT, move |_| {
            drop(own.lock().unwrap().take());
            let _ = tell.send(());
        })
    };
    own.lock().unwrap().replace(guard.unwrap());
    let (free, freed) = mpsc::channel::<()>();
    let thread = HubThread::new().unwrap();
    let blocks = thread.spawn(move || freed.recv().unwrap()).unwrap();
    told.recv().unwrap();
    // The closure is dropped with the thread, so nothing more comes.
    assert!(told.iter().count() <= 1);
    free.send(()).unwrap();
    blocks.wait().unwrap();
}

#[test]
fn a_limit_of_zero_is_an_error_and_a_panic_ends_nothing() {
    let error = watch(Duration::ZERO, |_| {}).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let (tell, told) = mpsc::channel();
    let _guard = watch(LIMIT, move |blocked| {
        let _ = tell.send(blocked.fiber().name().to_owned());
        panic!("on purpose");
    });
    for name in ["first", "second"] {
        let (free, freed) = mpsc::channel::<()>();
        let thread = HubThread::new().unwrap();
        let blocks = Builder::new().name(name);
        let blocks = blocks
            .spawn_on(&thread, move || freed.recv().unwrap())
            .unwrap();
        assert!(told.iter().any(|told| told == name));
        free.send(()).unwrap();
        blocks.wait().unwrap();
    }
}

#[test]
fn a_dump_of_all_hubs_names_those_that_do_not_answer() {
    let (free, freed) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let thread = HubThread::new().unwrap();
    let blocks = move || {
        begun.send(()).unwrap();
        freed.recv().unwrap();
    };
    let blocks = Builder::new()
        .name("keeps it")
        .spawn_on(&thread, blocks)
        .unwrap();
    begins.recv().unwrap();
    assert_eq!(thread.handle().running().unwrap().id(), blocks.id());
    let waits = HubThread::new().unwrap();
    let (told, tells) = mpsc::channel();
    let waits_for_ever = move || {
        told.send(()).unwrap();
        std::future::pending::<()>().wait();
    };
    let waiting = waits.spawn(waits_for_ever).unwrap();
    tells.recv().unwrap();
    let dump = dump_all().wait();
    let error = dump.blocked().find(|error| {
        error
            .running()
            .is_some_and(|running| running.id() == blocks.id())
    });
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("'keeps it', spawned at")
    );
    assert!(dump.hubs().any(|hub| hub.fiber(waiting.id()).is_some()));
    assert!(dump.to_string().contains("'keeps it'"));
    free.send(()).unwrap();
    blocks.wait().unwrap();
    let idle = std::iter::from_fn(|| Some(thread.handle().running())).find(Option::is_none);
    assert!(idle.is_some(), "nothing runs any more");
}

/// Fibers begin and end on several hubs while other threads ask who runs.
#[test]
fn readers_beside_fibers_that_end() {
    let rounds = std::env::var("SWITCHBACK_INSIGHT_ROUNDS");
    let rounds: u32 = rounds.map_or(20_000, |n| n.parse().expect("a number"));
    let thread = HubThread::new().unwrap();
    let hub = thread.handle();
    let (stop, stopped) = mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        let mut seen = 0_u64;
        while stopped.try_recv().is_err() {
            if let Some(running) = hub.running() {
                assert!(running.name() == "Fiber-0" || !running.name().is_empty());
                assert_eq!(running.spawned_at().file(), file!());
                seen += 1;
            }
        }
        seen
    });
    let spawner = thread.spawn(move || {
        for n in 0..rounds {
            let fiber = switchback::spawn(move || std::hint::black_box(n));
            if n % 3 == 0 {
                drop(fiber);
                switchback::yield_now().wait();
            } else {
                assert_eq!(fiber.wait().unwrap(), n);
            }
        }
    });
    spawner.unwrap().wait().unwrap();
    stop.send(()).unwrap();
    assert!(reader.join().unwrap() > 0);
    thread.close().wait();
}
