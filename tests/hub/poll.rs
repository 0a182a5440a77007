//! `Hub::poll`: callbacks on the readiness of file descriptors.
#![cfg(unix)]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::File;
use std::future::pending;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::Location;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use switchback::{
    Events, Hub, PollHandle, catch_cancel, current_fiber, prelude::*, sleep, spawn, yield_now,
};
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::support::ending::{poll_once, settle as settle_tasks, unwinds};
use crate::support::{
    Drops, Log, OnDrop, in_async, in_child, in_child_of, in_paused, in_root_fiber, ms,
    multi_thread_runtime, panic_of, runtime, test_of, watched,
};

const NONE: Events = Events::NONE;
const READABLE: Events = Events::READABLE;
const WRITABLE: Events = Events::WRITABLE;

/// A connected pair of non-blocking sockets.
fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

/// A socket that is readable for ever, and its peer.
fn readable() -> (UnixStream, UnixStream) {
    let (near, mut far) = pair();
    far.write_all(b"x").unwrap();
    (near, far)
}

/// Adds a callback to the current hub.
#[track_caller]
fn add(fd: &impl AsRawFd, events: Events, f: impl FnMut(RawFd, Events) + 'static) -> PollHandle {
    Hub::current()
        .poll()
        .add(fd.as_raw_fd(), events, f)
        .unwrap()
}

/// Adds a callback that logs what it is called with.
#[track_caller]
fn add_logged(fd: &impl AsRawFd, events: Events) -> (PollHandle, Log<Events>) {
    let log = Log::new();
    let theirs = log.clone();
    let handle = add(fd, events, move |_, events| theirs.push(events));
    (handle, log)
}

#[track_caller]
fn update(handle: &PollHandle, events: Events) {
    Hub::current().poll().update(handle, events).unwrap();
}

#[track_caller]
fn remove(handle: &PollHandle) {
    assert!(Hub::current().poll().remove(handle));
}

/// Gives everything that is ready several turns, with polls for I/O in between.
fn settle() {
    for _ in 0..20 {
        sleep(Duration::ZERO).wait();
    }
}

/// Waits until `log` has `count` entries.
fn wait_for<T>(log: &Log<T>, count: usize) {
    while log.len() < count {
        sleep(Duration::ZERO).wait();
    }
}

/// Where a callback finds its own handle.
type Own = Rc<Cell<Option<PollHandle>>>;

/// The number of the operating system's error that is the source of this one.
fn os_error(error: &io::Error) -> Option<i32> {
    let source = error.get_ref()?.source()?;
    source.downcast_ref::<io::Error>()?.raw_os_error()
}

// What is called when.

#[test]
fn a_callback_gets_the_descriptor_and_what_it_is_ready_for() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let log = Log::new();
        let (theirs, fd) = (log.clone(), near.as_raw_fd());
        add(&near, READABLE, move |fd, events| theirs.push((fd, events)));
        wait_for(&log, 1);
        assert_eq!(log.take()[0], (fd, READABLE));
    });
}

#[test]
fn a_callback_is_called_when_its_descriptor_becomes_ready() {
    in_root_fiber(|| {
        let (near, mut far) = pair();
        let (_, log) = add_logged(&near, READABLE);
        settle();
        assert_eq!(log.len(), 0);
        far.write_all(b"x").unwrap();
        wait_for(&log, 1);
    });
}

#[test]
fn a_callback_is_called_when_another_thread_makes_its_descriptor_ready() {
    in_root_fiber(|| told_by_another_thread().wait());
}

/// Another thread makes a descriptor ready, a thousand times.
async fn told_by_another_thread() {
    let (mut near, far) = pair();
    let woken = Rc::new(Notify::new());
    let theirs = woken.clone();
    let fd = near.as_raw_fd();
    let handle = Hub::current().poll().add(fd, READABLE, move |_, _| {
        near.read_exact(&mut [0]).unwrap();
        theirs.notify_one();
    });
    let (ask, asked) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        for () in asked {
            (&far).write_all(b"x").unwrap();
        }
    });
    for _ in 0..1000 {
        ask.send(()).unwrap();
        woken.notified().await;
    }
    drop(ask);
    writer.join().unwrap();
    remove(&handle.unwrap());
}

#[test]
fn a_callback_is_called_as_long_as_its_descriptor_is_ready() {
    in_root_fiber(|| {
        let (mut near, mut far) = pair();
        far.write_all(b"hello").unwrap();
        let log = Log::new();
        let theirs = log.clone();
        let fd = near.as_raw_fd();
        let handle = Hub::current().poll().add(fd, READABLE, move |_, _| {
            let mut byte = [0];
            near.read_exact(&mut byte).unwrap();
            theirs.push(byte[0]);
        });
        wait_for(&log, 5);
        settle();
        assert_eq!(log.take(), b"hello");
        far.write_all(b"!").unwrap();
        wait_for(&log, 1);
        settle();
        assert_eq!(log.take(), b"!");
        remove(&handle.unwrap());
    });
}

#[test]
fn a_callback_that_reads_nothing_is_called_again_and_again() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let (_, log) = add_logged(&near, READABLE);
        wait_for(&log, 100);
    });
}

#[test]
fn a_descriptor_that_stays_writable_keeps_calling_until_it_is_full() {
    in_root_fiber(|| {
        let (mut near, mut far) = pair();
        let written = Rc::new(Cell::new(0));
        let theirs = written.clone();
        let fd = near.as_raw_fd();
        let handle = Hub::current().poll().add(fd, WRITABLE, move |_, events| {
            assert_eq!(events, WRITABLE);
            let count = near.write(&[0; 4096]).unwrap();
            theirs.set(theirs.get() + count);
        });
        let full = loop {
            let before = written.get();
            settle();
            if written.get() == before {
                break before;
            }
        };
        let mut buffer = vec![0; full];
        far.read_exact(&mut buffer).unwrap();
        while written.get() == full {
            sleep(Duration::ZERO).wait();
        }
        remove(&handle.unwrap());
    });
}

