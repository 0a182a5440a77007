//! Counts the fibers, and takes the times between a client's hang-up, the moment when the server
//! drops what it answers, and the end of the fiber.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};

#[derive(Default)]
pub(crate) struct Watch {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// When the clients of requests have hung up.
    hang_ups: Moments,
    /// When the server has dropped what it answers to requests.
    drops: Moments,
    /// How long after the hang-ups the fibers have ended.
    after_hang_ups: Delays,
    /// How long after the drops the fibers have ended.
    after_drops: Delays,
}

/// Something that has happened to requests.
#[derive(Default)]
struct Moments(Mutex<HashMap<usize, Instant>>);

impl Moments {
    fn note(&self, request: usize) {
        self.0.lock().unwrap().insert(request, Instant::now());
    }

    fn take(&self, request: usize) -> Option<Instant> {
        self.0.lock().unwrap().remove(&request)
    }
}

#[derive(Default)]
struct Delays(Mutex<Vec<Duration>>);

impl Delays {
    fn push(&self, delay: Duration) {
        self.0.lock().unwrap().push(delay);
    }

    /// Returns their number, and their spread as a text.
    fn spread(&self) -> (usize, String) {
        let mut delays = self.0.lock().unwrap();
        delays.sort_unstable();
        let Some(last) = delays.len().checked_sub(1) else {
            return (0, "no time".to_owned());
        };
        let ms = |share: f64| delays[(last as f64 * share) as usize].as_secs_f64() * 1e3;
        let (median, most, all) = (ms(0.5), ms(0.99), ms(1.0));
        let spread =
            format!("{median:.2} ms (median), {most:.2} ms (99 of 100), {all:.2} ms (the last)");
        (last + 1, spread)
    }
}

impl Watch {
    /// Watches the fiber of a request until the guard on its stack is dropped.
    pub(crate) fn begin(self: &Arc<Watch>, request: usize) -> Watched {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Watched {
            watch: self.clone(),
            request,
            begun: Instant::now(),
        }
    }

    /// Notes that the client of a request hangs up now.
    pub(crate) fn hang_up(&self, request: usize) {
        self.hang_ups.note(request);
    }

    /// Watches for the drop of the body that answers a request.
    pub(crate) fn body<S>(self: &Arc<Watch>, request: usize, stream: S) -> WatchedBody<S> {
        WatchedBody {
            _before: self.before_drop(request),
            stream,
        }
    }

    /// Returns what has to be dropped just before the answer to a request.
    pub(crate) fn before_drop(self: &Arc<Watch>, request: usize) -> BeforeDrop {
        BeforeDrop {
            watch: self.clone(),
            request,
        }
    }

    /// Prints the figures.
    pub(crate) fn report(&self) {
        let (begun, ended) = (&self.begun, &self.ended);
        let (begun, ended) = (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
        assert_eq!(begun, ended);
        println!("{begun} fibers have begun, and all of them have ended");
        let (running, spread) = self.after_hang_ups.spread();
        println!(
            "{running} were running when their clients hung up, and have ended after {spread}"
        );
        let (running, spread) = self.after_drops.spread();
        println!("{running} were running when the server knew, and have ended after {spread}");
    }
}

/// Notes when it is dropped.
pub(crate) struct BeforeDrop {
    watch: Arc<Watch>,
    request: usize,
}

impl Drop for BeforeDrop {
    fn drop(&mut self) {
        self.watch.drops.note(self.request);
    }
}

/// The body that answers a request. Its fields are dropped in this order.
pub(crate) struct WatchedBody<S> {
    _before: BeforeDrop,
    stream: S,
}

impl<S: Stream + Unpin> Stream for WatchedBody<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}

/// Lives on the stack of a fiber.
pub(crate) struct Watched {
    watch: Arc<Watch>,
    request: usize,
    begun: Instant,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.ended.fetch_add(1, Ordering::SeqCst);
        let dropped = self.watch.drops.take(self.request);
        let Some(hang_up) = self.watch.hang_ups.take(self.request) else {
            return;
        };
        // A fiber may begin after its client has gone.
        let delay = hang_up.max(self.begun).elapsed();
        self.watch.after_hang_ups.push(delay);
        if let Some(dropped) = dropped {
            self.watch.after_drops.push(dropped.elapsed());
        }
    }
}
