//! `stream`: streams and sinks in fibers, and iterators that wait as streams.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::sink::{Sink, SinkExt};
use futures::stream::{self, FusedStream, FuturesUnordered, Stream, StreamExt};
use futures::{FutureExt, future};
use switchback::{
    prelude::*,
    sleep, spawn,
    stream::{FromIter, from_iter},
    yield_now,
};
use tokio::time::timeout;

use crate::support::ending::{Count, poll_once, settle};
use crate::support::{
    Drops, Log, OnDrop, assert_panics, in_async, in_paused, in_root_fiber, multi_thread_runtime,
    watched,
};

const SECOND: Duration = Duration::from_secs(1);

/// A stream that counts its polls and gives what is in it.
struct Counted {
    items: std::vec::IntoIter<u8>,
    polls: Count,
}

impl Stream for Counted {
    type Item = u8;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u8>> {
        self.polls.add();
        Poll::Ready(self.items.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

fn counted<const N: usize>(items: [u8; N]) -> (Counted, Count) {
    let polls = Count::new();
    let stream = Counted {
        items: Vec::from(items).into_iter(),
        polls: polls.clone(),
    };
    (stream, polls)
}

// A stream as an iterator.

#[test]
fn an_iterator_waits_for_each_item() {
    in_root_fiber(|| {
        let (mut sender, receiver) = mpsc::channel(0);
        let log = Log::new();
        let sent = log.clone();
        let mut sending = spawn(move || {
            for n in 0..3 {
                yield_now().wait();
                sent.push(format!("send {n}"));
                sender.send(n).wait().unwrap();
            }
        });
        for n in receiver.wait_iter() {
            log.push(format!("received {n}"));
        }
        sending.join().wait().unwrap();
        let received: Vec<_> = log.take();
        assert_eq!(received[0..2], ["send 0", "received 0"]);
        assert_eq!(received.len(), 6);
    });
}

#[test]
fn an_iterator_over_what_is_ready_does_not_give_way() {
    in_root_fiber(|| {
        let ran = Rc::new(Cell::new(false));
        let runs = ran.clone();
        let mut other = spawn(move || runs.set(true));
        assert_eq!(stream::iter(0..5).wait_iter().sum::<i32>(), 10);
        assert!(!ran.get());
        other.join().wait().unwrap();
    });
}

#[test]
fn an_iterator_does_not_ask_again_after_the_end() {
    in_root_fiber(|| {
        let (stream, polls) = counted([1, 2]);
        let mut iter = stream.wait_iter();
        assert_eq!(iter.size_hint(), (2, Some(2)));
        assert_eq!(iter.by_ref().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(polls.get(), 3);
        assert_eq!((iter.next(), iter.next()), (None, None));
        assert_eq!(iter.size_hint(), (0, Some(0)));
        assert_eq!(polls.get(), 3);
    });
}

#[test]
fn an_iterator_over_a_borrowed_stream_leaves_the_rest() {
    in_root_fiber(|| {
        let (mut stream, _) = counted([1, 2, 3]);
        assert_eq!((&mut stream).wait_iter().next(), Some(1));
        let mut iter = stream.wait_iter();
        assert_eq!(iter.next(), Some(2));
        assert_eq!(iter.get_ref().items.len(), 1);
        iter.get_mut().items = vec![7].into_iter();
        assert_eq!(iter.into_inner().wait_iter().collect::<Vec<_>>(), [7]);
    });
}

#[test]
fn a_stream_that_is_not_unpin_is_pinned_first() {
    in_root_fiber(|| {
        let stream = stream::once(async {
            yield_now().await;
            42
        });
        assert_eq!(pin!(stream).wait_iter().collect::<Vec<_>>(), [42]);
    });
}

#[test]
fn a_cancel_unwinds_an_iterator_and_takes_no_item() {
    in_root_fiber(|| {
        let (sender, mut receiver) = mpsc::unbounded();
        let iterating = receiver.by_ref();
        // A scope, so that the receiver can be looked at afterwards.
        switchback::scope(|s| {
            let mut fiber = s.spawn(|| iterating.wait_iter().next());
            yield_now().wait();
            sender.unbounded_send(1).unwrap();
            fiber.cancel();
            assert!(fiber.join().wait().unwrap_err().is_cancelled());
        });
        assert_eq!(receiver.wait_iter().next(), Some(1));
    });
}

#[test]
fn an_iterator_blocks_a_plain_thread() {
    watched(|| {
        let runtime = multi_thread_runtime();
        let (mut sender, receiver) = mpsc::channel(0);
        let task = runtime.spawn(async move {
            for n in 0..3 {
                tokio::task::yield_now().await;
                sender.send(n).await.unwrap();
            }
        });
        assert_eq!(receiver.wait_iter().collect::<Vec<_>>(), [0, 1, 2]);
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn an_iterator_is_refused_in_async_code_in_the_name_of_the_call() {
    in_async(|| async {
        let (stream, polls) = counted([1]);
        let mut iter = stream.wait_iter();
        let message = "`WaitIter::next` would block the runtime; use `.await`, or move this code \
                       into `switchback::spawn` or `bridge`";
        assert_panics(message, || iter.next());
        assert_eq!(polls.get(), 0);
    });
}

// A sink.

#[test]
fn a_send_waits_for_room() {
    in_root_fiber(|| {
        let (mut sender, mut receiver) = mpsc::channel(0);
        let log = Log::new();
        let sends = log.clone();
        let mut sending = spawn(move || {
            for n in 0..3 {
                sender.wait_send(n).unwrap();
                sends.push(n);
            }
        });
        yield_now().wait();
        // `send` waits for the flush too: the first one is not taken yet.
        assert_eq!(log.len(), 0);
        for n in 0..3 {
            assert_eq!(receiver.next().wait(), Some(n));
        }
        sending.join().wait().unwrap();
        assert_eq!(log.take(), [0, 1, 2]);
    });
}

#[test]
fn a_feed_does_not_flush() {
    struct Noting(Log<&'static str>);
    impl Sink<u8> for Noting {
        type Error = &'static str;
        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            self.0.push("ready");
            Poll::Ready(Ok(()))
        }
        fn start_send(self: Pin<&mut Self>, item: u8) -> Result<(), &'static str> {
            self.0.push("send");
            if item == 13 { Err("unlucky") } else { Ok(()) }
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            self.0.push("flush");
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            self.0.push("close");
            Poll::Ready(Ok(()))
        }
    }
    in_root_fiber(|| {
        let log = Log::new();
        let mut sink = Noting(log.clone());
        sink.wait_feed(1).unwrap();
        assert_eq!(log.take(), ["ready", "send"]);
        sink.wait_flush().unwrap();
        assert_eq!(log.take(), ["flush"]);
        sink.wait_send(2).unwrap();
        assert_eq!(log.take(), ["ready", "send", "flush"]);
        assert_eq!(sink.wait_send(13), Err("unlucky"));
        assert_eq!(sink.wait_feed(13), Err("unlucky"));
        log.take();
        sink.wait_close().unwrap();
        assert_eq!(log.take(), ["close"]);
    });
}

#[test]
fn a_send_to_nobody_is_an_error() {
    in_root_fiber(|| {
        let (mut sender, receiver) = mpsc::channel(1);
        drop(receiver);
        assert!(sender.wait_send(1).unwrap_err().is_disconnected());
    });
}

#[test]
fn a_send_after_the_close_is_an_error() {
    in_root_fiber(|| {
        let (mut sender, receiver) = mpsc::channel(1);
        sender.wait_feed(1).unwrap();
        sender.wait_close().unwrap();
        assert!(sender.wait_send(2).unwrap_err().is_disconnected());
        assert_eq!(receiver.wait_iter().collect::<Vec<_>>(), [1]);
    });
}

#[test]
fn a_cancel_unwinds_a_send_and_drops_the_item() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (mut sender, receiver) = mpsc::channel(0);
        let tokens = [drops.token(), drops.token()];
        let mut sending = spawn(move || {
            for token in tokens {
                sender.wait_feed(token).unwrap();
            }
        });
        yield_now().wait();
        sending.cancel();
        assert!(sending.join().wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        assert_eq!(receiver.wait_iter().count(), 1);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn sink_calls_are_refused_in_async_code_in_the_name_of_the_call() {
    in_async(|| async {
        let (mut sender, mut receiver) = mpsc::channel::<u8>(1);
        let wrong = |call: &str| {
            format!(
                "{call} would block the runtime; use `.await`, or move this code into \
                 `switchback::spawn` or `bridge`"
            )
        };
        assert_panics(&wrong("`.wait_send()`"), || sender.wait_send(1));
        assert_panics(&wrong("`.wait_feed()`"), || sender.wait_feed(1));
        assert_panics(&wrong("`.wait_flush()`"), || sender.wait_flush());
        assert_panics(&wrong("`.wait_close()`"), || sender.wait_close());
        drop(sender);
        assert_eq!(receiver.next().await, None);
    });
}

// An iterator as a stream.

/// An iterator that counts, and waits for a turn before each item.
fn counting(asked: &Count) -> FromIter<u8> {
    let asked = asked.clone();
    from_iter(move || {
        (0..3).inspect(move |_| {
            asked.add();
            yield_now().wait();
        })
    })
}

#[test]
fn items_come_in_order_and_then_the_end_stays() {
    in_async(|| async {
        let mut stream = counting(&Count::new());
        for n in 0..3 {
            assert!(!stream.is_terminated());
            assert_eq!(stream.next().await, Some(n));
        }
        for _ in 0..3 {
            assert_eq!(stream.next().await, None);
            assert!(stream.is_terminated());
        }
    });
}

#[test]
fn an_item_is_made_only_when_it_is_polled_for() {
    in_async(|| async {
        let (made, asked) = (Count::new(), Count::new());
        let (makes, asks) = (made.clone(), asked.clone());
        let mut stream = from_iter(move || {
            makes.add();
            (0..).inspect(move |_| asks.add())
        });
        settle().await;
        assert_eq!(made.get(), 0);
        for n in 0..5 {
            assert_eq!(stream.next().await, Some(n));
            settle().await;
            assert_eq!((made.get(), asked.get()), (1, n + 1));
        }
    });
}

#[test]
fn a_next_that_is_dropped_loses_nothing() {
    in_paused(|| async {
        let asked = Count::new();
        let asks = asked.clone();
        let mut stream = from_iter(move || {
            (0..2).inspect(move |_| {
                asks.add();
                sleep(2 * SECOND).wait();
            })
        });
        assert!(timeout(SECOND, stream.next()).await.is_err());
        assert_eq!(stream.next().await, Some(0));
        assert_eq!(asked.get(), 1);
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn a_stream_that_is_dropped_unwinds_its_iterator() {
    in_async(|| async {
        let drops = Drops::new();
        // Not polled, between two items, inside one, and at the end.
        for polls in [0, 1, 3, 4] {
            let token = drops.token();
            let mut stream = from_iter(move || {
                (0..2).inspect(move |n| {
                    let _ = &token;
                    if *n > 0 {
                        yield_now().wait();
                    }
                })
            });
            for _ in 0..polls {
                let _ = poll_once(pin!(stream.next()));
                settle().await;
            }
            drop(stream);
        }
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn an_iterator_is_dropped_when_it_has_ended_and_may_wait_then() {
    in_async(|| async {
        let waited = Count::new();
        let waits = waited.clone();
        let mut stream = from_iter(move || {
            let guard = OnDrop(move || {
                yield_now().wait();
                waits.add();
            });
            std::iter::once(1).inspect(move |_| {
                let _ = &guard;
            })
        });
        assert_eq!(stream.next().await, Some(1));
        assert_eq!(waited.get(), 0);
        assert_eq!(stream.next().await, None);
        assert_eq!(waited.get(), 1);
    });
}

#[test]
fn a_panic_of_an_iterator_is_the_polls_and_is_the_end() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut stream = from_iter(move || {
            (0..2).inspect(move |n| {
                let _ = &token;
                assert!(*n == 0, "of the iterator");
            })
        });
        assert_eq!(stream.next().await, Some(0));
        let caught = AssertUnwindSafe(stream.next()).catch_unwind().await;
        assert_eq!(
            *caught.unwrap_err().downcast::<&str>().unwrap(),
            "of the iterator"
        );
        assert_eq!(drops.count(), 1);
        assert!(stream.is_terminated());
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn items_that_were_not_taken_are_dropped() {
    in_async(|| async {
        let drops = Drops::new();
        let tokens: Vec<_> = (0..5).map(|_| drops.token()).collect();
        let mut stream = from_iter(move || tokens);
        drop(stream.next().await);
        assert_eq!(drops.count(), 1);
        drop(stream);
        assert_eq!(drops.count(), 5);
    });
}

#[test]
fn many_streams_of_iterators_run_in_one_task() {
    in_async(|| async {
        let asked = Count::new();
        let streams = (0..10).map(|_| counting(&asked));
        let sums: Vec<u32> = streams
            .map(|stream| stream.fold(0, |sum, n| future::ready(sum + u32::from(n))))
            .collect::<FuturesUnordered<_>>()
            .collect()
            .await;
        assert_eq!(sums, [3; 10]);
        assert_eq!(asked.get(), 30);
    });
}

#[test]
fn a_stream_that_never_waits_gives_way_when_the_budget_is_spent() {
    in_async(|| async {
        let stop = Rc::new(Cell::new(false));
        let stops = stop.clone();
        let mut other = spawn(move || stops.set(true));
        let mut stream = from_iter(|| 0..);
        while !stop.get() {
            stream.next().await.unwrap();
        }
        other.join().await.unwrap();
    });
}

#[test]
fn there_and_back_again() {
    in_root_fiber(|| {
        let doubled = from_iter(|| {
            let inner = counting(&Count::new());
            inner.wait_iter().map(|n| n * 2)
        });
        assert_eq!(doubled.wait_iter().collect::<Vec<_>>(), [0, 2, 4]);
    });
}

#[test]
fn it_runs_on_any_executor() {
    let sum = from_iter(|| {
        (0..3).inspect(|_| {
            let mut polled = false;
            future::poll_fn(move |cx| {
                cx.waker().wake_by_ref();
                match std::mem::replace(&mut polled, true) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .wait();
        })
    });
    let sum = sum.fold(0, |sum, n| future::ready(sum + n));
    assert_eq!(futures::executor::block_on(sum), 3);
}