#[test]
fn each_callback_of_a_descriptor_gets_what_it_asked_for() {
    in_root_fiber(|| {
        let (near, mut far) = pair();
        let (_, reads) = add_logged(&near, READABLE);
        let (_, writes) = add_logged(&near, WRITABLE);
        let (_, both) = add_logged(&near, READABLE | WRITABLE);
        let (_, none) = add_logged(&near, NONE);
        settle();
        assert_eq!(reads.len(), 0);
        assert!(writes.take().iter().all(|events| *events == WRITABLE));
        assert!(both.take().iter().all(|events| *events == WRITABLE));
        far.write_all(b"x").unwrap();
        wait_for(&reads, 2);
        wait_for(&writes, 2);
        wait_for(&both, 20);
        assert!(reads.take().iter().all(|events| *events == READABLE));
        assert!(writes.take().iter().all(|events| *events == WRITABLE));
        assert!(both.take().contains(&(READABLE | WRITABLE)));
        assert_eq!(none.len(), 0);
    });
}

#[test]
fn callbacks_of_a_descriptor_are_called_in_the_order_of_their_registration() {
    in_root_fiber(|| {
        let (near, mut far) = pair();
        let log = Log::new();
        let mut handles = Vec::new();
        for i in 0..5 {
            let log = log.clone();
            handles.push(add(&near, READABLE, move |_, _| log.push(i)));
        }
        // An update does not change the order.
        update(&handles[1], NONE);
        update(&handles[1], READABLE | WRITABLE);
        update(&handles[1], READABLE);
        far.write_all(b"x").unwrap();
        wait_for(&log, 50);
        let called = log.take();
        for pass in called.chunks_exact(5) {
            assert_eq!(pass, [0, 1, 2, 3, 4]);
        }
    });
}

#[test]
fn descriptors_that_are_ready_take_turns() {
    in_root_fiber(|| {
        let counts: Rc<RefCell<Vec<u32>>> = Rc::new(RefCell::new(vec![0; 200]));
        let mut open = Vec::new();
        for i in 0..200 {
            let (near, far) = readable();
            let counts = counts.clone();
            add(&near, READABLE, move |_, _| {
                counts.borrow_mut()[i] += 1;
                let counts = counts.borrow();
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(most.unwrap() - least.unwrap() <= 1, "{counts:?}");
            });
            open.push((near, far));
        }
        while counts.borrow()[0] < 20 {
            sleep(Duration::ZERO).wait();
        }
    });
}

#[test]
fn the_close_of_the_peer_makes_a_descriptor_readable() {
    in_root_fiber(|| {
        let (near, far) = pair();
        let (_, log) = add_logged(&near, READABLE);
        settle();
        assert_eq!(log.len(), 0);
        drop(far);
        wait_for(&log, 3);
        assert_eq!(log.take()[..3], [READABLE; 3]);
        let (reader, writer) = pipe_ends();
        let (_, log) = add_logged(&reader, READABLE);
        settle();
        assert_eq!(log.len(), 0);
        drop(writer);
        wait_for(&log, 3);
        assert_eq!(log.take()[..3], [READABLE; 3]);
    });
}

/// The ends of a pipe.
fn pipe_ends() -> (OwnedFd, OwnedFd) {
    let (writer, reader) = pipe::pipe().unwrap();
    (
        reader.into_nonblocking_fd().unwrap(),
        writer.into_nonblocking_fd().unwrap(),
    )
}

#[test]
fn an_error_makes_a_descriptor_ready_for_all_that_was_asked_for() {
    in_root_fiber(|| {
        let (reader, mut writer) = pipe_ends();
        writer = fill(writer);
        let (_, reads) = add_logged(&writer, READABLE);
        let (_, writes) = add_logged(&writer, WRITABLE);
        settle();
        assert_eq!((reads.len(), writes.len()), (0, 0));
        drop(reader);
        wait_for(&reads, 1);
        wait_for(&writes, 1);
        assert_eq!((reads.take()[0], writes.take()[0]), (READABLE, WRITABLE));
    });
}

/// Fills a pipe.
fn fill(writer: OwnedFd) -> OwnedFd {
    let mut file = File::from(writer);
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break file.into(),
            Err(e) => panic!("{e}"),
        }
    }
}

/// The paused clock advances only if the hub has nothing to do.
#[test]
fn what_nobody_asked_for_does_not_keep_the_hub_busy() {
    in_paused(|| async {
        let body = || {
            let (near, _far) = readable();
            let (handle, log) = add_logged(&near, READABLE);
            wait_for(&log, 1);
            update(&handle, NONE);
            // A hang-up cannot be masked.
            let (reader, writer) = pipe_ends();
            let (_, hung_up) = add_logged(&reader, WRITABLE);
            drop(writer);
            sleep(Duration::from_secs(3600)).wait();
            assert_eq!(hung_up.len(), 0);
            log.take();
            update(&handle, READABLE);
            wait_for(&log, 1);
        };
        spawn(body).await.unwrap();
    });
}

#[test]
fn a_descriptor_that_was_read_empty_does_not_keep_the_hub_busy() {
    in_paused(|| async {
        let body = || {
            let (mut near, mut far) = pair();
            let (count, theirs) = (Log::new(), Rc::new(()));
            let log = count.clone();
            let fd = near.as_raw_fd();
            let handle = Hub::current().poll().add(fd, READABLE, move |_, _| {
                let _theirs = &theirs;
                near.read_exact(&mut [0]).unwrap();
                log.push(());
            });
            for round in 1..4 {
                far.write_all(b"abc").unwrap();
                sleep(Duration::from_secs(3600)).wait();
                assert_eq!(count.len(), 3 * round);
            }
            remove(&handle.unwrap());
        };
        spawn(body).await.unwrap();
    });
}

#[test]
fn a_descriptor_that_is_not_ready_any_more_when_its_turn_comes_is_left_out() {
    in_root_fiber(|| {
        let ends: Vec<_> = (0..2).map(|_| readable()).collect();
        let near: Rc<Vec<UnixStream>> =
            Rc::new(ends.iter().map(|(n, _)| n.try_clone().unwrap()).collect());
        let log = Log::new();
        for (i, (end, _)) in ends.iter().enumerate() {
            let (log, near) = (log.clone(), near.clone());
            add(end, READABLE, move |_, _| {
                log.push(i);
                for mut end in near.iter() {
                    end.read_exact(&mut [0]).unwrap();
                }
            });
        }
        settle();
        assert_eq!(log.len(), 1);
    });
}

