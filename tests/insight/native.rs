//! The calls of a fiber that keeps its thread.
//!
//! The handler of a signal belongs to the process, so each of these has one of its own.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

use std::future::poll_fn;
use std::hint::black_box;
use std::io;
use std::pin::pin;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use switchback::{
    Backtrace, BacktraceEnd, BlockedHub, Builder, HubThread, bridge, prelude::*, watch, yield_now,
};

use crate::support::in_child;

const SIGNAL: i32 = libc::SIGURG;

/// A fiber on a thread of its own that is told of.
struct Blocked {
    hub: BlockedHub,
    fiber: switchback::Fiber<()>,
    thread: HubThread,
}

fn blocked(blocks: impl FnOnce() + Send + 'static) -> Blocked {
    let (tell, told) = mpsc::channel();
    let guard = watch(Duration::from_millis(10), move |blocked| {
        let _ = tell.send(blocked.clone());
    });
    let thread = HubThread::new().unwrap();
    let fiber = Builder::new().name("blocks");
    let fiber = fiber.spawn_on(&thread, blocks).unwrap();
    let hub = told.recv().unwrap();
    drop(guard.unwrap());
    Blocked { hub, fiber, thread }
}

impl Blocked {
    fn ends(self) {
        self.fiber.wait().unwrap();
        self.thread.close().wait();
    }
}

fn names(backtrace: &Backtrace) -> Vec<&str> {
    backtrace
        .frames()
        .filter_map(|frame| frame.function())
        .collect()
}

/// Checks that all calls are there, with this function and the one that has called it.
fn found(backtrace: &Backtrace, function: &str) {
    assert_eq!(backtrace.end(), BacktraceEnd::Whole, "{backtrace}");
    let names = names(backtrace);
    for function in [function, "calls"] {
        let found = names.iter().any(|name| name.contains(function));
        assert!(found, "{function}:\n{backtrace}");
    }
}

#[inline(never)]
fn calls(f: impl FnOnce()) {
    f();
    black_box(());
}

