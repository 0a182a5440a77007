//! [`Line`]: waiters that are notified, one or all.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::waiters::{Seat, Waiters, drop_waiter, lock_to_poll, wake};
use crate::base::lock::{ConstMutex, lock};

/// Those who wait for a notification, which is for whoever is in the line when it is given.
#[derive(Debug)]
pub(super) struct Line(ConstMutex<Waiters<Told>>);

/// How a waiter was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    No,
    /// Alone, so that somebody else has to be notified if it ends.
    One,
    All,
}

impl Line {
    pub(super) const fn new() -> Line {
        Line(ConstMutex::new(Waiters::new()))
    }

    /// Joins the line. The future is ready once its waiter was notified, also if that is before its first
    /// poll.
    pub(super) fn join(&self, mut seat: Seat) -> Notified<'_> {
        seat.key = Some(lock(&self.0).add(Told::No, seat.fiber()));
        Notified { line: self, seat }
    }

    /// Notifies the first in the line.
    pub(super) fn notify_one(&self) {
        let woken = {
            let mut line = lock(&self.0);
            let first = line.first_alive();
            first.and_then(|first| {
                *line.get(first) = Told::One;
                line.tell(first)
            })
        };
        wake(woken);
    }

    /// Notifies all who are in the line.
    pub(super) fn notify_all(&self) {
        let woken = lock(&self.0).tell_all(|told| *told = Told::All);
        wake(woken);
    }
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}

/// A place in a line.
#[derive(Debug)]
pub(super) struct Notified<'a> {
    line: &'a Line,
    seat: Seat,
}

impl<'a> Future for Notified<'a> {
    type Output = Notification<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Notification<'a>> {
        let key = self
            .seat
            .key
            .expect("it is not polled again after it was ready");
        let (mut line, waker) = lock_to_poll(&self.line.0, |line| line, &self.seat, cx.waker());
        if !line.is_told(key) {
            let unused = line.set_waiter(key, waker);
            drop(line);
            drop_waiter(unused);
            return Poll::Pending;
        }
        let (told, _) = line.remove(key);
        drop(line);
        drop_waiter(waker);
        self.seat.key = None;
        Poll::Ready(Notification {
            line: self.line,
            is_for_one: told == Told::One,
        })
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(key) = self.seat.key else {
            return;
        };
        let (told, unused) = lock(&self.line.0).remove(key);
        drop_waiter(unused);
        if told == Told::One {
            self.line.notify_one();
        }
    }
}

/// A notification that was received. Dropped before it was used, it is passed on.
#[derive(Debug)]
pub(super) struct Notification<'a> {
    line: &'a Line,
    is_for_one: bool,
}

impl Notification<'_> {
    /// Keeps the notification.
    pub(super) fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Notification<'_> {
    fn drop(&mut self) {
        if self.is_for_one {
            self.line.notify_one();
        }
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::sync::Arc;

    use loom::future::block_on;
    use loom::thread;

    use super::*;

    #[test]
    fn a_notification_for_one_who_ends_goes_to_the_next() {
        loom::model(|| {
            let line = Arc::new(Line::new());
            // Both are in the line when the notification is given.
            let (first, second) = (line.join(Seat::of_future()), line.join(Seat::of_future()));
            let other = line.clone();
            let notifies = thread::spawn(move || other.notify_one());
            drop(first);
            block_on(second).keep();
            notifies.join().unwrap();
        });
    }

    #[test]
    fn all_who_are_in_the_line_are_notified() {
        loom::model(|| {
            let line = Arc::new(Line::new());
            let (first, second) = (line.join(Seat::of_future()), line.join(Seat::of_future()));
            let other = line.clone();
            let notifies = thread::spawn(move || other.notify_all());
            block_on(first).keep();
            block_on(second).keep();
            notifies.join().unwrap();
        });
    }
}