// Update and remove.

#[test]
fn an_update_holds_at_once() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let (handle, log) = add_logged(&near, NONE);
        settle();
        assert_eq!(log.len(), 0);
        update(&handle, READABLE);
        wait_for(&log, 3);
        update(&handle, NONE);
        log.take();
        settle();
        assert_eq!(log.len(), 0);
        update(&handle, READABLE | WRITABLE);
        wait_for(&log, 1);
        assert_eq!(log.take()[0], READABLE | WRITABLE);
        update(&handle, WRITABLE);
        log.take();
        wait_for(&log, 1);
        assert_eq!(log.take()[0], WRITABLE);
    });
}

#[test]
fn a_callback_can_update_itself_and_those_after_it() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let log = Log::new();
        let (own, next) = (Own::default(), Own::default());
        let (mine, theirs, first) = (own.clone(), next.clone(), log.clone());
        own.set(Some(add(&near, READABLE, move |_, _| {
            first.push("first");
            update(&mine.get().unwrap(), NONE);
            update(&theirs.get().unwrap(), WRITABLE);
        })));
        let second = log.clone();
        next.set(Some(add(&near, READABLE, move |_, events| {
            assert_eq!(events, WRITABLE);
            second.push("second");
        })));
        wait_for(&log, 3);
        assert_eq!(log.take()[..3], ["first", "second", "second"]);
    });
}

#[test]
fn a_callback_can_remove_itself() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let drops = Drops::new();
        let (own, log) = (Own::default(), Log::new());
        let (mine, theirs, token, seen) = (own.clone(), log.clone(), drops.token(), drops.clone());
        own.set(Some(add(&near, READABLE, move |_, _| {
            let _token = &token;
            remove(&mine.get().unwrap());
            // It is running, so it is not dropped yet.
            theirs.push(seen.count());
            assert!(!Hub::current().poll().remove(&mine.get().unwrap()));
        })));
        settle();
        assert_eq!(log.take(), [0]);
        assert_eq!(drops.count(), 1);
        assert!(!Hub::current().poll().remove(&own.get().unwrap()));
    });
}

#[test]
fn a_callback_that_was_removed_by_an_earlier_one_is_not_called() {
    in_root_fiber(|| {
        let (near, mut far) = pair();
        let log = Log::new();
        let drops = Drops::new();
        let next = Own::default();
        let (theirs, first, seen) = (next.clone(), log.clone(), drops.clone());
        add(&near, READABLE, move |_, _| {
            if let Some(next) = theirs.take() {
                remove(&next);
                first.push(seen.count());
            }
        });
        let (second, token) = (log.clone(), drops.token());
        next.set(Some(add(&near, READABLE, move |_, _| {
            let _token = &token;
            second.push(100);
        })));
        far.write_all(b"x").unwrap();
        settle();
        // It was not running, so it was dropped at once.
        assert_eq!(log.take(), [1]);
    });
}

#[test]
fn a_callback_of_another_descriptor_that_was_removed_in_the_pass_is_not_called() {
    in_root_fiber(|| {
        let ends: Vec<_> = (0..2).map(|_| readable()).collect();
        let handles: Rc<RefCell<Vec<PollHandle>>> = Rc::default();
        let log = Log::new();
        for (i, (end, _)) in ends.iter().enumerate() {
            let (log, theirs) = (log.clone(), handles.clone());
            let handle = add(end, READABLE, move |_, _| {
                log.push(i);
                remove(&theirs.borrow()[1 - i]);
                update(&theirs.borrow()[i], NONE);
            });
            handles.borrow_mut().push(handle);
        }
        settle();
        assert_eq!(log.len(), 1);
    });
}

#[test]
fn a_callback_that_was_added_by_another_is_not_called_with_it() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let log = Log::new();
        let (first, own) = (log.clone(), Own::default());
        let (mine, fd) = (own.clone(), near.as_raw_fd());
        own.set(Some(add(&near, READABLE, move |_, _| {
            first.push("first");
            let second = first.clone();
            add(&fd, READABLE, move |_, _| second.push("second"));
            let last = first.clone();
            Hub::current().run_callback(move || last.push("queued before"));
            remove(&mine.get().unwrap());
        })));
        wait_for(&log, 4);
        assert_eq!(
            log.take()[..4],
            ["first", "queued before", "second", "second"]
        );
    });
}

#[test]
fn a_callback_is_removed_once() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let drops = Drops::new();
        let token = drops.token();
        let handle = add(&near, READABLE, move |_, _| {
            let _token = &token;
        });
        let (other, log) = add_logged(&near, READABLE);
        remove(&handle);
        assert_eq!(drops.count(), 1);
        let poll = Hub::current();
        assert!(!poll.poll().remove(&handle));
        assert!(!poll.poll().remove(&handle));
        // That took nothing from the other one.
        log.take();
        wait_for(&log, 3);
        remove(&other);
        assert!(!poll.poll().remove(&handle));
    });
}

#[test]
fn the_update_of_a_callback_that_was_removed_is_an_error() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let (handle, _) = add_logged(&near, READABLE);
        let error = |removed: bool| {
            let error = Hub::current().poll().update(&handle, READABLE).unwrap_err();
            assert!(removed);
            assert_eq!(error.kind(), ErrorKind::NotFound);
            error.to_string()
        };
        let (other, _) = add_logged(&near, READABLE);
        remove(&handle);
        let message = format!(
            "cannot poll descriptor {}: the callback was removed; add it again",
            near.as_raw_fd(),
        );
        assert_eq!(error(true), message);
        remove(&other);
        assert_eq!(error(true), message);
    });
}

