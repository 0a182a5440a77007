//! [`Driver`]: the runtime that tells the running code of I/O and time.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::{self, Handle};

use crate::base::{contain, helper};
use crate::current::{Place, with_place};

/// The runtime that tells the running code of I/O and time.
pub(crate) enum Driver<'a> {
    /// That of the hub whose fiber is running.
    Hub(&'a Handle),
    /// The current one, in a bridge.
    Current(Handle),
    /// The helper runtime, on a plain thread or in an executor other than tokio's.
    Helper(&'static Handle),
}

impl Driver<'_> {
    #[inline]
    pub(crate) fn handle(&self) -> &Handle {
        match self {
            Driver::Hub(handle) => handle,
            Driver::Current(handle) => handle,
            Driver::Helper(handle) => handle,
        }
    }

    #[inline]
    pub(crate) fn id(&self) -> runtime::Id {
        self.handle().id()
    }
}

/// Calls `f` with the driver of the running code.
///
/// # Errors
///
/// Returns an error if the helper runtime is needed and cannot be started.
#[inline]
pub(crate) fn with_driver<R>(f: impl FnOnce(Driver<'_>) -> R) -> io::Result<R> {
    with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) => match state.hub() {
            Some(hub) => Ok(f(Driver::Hub(&hub.runtime))),
            None => match Handle::try_current() {
                Ok(handle) => Ok(f(Driver::Current(handle))),
                Err(_) => with_helper(f),
            },
        },
        // A thread that blocks drives no runtime, even if one is current on it.
        _ => with_helper(f),
    })
}

#[cold]
fn with_helper<R>(f: impl FnOnce(Driver<'_>) -> R) -> io::Result<R> {
    Ok(f(Driver::Helper(helper::try_runtime()?)))
}

/// Polls a future of tokio's where its runtime is current.
///
/// # Errors
///
/// Returns an error if the helper runtime is needed and cannot be started.
pub(crate) async fn in_runtime<F: Future>(future: F) -> io::Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = with_driver(|driver| match driver {
            Driver::Hub(_) => future.as_mut().poll(cx),
            Driver::Current(_) => poll_contained(future.as_mut(), cx),
            Driver::Helper(helper) => {
                let _helper = helper.enter();
                poll_contained(future.as_mut(), cx)
            }
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(e) => Err(e).into(),
        }
    })
    .await
}

/// Waits for a future of tokio's, in which a waker that panics would do harm, such as ending the
/// thread of the helper runtime.
pub(crate) async fn contained<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| poll_contained(future.as_mut(), cx)).await
}

fn poll_contained<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let waker = contain::contained(contain::clone_waker(cx.waker()));
    future.poll(&mut Context::from_waker(&waker))
}
