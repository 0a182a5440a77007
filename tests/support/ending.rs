//! What the tests of how fibers end share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::{OnDrop, in_paused};

/// A number that everybody can raise.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn new() -> Count {
        Count::default()
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A destructor that does something that may not come to an end.
#[derive(Clone, Default)]
pub(crate) struct InDrop {
    pub(crate) began: Count,
    pub(crate) ended: Count,
}

impl InDrop {
    pub(crate) fn new() -> InDrop {
        InDrop::default()
    }

    /// A value whose destructor does `f`.
    pub(crate) fn guard<F: FnMut()>(&self, mut f: F) -> OnDrop<impl FnMut() + use<F>> {
        let marks = self.clone();
        OnDrop(move || {
            marks.began.add();
            f();
            marks.ended.add();
        })
    }

    #[track_caller]
    pub(crate) fn assert_completed(&self) {
        assert_eq!((self.began.get(), self.ended.get()), (1, 1));
    }

    #[track_caller]
    pub(crate) fn assert_stuck(&self) {
        assert_eq!((self.began.get(), self.ended.get()), (1, 0));
    }
}

/// Gives everything that is ready several turns.
pub(crate) async fn settle() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

/// Polls a future once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether `f` unwinds, with whatever.
pub(crate) fn unwinds<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// Runs a body, watched, in a fiber on a paused clock.
#[track_caller]
pub(crate) fn in_paused_fiber(body: impl FnOnce() + Send + 'static) {
    in_paused(|| async {
        switchback::spawn(body).await.unwrap();
    });
}
