//! Ctrl-C under `run`, while a thread of the blocking pool is busy. The other facts of
//! Ctrl-C are in `tests/interrupt`, which has the main thread; here a thread takes its
//! name, by which it is known.

use std::os::unix::process::ExitStatusExt;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use switchback::{blocking, prelude::*, run};

use crate::support::table::{check_fact, ensure};
use crate::support::{OnDrop, in_child_of};

const KNOWN: &[&str] = &[];

fn press() {
    let own = libc::pid_t::try_from(process::id()).unwrap();
    // SAFETY: there is nothing to keep in mind.
    let sent = unsafe { libc::kill(own, libc::SIGINT) };
    assert_eq!(sent, 0);
    thread::sleep(Duration::from_millis(200));
}

/// Runs a root that waits for a job of fifteen seconds. Whether the root is over, and
/// whether `run` is.
fn busy() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let (root, all) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (root_is_over, all_is_over) = (root.clone(), all.clone());
    let main = thread::Builder::new().name("main".to_owned());
    main.spawn(move || {
        let _ = run(move || {
            let _over = OnDrop(|| root_is_over.store(true, Ordering::SeqCst));
            blocking(|| thread::sleep(Duration::from_secs(15))).wait();
        });
        all_is_over.store(true, Ordering::SeqCst);
    })
    .unwrap();
    thread::sleep(Duration::from_millis(200));
    (root, all)
}

#[test]
fn the_first_ends_the_root_though_a_blocking_job_is_busy() {
    let test = "interrupt::the_first_ends_the_root_though_a_blocking_job_is_busy";
    check_fact(test, KNOWN, || {
        let (root, _) = busy();
        press();
        ensure(root.load(Ordering::SeqCst), "the root goes on")
    });
}

#[test]
fn the_second_ends_the_process_though_a_blocking_job_is_busy() {
    let test = "interrupt::the_second_ends_the_process_though_a_blocking_job_is_busy";
    check_fact(test, KNOWN, move || {
        let body = || {
            let _ = busy();
            press();
            press();
            process::exit(0);
        };
        let Some(child) = in_child_of(test, body) else {
            unreachable!("the process ends in the body");
        };
        ensure(
            child.status.signal() == Some(libc::SIGINT),
            format!("the process goes on; it says: {}", child.stderr),
        )
    });
}
