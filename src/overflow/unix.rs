//! The overflow report of unix systems, from a handler of SIGSEGV.
//!
//! A stack that overflows runs into its guard, and the kernel raises SIGSEGV; on macOS and
//! FreeBSD it may be SIGBUS. The handler here compares the fault's address with the guard of the
//! stack that the thread is running on. If the address is in the guard, it reports the overflow
//! and aborts, as std does for a thread. Every other such signal goes on to the previous handler.
//! (On Linux a guard never raises SIGBUS, so that signal is left alone.)
//!
//! # In a signal handler
//!
//! The thread may have been interrupted anywhere, for instance while it held a lock of the
//! allocator. The handler therefore takes no lock, allocates nothing, and calls only system
//! functions that are allowed there: `write`, `sigaction`, `raise`, `abort`.
//!
//! It runs on the thread's alternate stack, because the one that overflowed has no room.
//! std gives an alternate stack to each thread that it starts; a thread without one gets
//! one here, until it ends. Every alternate stack is small, so the handler uses little of
//! it.
//!
//! The handler reads three things. The thread that it runs on has written all of them
//! before the fault:
//!
//! * The thread's place, a pair of `thread_local!`s of [`crate::current::place`]. In a
//!   library that is loaded at run time, the first use of these on a thread may allocate.
//!   The handler therefore reaches them through a pointer that the thread left under a key
//!   of `pthread_getspecific`. That function is not in POSIX's list, but it only reads an
//!   array, in glibc and in musl. A thread that never used a stack of ours has left no
//!   pointer.
//! * The state of the innermost stack of ours, at the root of that stack. It is intact,
//!   because a stack overflows at the other end.
//! * The header that the state refers to, for the fiber's name. A default name is created
//!   when it is first requested. If there is none yet, or the fault comes in the middle of
//!   that, the handler builds the name itself.
//!
//! While the handler runs, its signal is blocked, and a fault in it ends the process. Before
//! it passes a signal on, it calls nothing that changes `errno`, so it does not have to
//! restore it.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::mem;
use std::process::abort;
use std::ptr::{self, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use libc::{c_int, c_void, pthread_key_t, sigaction, siginfo_t, stack_t};

use super::message;
use crate::current::StackState;
use crate::current::place::PlaceOfThread;
use crate::stack::{self, page_size};

static ENABLED: AtomicBool = AtomicBool::new(true);

/// The key under which each thread that uses stacks of ours has left its [`Watched`]. It is
/// `None` if the system has no more keys.
static KEY: OnceLock<Option<pthread_key_t>> = OnceLock::new();

/// The signals that a fault in a guard raises.
#[cfg(target_os = "linux")]
const SIGNALS: [c_int; 1] = [libc::SIGSEGV];
#[cfg(not(target_os = "linux"))]
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The previous actions for [`SIGNALS`]. Each is null until our handler is installed.
static BEFORE: [AtomicPtr<sigaction>; SIGNALS.len()] =
    [const { AtomicPtr::new(null_mut()) }; SIGNALS.len()];

pub(super) fn set_overflow_report(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Makes sure that an overflow on this thread is reported. Called when a hub is created and
/// when a bridge takes a stack, and so before the first stack is used on this thread.
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
        // SAFETY: as above. The key's destructor expects a box of this type.
        if unsafe { libc::pthread_setspecific(key, watched.cast()) } != 0 {
            // SAFETY: it was created above, and has no other owner.
            drop(unsafe { Box::from_raw(watched) });
        }
    }
}

/// The data of a thread that the handler reads.
struct Watched {
    place: PlaceOfThread,
    /// The thread's alternate stack, if it was created here.
    _alternate: Option<AlternateStack>,
}

/// Frees the data of a thread that ends. Its `thread_local!`s were dropped before.
unsafe extern "C" fn forget_thread(watched: *mut c_void) {
    // SAFETY: the system calls this with the value of the key, which it has cleared. The
    // value is a box that `arm` leaked.
    drop(unsafe { Box::from_raw(watched.cast::<Watched>()) });
}

