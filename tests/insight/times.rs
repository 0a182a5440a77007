//! How long fibers run and are ready, and the figures that are there while a fiber blocks the thread.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use switchback::{Builder, Hub, Track, prelude::*, run, sleep, spawn, with_timeout, yield_now};

const LONG: Duration = Duration::from_millis(3);

fn compute() {
    let begin = Instant::now();
    while begin.elapsed() < LONG {
        std::hint::spin_loop();
    }
}

#[test]
fn the_longest_run_and_how_long_others_were_ready_meanwhile() {
    let hub = Hub::builder().track(Track::Times);
    hub.run(|| {
        let long = || Hub::current().handle().times().unwrap();
        let longer = |waits: &[u64; 32]| waits[12..].iter().sum::<u64>();
        let before = longer(long().ready_waits());
        let hog = Builder::new().name("hog").spawn(compute).unwrap();
        let ready = [spawn(|| ()), spawn(|| ())];
        for ready in ready {
            ready.wait().unwrap();
        }
        hog.wait().unwrap();
        let times = long();
        let run = times.longest_run().unwrap();
        assert!(run.lasts() >= LONG);
        assert_eq!(run.spawned_at().file(), file!());
        assert!(
            run.to_string()
                .contains(&format!("'{}', spawned at ", run.name()))
        );
        // Both of at least 2.048 ms.
        assert!(longer(times.ready_waits()) >= before + 2, "{times:?}");
        let text = Hub::current().dump().to_string();
        assert!(text.contains("\nlongest run "), "{text}");
    })
    .unwrap();
}

#[test]
fn a_fiber_that_gives_way_is_ready_meanwhile_and_each_resume_counts_once() {
    let hub = Hub::builder().track(Track::Times);
    hub.run(|| {
        let all = || {
            let times = Hub::current().handle().times().unwrap();
            times.ready_waits().iter().sum::<u64>()
        };
        let before = all();
        for _ in 0..10 {
            yield_now().wait();
        }
        assert_eq!(all() - before, 10);
        // One wake and one start, of a fiber in an entry that another has left.
        for _ in 0..10 {
            let before = all();
            spawn(|| ()).wait().unwrap();
            assert_eq!(all() - before, 2);
        }
    })
    .unwrap();
}

#[test]
fn hubs_that_do_not_track_times_have_none() {
    for track in [Track::Off, Track::Places] {
        let hub = Hub::builder().track(track);
        hub.run(|| {
            yield_now().wait();
            assert!(Hub::current().handle().times().is_none());
            assert!(Hub::current().dump().times().is_none());
        })
        .unwrap();
    }
}

#[test]
fn all_figures_can_be_read_while_a_fiber_blocks_the_thread() {
    let thread = Hub::builder().track(Track::Times).start_thread().unwrap();
    let sleeps = thread
        .spawn(|| sleep(Duration::from_secs(3600)).wait())
        .unwrap();
    let (begun, begins) = mpsc::channel();
    let (free, freed) = mpsc::channel::<()>();
    let blocks = thread.spawn(move || {
        // So that the turn has ended in which the first one began.
        for _ in 0..3 {
            yield_now().wait();
        }
        begun.send(()).unwrap();
        freed.recv().unwrap();
    });
    begins.recv().unwrap();
    let hub = thread.handle();
    let metrics = hub.metrics();
    assert_eq!(metrics.live_fibers(), 2);
    assert_eq!(metrics.timers(), 1);
    assert!(metrics.switches() >= 5 && metrics.turns() >= 3 && metrics.wakes() >= 2);
    let times = hub.times().unwrap();
    assert!(times.longest_run().is_some());
    assert!(times.ready_waits().iter().sum::<u64>() >= 5);
    assert_eq!(hub.running().unwrap().id(), blocks.as_ref().unwrap().id());
    free.send(()).unwrap();
    blocks.unwrap().wait().unwrap();
    sleeps.cancel();
    drop(sleeps.wait());
    assert_eq!(hub.metrics().timers(), 0);
}

#[test]
fn timers_are_sleeps_and_limits_until_they_are_dropped() {
    run(|| {
        let timers = || Hub::current().metrics().timers();
        let before = timers();
        let sleepers: Vec<_> = (0..3)
            .map(|_| spawn(|| sleep(Duration::from_secs(3600)).wait()))
            .collect();
        with_timeout(Duration::from_secs(3600), || {
            yield_now().wait();
            assert_eq!(timers() - before, 4);
            let late = std::future::pending::<()>().wait_timeout(Duration::from_millis(1));
            assert!(late.is_err());
        })
        .unwrap();
        assert_eq!(timers() - before, 3);
        // A sleep that goes to another thread still counts, and is dropped there.
        let moved = sleep(Duration::from_secs(3600));
        assert_eq!(timers() - before, 4);
        std::thread::spawn(move || drop(moved)).join().unwrap();
        for sleeper in sleepers {
            sleeper.cancel();
            drop(sleeper.wait());
        }
        assert_eq!(timers(), before);
    })
    .unwrap();
}
