//! The handler of an overflow's signal beside those of others, and every other fault. Each case in
//! a process of its own.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

use std::hint::black_box;
use std::mem;
use std::os::unix::process::ExitStatusExt as _;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use libc::{c_int, c_void, sigaction, siginfo_t};
use switchback::{prelude::*, run, set_overflow_report, spawn};

use crate::overflow::{OVERFLOWED, in_named_fiber, overflow};
use crate::support::linux::{exit, without_light_guards};
use crate::support::{Child, in_child, under_asan, under_emulation};

/// Reads what is at address zero.
fn read_null() -> usize {
    let null = black_box(ptr::null());
    // SAFETY: none: this is to fault.
    unsafe { libc::strlen(null) }
}

impl Child {
    /// Of a signal, without our report.
    #[track_caller]
    fn died_of(&self, signal: c_int) {
        // The sanitizer reports the signal and exits.
        let reported = under_asan() && self.stderr.contains("AddressSanitizer");
        let died = self.status.signal() == Some(signal) || reported;
        assert!(died, "{self:#?}");
        assert!(!self.stderr.contains("the stack has "), "{self:#?}");
    }
}

#[test]
fn another_fault_in_a_fiber_is_no_overflow() {
    let child = in_child(|| {
        run(|| in_named_fiber("null", read_null)).unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
        assert!(!child.stderr.contains(OVERFLOWED), "{child:#?}");
    }
}

// The other stacks have guards of one page, which is too little to be sure of hitting it.
#[cfg(not(switchback_system_stacks))]
#[test]
fn a_fault_in_the_guard_of_a_stack_that_does_not_run_is_no_overflow() {
    let child = in_child(|| {
        run(|| {
            let here = Box::leak(Box::new(0));
            let there = ptr::from_mut(here).expose_provenance();
            let asleep = spawn(move || {
                let local = 0_u8;
                let place = ptr::with_exposed_provenance_mut::<usize>(there);
                // SAFETY: it is never freed.
                unsafe { *place = ptr::from_ref(black_box(&local)).addr() };
                std::future::pending::<()>().wait();
            });
            asleep.start();
            switchback::yield_now().wait();
            // The fiber is at the top of its stack, which has as much as this by default.
            let size = if cfg!(target_pointer_width = "32") {
                256 << 10
            } else {
                2 << 20
            };
            let guard = (*here - size) as *const u8;
            // SAFETY: none: this is to fault.
            unsafe { black_box(guard).read_volatile() };
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
    }
}

#[test]
fn an_overflow_with_guards_that_are_mappings() {
    if under_emulation("filters of system calls") {
        return;
    }
    let child = in_child(|| {
        without_light_guards();
        run(|| in_named_fiber("old", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'old'");
    }
}

#[test]
fn an_overflow_on_a_thread_that_std_did_not_start() {
    extern "C" fn body(_: *mut c_void) -> *mut c_void {
        run(|| in_named_fiber("foreign", || overflow(0))).unwrap();
        null_mut()
    }
    let child = in_child(|| {
        foreign_thread(body);
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'foreign'");
    }
}

#[test]
fn a_thread_that_std_did_not_start_ends_as_ever() {
    extern "C" fn body(_: *mut c_void) -> *mut c_void {
        run(|| in_named_fiber("foreign", || ())).unwrap();
        null_mut()
    }
    let child = in_child(|| {
        for _ in 0..20 {
            foreign_thread(body);
        }
        // The signal stacks of these threads were theirs.
        run(|| in_named_fiber("later", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'later'");
    }
}

fn foreign_thread(body: extern "C" fn(*mut c_void) -> *mut c_void) {
    // SAFETY: all bits zero is a valid thread to be written over, and no attributes
    // are the default ones.
    unsafe {
        let mut thread = mem::zeroed();
        assert_eq!(
            libc::pthread_create(&mut thread, ptr::null(), body, null_mut()),
            0
        );
        assert_eq!(libc::pthread_join(thread, null_mut()), 0);
    }
}

#[test]
fn an_overflow_in_a_forked_process() {
    let child = in_child(|| {
        run(|| {
            spawn(|| ()).wait().unwrap();
            // SAFETY: the new process goes on with this thread only, and does what
            // this thread could do.
            let forked = unsafe { libc::fork() };
            if forked == 0 {
                in_named_fiber("forked", || overflow(0));
                exit(1);
            }
            let mut status = 0;
            // SAFETY: `status` is written to.
            assert_eq!(unsafe { libc::waitpid(forked, &mut status, 0) }, forked);
            assert!(libc::WIFSIGNALED(status));
            assert_eq!(libc::WTERMSIG(status), libc::SIGABRT);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
        let report = format!("fiber 'forked' {OVERFLOWED}");
        assert!(child.stderr.contains(&report), "{child:#?}");
    }
}

// Handlers of others.

fn say(text: &str) {
    // SAFETY: these are bytes of `text`.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

fn install(handler: usize, flags: c_int) -> sigaction {
    // SAFETY: a `sigaction` of zeroes is valid, and so is what is made of it.
    unsafe {
        let mut action: sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_ONSTACK;
        let mut before: sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, &mut before), 0);
        before
    }
}

extern "C" fn full(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel, or who passes the signal on, passes a valid `info`.
    let address = unsafe { (*info).si_addr() };
    let whole = signal == libc::SIGSEGV && address.is_null() && !context.is_null();
    say(if whole {
        "full handler\n"
    } else {
        "wrong arguments\n"
    });
    exit(77);
}

extern "C" fn plain(signal: c_int) {
    let whole = signal == libc::SIGSEGV;
    say(if whole {
        "plain handler\n"
    } else {
        "wrong arguments\n"
    });
    exit(78);
}

#[test]
fn a_handler_before_ours_gets_other_faults() {
    let child = in_child(|| {
        install(full as *const () as usize, libc::SA_SIGINFO);
        run(|| in_named_fiber("null", read_null)).unwrap();
    });
    if let Some(child) = child {
        assert_eq!(child.status.code(), Some(77), "{child:#?}");
        assert!(child.stderr.contains("full handler"), "{child:#?}");
        assert!(!child.stderr.contains(OVERFLOWED), "{child:#?}");
    }
}

#[test]
fn a_plain_handler_before_ours_gets_other_faults() {
    let child = in_child(|| {
        install(plain as *const () as usize, 0);
        run(|| in_named_fiber("null", read_null)).unwrap();
    });
    if let Some(child) = child {
        assert_eq!(child.status.code(), Some(78), "{child:#?}");
        assert!(child.stderr.contains("plain handler"), "{child:#?}");
    }
}

#[test]
fn a_handler_before_ours_does_not_get_overflows() {
    let child = in_child(|| {
        install(full as *const () as usize, libc::SA_SIGINFO);
        run(|| in_named_fiber("deep", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'deep'");
        assert!(!child.stderr.contains("handler"), "{child:#?}");
    }
}

#[test]
fn without_a_handler_before_ours_a_fault_ends_the_process() {
    let child = in_child(|| {
        install(libc::SIG_DFL, 0);
        run(|| in_named_fiber("null", read_null)).unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
    }
}

#[test]
fn a_fault_is_not_ignored() {
    let child = in_child(|| {
        install(libc::SIG_IGN, 0);
        run(|| in_named_fiber("null", read_null)).unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
    }
}

#[test]
fn a_signal_that_is_sent_ends_the_process_where_nobody_handles_it() {
    let child = in_child(|| {
        install(libc::SIG_DFL, 0);
        run(|| {
            // SAFETY: there is nothing to keep in mind.
            in_named_fiber("sender", || unsafe { libc::raise(libc::SIGSEGV) });
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
    }
}

#[test]
fn a_signal_that_is_sent_is_ignored_where_it_was() {
    let child = in_child(|| {
        install(libc::SIG_IGN, 0);
        run(|| {
            // SAFETY: there is nothing to keep in mind.
            in_named_fiber("sender", || unsafe { libc::raise(libc::SIGSEGV) });
            say("it went on\n");
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stderr.contains("it went on"), "{child:#?}");
    }
}

static MENDED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

extern "C" fn mend(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: it is a page of the test's.
    unsafe { libc::mprotect(MENDED.load(Ordering::Relaxed), 4096, access) };
}

#[test]
fn a_handler_before_ours_may_mend_and_return() {
    let child = in_child(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel chooses a place where nothing is.
        let page = unsafe { libc::mmap(null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) };
        MENDED.store(page, Ordering::Relaxed);
        install(mend as *const () as usize, libc::SA_SIGINFO);
        run(move || {
            let page = page.cast::<u8>();
            // SAFETY: once mended, it is a page of the test's.
            in_named_fiber("writer", move || unsafe {
                page.write_volatile(7);
                assert_eq!(page.read_volatile(), 7);
                say("mended\n");
            });
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stderr.contains("mended"), "{child:#?}");
    }
}

static EARLIER: AtomicPtr<sigaction> = AtomicPtr::new(null_mut());

extern "C" fn later(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    say("later handler\n");
    // SAFETY: what is there was the handler, with this type.
    unsafe {
        let before = &*EARLIER.load(Ordering::Relaxed);
        assert_ne!(before.sa_flags & libc::SA_SIGINFO, 0);
        type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        mem::transmute::<usize, Handler>(before.sa_sigaction)(signal, info, context);
    }
}

#[test]
fn a_handler_after_ours_may_pass_on() {
    let child = in_child(|| {
        run(|| {
            spawn(|| ()).wait().unwrap();
            let before = install(later as *const () as usize, libc::SA_SIGINFO);
            EARLIER.store(Box::into_raw(Box::new(before)), Ordering::Relaxed);
            in_named_fiber("deep", || overflow(0));
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'deep'");
        assert_eq!(
            child.stderr.matches("later handler").count(),
            1,
            "{child:#?}"
        );
    }
}

#[test]
fn a_fault_passes_a_handler_after_ours_and_ours_to_stds() {
    let child = in_child(|| {
        run(|| {
            spawn(|| ()).wait().unwrap();
            let before = install(later as *const () as usize, libc::SA_SIGINFO);
            EARLIER.store(Box::into_raw(Box::new(before)), Ordering::Relaxed);
            in_named_fiber("null", read_null);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
        assert_eq!(
            child.stderr.matches("later handler").count(),
            1,
            "{child:#?}"
        );
    }
}

// The switch.

fn handler() -> usize {
    // SAFETY: it is written to, and nothing is changed.
    unsafe {
        let mut action: sigaction = mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGSEGV, ptr::null(), &mut action), 0);
        action.sa_sigaction
    }
}

#[test]
fn turned_off_before_the_first_stack_there_is_no_handler() {
    let child = in_child(|| {
        let before = handler();
        set_overflow_report(false);
        run(|| spawn(|| ()).wait().unwrap()).unwrap();
        assert_eq!(handler(), before);
        set_overflow_report(true);
        run(|| spawn(|| ()).wait().unwrap()).unwrap();
        assert_ne!(handler(), before);
        set_overflow_report(false);
        run(|| in_named_fiber("silent", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        child.died_of(libc::SIGSEGV);
    }
}

#[test]
fn the_handler_is_installed_by_the_first_stack_and_once() {
    let child = in_child(|| {
        static WAS_HERE: AtomicBool = AtomicBool::new(false);
        let before = handler();
        run(|| WAS_HERE.store(true, Ordering::Relaxed)).unwrap();
        assert!(WAS_HERE.load(Ordering::Relaxed));
        let ours = handler();
        assert_ne!(ours, before);
        // Somebody takes it away: that is for them to say.
        install(plain as *const () as usize, 0);
        let theirs = handler();
        run(|| spawn(|| ()).wait().unwrap()).unwrap();
        assert_eq!(handler(), theirs);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}
