//! `sync::mpsc`: std's, and what is different.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use switchback::sync::mpsc::{self, RecvTimeoutError, TryRecvError, channel, sync_channel};
use switchback::{HubPool, assert_no_switchpoints, prelude::*, thread, yield_now};

use crate::support::{
    Drops, assert_panics, in_async, in_root_fiber, ms, multi_thread_runtime, panic_of, watched,
};
use crate::{compare, scripts};

scripts! {
    "scripts/mpsc.rs":
    messages_come_in_the_order_of_their_sender
    a_bound_makes_senders_wait
    without_room_a_message_goes_from_hand_to_hand
    an_end_without_the_other_is_an_error
    those_who_wait_are_told_that_the_other_end_is_gone
    what_is_queued_is_dropped_with_the_receiver
    a_wait_ends_with_its_time
    iterators_wait_or_do_not
}

#[test]
fn threads_and_fibers_do_the_same() {
    compare(scripts());
}

#[test]
fn two_fibers_one_receiver() {
    in_root_fiber(|| {
        let (send, receive) = channel();
        let receive = Rc::new(receive);
        let log = Rc::new(RefCell::new(Vec::new()));
        let receivers = ["a", "b"].map(|name| {
            let (receive, log) = (receive.clone(), log.clone());
            thread::spawn(move || {
                for message in receive.iter() {
                    log.borrow_mut().push((name, message));
                }
            })
        });
        yield_now().wait(); // both wait
        (0..4).for_each(|n| send.send(n).unwrap());
        drop(send);
        receivers
            .into_iter()
            .for_each(|receiver| receiver.join().unwrap());
        let mut log = log.take();
        assert!(
            log.contains(&("a", 0)) && log.contains(&("b", 1)),
            "first in, first out: {log:?}"
        );
        log.sort_by_key(|(_, n)| *n);
        assert_eq!(
            log.iter().map(|(_, n)| *n).collect::<Vec<_>>(),
            [0, 1, 2, 3]
        );
    });
}

#[test]
fn a_receiver_that_is_cancelled_with_a_message_leaves_it_to_the_next() {
    in_root_fiber(|| {
        for timed in [false, true] {
            let (send, receive) = channel();
            let receive = Rc::new(receive);
            let wait = {
                let receive = receive.clone();
                move || match timed {
                    false => receive.recv().map_err(drop),
                    true => receive.recv_timeout(ms(3_600_000)).map_err(drop),
                }
            };
            let first = thread::spawn(wait.clone()).into_fiber();
            yield_now().wait();
            let second = thread::spawn(wait);
            yield_now().wait();
            send.send("kept").unwrap(); // it is the first one's
            send.send("other").unwrap();
            first.cancel();
            assert!(first.wait().unwrap_err().is_cancelled());
            assert_eq!(second.join().unwrap(), Ok("other"));
            assert_eq!(receive.recv(), Ok("kept"));
        }
    });
}

#[test]
fn a_message_that_is_put_back_goes_to_one_who_waits() {
    in_root_fiber(|| {
        let (send, receive) = channel();
        let receive = Rc::new(receive);
        let of = |receive: &Rc<mpsc::Receiver<u8>>| {
            let receive = receive.clone();
            thread::spawn(move || receive.recv())
        };
        let first = of(&receive).into_fiber();
        yield_now().wait();
        let second = of(&receive);
        yield_now().wait();
        send.send(7).unwrap();
        first.cancel();
        assert!(first.wait().unwrap_err().is_cancelled());
        assert_eq!(second.join().unwrap(), Ok(7));
    });
}

#[test]
fn a_sender_that_is_cancelled_has_not_sent() {
    in_root_fiber(|| {
        let drops = Drops::new();
        for room in [0, 1] {
            let (send, receive) = sync_channel(room);
            (0..room).for_each(|_| send.send(drops.token()).map_err(drop).unwrap());
            let other = send.clone();
            let token = drops.token();
            let before = drops.count();
            let sender = thread::spawn(move || other.send(token).is_ok()).into_fiber();
            yield_now().wait();
            sender.cancel();
            assert!(sender.wait().unwrap_err().is_cancelled());
            assert_eq!(drops.count(), before + 1, "its message is dropped");
            assert_eq!(receive.try_iter().count(), room);
            assert!(matches!(receive.try_recv(), Err(TryRecvError::Empty)));
        }
    });
}

