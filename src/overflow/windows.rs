//! The overflow report of Windows, from a vectored exception handler.
//!
//! A stack that overflows runs out of guard pages, and the system raises the exception
//! `STACK_OVERFLOW`. The handler here is the first that is asked. If the thread is running on a
//! stack of ours, it reports the overflow. It never handles the exception: the handlers after it,
//! such as std's, which names the thread, are called, and the process ends as it does when a
//! thread's stack overflows.
//!
//! # In the handler
//!
//! The handler runs on the stack that overflowed, in the bytes that were set aside there for it:
//! the guarantee of the thread that made the stack. std asks for 20 KiB for each thread that it
//! starts. A thread that has less asks for as much here, before its first stack is made.
//!
//! As in a signal handler, the thread may have been interrupted anywhere, so the handler takes no
//! lock, allocates nothing, and writes with a single system call at a time.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use windows_sys::Win32::Foundation::EXCEPTION_STACK_OVERFLOW;
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};
use windows_sys::Win32::System::Threading::SetThreadStackGuarantee;

use super::message;
use crate::current::place::PlaceOfThread;
use crate::stack;

static ENABLED: AtomicBool = AtomicBool::new(true);

/// The bytes that a handler of an overflow has, as std sets them aside.
const ROOM: u32 = 20 * 1024;

pub(super) fn set_overflow_report(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Makes sure that an overflow on this thread is reported. Called when a hub is created and
/// when a bridge takes a stack, and so before the first stack is made on this thread.
pub(crate) fn arm() {
    static INSTALLED: Once = Once::new();
    if !ENABLED.load(Ordering::Relaxed) {
        return;
    }
    INSTALLED.call_once(|| {
        // SAFETY: `on_exception` has the type of such a handler, and may be called at any time. If it
        // cannot be installed, there is no report.
        unsafe { AddVectoredExceptionHandler(1, Some(on_exception)) };
    });
    let mut room = 0;
    // SAFETY: `room` is writable. Zero asks for the present value.
    let known = unsafe { SetThreadStackGuarantee(&mut room) };
    if known != 0 && room < ROOM {
        room = ROOM;
        // SAFETY: `room` is writable. If the thread's stack has not so much, the guarantee stays.
        unsafe { SetThreadStackGuarantee(&mut room) };
    }
}

/// The exception handler.
unsafe extern "system" fn on_exception(exception: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes valid pointers.
    let record = unsafe { &*(*exception).ExceptionRecord };
    if record.ExceptionCode == EXCEPTION_STACK_OVERFLOW && ENABLED.load(Ordering::Relaxed) {
        report();
    }
    EXCEPTION_CONTINUE_SEARCH
}

/// Reports the overflow if this runs on a stack of ours.
fn report() {
    // A thread that never ran a stack of ours may have no room for these on some targets, where the
    // first access allocates; std's own handler accepts the same.
    //
    // SAFETY: this handles an exception of this thread, which made the place.
    let Some(state) = (unsafe { PlaceOfThread::this().innermost() }) else {
        return;
    };
    // The thread may be beneath: in a hub that is driven on its own stack, for example.
    let local = 0_u8;
    let here = ptr::from_ref(black_box(&local)).addr();
    let extent = state.extent();
    if (extent.limit..extent.base).contains(&here) {
        // An error leaves nobody to report it to.
        let _ = message::write(&mut Stderr, state, stack::memory(extent).len());
    }
}

/// Stderr without std's lock.
struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let handle = io::stderr().as_raw_handle();
        if handle.is_null() {
            return Err(fmt::Error);
        }
        // SAFETY: the handle stays open, because the process owns it. The file is not dropped.
        let file = ManuallyDrop::new(unsafe { File::from_raw_handle(handle) });
        (&*file).write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
