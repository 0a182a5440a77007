//! Models of the mail that other threads send to a hub, and of the hub going to sleep, in every
//! order in which the threads can take their steps. Run by `ci/loom.sh`.
//!
//! The hub here is a driver that acts as the scheduler's do at each poll: it leaves its waker,
//! takes the mail, and sleeps until it is woken. A lost wake shows as a deadlock, which fails the
//! model.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::mailbox::Mail;
use super::{
    CloseWaiter, FiberId, FiberRef, HubFailure, HubState, Mailbox, Origin, RemoteSpawn, Request,
    Start, result_channel,
};

fn hub() -> (Arc<Mailbox>, usize) {
    let hub = Mailbox::without_hub();
    let driver = hub.add_driver();
    (hub, driver)
}

/// A fiber of this hub.
fn fiber(hub: &Arc<Mailbox>) -> FiberRef {
    let origin = Origin {
        place: Location::caller(),
        parent: None,
    };
    let id = FiberId::next();
    let (fiber, _, _) = result_channel::<()>(hub.clone(), id, None, Start::Later, origin);
    fiber
}

/// Sends a callback. Returns false if the hub refuses it.
fn send(hub: &Mailbox, callback: impl FnOnce() + Send + 'static) -> bool {
    hub.send_callback(Box::new(callback)).is_ok()
}

/// A poll of the driver. Returns the mail sent since the last one.
fn drive(hub: &Mailbox, driver: usize, cx: &mut Context<'_>) -> Mail {
    hub.set_driver_waker(driver, cx.waker().clone());
    let mut mail = Mail::default();
    if hub.has_mail() {
        hub.take_mail(&mut mail);
    }
    mail
}

/// Drives the hub until `done` accepts the mail that has arrived.
fn drive_until(hub: &Mailbox, driver: usize, mut done: impl FnMut(Mail) -> bool) {
    block_on(poll_fn(|cx| match done(drive(hub, driver, cx)) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }));
}