/// Creates the key for the threads and installs the handler, once in the process.
fn install() -> Option<pthread_key_t> {
    let mut key = 0;
    // SAFETY: `key` is writable. The destructor fits the values that `arm` stores.
    if unsafe { libc::pthread_key_create(&mut key, Some(forget_thread)) } != 0 {
        return None;
    }
    // SAFETY: no signals, no flags and a null handler are valid.
    let mut ours: sigaction = unsafe { mem::zeroed() };
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    ours.sa_sigaction = on_fault as *const () as usize;
    for (signal, place) in SIGNALS.iter().zip(&BEFORE) {
        // SAFETY: as above.
        let mut before: sigaction = unsafe { mem::zeroed() };
        // The handler may be called as soon as it is installed, and needs this then.
        // SAFETY: `before` is writable.
        unsafe { libc::sigaction(*signal, ptr::null(), &mut before) };
        place.store(Box::into_raw(Box::new(before)), Ordering::Release);
        let mut replaced = before;
        // SAFETY: `on_fault` has the type that `SA_SIGINFO` asks for; `replaced` is writable.
        unsafe { libc::sigaction(*signal, &ours, &mut replaced) };
        if replaced.sa_sigaction != before.sa_sigaction {
            // Another thread has installed a handler in between. Our handler may already be
            // reading the first value, so that value is not freed.
            place.store(Box::into_raw(Box::new(replaced)), Ordering::Release);
        }
    }
    Some(key)
}

/// The signal handler.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid `info`.
    let cause = unsafe { &*info };
    // Otherwise a process sent the signal, and there is no address. The codes for that are negative
    // or zero on Linux, and from 65,537 on elsewhere.
    let is_fault = (1..0x1_0000).contains(&cause.si_code);
    if is_fault && ENABLED.load(Ordering::Relaxed) {
        // SAFETY: for a fault it holds the address.
        let address = unsafe { cause.si_addr() } as usize;
        // SAFETY: this is a signal handler, for a fault of this thread.
        if let Some(state) = unsafe { running() } {
            let extent = state.extent();
            let memory = stack::memory(extent);
            if (extent.limit..memory.start).contains(&address) {
                // An error leaves nobody to report it to.
                let _ = message::write(&mut Stderr, state, memory.len());
                abort();
            }
        }
    }
    // SAFETY: these are the arguments of a handler of this signal.
    unsafe { pass_on(signal, info, context, is_fault) }
}

/// Returns the state of the innermost stack of ours that this thread is running on.
///
/// # Safety
///
/// The requirements are those of [`PlaceOfThread::innermost`].
unsafe fn running<'a>() -> Option<&'a StackState> {
    let key = (*KEY.get()?)?;
    // SAFETY: the key was made and is never deleted.
    let watched = unsafe { libc::pthread_getspecific(key) };
    // SAFETY: the value of the key is a box from `arm`, which only this thread frees.
    let watched = unsafe { watched.cast::<Watched>().as_ref() }?;
    // SAFETY: as promised by the caller; the place was taken by this thread.
    unsafe { watched.place.innermost() }
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
                // There is no way to report this.
                Err(_) => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

/// Handles the signal as if our handler were not installed.
///
/// # Safety
///
/// The arguments must be those of a handler of `signal`.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, is_fault: bool) {
    let place = SIGNALS.iter().position(|handled| *handled == signal);
    let before = BEFORE[place.unwrap_or(0)].load(Ordering::Acquire);
    // SAFETY: it was stored before the handler was installed, and is never freed.
    let before = unsafe { &*before };
    match before.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        // The kernel does not ignore a fault either.
        libc::SIG_DFL | libc::SIG_IGN => die(signal, is_fault),
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: a handler with this flag has this type. It is neither `SIG_DFL` nor
            // `SIG_IGN`, so it is a function, and not null.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            // SAFETY: the arguments are what we were called with.
            unsafe { handler(signal, info, context) }
        }
        handler => {
            type Handler = unsafe extern "C" fn(c_int);
            // SAFETY: a handler without the flag has this type; it is a function, as above.
            let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
            // SAFETY: as above.
            unsafe { handler(signal) }
        }
    }
}

/// Makes the kernel end the process by `signal` once the handler has returned.
fn die(signal: c_int, is_fault: bool) {
    // SAFETY: no signals, no flags and the default action are valid.
    let default: sigaction = unsafe { mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::sigaction(signal, &default, null_mut()) };
    if !is_fault {
        // A fault recurs when the handler returns. A signal that was sent is raised again
        // here, and delivered then, because it is blocked in the handler.
        // SAFETY: this call has no preconditions.
        unsafe { libc::raise(signal) };
    }
}

