//! Counts the fibers, and takes the time between a client's hang-up and the end of its fiber.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Watch {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// When the clients of requests have hung up.
    hang_ups: Mutex<HashMap<usize, Instant>>,
    /// How long the fibers went on then.
    delays: Mutex<Vec<Duration>>,
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
        let mut hang_ups = self.hang_ups.lock().unwrap();
        hang_ups.insert(request, Instant::now());
    }

    /// Prints the figures.
    pub(crate) fn report(&self) {
        let (begun, ended) = (&self.begun, &self.ended);
        let (begun, ended) = (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
        assert_eq!(begun, ended);
        println!("{begun} fibers have begun, and all of them have ended");
        let mut delays = self.delays.lock().unwrap();
        delays.sort_unstable();
        let Some(last) = delays.len().checked_sub(1) else {
            return;
        };
        let ms = |share: f64| delays[(last as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{} were running when their clients hung up, and have ended after {:.1} ms (median), \
             {:.1} ms (99 of 100) and {:.1} ms (the last)",
            last + 1,
            ms(0.5),
            ms(0.99),
            ms(1.0),
        );
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
        let hang_up = self.watch.hang_ups.lock().unwrap().remove(&self.request);
        if let Some(hang_up) = hang_up {
            // A fiber may begin after its client has gone.
            let delay = hang_up.max(self.begun).elapsed();
            self.watch.delays.lock().unwrap().push(delay);
        }
    }
}
