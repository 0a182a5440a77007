//! The report of an overflow, from a handler of SIGSEGV.
//!
//! A stack that overflows runs into its guard, the kernel raises SIGSEGV, and the
//! handler here compares the address with the guard of the stack that the thread is
//! running on. If it is there, the handler says so and aborts, as std does for a
//! thread. All else goes on to the handler that was there before. (On Linux a guard
//! never raises SIGBUS, so that is left alone.)
//!
//! # In a signal handler
//!
//! The code of the thread has been stopped anywhere, for instance while it held a
//! lock of the allocator. So the handler takes no lock, allocates nothing, and calls
//! of the system only what may be called there: `write`, `sigaction`, `raise`, `abort`.
//!
//! It runs on the thread's alternate stack, since there is no room on the one that
//! overflowed. std gives one to each thread that it starts; a thread that has none
//! gets one here, until it ends. Ours or std's, it is small: so is what the handler
//! puts on it.
//!
//! It reads three things, all written by the thread that it runs on, before the
//! fault:
//!
//! * the thread's place, a pair of `thread_local!`s of [`crate::current::place`]. In a
//!   library that is loaded at run time, the first use of these on a thread may
//!   allocate. So it gets at them through a pointer that the thread left under a key of
//!   `pthread_getspecific`, which is not in POSIX's list, but reads an array, in glibc
//!   and in musl. A thread that never used a stack of ours left none there;
//! * the state of the innermost stack of ours, at the root of that stack. It is
//!   intact: what overflows is the other end;
//! * the header that the state refers to, for the fiber's name. (A name is made when it is
//!   first asked for. If there is none yet, or the fault comes in the middle, the
//!   handler puts it together itself.)
//!
//! While it runs, SIGSEGV is blocked: a fault in it ends the process. Before it passes
//! a signal on, it calls nothing that changes `errno`, so it has none to put back.
#![allow(unsafe_code)]

use std::fmt::{self, Write as _};
use std::io;
use std::mem::{self, ManuallyDrop};
use std::process::abort;
use std::ptr::{self, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use libc::{c_int, c_void, pthread_key_t, sigaction, siginfo_t, stack_t};

use crate::current::place::PlaceOfThread;
use crate::current::{Resumer, StackState};
use crate::stack::{GUARD, Guards, Mapping, page_size};

static ENABLED: AtomicBool = AtomicBool::new(true);

/// Where each thread that uses stacks of ours has left its [`Watched`]; `None` if
/// the system has no more keys.
static KEY: OnceLock<Option<pthread_key_t>> = OnceLock::new();

/// What was to be done at a SIGSEGV before us. Null until our handler is installed.
static BEFORE: AtomicPtr<sigaction> = AtomicPtr::new(null_mut());

pub(super) fn set_overflow_report(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Sees to it that an overflow on this thread is reported. Called when a hub is made and when a
/// bridge takes a stack, so before the first stack is used here.
pub(crate) fn arm() {
    if !ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let Some(key) = *KEY.get_or_init(install) else {
        return;
    };
    // SAFETY: the key was made and is never deleted.
    let known = unsafe { libc::pthread_getspecific(key) };
    if known.is_null() {
        let watched = Box::into_raw(Box::new(Watched {
            place: PlaceOfThread::this(),
            _alternate: AlternateStack::install_if_needed(),
        }));
        // SAFETY: as above. What is left under the key is a box of this type.
        if unsafe { libc::pthread_setspecific(key, watched.cast()) } != 0 {
            // SAFETY: it was made above, and nobody else has it.
            drop(unsafe { Box::from_raw(watched) });
        }
    }
}

/// What the handler finds of a thread.
struct Watched {
    place: PlaceOfThread,
    /// The thread's alternate stack if it is from here.
    _alternate: Option<AlternateStack>,
}

/// The thread ends; its `thread_local!`s were dropped before.
unsafe extern "C" fn forget_thread(watched: *mut c_void) {
    // SAFETY: the system calls this with what is under the key, which it has
    // cleared: a box that was leaked by `arm`.
    drop(unsafe { Box::from_raw(watched.cast::<Watched>()) });
}

/// A key for the threads, and the handler: once in the process.
fn install() -> Option<pthread_key_t> {
    let mut key = 0;
    // SAFETY: `key` is written to. The destructor is for what `arm` leaves.
    if unsafe { libc::pthread_key_create(&mut key, Some(forget_thread)) } != 0 {
        return None;
    }
    // SAFETY: no signals, no flags and a null handler are valid.
    let mut ours: sigaction = unsafe { mem::zeroed() };
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    ours.sa_sigaction = on_fault as *const () as usize;
    // SAFETY: as above.
    let mut before: sigaction = unsafe { mem::zeroed() };
    // The handler may be called as soon as it is installed, and needs this then.
    // SAFETY: `before` is written to.
    unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), &mut before) };
    BEFORE.store(Box::into_raw(Box::new(before)), Ordering::Release);
    let mut replaced = before;
    // SAFETY: `on_fault` has the type that `SA_SIGINFO` asks for; `replaced` is
    // written to.
    unsafe { libc::sigaction(libc::SIGSEGV, &ours, &mut replaced) };
    if replaced.sa_sigaction != before.sa_sigaction {
        // Another thread has installed one in between. The handler may be reading
        // what is there already, so that stays.
        BEFORE.store(Box::into_raw(Box::new(replaced)), Ordering::Release);
    }
    Some(key)
}