/// A signal stack for a thread that has none: a mapping whose first page is a guard.
struct AlternateStack {
    start: *mut c_void,
    len: usize,
}

impl AlternateStack {
    /// The room, in bytes, for our handler and for the one that it passes on to, beyond
    /// what the kernel stores there.
    const ROOM: usize = 32 * 1024;

    /// Returns `None` if the thread has one already, or cannot have one.
    fn install_if_needed() -> Option<AlternateStack> {
        if current().ss_flags & libc::SS_DISABLE == 0 {
            return None;
        }
        let page = page_size();
        let size = (stored_by_kernel() + Self::ROOM).next_multiple_of(page);
        let ours = AlternateStack::map(page + size)?;
        let usable = ours.start.wrapping_byte_add(page);
        // SAFETY: the memory is ours, and no other code knows it.
        if unsafe { libc::mprotect(usable, size, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            ours.unmap();
            return None;
        }
        let wanted = stack_t {
            ss_sp: usable,
            ss_flags: 0,
            ss_size: size,
        };
        // SAFETY: the memory has no other use, and stays mapped until the thread ends.
        if unsafe { libc::sigaltstack(&wanted, null_mut()) } != 0 {
            ours.unmap();
            return None;
        }
        Some(ours)
    }

    /// Maps `len` bytes without access.
    fn map(len: usize) -> Option<AlternateStack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: the kernel chooses an address range where nothing is mapped.
        let start = unsafe { libc::mmap(null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        (start != libc::MAP_FAILED).then_some(AlternateStack { start, len })
    }

    fn unmap(&self) {
        // SAFETY: we own the whole mapping, and the callers have seen that the kernel does not use
        // it.
        let _ = unsafe { libc::munmap(self.start, self.len) };
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let mut alternate = current();
        let start = self.start.addr();
        if !(start..start + self.len).contains(&alternate.ss_sp.addr()) {
            // Other code has replaced it, and may restore it later, so it is leaked.
            return;
        }
        alternate.ss_flags = libc::SS_DISABLE;
        // SAFETY: this is the thread for which it was installed, and not a signal handler.
        if unsafe { libc::sigaltstack(&alternate, null_mut()) } == 0 {
            self.unmap();
        }
    }
}

/// Returns how many bytes the kernel stores on a signal stack before the handler runs.
fn stored_by_kernel() -> usize {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: this call has no preconditions.
        let stored = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
        libc::MINSIGSTKSZ.max(stored as usize)
    }
    #[cfg(not(target_os = "linux"))]
    libc::MINSIGSTKSZ
}

/// Returns the thread's alternate stack.
fn current() -> stack_t {
    let mut current = stack_t {
        ss_sp: null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: `current` is writable.
    unsafe { libc::sigaltstack(ptr::null(), &mut current) };
    current
}

/// A sample of a thread: where it was when it was asked, and a copy of its stack.
///
/// The signal may interrupt the thread anywhere: in a switch of stacks, while it unwinds, allocates or
/// loads a library. So its handler only copies, takes no lock, and allocates nothing. It reads two atomics,
/// and the system copies the stack, because that stops at memory which is not there. The thread that has
/// asked finds out what the copy means.
///
/// *Sample Invariant*: the `Buffer` is used by the handler that has brought `STATE` from `ASKED` to
/// `WRITING`, until it stores `DONE`, and otherwise by the thread that holds `ASKING`. It holds because
/// only that thread leaves `IDLE` and `DONE`, for `ASKED` or `IDLE`, while a handler may leave nothing but
/// `ASKED`; and what was written before `DONE` is seen by who finds that.
#[cfg(all(
    feature = "backtrace",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
pub(crate) mod sample {
    use std::cell::UnsafeCell;
    use std::io;
    use std::mem;
    use std::ptr::{self, null_mut};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    use libc::{c_int, c_void, iovec, sigaction, siginfo_t, ucontext_t};

    use crate::base::lock::lock;
    use crate::shared::Mailbox;

    /// A thread at one moment.
    pub(crate) struct Sample {
        /// By their numbers in debug information; the last one is the instruction pointer.
        pub(crate) registers: [u64; REGISTERS.len()],
        /// What was on the stack, from the stack pointer on.
        pub(crate) stack: Vec<u8>,
        /// How often the hub had resumed a fiber, if one had the thread.
        pub(crate) resumes: Option<u64>,
    }

    /// What the system calls the registers, by their numbers in debug information.
    const REGISTERS: [c_int; 17] = [
        libc::REG_RAX,
        libc::REG_RDX,
        libc::REG_RCX,
        libc::REG_RBX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_RBP,
        libc::REG_RSP,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
        libc::REG_RIP,
    ];
    const STACK_POINTER: usize = 7;

    /// The stack is copied in pieces, none of which crosses the end of a page, because the system copies
    /// all of a piece or nothing.
    const PIECE: usize = 4096;
    const PIECES: usize = 64;

    struct Buffer {
        /// The hub of the thread that is asked. It is there: see [`take`].
        hub: *const Mailbox,
        resumes: Option<u64>,
        registers: [u64; REGISTERS.len()],
        pieces: [iovec; PIECES],
        stack: [u8; PIECES * PIECE],
        /// How much of `stack` was copied.
        copied: usize,
    }

    struct Shared(UnsafeCell<Buffer>);

    // SAFETY: by the Sample Invariant one thread uses it at a time, after the last one.
    unsafe impl Sync for Shared {}

    static BUFFER: Shared = Shared(UnsafeCell::new(Buffer {
        hub: ptr::null(),
        resumes: None,
        registers: [0; REGISTERS.len()],
        pieces: [iovec {
            iov_base: null_mut(),
            iov_len: 0,
        }; PIECES],
        stack: [0; PIECES * PIECE],
        copied: 0,
    }));

    /// The thread that is asked, and how far that is.
    static STATE: AtomicU64 = AtomicU64::new(IDLE);
    const IDLE: u64 = 0;
    const ASKED: u64 = 1;
    const WRITING: u64 = 2;
    const DONE: u64 = 3;

    fn state(thread: i32, phase: u64) -> u64 {
        u64::from(thread.unsigned_abs()) << 2 | phase
    }

    /// A fault raises these. If their handler returned, it would recur for ever.
    const FAULTS: [c_int; 7] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGABRT,
    ];

    /// With these a process is ended or stopped from outside, by their default action. So they are in use
    /// even where nobody handles them.
    const REQUESTS: [c_int; 7] = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];