#[test]
fn a_message_that_was_put_back_does_not_make_room() {
    in_root_fiber(|| {
        let (send, receive) = sync_channel(0);
        let receive = Rc::new(receive);
        let of = receive.clone();
        let first = thread::spawn(move || of.recv()).into_fiber();
        yield_now().wait();
        send.try_send(1).unwrap();
        first.cancel();
        assert!(first.wait().unwrap_err().is_cancelled());
        let sender = thread::spawn(move || send.send(2));
        yield_now().wait();
        assert_eq!(receive.recv(), Ok(1));
        yield_now().wait();
        assert!(!sender.is_finished(), "its message is still with it");
        assert_eq!(receive.recv(), Ok(2));
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn tasks_fibers_and_threads_use_one_channel() {
    watched(|| {
        multi_thread_runtime().block_on(async {
            let pool = HubPool::new(2).unwrap();
            let (send, receive) = sync_channel::<u64>(2);
            let receive = Arc::new(receive);
            let (done, sums) = channel();
            for _ in 0..2 {
                let (of_fiber, sum) = (receive.clone(), done.clone());
                pool.spawn(move || sum.send(of_fiber.iter().sum::<u64>()).unwrap())
                    .unwrap();
                let (receive, done) = (receive.clone(), done.clone());
                tokio::spawn(async move {
                    let mut sum = 0;
                    while let Ok(n) = receive.recv_async().await {
                        sum += n;
                    }
                    done.send(sum).unwrap();
                });
            }
            drop(done);
            let mut senders = Vec::new();
            for _ in 0..2 {
                let send = send.clone();
                senders.push(std::thread::spawn(move || {
                    (1..=500).for_each(|n| send.send(n).unwrap());
                }));
            }
            let of_task = send.clone();
            let task = tokio::spawn(async move {
                for n in 1..=500 {
                    of_task.send_async(n).await.unwrap();
                }
            });
            let fiber = pool.spawn(move || (1..=500).for_each(|n| send.send(n).unwrap()));
            task.await.unwrap();
            fiber.unwrap().await.unwrap();
            let mut sum = 0;
            while let Ok(of_one) = sums.recv_async().await {
                sum += of_one;
            }
            assert_eq!(sum, 4 * 500 * 501 / 2);
            tokio::task::block_in_place(|| senders.into_iter().for_each(|s| s.join().unwrap()));
            pool.close().await;
        });
    });
}

#[test]
fn what_waits_is_refused_in_async_code_and_names_its_twin() {
    in_async(|| async {
        let text = |call: &str, twin: &str| {
            format!(
                "`{call}` would block the runtime; await `{twin}`, or move this code into \
                 `switchback::spawn` or `bridge`"
            )
        };
        let (send, receive) = sync_channel(2);
        send.try_send(1).unwrap();
        assert_panics(&text("Receiver::recv", "recv_async"), || receive.recv());
        assert_panics(&text("Receiver::recv_timeout", "recv_async"), || {
            receive.recv_timeout(ms(1))
        });
        assert_panics(&text("SyncSender::send", "send_async"), || send.send(2));
        assert_eq!(receive.recv_async().await, Ok(1), "nothing was touched");
        send.send_async(3).await.unwrap();
        assert_eq!(receive.try_recv(), Ok(3));
        assert_eq!(receive.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn what_waits_is_a_switchpoint_even_if_it_would_not_wait() {
    in_root_fiber(|| {
        let (send, receive) = sync_channel(2);
        let (other, _kept) = channel();
        send.send(1).unwrap();
        for panic in [
            panic_of(|| assert_no_switchpoints(|| receive.recv())),
            panic_of(|| assert_no_switchpoints(|| receive.recv_timeout(ms(1)))),
            panic_of(|| assert_no_switchpoints(|| receive.iter().next())),
            panic_of(|| assert_no_switchpoints(|| send.send(2))),
        ] {
            assert!(panic.message.contains("is a switchpoint"), "{panic:?}");
            assert!(panic.file.ends_with("std_shaped/mpsc.rs"), "{panic:?}");
        }
        assert_no_switchpoints(|| {
            other.send(1).unwrap();
            send.try_send(2).unwrap();
            assert_eq!(receive.try_recv(), Ok(1));
            assert_eq!(receive.try_iter().count(), 1);
        });
        assert_eq!(receive.recv_timeout(ms(1)), Err(RecvTimeoutError::Timeout));
    });
}

#[test]
fn a_message_whose_drop_uses_the_channel_is_harmless() {
    struct Sends(Option<mpsc::Sender<Sends>>);
    impl Drop for Sends {
        fn drop(&mut self) {
            if let Some(send) = self.0.take() {
                assert!(send.send(Sends(None)).is_err());
            }
        }
    }
    watched(|| {
        let (send, receive) = channel();
        for _ in 0..3 {
            send.send(Sends(Some(send.clone()))).map_err(drop).unwrap();
        }
        drop(receive);
    });
}
