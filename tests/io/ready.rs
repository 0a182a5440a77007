//! `io::ready` and `io::until_ready`: descriptors that other code owns.

use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::thread;

use switchback::io::{Blocking, ready, until_ready};
use switchback::{Events, JoinError, prelude::*, scope, spawn, yield_now};

use crate::support::ending::{Count, poll_once};
use crate::support::{Drops, in_async, in_root_fiber, ms, multi_thread_runtime, text, watched};

const BOTH: [Events; 2] = [Events::READABLE, Events::WRITABLE];

/// A pair of sockets that do not block, as a library has them.
fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

/// Writes until there is no room.
fn fill(mut socket: &UnixStream) {
    while socket.write(&[0; 4096]).is_ok() {}
}

/// Reads until there is nothing left.
fn drain(mut socket: &UnixStream) {
    while socket.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
}

fn polls_pending(future: impl Future) -> bool {
    poll_once(pin!(future)).is_pending()
}

#[test]
fn a_descriptor_is_ready_for_what_it_is_ready_for_now() {
    in_async(|| async {
        let (near, far) = pair();
        let all = Events::READABLE | Events::WRITABLE;
        assert!(polls_pending(ready(&near, Events::READABLE)));
        assert_eq!(ready(&near, all).await.unwrap(), Events::WRITABLE);
        (&far).write_all(b"x").unwrap();
        // Readiness is not used up.
        for _ in 0..2 {
            assert_eq!(ready(&near, all).await.unwrap(), all);
        }
        fill(&near);
        assert!(polls_pending(ready(&near, Events::WRITABLE)));
        assert_eq!(ready(&near, all).await.unwrap(), Events::READABLE);
        drain(&near);
        assert!(polls_pending(ready(&near, all)));
        drop(far);
        assert_eq!(ready(&near, all).await.unwrap(), all);
    });
}

#[test]
fn whoever_waits_is_woken_by_what_it_waits_for() {
    in_root_fiber(|| {
        let (near, far) = pair();
        scope(|s| {
            fill(&near);
            // A fiber for each direction, and one for both: any number may watch.
            let waits = BOTH.map(|events| {
                let near = &near;
                s.spawn(move || ready(near, events).wait().unwrap())
            });
            yield_now().wait();
            assert!(waits.iter().all(|fiber| fiber.is_alive()));
            (&far).write_all(b"x").unwrap();
            drain(&far);
            for (fiber, events) in waits.into_iter().zip(BOTH) {
                assert_eq!(fiber.wait().unwrap(), events);
            }
        });
    });
}

#[test]
fn a_descriptor_that_tokio_watches_already_can_be_watched() {
    in_root_fiber(|| {
        let (near, far) = pair();
        let near = Blocking::new(tokio::net::UnixStream::from_std(near).unwrap());
        (&far).write_all(b"hello").unwrap();
        assert_eq!(
            ready(&near, Events::READABLE).wait().unwrap(),
            Events::READABLE
        );
        let mut buf = [0; 5];
        (&near).read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"hello");
        // And tokio still does.
        scope(|s| {
            let reader = s.spawn(|| (&near).read(&mut [0; 9]));
            yield_now().wait();
            (&far).write_all(b"again").unwrap();
            assert_eq!(reader.wait().unwrap().unwrap(), 5);
        });
    });
}

