//! What the hub and a fiber's stack refer to without counting is there as long as it
//! is used.

mod support;

use std::cell::Cell;
use std::future::pending;
use std::process::exit;

use switchback::prelude::*;
use switchback::{Builder, Hub, current_fiber, in_fiber, yield_now};

use support::in_child;

/// Calls a function when its thread, or the process, ends.
struct AtExit(Cell<Option<fn()>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.get() {
            f();
        }
    }
}

thread_local! {
    static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
}

/// Has `f` called by the end of the process or the thread, after the end of what is
/// made later.
fn at_exit(f: fn()) {
    AT_EXIT.with(|at_exit| at_exit.0.set(Some(f)));
}

#[test]
fn a_detached_fiber_that_ends_the_process_is_there_for_what_ends_with_its_thread() {
    let name = "a_detached_fiber_that_ends_the_process_is_there_for_what_ends_with_its_thread";
    let child = in_child(name, || {
        at_exit(|| {
            assert!(in_fiber());
            let own = current_fiber().unwrap();
            println!("ended by {}", own.name());
            own.unpark();
            yield_now().wait();
            assert!(Hub::try_current().is_some());
            // It goes to the hub and comes back.
            pending::<()>().try_wait().unwrap_err();
            println!("all done");
        });
        switchback::run(|| {
            drop(Builder::new().name("the last one").spawn(|| exit(0)));
            pending::<()>().wait();
        })
        .unwrap();
    });
    let Some(child) = child else { return };
    child.assert_success();
    if cfg!(target_os = "linux") {
        assert!(child.stdout.contains("ended by the last one"), "{child:#?}");
        assert!(child.stdout.contains("all done"), "{child:#?}");
    }
}
