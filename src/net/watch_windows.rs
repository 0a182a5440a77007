//! [`Watch`]: what one runtime knows about the readiness of a socket, on Windows.
//!
//! Tokio watches only its own types there, so it is given a duplicate of the socket.

use std::fmt;
use std::io;
use std::net;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::Interest;

use super::direction::Direction;

/// What a socket has to be for a runtime to watch it.
pub(super) trait Watchable: Sized {
    /// Tokio's type of the same socket.
    type Tokio;

    /// Registers a duplicate of the socket with the current runtime.
    fn register(&self) -> io::Result<Self::Tokio>;

    /// Calls `attempt` when the socket is ready, until it does not say `WouldBlock`.
    fn io<R>(
        watch: &Self::Tokio,
        interest: Interest,
        attempt: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>>;
}

macro_rules! watchable {
    ($($std:ty, $tokio:ty;)*) => {$(
        impl Watchable for $std {
            type Tokio = $tokio;

            fn register(&self) -> io::Result<$tokio> {
                <$tokio>::from_std(self.try_clone()?)
            }

            fn io<R>(
                watch: &$tokio,
                interest: Interest,
                attempt: impl FnMut() -> io::Result<R>,
            ) -> impl Future<Output = io::Result<R>> {
                watch.async_io(interest, attempt)
            }
        }
    )*};
}

watchable! {
    net::TcpStream, tokio::net::TcpStream;
    net::UdpSocket, tokio::net::UdpSocket;
}

impl Watchable for net::TcpListener {
    type Tokio = tokio::net::TcpListener;

    fn register(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.try_clone()?)
    }

    /// Is not called: tokio tells nothing of a listener but its connections.
    async fn io<R>(
        _watch: &tokio::net::TcpListener,
        _interest: Interest,
        mut attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        attempt()
    }
}

/// What one runtime knows about the readiness of a socket.
pub(super) struct Watch<S: Watchable>(S::Tokio, Arc<S>);

/// The place for one waiter. Tokio offers none on Windows.
pub(super) enum Place<'a, S: Watchable> {
    #[allow(dead_code)] // it is never made
    None(&'a S, std::convert::Infallible),
}

impl<S: Watchable> Place<'_, S> {
    pub(super) fn poll_io<R>(
        &self,
        _cx: &mut Context<'_>,
        _attempt: impl FnMut() -> io::Result<R>,
        _drains: &impl Fn(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        match self {
            Place::None(_, never) => match *never {},
        }
    }
}

/// The runtime that watches has ended.
#[derive(Debug)]
pub(super) struct RuntimeGone(pub(super) io::Error);

impl<S: Watchable> Watch<S> {
    /// Registers the socket with the current runtime.
    pub(super) fn new(socket: &Arc<S>) -> io::Result<Watch<S>> {
        Ok(Watch(socket.register()?, socket.clone()))
    }

    /// Returns the place for one waiter, if it is free.
    pub(super) fn place(&self, _direction: Direction) -> Option<Place<'_, S>> {
        None
    }

    /// Calls `attempt` when the socket is ready, until it does not say `WouldBlock`.
    pub(super) async fn io<R>(
        &self,
        direction: Direction,
        mut attempt: impl FnMut(&S) -> io::Result<R>,
        _drains: impl Fn(&R) -> bool,
    ) -> Result<io::Result<R>, RuntimeGone> {
        let interest = match direction {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        };
        Ok(S::io(&self.0, interest, || attempt(&self.1)).await)
    }

    /// Returns whether the runtime has ended. That shows only in a wait.
    pub(super) fn is_over(&self) -> bool {
        false
    }
}

impl<S: Watchable> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
