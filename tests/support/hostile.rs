//! Wakers of somebody else's that do what no waker should.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::thread::panicking;

/// Which of a waker's functions misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Clone,
    Wake,
    WakeByRef,
    Drop,
}

impl Method {
    pub(crate) const ALL: [Method; 4] =
        [Method::Clone, Method::Wake, Method::WakeByRef, Method::Drop];
}

/// A waker that does something in one of its functions, while it is armed.
pub(crate) struct Hostile {
    method: Method,
    act: Box<dyn Fn() + Send + Sync>,
    armed: AtomicBool,
    acted: AtomicUsize,
    woken: AtomicUsize,
}

impl Hostile {
    pub(crate) fn new(method: Method, act: impl Fn() + Send + Sync + 'static) -> Arc<Hostile> {
        Arc::new(Hostile {
            method,
            act: Box::new(act),
            armed: AtomicBool::new(false),
            acted: AtomicUsize::new(0),
            woken: AtomicUsize::new(0),
        })
    }

    pub(crate) fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::SeqCst);
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the functions of `VTABLE` keep what `RawWaker` asks for: the data is an
        // `Arc`, of which each waker owns one count, and which may go to any thread.
        unsafe { Waker::from_raw(raw(self.clone())) }
    }

    pub(crate) fn was_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst) > 0
    }

    fn does(&self, method: Method) {
        // A panic in a destructor during another is an abort, by Rust's own rules.
        if self.method == method && self.armed.load(Ordering::SeqCst) && !panicking() {
            self.acted.fetch_add(1, Ordering::SeqCst);
            (self.act)();
        }
    }
}

fn raw(hostile: Arc<Hostile>) -> RawWaker {
    RawWaker::new(Arc::into_raw(hostile).cast(), &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: it is the `Arc` of a waker that lives, so there is a count for it.
        let hostile = unsafe { std::mem::ManuallyDrop::new(owned(data)) };
        hostile.does(Method::Clone);
        raw(Arc::clone(&hostile))
    },
    |data| {
        // SAFETY: the waker is used up, and its count comes to us.
        let hostile = unsafe { owned(data) };
        hostile.woken.fetch_add(1, Ordering::SeqCst);
        hostile.does(Method::Wake);
    },
    |data| {
        // SAFETY: as for the clone.
        let hostile = unsafe { std::mem::ManuallyDrop::new(owned(data)) };
        hostile.woken.fetch_add(1, Ordering::SeqCst);
        hostile.does(Method::WakeByRef);
    },
    |data| {
        // SAFETY: as for the wake.
        let hostile = unsafe { owned(data) };
        hostile.does(Method::Drop);
    },
);

/// # Safety
///
/// `data` is from [`raw`], and its count is the caller's.
unsafe fn owned(data: *const ()) -> Arc<Hostile> {
    // SAFETY: by the caller's promise.
    unsafe { Arc::from_raw(data.cast()) }
}