#[test]
fn a_handle_of_another_hub_does_nothing() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let (handle, log) = add_logged(&near, READABLE);
        let fd = near.as_raw_fd();
        thread::spawn(move || {
            switchback::run(move || {
                let hub = Hub::current();
                // The same descriptor, and the first callback there too.
                let own = hub.poll().add(fd, READABLE, |_, _| {}).unwrap();
                assert!(!hub.poll().remove(&handle));
                let error = hub.poll().update(&handle, NONE).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
                assert_eq!(
                    error.to_string(),
                    format!("cannot poll descriptor {fd}: the callback belongs to another hub"),
                );
                assert!(hub.poll().remove(&own));
            })
            .unwrap();
        })
        .join()
        .unwrap();
        log.take();
        wait_for(&log, 1);
    });
}

#[test]
fn dropping_a_handle_removes_nothing() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let log = add_logged(&near, READABLE).1;
        wait_for(&log, 3);
    });
}

#[test]
fn a_callback_may_do_anything_to_the_poller_when_it_is_dropped() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let fd = near.as_raw_fd();
        let log = Log::new();
        let (other, _) = add_logged(&near, READABLE);
        let theirs = log.clone();
        let guard = OnDrop(move || {
            let hub = Hub::current();
            assert!(hub.poll().remove(&other));
            assert!(hub.poll().update(&other, NONE).is_err());
            let added = hub.poll().add(fd, READABLE, |_, _| {}).unwrap();
            theirs.push(added);
            println!("{:?}", hub.poll());
        });
        let handle = add(&near, READABLE, move |_, _| {
            let _guard = &guard;
        });
        remove(&handle);
        remove(&log.take()[0]);
    });
}

// What callbacks may do.

#[test]
fn a_callback_that_waits_panics_with_the_reason_and_is_called_again() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let log = Log::new();
        let theirs = log.clone();
        let panic = panic_of(|| {
            add(&near, READABLE, move |_, _| {
                theirs.push(());
                sleep(Duration::ZERO).wait();
            });
            wait_for(&log, 3);
        });
        assert_eq!(
            panic.message,
            "`.wait()` in a callback of the hub would stop every fiber; spawn a fiber that waits"
        );
    });
}