    /// Held by the thread that asks.
    static ASKING: Mutex<()> = Mutex::new(());

    /// How often to look for an answer, which takes a second or so. A thread that blocks the signal never
    /// gives one. (A limit of time could pass while the system runs only other processes.)
    const LOOKS: u32 = 10_000;
    const PAUSE: Duration = Duration::from_micros(50);

    /// Interrupts this thread of the process, which is that of `hub`, with `signal`, and copies its registers
    /// and its stack.
    pub(crate) fn take(hub: &Arc<Mailbox>, thread: i32, signal: c_int) -> io::Result<Sample> {
        let _asking = lock(&ASKING);
        let [asked, done] = [ASKED, DONE].map(|phase| state(thread, phase));
        // The handler of a sample that was given up may have begun since, and still write.
        if STATE.load(Ordering::Acquire) & DONE == WRITING {
            return Err(io::Error::other("an earlier sample is still written"));
        }
        install(signal)?;
        // SAFETY: by the Sample Invariant it is used here only.
        unsafe { (*BUFFER.0.get()).hub = Arc::as_ptr(hub) };
        // Ordering: the handler that sees it sees the hub.
        STATE.store(asked, Ordering::Release);
        let process = std::process::id();
        // SAFETY: this call has no preconditions. If the thread has ended, it fails.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
        if sent != 0 {
            let error = io::Error::last_os_error();
            withdraw(hub, asked);
            return Err(error);
        }
        let answered = (0..LOOKS).any(|_| {
            thread::sleep(PAUSE);
            STATE.load(Ordering::Acquire) == done
        });
        if !answered {
            withdraw(hub, asked);
            let why = "the thread did not answer the signal";
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        // SAFETY: by the Sample Invariant it is used here only.
        let buffer = unsafe { &*BUFFER.0.get() };
        Ok(Sample {
            registers: buffer.registers,
            stack: buffer.stack[..buffer.copied].to_vec(),
            resumes: buffer.resumes,
        })
    }

    /// Asks no more.
    fn withdraw(hub: &Arc<Mailbox>, asked: u64) {
        let withdrawn = STATE.compare_exchange(asked, IDLE, Ordering::Relaxed, Ordering::Relaxed);
        if withdrawn.is_err() {
            // It is being written now, and the hub has to stay for that.
            mem::forget(hub.clone());
        }
    }

    /// Makes sure that our handler handles this signal. It stays for ever: without it, a signal that
    /// comes late would end the process.
    fn install(signal: c_int) -> io::Result<()> {
        let ours = on_signal as *const () as usize;
        // SAFETY: no signals, no flags and a null handler are valid.
        let mut now: sigaction = unsafe { mem::zeroed() };
        // SAFETY: `now` is writable.
        if unsafe { libc::sigaction(signal, ptr::null(), &mut now) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if now.sa_sigaction == ours {
            return Ok(());
        }
        let is_free = now.sa_sigaction == libc::SIG_DFL;
        if !is_free || FAULTS.contains(&signal) || REQUESTS.contains(&signal) {
            return Err(has_another_use(signal));
        }
        // SAFETY: as above.
        let mut new: sigaction = unsafe { mem::zeroed() };
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        new.sa_sigaction = ours;
        // No other handler runs in the middle of ours.
        // SAFETY: the set is writable.
        unsafe { libc::sigfillset(&mut new.sa_mask) };
        // SAFETY: `on_signal` has the type that `SA_SIGINFO` asks for.
        if unsafe { libc::sigaction(signal, &new, &mut now) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if now.sa_sigaction != libc::SIG_DFL && now.sa_sigaction != ours {
            // Another thread has installed it meanwhile.
            // SAFETY: it was valid before.
            unsafe { libc::sigaction(signal, &now, null_mut()) };
            return Err(has_another_use(signal));
        }
        Ok(())
    }

    fn has_another_use(signal: c_int) -> io::Error {
        let why =
            format!("signal {signal} has another use: take one that has none, such as SIGURG");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    }

    /// The signal handler.
    unsafe extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: this call has no preconditions.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the pointer is valid for as long as the thread.
        let before = unsafe { *errno };
        // SAFETY: this call has no preconditions.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        // A signal that comes late, or that somebody else has sent, is for nobody.
        let [asked, writing, done] = [ASKED, WRITING, DONE].map(|phase| state(thread, phase));
        let begins = STATE.compare_exchange(asked, writing, Ordering::Acquire, Ordering::Relaxed);
        if begins.is_ok() {
            // SAFETY: the kernel passes a valid context.
            let context = unsafe { &*context.cast::<ucontext_t>() };
            // SAFETY: by the Sample Invariant it is used here only.
            let buffer = unsafe { &mut *BUFFER.0.get() };
            // SAFETY: the one who asks keeps the hub until this is done.
            unsafe { copy(context, buffer) };
            STATE.store(done, Ordering::Release);
        }
        // SAFETY: as above, for the pointer.
        unsafe { *errno = before };
    }

    /// Copies the registers, and as much of the stack as there is and as the buffer holds.
    ///
    /// # Safety
    ///
    /// The buffer's hub must be there.
    unsafe fn copy(context: &ucontext_t, buffer: &mut Buffer) {
        // SAFETY: as promised by the caller. These are figures, which are read without a lock.
        let hub = unsafe { &*buffer.hub };
        buffer.resumes = (!hub.running.now().is_null()).then(|| hub.running.resumes());
        for (to, from) in buffer.registers.iter_mut().zip(REGISTERS) {
            *to = context.uc_mcontext.gregs[from as usize] as u64;
        }
        let start = buffer.registers[STACK_POINTER] as usize;
        let mut next = start;
        for piece in &mut buffer.pieces {
            let end = (next & !(PIECE - 1)).saturating_add(PIECE);
            piece.iov_base = ptr::without_provenance_mut(next);
            piece.iov_len = end - next;
            next = end;
        }
        let to = iovec {
            iov_base: buffer.stack.as_mut_ptr().cast(),
            iov_len: buffer.stack.len(),
        };
        let process = std::process::id();
        // SAFETY: the system writes to `to`, which is ours. It reads the memory of this process as it
        // would that of another one, and ends before what cannot be read.
        let copied = unsafe {
            libc::syscall(
                libc::SYS_process_vm_readv,
                process,
                &to,
                1,
                buffer.pieces.as_ptr(),
                PIECES,
                0,
            )
        };
        buffer.copied = usize::try_from(copied).unwrap_or(0).min(buffer.stack.len());
    }
}