#[test]
fn what_two_threads_send_wakes_a_hub_that_goes_to_sleep() {
    loom::model(|| {
        let (hub, driver) = hub();
        let senders = [(); 2].map(|()| {
            let hub = hub.clone();
            thread::spawn(move || assert!(send(&hub, || ())))
        });
        let mut arrived = 0;
        drive_until(&hub, driver, |mail| {
            arrived += mail.requests.len();
            arrived == 2
        });
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_burst_of_one_thread_arrives_whole_and_in_order() {
    loom::model(|| {
        let (hub, driver) = hub();
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let sender = {
            let (hub, log) = (hub.clone(), log.clone());
            thread::spawn(move || {
                for i in 0..3 {
                    let log = log.clone();
                    let push = move || log.lock().unwrap().push(i);
                    assert!(send(&hub, push));
                }
            })
        };
        drive_until(&hub, driver, |mail| {
            for request in mail.requests {
                match request {
                    Request::Callback(callback) => callback(),
                    Request::Spawn(_) => unreachable!("only callbacks are sent"),
                }
            }
            log.lock().unwrap().len() == 3
        });
        assert_eq!(*log.lock().unwrap(), [0, 1, 2]);
        sender.join().unwrap();
    });
}

/// A new fiber that counts its arrivals when it is dropped, as by a hub that ends.
struct Arriving(Arc<AtomicUsize>);

impl RemoteSpawn for Arriving {
    fn arrive(self: Box<Self>) -> Option<FiberRef> {
        unreachable!("there is no hub to arrive at");
    }

    fn give_to(&self, _: &Arc<Mailbox>) {
        unreachable!("there is no pool");
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Requests that are left for a later turn do not wake the driver: the hub returns to them, as a
/// turn of the scheduler does.
#[test]
fn what_is_left_for_the_next_turn_and_what_is_sent_meanwhile_are_not_lost() {
    loom::model(|| {
        let (hub, driver) = hub();
        let arrived = Arc::new(AtomicUsize::new(0));
        let senders = [2, 1].map(|count| {
            let (hub, arrived) = (hub.clone(), arrived.clone());
            thread::spawn(move || {
                for _ in 0..count {
                    let new = Box::new(Arriving(arrived.clone()));
                    assert!(hub.send_spawn(new).is_ok());
                }
            })
        });
        let mut mail = Mail::default();
        block_on(poll_fn(|cx| {
            hub.set_driver_waker(driver, cx.waker().clone());
            if hub.has_mail() {
                hub.take_mail(&mut mail);
            }
            // One request is handled in each turn.
            drop(mail.requests.pop_front());
            if hub.has_mail() || !mail.requests.is_empty() {
                cx.waker().wake_by_ref();
            }
            match arrived.load(Ordering::Relaxed) == 3 {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// A wake that finds the fiber queued already is dropped. The resume that follows must then see
/// what the wake was for.
#[test]
fn of_two_wakes_of_one_fiber_none_is_lost() {
    loom::model(|| {
        let (hub, driver) = hub();
        let fiber = fiber(&hub);
        let happened = Arc::new(AtomicUsize::new(0));
        let wakers = [(); 2].map(|()| {
            let (hub, fiber, happened) = (hub.clone(), fiber.clone(), happened.clone());
            thread::spawn(move || {
                // Ordering: this flag itself orders nothing.
                happened.fetch_add(1, Ordering::Relaxed);
                hub.send_wake(&fiber);
            })
        });
        drive_until(&hub, driver, |mail| {
            let mut all = false;
            for fiber in mail.wakes {
                fiber.left_mailbox();
                all = happened.load(Ordering::Relaxed) == 2;
            }
            all
        });
        for waker in wakers {
            waker.join().unwrap();
        }
        // A wake that came after everything was done is still in the mailbox.
        hub.end();
    });
}

#[test]
fn a_driver_that_moves_to_another_task_is_woken_there() {
    loom::model(|| {
        let (hub, driver) = hub();
        // This waker was left by a poll in another task.
        hub.set_driver_waker(driver, std::task::Waker::noop().clone());
        let sender = {
            let hub = hub.clone();
            thread::spawn(move || assert!(send(&hub, || ())))
        };
        drive_until(&hub, driver, |mail| mail.requests.len() == 1);
        sender.join().unwrap();
    });
}

#[test]
fn the_driver_that_stays_gets_the_wake_of_the_one_that_leaves() {
    loom::model(|| {
        let (hub, leaves) = hub();
        hub.set_driver_waker(leaves, std::task::Waker::noop().clone());
        let stays = hub.add_driver();
        let sender = {
            let hub = hub.clone();
            thread::spawn(move || assert!(send(&hub, || ())))
        };
        let leaver = {
            let hub = hub.clone();
            thread::spawn(move || assert!(!hub.remove_driver(leaves)))
        };
        drive_until(&hub, stays, |mail| mail.requests.len() == 1);
        sender.join().unwrap();
        leaver.join().unwrap();
    });
}

#[test]
fn what_a_hub_accepts_is_there_when_it_has_refused_the_rest() {
    loom::model(|| {
        let (hub, _) = hub();
        let senders = [(); 2].map(|()| {
            let hub = hub.clone();
            thread::spawn(move || send(&hub, || ()))
        });
        hub.advance(HubState::Draining);
        let mut mail = Mail::default();
        if hub.has_mail() {
            hub.take_mail(&mut mail);
        }
        let taken = mail.requests.len();
        let accepted = senders.map(|sender| sender.join().unwrap());
        assert_eq!(taken, accepted.iter().filter(|sent| **sent).count());
    });
}

#[test]
fn all_who_wait_for_the_end_are_told() {
    loom::model(|| {
        let (hub, _) = hub();
        let closers = [(); 2].map(|()| {
            let hub = hub.clone();
            thread::spawn(move || {
                let closer = CloseWaiter::new(&hub);
                block_on(poll_fn(|cx| {
                    if !hub.has_ended() {
                        closer.register(cx);
                    }
                    match hub.has_ended() {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                }));
            })
        });
        hub.end();
        for closer in closers {
            closer.join().unwrap();
        }
    });
}

#[test]
fn a_joiner_of_a_hub_that_fails_is_told() {
    loom::model(|| {
        let (hub, _) = hub();
        let fiber = fiber(&hub);
        let fails = {
            let hub = hub.clone();
            thread::spawn(move || hub.fail(HubFailure::Lost))
        };
        // This acts as a join does: it leaves its waker and checks again.
        block_on(poll_fn(|cx| {
            if !fiber.is_alive() {
                return Poll::Ready(());
            }
            fiber.leave_waker(cx.waker());
            match fiber.is_alive() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        }));
        fails.join().unwrap();
    });
}