#[test]
fn a_callback_that_panics_is_reported_and_called_again() {
    let child = in_child(|| {
        switchback::run(|| {
            let (near, _far) = readable();
            let (own, log) = (Own::default(), Log::new());
            let (mine, theirs) = (own.clone(), log.clone());
            own.set(Some(add(&near, READABLE, move |_, _| {
                theirs.push(());
                if theirs.len() == 3 {
                    remove(&mine.get().unwrap());
                }
                panic!("no");
            })));
            let after = add_logged(&near, READABLE).1;
            wait_for(&after, 10);
            assert_eq!(log.len(), 3);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_reported("a callback of `Hub::poll` panicked, which is ignored", 3);
    }
}

#[test]
fn a_callback_whose_drop_panics_after_it_has_run_is_reported() {
    let child = in_child(|| {
        switchback::run(|| {
            let (near, _far) = readable();
            let own = Own::default();
            let mine = own.clone();
            let guard = OnDrop(|| panic!("no"));
            own.set(Some(add(&near, READABLE, move |_, _| {
                let _guard = &guard;
                remove(&mine.get().unwrap());
            })));
            let after = add_logged(&near, READABLE).1;
            wait_for(&after, 10);
            // One that is dropped with the hub.
            let guard = OnDrop(|| panic!("no"));
            add(&near, NONE, move |_, _| {
                let _guard = &guard;
            });
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_reported(
            "the drop of a callback of `Hub::poll` panicked, which is ignored",
            2,
        );
    }
}

#[test]
fn a_callback_can_spawn_fibers_wake_them_and_queue_callbacks() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let log = Log::new();
        let sleeper = {
            let log = log.clone();
            spawn(move || {
                switchback::park();
                log.push("unparked");
            })
        };
        let own = Own::default();
        let (mine, theirs) = (own.clone(), log.clone());
        own.set(Some(add(&near, READABLE, move |_, _| {
            let (fiber, callback) = (theirs.clone(), theirs.clone());
            sleeper.handle().unpark();
            drop(spawn(move || {
                yield_now().wait();
                fiber.push("fiber");
            }));
            Hub::current().run_callback(move || callback.push("callback"));
            assert!(!switchback::in_fiber());
            remove(&mine.get().unwrap());
        })));
        wait_for(&log, 3);
        assert_eq!(log.take(), ["unparked", "callback", "fiber"]);
    });
}

#[test]
fn a_callback_can_drop_the_last_handle_to_its_hub() {
    watched(|| {
        let drops = Drops::new();
        let rt = runtime();
        let (near, _far) = readable();
        let called = Rc::new(Cell::new(0));
        rt.block_on(async {
            let (theirs, token) = (called.clone(), drops.token());
            let mut last = Some(Hub::current());
            add(&near, READABLE, move |_, _| {
                let _token = &token;
                drop(last.take());
                theirs.set(theirs.get() + 1);
            });
            while called.get() < 3 {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(drops.count(), 0);
        drop(rt);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn callbacks_can_be_added_in_async_code_and_in_callbacks() {
    in_async(|| async {
        let (near, _far) = readable();
        let fd = near.as_raw_fd();
        let log = Log::new();
        let own = Own::default();
        let (theirs, mine) = (log.clone(), own.clone());
        own.set(Some(add(&near, READABLE, move |_, _| {
            remove(&mine.get().unwrap());
            let theirs = theirs.clone();
            add(&fd, READABLE, move |_, _| theirs.push(()));
        })));
        while log.len() < 3 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_callback_belongs_to_the_runtime_of_its_hub_whatever_runtime_is_current() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let other = runtime();
        let log = {
            let _other = other.enter();
            add_logged(&near, READABLE).1
        };
        wait_for(&log, 3);
        other.shutdown_background();
        wait_for(&log, 6);
    });
}

// What cannot be polled.

#[test]
fn what_cannot_be_polled_is_an_error_that_names_it() {
    in_root_fiber(|| {
        let hub = Hub::current();
        let drops = Drops::new();
        let error = |fd: RawFd, events| {
            let token = drops.token();
            let added = hub.poll().add(fd, events, move |_, _| {
                let _token = &token;
            });
            added.unwrap_err()
        };
        let file = File::open("/proc/self/exe")
            .or_else(|_| File::open(file!()))
            .unwrap();
        let file = file.as_raw_fd();
        for (i, events) in [READABLE, WRITABLE, NONE].into_iter().enumerate() {
            for number in [-1, RawFd::MAX] {
                let bad = error(number, events);
                assert_eq!(os_error(&bad), Some(EBADF), "{bad}");
                let start = format!("cannot poll descriptor {number}: ");
                assert!(bad.to_string().starts_with(&start), "{bad}");
            }
            if cfg!(target_os = "linux") {
                let file = error(file, events);
                assert_eq!(os_error(&file), Some(EPERM), "{file}");
                assert_eq!(file.kind(), ErrorKind::PermissionDenied);
            }
            // Nothing stays of it.
            let kinds = if cfg!(target_os = "linux") { 3 } else { 2 };
            assert_eq!(drops.count(), kinds * (i + 1));
            assert_eq!(format!("{:?}", hub.poll()), EMPTY);
        }
    });
}

const EPERM: i32 = 1;
const EBADF: i32 = 9;

const EMPTY: &str = "Poller { descriptors: 0, callbacks: 0, .. }";

#[test]
fn without_io_in_the_runtime_adding_panics_at_the_call() {
    watched(|| {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        rt.unwrap().block_on(async {
            let (near, _far) = readable();
            let drops = Drops::new();
            let token = drops.token();
            let here = Location::caller();
            let (hub, fd) = (Hub::current(), near.as_raw_fd());
            let panic = panic_of(|| {
                let _ = hub.poll().add(fd, READABLE, move |_, _| {
                    let _token = &token;
                });
            });
            assert!(panic.message.contains("enable_io"), "{panic:?}");
            assert_eq!(panic.file, here.file());
            assert_eq!(drops.count(), 1);
            assert_eq!(format!("{:?}", hub.poll()), EMPTY);
        });
    });
}

// Descriptors that are closed.

/// Opens sockets until one has this number; in a process that runs one test.
fn reopen(number: RawFd) -> (UnixStream, UnixStream) {
    let mut others = Vec::new();
    for _ in 0..100 {
        let (near, far) = pair();
        if near.as_raw_fd() == number {
            return (near, far);
        }
        if far.as_raw_fd() == number {
            return (far, near);
        }
        others.push((near, far));
    }
    panic!("{number} is in use");
}

/// Runs `body`, in a process of its own, in a root fiber.
#[track_caller]
fn alone(body: impl FnOnce() + 'static) {
    let child = in_child_of(&test_of(&body), || switchback::run(body).unwrap());
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_descriptor_that_was_closed_is_not_polled_any_more() {
    alone(|| {
        let before = counts();
        let (near, far) = readable();
        let (handle, log) = add_logged(&near, READABLE);
        let (disabled, _) = add_logged(&near, NONE);
        wait_for(&log, 3);
        drop(near);
        log.take();
        settle();
        assert_eq!(log.len(), 0);
        let hub = Hub::current();
        for events in [READABLE, NONE, WRITABLE] {
            let error = hub.poll().update(&disabled, events).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("closed while it was polled"));
        }
        remove(&disabled);
        remove(&handle);
        assert!(!hub.poll().remove(&handle));
        drop(far);
        assert_eq!(counts(), before);
    });
}

/// The file stays open under another number.
#[test]
fn a_descriptor_that_was_closed_is_not_polled_through_its_duplicate() {
    alone(|| {
        let (near, mut far) = pair();
        let duplicate = near.try_clone().unwrap();
        let (handle, log) = add_logged(&near, READABLE);
        let (mut other, mut peer) = pair();
        let (second, also) = add_logged(&other, READABLE);
        settle();
        let watched = counts();
        drop(near);
        far.write_all(b"x").unwrap();
        settle();
        assert_eq!(log.len(), 0);
        // It is out of the poll set; the others are in.
        assert_eq!(counts().watched, watched.watched - 1);
        peer.write_all(b"x").unwrap();
        wait_for(&also, 3);
        other.read_exact(&mut [0]).unwrap();
        remove(&handle);
        remove(&second);
        drop(duplicate);
    });
}

#[test]
fn removing_from_a_descriptor_that_was_closed_leaves_nothing_of_its_duplicate() {
    alone(|| {
        let (other, _peer) = readable();
        let (_, log) = add_logged(&other, READABLE);
        settle();
        let before = counts();
        let (near, mut far) = pair();
        let duplicate = near.try_clone().unwrap();
        let (handle, _) = add_logged(&near, READABLE);
        settle();
        drop(near);
        remove(&handle);
        assert_eq!(counts().watched, before.watched);
        drop((duplicate, far.write_all(b"x").unwrap(), far));
        assert_eq!(counts(), before);
        log.take();
        wait_for(&log, 3);
    });
}

#[test]
fn a_number_that_is_used_again_can_be_added_again() {
    alone(|| {
        for keep_duplicate in [false, true] {
            let (near, far) = readable();
            let number = near.as_raw_fd();
            let duplicate = keep_duplicate.then(|| near.try_clone().unwrap());
            let (old, log) = add_logged(&near, READABLE);
            wait_for(&log, 3);
            drop(near);
            let (near, mut peer) = reopen(number);
            log.take();
            let (new, news) = add_logged(&near, READABLE);
            settle();
            assert_eq!((log.len(), news.len()), (0, 0));
            peer.write_all(b"x").unwrap();
            wait_for(&news, 3);
            assert_eq!(log.len(), 0);
            // The old one goes without taking the new one with it.
            remove(&old);
            news.take();
            wait_for(&news, 3);
            assert!(Hub::current().poll().update(&old, READABLE).is_err());
            update(&new, READABLE);
            remove(&new);
            drop((duplicate, far));
        }
    });
}

#[test]
fn a_number_that_is_used_again_and_not_added_is_not_polled() {
    alone(|| {
        let (near, _far) = readable();
        let (handle, log) = add_logged(&near, READABLE);
        wait_for(&log, 3);
        let number = near.as_raw_fd();
        drop(near);
        let (_near, mut peer) = reopen(number);
        log.take();
        peer.write_all(b"x").unwrap();
        settle();
        assert_eq!(log.len(), 0);
        remove(&handle);
    });
}

#[test]
fn an_update_that_fails_changes_nothing() {
    alone(|| {
        let (near, _far) = readable();
        let number = near.as_raw_fd();
        let (old, log) = add_logged(&near, NONE);
        drop(near);
        let error = Hub::current().poll().update(&old, READABLE).unwrap_err();
        assert_eq!(os_error(&error), Some(EBADF));
        // What was asked for is nothing still. That its number stands for another
        // file is not noticed then.
        let (near, mut peer) = reopen(number);
        let (_, new) = add_logged(&near, READABLE);
        peer.write_all(b"x").unwrap();
        wait_for(&new, 3);
        assert_eq!(log.len(), 0);
        update(&old, READABLE);
        wait_for(&log, 3);
    });
}

#[test]
fn a_callback_that_closes_a_descriptor_keeps_its_other_callbacks_from_being_called() {
    alone(|| {
        for reopens in [false, true] {
            let (near, mut far) = pair();
            let (fd, log) = (near.as_raw_fd(), Log::new());
            let theirs = log.clone();
            let mut ends = vec![near];
            add(&fd, READABLE, move |fd, _| {
                theirs.push("first");
                ends.clear();
                if reopens {
                    let (near, mut far) = reopen(fd);
                    far.write_all(b"x").unwrap();
                    ends.extend([near, far]);
                }
            });
            let (_, second) = add_logged(&fd, READABLE);
            far.write_all(b"x").unwrap();
            wait_for(&log, 1);
            settle();
            assert_eq!((log.len(), second.len()), (1, 0));
        }
    });
}

// What is left.

/// What the process has open, and what its poll sets watch.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    open: usize,
    watched: usize,
}

/// In a process that runs one test.
fn counts() -> Counts {
    if !cfg!(target_os = "linux") {
        return Counts {
            open: 0,
            watched: 0,
        };
    }
    let infos = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos: Vec<_> = infos
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .collect();
    // Tokio has its poll set twice.
    let sets: HashSet<_> = infos.iter().filter(|info| info.contains("tfd:")).collect();
    let watched = |set: &String| set.lines().filter(|line| line.starts_with("tfd:")).count();
    Counts {
        open: infos.len(),
        watched: sets.into_iter().map(watched).sum(),
    }
}

#[test]
fn the_last_remove_lets_go_of_everything() {
    alone(|| {
        let ends: Vec<_> = (0..5).map(|_| readable()).collect();
        let before = counts();
        for _ in 0..3 {
            let mut handles = Vec::new();
            for _ in 0..4 {
                for (near, _) in &ends {
                    handles.push(add_logged(near, READABLE).0);
                }
            }
            settle();
            if cfg!(target_os = "linux") {
                // One for each descriptor, and the poll set itself in tokio's.
                let watched = before.watched + ends.len() + 1;
                let open = before.open + 1;
                assert_eq!(counts(), Counts { open, watched });
                // What is not asked for is not watched.
                for handle in &handles {
                    update(handle, NONE);
                }
                assert_eq!(counts().watched, before.watched + 1);
                for handle in &handles {
                    update(handle, WRITABLE);
                }
                assert_eq!(counts().watched, watched);
            }
            for handle in &handles {
                remove(handle);
            }
            assert_eq!(counts(), before);
            assert_eq!(format!("{:?}", Hub::current().poll()), EMPTY);
        }
    });
}

#[test]
fn an_add_that_fails_leaves_nothing() {
    alone(|| {
        let file = File::open("/proc/self/exe").unwrap();
        let before = counts();
        for fd in [-1, file.as_raw_fd()] {
            for events in [READABLE, NONE] {
                let hub = Hub::current();
                assert!(hub.poll().add(fd, events, |_, _| {}).is_err());
                settle();
                assert_eq!(counts(), before);
            }
        }
    });
}

#[test]
fn callbacks_are_dropped_with_the_hub_in_order() {
    watched(|| {
        let order = Log::new();
        let logs = order.clone();
        let (near, _far) = readable();
        let rt = runtime();
        let hub = rt.block_on(async {
            for i in 0..5 {
                let order = logs.clone();
                let guard = OnDrop(move || order.push(i));
                add(&near, READABLE, move |_, _| {
                    let _guard = &guard;
                });
            }
            settle_tasks().await;
            Hub::current()
        });
        drop(rt);
        assert_eq!(order.len(), 0);
        drop(hub);
        assert_eq!(order.take(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_hub_that_ends_lets_go_of_its_descriptors() {
    let child = in_child(|| {
        let (near, _far) = readable();
        let drops = Drops::new();
        // Tokio opens something with the first runtime, and so does the helper that keeps the time.
        drop(runtime());
        sleep(Duration::from_millis(1)).wait();
        let before = counts();
        let fill = |drops: &Drops| {
            for events in [READABLE, WRITABLE, NONE] {
                let token = drops.token();
                add(&near, events, move |_, _| {
                    let _token = &token;
                });
            }
        };
        for _ in 0..3 {
            // Abruptly.
            let rt = runtime();
            rt.block_on(async {
                fill(&drops);
                settle_tasks().await;
            });
            drop(rt);
            assert_eq!(counts(), before);
            // In good order.
            runtime().block_on(Hub::run_until(async {
                fill(&drops);
                settle_tasks().await;
            }));
            assert_eq!(counts(), before);
        }
        assert_eq!(drops.count(), 18);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_thread_that_ends_leaks_its_callbacks() {
    watched(|| {
        let drops = Drops::new();
        let (near, mut far) = pair();
        let token = drops.token();
        let (near, rt) = thread::spawn(move || {
            let rt = runtime();
            rt.block_on(async {
                add(&near, READABLE, move |_, _| {
                    let _token = &token;
                    panic!("called on another thread");
                });
                settle_tasks().await;
            });
            (near, rt)
        })
        .join()
        .unwrap();
        far.write_all(b"x").unwrap();
        rt.block_on(async { settle_tasks().await });
        drop((rt, near));
        assert_eq!(drops.count(), 0);
    });
}

// The end of the hub.

#[test]
fn a_closed_hub_takes_no_callbacks() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let hub = Hub::current();
        let (handle, log) = add_logged(&near, READABLE);
        wait_for(&log, 1);
        hub.close().wait();
        let drops = Drops::new();
        let token = drops.token();
        let error = hub.poll().add(near.as_raw_fd(), READABLE, move |_, _| {
            let _token = &token;
        });
        let closed = "the hub is closed: it takes no new fibers or callbacks; send them before it closes, or to another hub";
        assert_eq!(error.unwrap_err().to_string(), closed);
        assert_eq!(drops.count(), 1);
        let error = hub.poll().update(&handle, NONE);
        assert_eq!(error.unwrap_err().to_string(), closed);
        // The root goes on; nobody calls.
        log.take();
        settle();
        assert_eq!(log.len(), 0);
        assert!(hub.poll().remove(&handle));
        assert!(!hub.poll().remove(&handle));
    });
}

#[test]
fn a_hub_that_closed_before_takes_no_callbacks() {
    in_async(|| async {
        let hub = Hub::run_until(async { Hub::current() }).await;
        let (near, _far) = readable();
        for hub in [hub, Hub::current()] {
            let error = hub.poll().add(near.as_raw_fd(), READABLE, |_, _| {});
            let error = error.unwrap_err().to_string();
            assert_eq!(
                error,
                "the hub is closed: it takes no new fibers or callbacks; send them before it closes, or to another hub"
            );
        }
    });
}

#[test]
fn polling_does_not_keep_a_hub_from_closing() {
    in_async(|| async {
        let (near, _far) = readable();
        let log = Hub::run_until(async {
            let (_, log) = add_logged(&near, READABLE | WRITABLE);
            drop(spawn(|| pending::<()>().wait()));
            settle_tasks().await;
            log
        })
        .await;
        let count = log.len();
        assert!(count > 0);
        settle_tasks().await;
        assert_eq!(log.len(), count);
    });
    watched(|| {
        let (near, _far) = readable();
        multi_thread_runtime().block_on(Hub::run_until(async {
            let (_, log) = add_logged(&near, READABLE);
            while log.len() < 3 {
                settle_tasks().await;
            }
        }));
    });
}

#[test]
fn polling_does_not_keep_a_close_by_force_waiting() {
    let child = in_child(|| {
        unwinds(|| {
            // While the thread is panicking, fibers cannot be told to end.
            let _guard = OnDrop(|| {
                let (near, _far) = readable();
                multi_thread_runtime().block_on(Hub::run_until(async {
                    drop(spawn(|| pending::<()>().wait()));
                    let (_, log) = add_logged(&near, READABLE);
                    while log.len() < 3 {
                        tokio::task::yield_now().await;
                    }
                }));
                println!("closed");
            });
            panic!("while this unwinds");
        });
    });
    if let Some(child) = child {
        child.assert_success();
        assert!(child.stdout.contains("closed"), "{child:#?}");
    }
}

#[test]
fn callbacks_are_called_while_a_closing_hub_has_fibers() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let (other, _peer) = readable();
        let (_, log) = add_logged(&near, READABLE);
        let theirs = log.clone();
        drop(spawn(move || {
            let _guard = OnDrop(|| {
                wait_for(&theirs, 10);
                let (_, log) = add_logged(&other, READABLE);
                wait_for(&log, 3);
            });
            pending::<()>().wait();
        }));
        yield_now().wait();
        log.take();
        Hub::current().close().wait();
        assert!(log.len() >= 10);
    });
}

#[test]
fn fibers_that_are_ended_by_force_can_remove_and_cannot_add() {
    watched(|| {
        let (near, _far) = readable();
        let rt = runtime();
        let log = Log::new();
        rt.block_on(async {
            let (fd, theirs, hub) = (near.as_raw_fd(), log.clone(), Hub::current());
            let (handle, _) = add_logged(&near, READABLE);
            drop(spawn(move || {
                let _guard = OnDrop(|| {
                    let added = hub.poll().add(fd, READABLE, |_, _| {}).is_ok();
                    theirs.push((added, hub.poll().remove(&handle)));
                });
                pending::<()>().wait();
            }));
            settle_tasks().await;
        });
        drop(rt);
        assert_eq!(log.take(), [(false, true)]);
    });
}

#[test]
fn a_runtime_dropped_on_another_thread_leaves_the_poller_closed() {
    watched(|| {
        let (near, _far) = readable();
        let rt = runtime();
        let (hub, log, handle) = rt.block_on(async {
            let (handle, log) = add_logged(&near, READABLE);
            settle_tasks().await;
            (Hub::current(), log, handle)
        });
        thread::spawn(move || drop(rt)).join().unwrap();
        let count = log.len();
        assert!(
            hub.poll()
                .add(near.as_raw_fd(), READABLE, |_, _| {})
                .is_err()
        );
        assert!(hub.poll().update(&handle, WRITABLE).is_err());
        assert!(hub.poll().remove(&handle));
        assert_eq!(log.len(), count);
    });
}

// Fairness.

/// Runs `victim` beside callbacks of descriptors that stay ready.
async fn beside_busy_callbacks<F: Future<Output = ()>>(victim: impl Fn() -> F) {
    for count in [1, 3, 200] {
        let ends: Vec<_> = (0..count).map(|_| readable()).collect();
        let mut handles = Vec::new();
        for (near, _) in &ends {
            handles.push(add_logged(near, READABLE | WRITABLE));
        }
        victim().await;
        let (_, last) = handles.last().unwrap();
        last.take();
        while last.len() < 3 {
            tokio::task::yield_now().await;
        }
        for (handle, _) in &handles {
            remove(handle);
        }
    }
}

/// Runs a test's body on a hub driven in each way there is.
fn however_driven<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Clone + 'static) {
    let test = body.clone();
    in_async(move || async move { test().await });
    let test = body.clone();
    in_async(move || async move { Hub::run_until(test()).await });
    let test = body.clone();
    in_async(move || async move { LocalSet::new().run_until(Hub::run_until(test())).await });
    watched(move || multi_thread_runtime().block_on(Hub::run_until(async { body().await })));
}

#[test]
fn busy_callbacks_starve_neither_tasks_nor_timers() {
    however_driven(|| {
        beside_busy_callbacks(|| async {
            let task = tokio::spawn(async {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(ms(1)).await;
            });
            task.await.unwrap();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            sleep(ms(1)).await;
        })
    });
}

#[test]
fn busy_callbacks_starve_no_fibers() {
    however_driven(|| {
        beside_busy_callbacks(|| async {
            let fiber = spawn(|| {
                for _ in 0..20 {
                    yield_now().wait();
                    sleep(Duration::ZERO).wait();
                }
                sleep(ms(1)).wait();
            });
            fiber.await.unwrap();
        })
    });
}

#[test]
fn busy_callbacks_starve_neither_sockets_nor_other_callbacks() {
    however_driven(|| {
        beside_busy_callbacks(|| async {
            let (near, far) = pair();
            let mut near = tokio::net::UnixStream::from_std(near).unwrap();
            let (log, theirs) = (Log::new(), far.try_clone().unwrap());
            let logs = log.clone();
            let handle = add(&far, READABLE, move |_, _| {
                let mut byte = [0];
                (&theirs).read_exact(&mut byte).unwrap();
                (&theirs).write_all(&byte).unwrap();
                logs.push(byte[0]);
            });
            for i in 0..5 {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                near.write_u8(i).await.unwrap();
                assert_eq!(near.read_u8().await.unwrap(), i);
            }
            assert_eq!(log.take(), [0, 1, 2, 3, 4]);
            remove(&handle);
        })
    });
}

#[test]
fn busy_fibers_do_not_starve_callbacks() {
    however_driven(|| async {
        let stop = Rc::new(Cell::new(false));
        for _ in 0..200 {
            let stop = stop.clone();
            drop(spawn(move || {
                while !stop.get() {
                    yield_now().wait();
                }
            }));
        }
        let (near, _far) = readable();
        let (_, log) = add_logged(&near, READABLE);
        while log.len() < 5 {
            tokio::task::yield_now().await;
        }
        stop.set(true);
    });
}

/// Between two calls of a callback, a task that gives way has had a turn.
#[test]
fn everything_gets_its_turn_between_two_passes() {
    however_driven(|| async {
        let (near, _far) = readable();
        let turns = Rc::new(Cell::new(0));
        let log = Log::new();
        let (seen, theirs) = (turns.clone(), log.clone());
        add(&near, READABLE, move |_, _| theirs.push(seen.get()));
        while log.len() < 20 {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
        let turns = log.take();
        assert!(turns.windows(2).all(|two| two[0] < two[1]), "{turns:?}");
    });
}

#[test]
fn a_multi_thread_main_task_is_told_by_the_thread_that_polls() {
    watched(|| multi_thread_runtime().block_on(Hub::run_until(told_by_another_thread())));
}

#[test]
fn descriptors_of_two_hubs_of_a_thread_are_polled_by_their_own() {
    watched(|| {
        let (near, _far) = readable();
        let (one, two) = (runtime(), runtime());
        let add = || async { add_logged(&near, READABLE).1 };
        let first = one.block_on(add());
        let second = two.block_on(add());
        one.block_on(async { settle_tasks().await });
        assert!(first.len() > 0);
        assert_eq!(second.len(), 0);
        drop(one);
        first.take();
        two.block_on(async { settle_tasks().await });
        assert_eq!(first.len(), 0);
        assert!(second.len() > 0);
    });
}

#[test]
fn a_hub_looks_for_descriptors_once_however_often_it_is_asked_to() {
    in_root_fiber(|| {
        let (near, _far) = readable();
        let hub = Hub::current();
        for _ in 0..100 {
            let (handle, _) = add_logged(&near, READABLE);
            remove(&handle);
        }
        assert_eq!(hub.metrics().ready(), 1);
        let (_, log) = add_logged(&near, READABLE);
        wait_for(&log, 10);
        assert!(hub.metrics().ready() <= 1);
    });
}

#[test]
fn events_are_a_set() {
    let both = READABLE | WRITABLE;
    assert!(both.contains(READABLE) && both.contains(WRITABLE) && both.contains(both));
    assert!(!READABLE.contains(WRITABLE) && !READABLE.contains(both));
    assert!(READABLE.contains(NONE) && NONE.contains(NONE) && !NONE.contains(READABLE));
    assert!(NONE.is_empty() && !READABLE.is_empty() && !both.is_empty());
    let mut events = Events::default();
    assert_eq!(events, NONE);
    events |= WRITABLE;
    assert_eq!(events, WRITABLE);
    assert_eq!(
        format!("{NONE:?}, {READABLE:?}, {WRITABLE:?}, {both:?}"),
        "NONE, READABLE, WRITABLE, READABLE | WRITABLE",
    );
}

#[test]
fn a_descriptors_callback_that_shuts_the_runtime_of_its_hub_down_returns() {
    watched(|| {
        let rt = runtime();
        rt.block_on(async {
            drop(spawn(|| {}));
            settle_tasks().await;
        });
        let (near, mut far) = pair();
        far.write_all(b"x").unwrap();
        let handle = rt.handle().clone();
        let hub = rt.block_on(async { Hub::current() });
        let mut rt = Some(rt);
        hub.poll()
            .add(near.as_raw_fd(), READABLE, move |_, _| {
                if let Some(rt) = rt.take() {
                    rt.shutdown_background();
                }
            })
            .unwrap();
        let _runtime = handle.enter();
        let mut run = Box::pin(Hub::run_until(async {}));
        let _ = poll_once(run.as_mut());
    });
}

#[test]
fn a_cancel_in_the_destructor_of_a_descriptors_callback_is_not_lost() {
    watched(|| {
        let one = runtime();
        let (near, _far) = pair();
        let hub = one.block_on(async { Hub::current() });
        switchback::run({
            let fd = near.as_raw_fd();
            move || {
                let me = current_fiber().unwrap();
                let guard = OnDrop(move || {
                    me.cancel();
                    yield_now().wait();
                });
                let added = hub.poll().add(fd, READABLE, move |_, _| {
                    let _ = &guard;
                });
                added.unwrap();
                one.shutdown_background();
                let result = catch_cancel(|| {
                    drop(hub);
                    yield_now().wait();
                });
                assert!(result.is_err(), "the cancel is lost");
            }
        })
        .unwrap();
    });
}