#[test]
fn what_cannot_be_watched_is_an_error_that_names_it() {
    in_async(|| async {
        let file = File::open("/proc/self/exe").unwrap();
        let error = ready(&file, Events::READABLE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(
            error.to_string().starts_with("cannot poll descriptor "),
            "{error}"
        );

        let (near, _far) = pair();
        let none = [
            ready(&near, Events::NONE).await.unwrap_err(),
            until_ready(&near, Events::NONE, || Ok(()))
                .await
                .unwrap_err(),
        ];
        for error in none {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(
                error.to_string().contains("never ready for `Events::NONE`"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_library_that_would_block_is_called_again_only_when_something_has_happened() {
    in_async(|| async {
        let (near, far) = pair();
        let calls = Count::new();
        let mut buf = [0; 8];
        let all = Events::READABLE | Events::WRITABLE;
        let mut read = until_ready(&near, all, || {
            calls.add();
            (&near).read(&mut buf)
        });
        let mut read = Pin::new(&mut read);
        // At once, and for the room that there is, once the system has told of it.
        while calls.get() < 2 {
            assert!(poll_once(read.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(poll_once(read.as_mut()).is_pending());
        }
        assert_eq!(calls.get(), 2);
        (&far).write_all(b"x").unwrap();
        assert_eq!(read.await.unwrap(), 1);
        assert_eq!(calls.get(), 3);
    });
}

#[test]
fn a_library_that_is_ready_is_called_once_and_needs_no_runtime() {
    watched(|| {
        let (near, _far) = pair();
        let write = until_ready(&near, Events::WRITABLE, || (&near).write(b"x"));
        assert_eq!(write.wait().unwrap(), 1);
    });
}

#[test]
fn errors_and_panics_of_the_library_are_those_of_the_wait() {
    in_root_fiber(|| {
        let (near, _far) = pair();
        let fails = until_ready(&near, Events::READABLE, || {
            io::Result::<()>::Err(ErrorKind::ConnectionReset.into())
        });
        assert_eq!(fails.wait().unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut panics = spawn(move || {
            let mut calls = 0;
            until_ready(&near, Events::WRITABLE, || -> io::Result<()> {
                calls += 1;
                match calls {
                    1 => Err(ErrorKind::WouldBlock.into()),
                    _ => resume_unwind(Box::new("of the library")),
                }
            })
            .wait()
        });
        let error: JoinError = panics.join().wait().unwrap_err();
        assert_eq!(text(&*error.into_panic()), "of the library");
    });
}

#[test]
fn a_library_that_waits_inside_is_refused() {
    in_root_fiber(|| {
        let (near, _far) = pair();
        let mut waits = spawn(move || {
            until_ready(&near, Events::WRITABLE, || {
                yield_now().wait();
                Ok(())
            })
            .wait()
        });
        let error = waits.join().wait().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("would suspend the executor half way"),
            "{error}"
        );
    });
}

/// Every byte goes both ways between many pairs at once, with writes that find no room.
#[test]
fn every_byte_goes_through() {
    const BYTES: usize = 300_000;
    in_root_fiber(|| {
        let fibers: Vec<_> = (0..20)
            .flat_map(|seed| {
                let (near, far) = pair();
                [(near, seed), (far, seed)]
            })
            .map(|(socket, seed)| {
                spawn(move || {
                    let sent: Vec<u8> = (0..BYTES).map(|at| (at * 31 + seed) as u8).collect();
                    let (mut written, mut read) = (0, Vec::new());
                    // One loop for both directions, as a library with one lock has it.
                    let both = Events::READABLE | Events::WRITABLE;
                    until_ready(&socket, both, || {
                        let mut buf = [0; 4096];
                        while written < BYTES {
                            match (&socket).write(&sent[written..]) {
                                Ok(count) => written += count,
                                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                                Err(e) => return Err(e),
                            }
                        }
                        while read.len() < BYTES {
                            let count = (&socket).read(&mut buf)?;
                            read.extend_from_slice(&buf[..count]);
                        }
                        match written {
                            BYTES => Ok(()),
                            _ => Err(ErrorKind::WouldBlock.into()),
                        }
                    })
                    .wait()
                    .unwrap();
                    assert_eq!(read, sent);
                })
            })
            .collect();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
    });
}

#[test]
fn a_library_that_is_always_ready_starves_nobody() {
    in_root_fiber(|| {
        let (near, _far) = pair();
        let turns = Count::new();
        let seen = turns.clone();
        let other = spawn(move || {
            for _ in 0..3 {
                yield_now().wait();
                seen.add();
            }
        });
        // It never stops by itself, and neither does what it is called by.
        while turns.get() < 3 {
            let call = until_ready(&near, Events::WRITABLE, || Ok(()));
            call.wait().unwrap();
        }
        other.wait().unwrap();
    });
}

#[test]
fn a_cancel_ends_the_wait_and_closes_the_duplicate() {
    in_root_fiber(|| {
        let (near, far) = pair();
        let drops = Drops::new();
        let token = drops.token();
        let mut fiber = spawn(move || {
            let _token = token;
            let mut buf = [0; 1];
            until_ready(&near, Events::READABLE, || (&near).read(&mut buf)).wait()
        });
        yield_now().wait();
        assert!(fiber.cancel());
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        // All descriptors of the socket are closed.
        assert_eq!((&far).read(&mut [0; 1]).unwrap(), 0);
    });
}

#[test]
fn the_end_of_the_runtime_is_an_error() {
    watched(|| {
        let (near, _far) = pair();
        let mut wait = pin!(ready(near.as_fd(), Events::READABLE));
        let runtime = multi_thread_runtime();
        runtime.block_on(async { assert!(poll_once(wait.as_mut()).is_pending()) });
        drop(runtime);
        wait.wait().unwrap_err();
    });
}

// `Blocking::shutdown`.

/// Whoever waits to read and to write is woken by the shutdown of its direction.
#[test]
fn a_shutdown_ends_what_other_fibers_wait_for() {
    in_root_fiber(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = Blocking::new(tokio::net::TcpStream::from_std(near).unwrap());
        scope(|s| {
            let reader = s.spawn(|| (&near).read(&mut [0; 10]));
            let writer = s.spawn(|| (&near).write_all(&[0; 1 << 26]));
            while ready(&near, Events::WRITABLE).wait_timeout(ms(20)).is_ok() {
                yield_now().wait();
            }
            near.shutdown(Shutdown::Write).unwrap();
            let error = writer.wait().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            yield_now().wait();
            assert!(reader.is_alive());
            near.shutdown(Shutdown::Read).unwrap();
            assert_eq!(reader.wait().unwrap().unwrap(), 0);
        });
        // The peer reads what was written, and then the end.
        let read = thread::spawn(move || (&far).read_to_end(&mut Vec::new()));
        assert!(read.join().unwrap().unwrap() > 0);
    });
}

#[test]
fn a_shutdown_of_both_directions_ends_all_calls_on_any_socket() {
    in_root_fiber(|| {
        let (near, _far) = pair();
        fill(&near);
        let near = Blocking::new(tokio::net::UnixStream::from_std(near).unwrap());
        scope(|s| {
            let reader = s.spawn(|| (&near).read(&mut [0; 10]));
            let writer = s.spawn(|| (&near).write(&[0; 10]));
            yield_now().wait();
            assert!(reader.is_alive() && writer.is_alive());
            near.shutdown(Shutdown::Both).unwrap();
            let error = writer.wait().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert_eq!(reader.wait().unwrap().unwrap(), 0);
        });
    });
}

#[test]
fn a_shutdown_of_what_is_no_socket_is_an_error() {
    in_async(|| async {
        let (near, _far) = tokio::net::unix::pipe::pipe().unwrap();
        Blocking::new(near).shutdown(Shutdown::Both).unwrap_err();
    });
}
