//! Slices: for how long a fiber may have its hub's thread.

use std::time::Duration;

use switchback::{
    Builder, Hub, Slice, check_cancelled, current_fiber, prelude::*, shield, yield_now,
};

use crate::support::in_child;

/// So short that a fiber of a test has soon had the thread for longer. On a machine that is busy any
/// fiber may have, so the tests expect of none that it is not cancelled. (With simulated clocks that is
/// tested where the times are taken.)
const SLICE: Slice = Slice {
    warn: Duration::from_millis(10),
    cancel: Some(Duration::from_millis(20)),
};

/// Keeps the thread until the running fiber was cancelled, and not longer.
fn hog() {
    let own = current_fiber().unwrap().id();
    let dump = || Hub::current().dump();
    while !dump().fiber(own).unwrap().is_cancel_pending() {}
}

/// The message of the cancel.
const WHY: &str = "it has had the thread of its hub for longer than its slice";

#[test]
fn a_hog_is_cancelled_at_its_next_wait() {
    let thread = Hub::builder().slice(SLICE).start_thread().unwrap();
    let hog = thread.spawn(|| {
        hog();
        yield_now().wait();
        unreachable!("the wait unwinds");
    });
    let error = hog.unwrap().wait().unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some(WHY));
}

#[test]
fn a_hog_that_never_waits_learns_it_by_a_check() {
    let run = Hub::builder().slice(SLICE).run(|| {
        loop {
            check_cancelled();
        }
    });
    let error: switchback::JoinError = run.map(|never: ()| never).unwrap_err();
    assert_eq!(error.cancelled().unwrap().message(), Some(WHY));
}

#[test]
fn a_shield_puts_the_cancel_off_and_each_slice_cancels_anew() {
    let run = Hub::builder().slice(SLICE).run(|| {
        for _ in 0..3 {
            let mut shielded = false;
            let result = switchback::catch_cancel(|| {
                shield(|| {
                    hog();
                    yield_now().wait();
                    shielded = true;
                });
                yield_now().wait();
            });
            assert!(shielded, "a wait in the shield goes on");
            assert_eq!(result.unwrap_err().message(), Some(WHY));
        }
    });
    run.unwrap();
}

#[test]
fn hubs_of_threads_and_pools_have_slices_and_others_have_none() {
    let thread = Hub::builder().slice(SLICE).start_thread().unwrap();
    let pool = Hub::builder().slice(SLICE).start_pool(2).unwrap();
    let without = switchback::HubThread::new().unwrap();
    let forever = || {
        hog();
        check_cancelled();
    };
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let blocks = without.spawn(move || {
        goes_on.recv().unwrap();
        check_cancelled();
    });
    for hog in [thread.spawn(forever).unwrap(), pool.spawn(forever).unwrap()] {
        assert!(hog.wait().unwrap_err().is_cancelled());
    }
    go_on.send(()).unwrap();
    blocks.unwrap().wait().unwrap();
    // The last hub with a slice ends what looks at them, and a later one begins it again.
    thread.close().wait();
    pool.close().wait();
    a_hog_that_never_waits_learns_it_by_a_check();
}

#[test]
fn reports_name_the_hog_and_where_it_was_spawned() {
    let Some(child) = in_child(|| {
        let thread = Hub::builder().slice(SLICE).start_thread().unwrap();
        let hog = Builder::new().name("hog").spawn_on(&thread, || {
            hog();
            check_cancelled();
        });
        assert!(hog.unwrap().wait().unwrap_err().is_cancelled());
    }) else {
        return;
    };
    child.assert_success();
    let says = concat!("'hog', spawned at ", file!());
    assert!(child.reported(says), "{child:?}");
    assert!(child.reported("has had its thread for"), "{child:?}");
    assert!(
        child.reported("; it is cancelled, at its next wait"),
        "{child:?}"
    );
}