#[inline(never)]
fn sleeps_here(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[inline(never)]
fn locks_here(mutex: &Mutex<()>) {
    drop(black_box(mutex.lock().unwrap()));
}

#[inline(never)]
fn computes_here(over: &AtomicBool) {
    let mut n = 1_u64;
    while !over.load(Ordering::Relaxed) {
        n = black_box(n.wrapping_mul(3));
    }
}

#[inline(never)]
fn receives_here(messages: &mpsc::Receiver<()>) {
    messages.recv().unwrap();
    black_box(());
}

#[test]
fn the_function_that_sleeps_locks_computes_or_receives() {
    let Some(child) = in_child(|| {
        let over = Arc::new(AtomicBool::new(false));
        let sleeps = over.clone();
        let fiber = blocked(move || calls(|| sleeps_here(&sleeps)));
        for _ in 0..3 {
            found(&fiber.hub.backtrace(SIGNAL).unwrap(), "sleeps_here");
        }
        over.store(true, Ordering::Relaxed);
        fiber.ends();

        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock().unwrap();
        let locks = mutex.clone();
        let fiber = blocked(move || calls(|| locks_here(&locks)));
        found(&fiber.hub.backtrace(SIGNAL).unwrap(), "locks_here");
        drop(guard);
        fiber.ends();

        over.store(false, Ordering::Relaxed);
        let computes = over.clone();
        let fiber = blocked(move || calls(|| computes_here(&computes)));
        for _ in 0..3 {
            found(&fiber.hub.backtrace(SIGNAL).unwrap(), "computes_here");
        }
        over.store(true, Ordering::Relaxed);
        fiber.ends();

        let (send, messages) = mpsc::channel();
        let fiber = blocked(move || calls(|| receives_here(&messages)));
        found(&fiber.hub.backtrace(SIGNAL).unwrap(), "receives_here");
        send.send(()).unwrap();
        fiber.ends();
    }) else {
        return;
    };
    child.assert_success();
}

#[test]
fn what_is_refused_says_why() {
    let Some(child) = in_child(|| {
        let (send, messages) = mpsc::channel::<()>();
        let (blocks, blocking) = mpsc::channel();
        let fiber = blocked(move || {
            let mask = |how| {
                // SAFETY: a set of no signals is valid, and both are written to.
                unsafe {
                    let mut set: libc::sigset_t = std::mem::zeroed();
                    libc::sigaddset(&mut set, SIGNAL);
                    libc::pthread_sigmask(how, &set, null_mut());
                }
            };
            mask(libc::SIG_BLOCK);
            messages.recv().unwrap();
            mask(libc::SIG_UNBLOCK);
            blocks.send(()).unwrap();
            messages.recv().unwrap();
        });
        let kind = |signal| fiber.hub.backtrace(signal).unwrap_err().kind();
        let _guard = switchback::dump_on_signal(libc::SIGQUIT).unwrap();
        assert_eq!(kind(libc::SIGQUIT), io::ErrorKind::InvalidInput);
        for signal in [
            libc::SIGKILL,
            libc::SIGSEGV,
            libc::SIGFPE,
            libc::SIGPIPE,
            // The process can still be ended and stopped.
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGTSTP,
            0,
            1000,
        ] {
            assert_eq!(kind(signal), io::ErrorKind::InvalidInput);
        }
        assert_eq!(kind(SIGNAL), io::ErrorKind::TimedOut);
        // The late signal is for nobody, and ends nothing.
        send.send(()).unwrap();
        blocking.recv().unwrap();
        fiber.hub.backtrace(SIGNAL).unwrap();
        send.send(()).unwrap();
        let hub = fiber.hub.clone();
        fiber.ends();
        let error = hub.backtrace(SIGNAL).unwrap_err();
        assert_eq!(error.to_string(), "the fiber no longer has its thread");
    }) else {
        return;
    };
    child.assert_success();
}

/// A fiber suspends, and the hub runs a destructor before it resumes another one.
#[test]
fn the_calls_of_a_hub_between_fibers_are_no_fibers() {
    struct Blocks(mpsc::Sender<()>, mpsc::Receiver<()>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
    }
    let Some(child) = in_child(|| {
        let (give_way, gives_way) = mpsc::channel();
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let fiber = blocked(move || {
            gives_way.recv().unwrap();
            yield_now().wait();
        });
        fiber.hub.backtrace(SIGNAL).unwrap();
        let destructor = Blocks(begun, ends);
        let refused = fiber.thread.spawn(move || drop(destructor)).unwrap();
        refused.cancel();
        give_way.send(()).unwrap();
        begins.recv().unwrap();
        assert!(fiber.thread.handle().running().is_none());
        let error = fiber.hub.backtrace(SIGNAL).unwrap_err();
        assert_eq!(error.to_string(), "the fiber no longer has its thread");
        end.send(()).unwrap();
        fiber.ends();
    }) else {
        return;
    };
    child.assert_success();
}

/// What the documentation says of `SA_RESTART`.
#[test]
fn a_poll_that_is_interrupted_says_so() {
    let Some(child) = in_child(|| {
        let fiber = blocked(|| {
            // SAFETY: there is no descriptor to look at.
            let polled = unsafe { libc::poll(null_mut(), 0, -1) };
            let error = io::Error::last_os_error();
            assert_eq!((polled, error.kind()), (-1, io::ErrorKind::Interrupted));
        });
        fiber.hub.backtrace(SIGNAL).unwrap();
        fiber.ends();
    }) else {
        return;
    };
    child.assert_success();
}

/// Switches, unwinds, allocates and loads libraries, and is interrupted all the time.
#[test]
fn in_the_middle_of_anything_it_harms_nothing() {
    let rounds = std::env::var("SWITCHBACK_INSIGHT_ROUNDS");
    let rounds: u32 = rounds.map_or(20, |n| n.parse().expect("a number"));
    let Some(child) = in_child(move || {
        let over = Arc::new(AtomicBool::new(false));
        let works = over.clone();
        let fiber = blocked(move || {
            while !works.load(Ordering::Relaxed) {
                let mut switches = pin!(bridge(|| {
                    (0..20).for_each(|n| {
                        let mut polls = 0;
                        let twice = poll_fn(|_| match std::mem::replace(&mut polls, 1) {
                            0 => Poll::Pending,
                            _ => Poll::Ready(n),
                        });
                        assert_eq!(twice.wait(), n);
                    });
                }));
                let mut context = Context::from_waker(Waker::noop());
                while switches.as_mut().poll(&mut context).is_pending() {}
                let thrown = std::panic::catch_unwind(|| {
                    let memory = vec![1_u8; 10_000];
                    std::panic::resume_unwind(Box::new(memory));
                });
                assert_eq!(
                    thrown.unwrap_err().downcast::<Vec<u8>>().unwrap().len(),
                    10_000
                );
                crate::support::linux::load_a_library();
            }
        });
        for _ in 0..rounds {
            let backtrace = fiber.hub.backtrace(SIGNAL).unwrap();
            assert!(backtrace.end() != BacktraceEnd::NoRoom);
        }
        over.store(true, Ordering::Relaxed);
        fiber.ends();
    }) else {
        return;
    };
    child.assert_success();
}