/// The handler.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid `info`.
    let cause = unsafe { &*info };
    // Otherwise somebody sent it, and there is no address.
    let is_fault = cause.si_code > 0;
    if is_fault && ENABLED.load(Ordering::Relaxed) {
        // SAFETY: for a fault it holds the address.
        let address = unsafe { cause.si_addr() } as usize;
        // SAFETY: this is a signal handler, for a fault of this thread.
        if let Some(state) = unsafe { running() } {
            let limit = state.extent().limit;
            if (limit..limit + GUARD).contains(&address) {
                report(state);
            }
        }
    }
    // SAFETY: these are the arguments of a handler of this signal.
    unsafe { pass_on(signal, info, context, is_fault) }
}

/// The innermost stack of ours that this thread is running on.
///
/// # Safety
///
/// As [`PlaceOfThread::innermost`].
unsafe fn running<'a>() -> Option<&'a StackState> {
    let key = (*KEY.get()?)?;
    // SAFETY: the key was made and is never deleted.
    let watched = unsafe { libc::pthread_getspecific(key) };
    // SAFETY: what is under the key is a box from `arm`, which only this thread
    // frees.
    let watched = unsafe { watched.cast::<Watched>().as_ref() }?;
    // SAFETY: as promised by the caller; the place was taken by this thread.
    unsafe { watched.place.innermost() }
}

/// Says which stack overflowed, and ends the process as std does for a thread.
fn report(state: &StackState) -> ! {
    let stderr = &mut Stderr;
    let extent = state.extent();
    let size = extent.base - extent.limit - GUARD;
    let _ = match &state.resumer {
        Resumer::Hub { fiber, .. } => {
            let _ = match fiber.known_name() {
                Some(name) => write!(stderr, "\nfiber '{name}'"),
                None => write!(stderr, "\nfiber 'Fiber-{}'", fiber.id()),
            };
            write!(
                stderr,
                " has overflowed its stack\nthe stack has {size} bytes; make it larger with \
                 `Builder::stack_size` or `HubBuilder::stack_size`\n"
            )
        }
        Resumer::Task(_) => write!(
            stderr,
            "\na bridge has overflowed its stack\nthe stack has {size} bytes; a fiber's can be \
             made larger, with `Builder::stack_size`\n"
        ),
    };
    abort()
}

/// Stderr without std's lock.
struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: these are bytes of `text`.
            let written =
                unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(n) => rest = &rest[n..],
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // Nobody can be told.
                Err(_) => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

/// Has the signal handled as if we had not been there.
///
/// # Safety
///
/// The arguments are those of a handler of `signal`.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, is_fault: bool) {
    // SAFETY: it was stored before the handler was installed, and is never freed.
    let before = unsafe { &*BEFORE.load(Ordering::Acquire) };
    match before.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        // The kernel does not ignore a fault either.
        libc::SIG_DFL | libc::SIG_IGN => die(signal, is_fault),
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: with this flag a handler has this type.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            // SAFETY: the arguments are what we were called with.
            unsafe { handler(signal, info, context) }
        }
        handler => {
            type Handler = unsafe extern "C" fn(c_int);
            // SAFETY: without the flag a handler has this type.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            // SAFETY: as above.
            unsafe { handler(signal) }
        }
    }
}

/// Has the kernel end the process by `signal`, when the handler has returned.
fn die(signal: c_int, is_fault: bool) {
    // SAFETY: no signals, no flags and the default action are valid.
    let default: sigaction = unsafe { mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::sigaction(signal, &default, null_mut()) };
    if !is_fault {
        // A fault happens again by itself. This is delivered when the handler, in
        // which the signal is blocked, has returned.
        // SAFETY: there is nothing to keep in mind.
        unsafe { libc::raise(signal) };
    }
}

/// A signal stack for a thread that has none.
struct AlternateStack {
    memory: ManuallyDrop<Mapping>,
}

impl AlternateStack {
    /// What our handler needs, and the one that it passes on to, on top of what the
    /// kernel puts there, in bytes.
    const ROOM: usize = 32 * 1024;

    /// `None` if the thread has one, or can have none.
    fn install_if_needed() -> Option<AlternateStack> {
        if current().ss_flags & libc::SS_DISABLE == 0 {
            return None;
        }
        // SAFETY: there is nothing to keep in mind.
        let saved = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let page = page_size();
        let size = (saved.max(libc::MINSIGSTKSZ) + Self::ROOM).next_multiple_of(page);
        let memory = Mapping::new(page + size).ok()?;
        // SAFETY: the page is ours, and the stack begins above it.
        unsafe { Guards::Mappings.install(memory.start(), page) }.ok()?;
        let ours = stack_t {
            ss_sp: (memory.start() + page) as *mut c_void,
            ss_flags: 0,
            ss_size: size,
        };
        // SAFETY: the memory is not used otherwise, and stays until the thread ends.
        let result = unsafe { libc::sigaltstack(&ours, null_mut()) };
        (result == 0).then(|| AlternateStack {
            memory: ManuallyDrop::new(memory),
        })
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let mut alternate = current();
        let start = self.memory.start();
        if !(start..start + self.memory.len()).contains(&(alternate.ss_sp as usize)) {
            // Somebody has put another in its place, and may put it back: leaked.
            return;
        }
        alternate.ss_flags = libc::SS_DISABLE;
        // SAFETY: this is the thread that it was installed in, and no signal handler.
        if unsafe { libc::sigaltstack(&alternate, null_mut()) } == 0 {
            // SAFETY: it is dropped once, here. The kernel does not use it any more.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

/// The thread's alternate stack.
fn current() -> stack_t {
    let mut current = stack_t {
        ss_sp: null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: `current` is written to.
    unsafe { libc::sigaltstack(ptr::null(), &mut current) };
    current
}
