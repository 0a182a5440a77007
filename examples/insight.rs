//! A server in trouble, and what finds each trouble: two fibers that wait for each other, one that
//! waits for what never comes, and one that blocks the thread.
//!
//! Run with: `cargo run --release --example insight`

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use switchback::{Builder, Fiber, FiberState, Hub, HubDump, Track, prelude::*, watch, yield_now};

fn main() -> std::io::Result<()> {
    // Tells of a hog while it has the thread.
    let (tell, told) = mpsc::channel();
    let guard = watch(Duration::from_millis(50), move |blocked| {
        blocked.report();
        let _ = tell.send(blocked.clone());
    })?;

    Hub::builder().track(Track::Times).run(move || {
        let stuck = named("reader", || pending::<()>().wait());
        let [first, second] = deadlock();

        let dump = dump();
        println!("{dump}");
        let reader = dump.fiber(stuck.id()).unwrap();
        assert_eq!(reader.state(), FiberState::Waiting);
        assert!(reader.wait().unwrap().at().file().ends_with("insight.rs"));

        let cycles = dump.cycles();
        assert_eq!(cycles.len(), 1);
        assert!(cycles[0].fibers().contains(&first.id()));
        assert!(cycles[0].fibers().contains(&second.id()));

        // It blocks the thread, with all fibers on it, until it was told of.
        let hog = named("hog", move || told.recv().unwrap());
        let (id, blocked) = (hog.id(), hog.wait().unwrap());
        assert_eq!(blocked.fiber().id(), id);
        println!("found while it lasted: {blocked}");

        // A deadlock ends when one of its fibers is cancelled.
        first.cancel();
        stuck.cancel();
    })?;
    drop(guard);
    Ok(())
}

fn named<T: 'static>(name: &str, f: impl FnOnce() -> T + 'static) -> Fiber<T> {
    let spawned = Builder::new().name(name).spawn(f);
    spawned.expect("there is memory for one more stack")
}

/// Spawns two fibers, each of which waits for the other.
fn deadlock() -> [switchback::FiberHandle; 2] {
    let second: Rc<RefCell<Option<Fiber<()>>>> = Rc::default();
    let late = second.clone();
    let first = named("first", move || {
        let second = late.take().expect("it was spawned meanwhile");
        drop(second.wait());
    });
    let first_handle = first.handle();
    let fiber = named("second", move || drop(first.wait()));
    let handles = [first_handle, fiber.handle()];
    second.replace(Some(fiber));
    handles
}

/// Returns a dump in which the fibers have come to their waits.
fn dump() -> HubDump {
    for _ in 0..3 {
        yield_now().wait();
    }
    Hub::current().dump()
}
