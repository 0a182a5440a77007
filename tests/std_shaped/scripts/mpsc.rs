// Scripts for `mpsc`, under the `use` lines of std or ours.

use std::time::{Duration, Instant};
use sync::Arc;
use sync::atomic::{AtomicUsize, Ordering};
use sync::mpsc::{
    RecvTimeoutError, SendError, TryRecvError, TrySendError, channel, sync_channel,
};

fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) fn messages_come_in_the_order_of_their_sender() -> Vec<String> {
    let (send, receive) = channel();
    let senders: Vec<_> = (0..4)
        .map(|id| {
            let send = send.clone();
            thread::spawn(move || (0..250).for_each(|n| send.send((id, n)).unwrap()))
        })
        .collect();
    drop(send);
    let mut next = [0; 4];
    for (id, n) in receive {
        assert_eq!(next[id], n);
        next[id] += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    vec![word(next)]
}

pub(super) fn a_bound_makes_senders_wait() -> Vec<String> {
    let (send, receive) = sync_channel(3);
    let sent = Arc::new(AtomicUsize::new(0));
    let counts = sent.clone();
    let sender = thread::spawn(move || {
        for n in 0..100 {
            send.send(n).unwrap();
            counts.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut sum = 0;
    for received in 0..100 {
        let before = sent.load(Ordering::SeqCst);
        assert!(before <= received + 4, "{before} were sent, {received} received");
        sum += receive.recv().unwrap();
    }
    sender.join().unwrap();
    vec![word(sum), word(receive.recv())]
}

pub(super) fn without_room_a_message_goes_from_hand_to_hand() -> Vec<String> {
    let (send, receive) = sync_channel(0);
    let nobody = word(send.try_send(0));
    let taken = Arc::new(AtomicUsize::new(0));
    let counts = taken.clone();
    let sender = thread::spawn(move || {
        for n in 1..=50 {
            send.send(n).unwrap();
            assert!(counts.load(Ordering::SeqCst) + 1 >= n, "it was received, or nearly");
        }
    });
    let mut received = Vec::new();
    while let Ok(n) = receive.recv() {
        received.push(n);
        taken.store(n, Ordering::SeqCst);
    }
    sender.join().unwrap();
    vec![nobody, word(received)]
}

pub(super) fn an_end_without_the_other_is_an_error() -> Vec<String> {
    let (send, receive) = channel::<u8>();
    let mut seen = vec![word(receive.try_recv()), word((&send, &receive))];
    send.send(1).unwrap();
    let other = send.clone();
    drop(send);
    drop(other);
    seen.push(word((receive.try_recv(), receive.try_recv(), receive.recv())));
    seen.push(word(receive.recv_timeout(Duration::ZERO)));
    let (send, receive) = channel();
    drop(receive);
    seen.push(word(send.send(7)));
    let (send, receive) = sync_channel(1);
    seen.push(word((send.try_send(1), send.try_send(2))));
    seen.push(word((&send, &send.try_send(3).unwrap_err())));
    drop(receive);
    seen.push(word((send.try_send(4), send.send(5))));
    seen.push(format!("{} {}", SendError(()), TrySendError::Full(())));
    seen.push(format!("{} {}", TryRecvError::Empty, RecvTimeoutError::Timeout));
    seen
}

pub(super) fn those_who_wait_are_told_that_the_other_end_is_gone() -> Vec<String> {
    let (send, receive) = channel::<u8>();
    let receiver = thread::spawn(move || receive.recv());
    thread::sleep(Duration::from_millis(2));
    drop(send);
    let (send, receive) = sync_channel(0);
    let sender = thread::spawn(move || send.send("kept"));
    thread::sleep(Duration::from_millis(2));
    drop(receive);
    vec![word(receiver.join().unwrap()), word(sender.join().unwrap())]
}

pub(super) fn what_is_queued_is_dropped_with_the_receiver() -> Vec<String> {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (send, receive) = channel();
    (0..3).for_each(|_| drop(send.send(Counts(dropped.clone()))));
    let before = dropped.load(Ordering::SeqCst);
    drop(receive);
    let after = dropped.load(Ordering::SeqCst);
    let refused = send.send(Counts(dropped.clone())).is_err();
    vec![word(before), word(after), word(refused), word(dropped)]
}

pub(super) fn a_wait_ends_with_its_time() -> Vec<String> {
    let (send, receive) = channel::<u8>();
    let begin = Instant::now();
    let time = Duration::from_millis(4);
    let nothing = receive.recv_timeout(time);
    let waited = begin.elapsed() >= time;
    send.send(1).unwrap();
    let there = receive.recv_timeout(Duration::ZERO);
    let sender = thread::spawn(move || send.send(2));
    let comes = receive.recv_timeout(Duration::from_secs(3600));
    let sent = sender.join().unwrap();
    vec![word(nothing), word(waited), word(there), word(comes), word(sent)]
}

pub(super) fn iterators_wait_or_do_not() -> Vec<String> {
    let (send, receive) = channel();
    (0..3).for_each(|n| send.send(n).unwrap());
    let there: Vec<i32> = receive.try_iter().collect();
    let sender = thread::spawn(move || (3..6).for_each(|n| send.send(n).unwrap()));
    let first: Vec<i32> = receive.iter().take(1).collect();
    let mut rest = Vec::new();
    for n in &receive {
        rest.push(n);
    }
    sender.join().unwrap();
    vec![word(there), word(first), word(rest), word(receive.into_iter().next())]
}
