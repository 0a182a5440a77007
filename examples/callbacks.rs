//! Wraps a C library that calls back through a function pointer and user data, in functions
//! that wait and return. The library runs on its own thread here; it reports progress many
//! times and its result once.
//!
//! Run with: `cargo run --example callbacks`
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::time::Duration;

use switchback::{SwitchBack, Switcher, prelude::*, spawn};
use tokio::sync::mpsc;

/// The declarations that a binding to the library would have.
mod library {
    use super::{c_int, c_void};
    use std::{thread, time::Duration};

    pub(super) type Progress = extern "C" fn(user_data: *mut c_void, percent: c_int);
    pub(super) type Done = extern "C" fn(user_data: *mut c_void, status: c_int, sum: c_int);

    struct Job(Progress, Done, *mut c_void);
    // SAFETY: the caller of `sum_up` promises that the pointer may be used on another
    // thread.
    unsafe impl Send for Job {}

    /// Adds up the numbers below `n`.
    ///
    /// # Safety
    ///
    /// `user_data` may be used on any thread until `done` has been called, which
    /// happens once, after all calls of `progress`.
    pub(super) unsafe fn sum_up(n: c_int, progress: Progress, done: Done, user_data: *mut c_void) {
        let job = Job(progress, done, user_data);
        thread::spawn(move || {
            // Move the whole `Job`: the pointer alone is not `Send`.
            let Job(progress, done, user_data) = { job };
            for percent in [0, 50, 100] {
                progress(user_data, percent);
                thread::sleep(Duration::from_millis(20));
            }
            match n {
                0.. => done(user_data, 0, (0..n).sum()),
                _ => done(user_data, 22, 0), // EINVAL
            }
        });
    }
}

/// The target of the user data until the library is done.
struct Call {
    progress: mpsc::UnboundedSender<c_int>,
    result: Switcher<c_int>,
}

extern "C" fn on_progress(user_data: *mut c_void, percent: c_int) {
    // SAFETY: it points to the `Call` from `sum_up`, which lives until `on_done`.
    let call = unsafe { &*user_data.cast::<Call>() };
    let _ = call.progress.send(percent);
}

extern "C" fn on_done(user_data: *mut c_void, status: c_int, sum: c_int) {
    // SAFETY: it comes from `Box::into_raw` in `sum_up`, and this is the last call.
    let call = unsafe { Box::from_raw(user_data.cast::<Call>()) };
    // If the waiter is gone, both return false and do no harm.
    match status {
        0 => call.result.switch(sum),
        errno => call.result.throw(io::Error::from_raw_os_error(errno)),
    };
}

/// Calls the library's function and waits for its result.
fn sum_up(n: c_int) -> io::Result<c_int> {
    let switch_back = SwitchBack::with_timeout(Duration::from_secs(10));
    let (progress, mut reports) = mpsc::unbounded_channel();
    let result = switch_back.switcher();
    let call = Box::into_raw(Box::new(Call { progress, result }));
    // SAFETY: a `Call` may be used on any thread, and `on_done` frees it.
    unsafe { library::sum_up(n, on_progress, on_done, call.cast()) };
    // This fiber runs while the other one waits.
    spawn(move || {
        while let Some(percent) = reports.recv().wait() {
            println!("sum of {n}: {percent} %");
        }
    });
    Ok(switch_back.wait()?)
}

fn main() {
    let root = || {
        let sum = sum_up(100).expect("the library can do that");
        println!("sum of 100 is {sum}");
        let error = sum_up(-1).expect_err("the library refuses that");
        println!("sum of -1: {error}");
    };
    switchback::run(root).expect("nobody cancels the root fiber");
}
