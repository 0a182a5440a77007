//! `switchback::net` against `std::net`, and what only it can do.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use switchback::net::{TcpListener, TcpStream, UdpSocket};
use switchback::{assert_no_switchpoints, prelude::*, spawn};

use crate::support::{
    Log, OnDrop, assert_panics, in_async, in_root_fiber, multi_thread_runtime, panic_of, runtime,
    watched,
};

/// The scripts with std.
mod with_std {
    use std::net;
    use std::thread;

    include!("scripts/net.rs");

    #[cfg(unix)]
    pub(super) mod unix {
        use std::os::unix::net;
        use std::thread;

        include!("scripts/unix.rs");
    }
}

/// The scripts with ours, to be run in a fiber.
mod with_ours {
    use switchback::net;
    use switchback::thread;

    include!("scripts/net.rs");

    #[cfg(unix)]
    pub(super) mod unix {
        use switchback::net::unix as net;
        use switchback::thread;

        include!("scripts/unix.rs");
    }
}

/// The scripts with our sockets, on plain threads.
mod on_threads {
    use std::thread;
    use switchback::net;

    include!("scripts/net.rs");

    #[cfg(unix)]
    pub(super) mod unix {
        use std::thread;
        use switchback::net::unix as net;

        include!("scripts/unix.rs");
    }
}

/// Runs a script as the root fiber of a hub.
fn fibers<T: Send + 'static>(script: impl FnOnce() -> T + Send + 'static) -> T {
    watched(|| switchback::run(script).unwrap())
}

#[test]
fn tcp_is_as_with_std() {
    let expected = with_std::tcp();
    assert_eq!(fibers(with_ours::tcp), expected);
    assert_eq!(watched(on_threads::tcp), expected);
}

#[test]
fn udp_is_as_with_std() {
    let expected = with_std::udp();
    assert_eq!(fibers(with_ours::udp), expected);
    assert_eq!(watched(on_threads::udp), expected);
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_as_with_std() {
    let folder = crate::support::folder("unix-sockets");
    let in_folder = |name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (threads, on_hub, both) = (in_folder("a"), in_folder("b"), in_folder("c"));
    let expected = with_std::unix::unix(&threads);
    assert_eq!(fibers(move || with_ours::unix::unix(&on_hub)), expected);
    assert_eq!(watched(move || on_threads::unix::unix(&both)), expected);
}

/// Two connected sockets.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[track_caller]
fn echoes(near: &TcpStream, far: &TcpStream) {
    let mut far = far.try_clone().unwrap();
    let echo = spawn(move || {
        let mut text = [0; 4];
        far.read_exact(&mut text).unwrap();
        far.write_all(&text).unwrap();
    });
    (&*near).write_all(b"echo").unwrap();
    let mut text = [0; 4];
    (&*near).read_exact(&mut text).unwrap();
    assert_eq!(&text, b"echo");
    echo.wait().unwrap();
}

#[test]
fn runtime_of_first_use_ends() {
    watched(|| {
        let sockets = switchback::run(|| {
            let (near, far) = pair();
            echoes(&near, &far);
            (near, far)
        });
        let (near, far) = sockets.unwrap();
        // Many others after it, each of which ends too.
        for _ in 0..5 {
            let (near, far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            switchback::run(move || echoes(&near, &far)).unwrap();
        }
        // A plain thread, and the hub of a runtime with many threads.
        let mut writer = far.try_clone().unwrap();
        let thread = std::thread::spawn(move || writer.write_all(b"hello"));
        (&near).read_exact(&mut [0; 5]).unwrap();
        thread.join().unwrap().unwrap();
        multi_thread_runtime().block_on(switchback::Hub::run_until(async {
            spawn(move || echoes(&near, &far)).await.unwrap();
        }));
    });
}

#[test]
fn nonblocking_spin_sees_data() {
    in_root_fiber(|| {
        let (near, far) = pair();
        near.set_nonblocking(true).unwrap();
        (&far).write_all(b"x").unwrap();
        // It never gives way, so no runtime can tell it.
        let mut byte = [0];
        while let Err(e) = (&near).read(&mut byte) {
            assert_eq!(e.kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(&byte, b"x");
    });
}

#[test]
fn two_hubs_and_a_thread_share_a_socket() {
    const EACH: usize = 200;
    watched(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let receive = |socket: UdpSocket| {
            move || {
                let mut received = 0;
                while socket.recv(&mut [0; 8]).unwrap() != 3 {
                    received += 1;
                }
                received
            }
        };
        let hubs =
            [switchback::HubThread::new, switchback::HubThread::new].map(|new| new().unwrap());
        let clone = || socket.try_clone().unwrap();
        let fibers: Vec<_> = hubs
            .iter()
            .flat_map(|hub| [hub, hub])
            .map(|hub| hub.handle().spawn(receive(clone())).unwrap())
            .collect();
        let threads = [clone(), clone()].map(|socket| std::thread::spawn(receive(socket)));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..EACH {
            sender.send_to(b"datagram", address).unwrap();
            std::thread::yield_now();
        }
        for _ in 0..6 {
            sender.send_to(b"end", address).unwrap();
        }
        let mut sum = 0;
        for fiber in fibers {
            sum += fiber.wait().unwrap();
        }
        for thread in threads {
            sum += thread.join().unwrap();
        }
        assert_eq!(sum, EACH);
    });
}

#[test]
fn two_fibers_read_one_stream() {
    in_root_fiber(|| {
        let (near, far) = pair();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let near = near.try_clone().unwrap();
                spawn(move || (&near).read(&mut [0; 1]).unwrap())
            })
            .collect();
        switchback::yield_now().wait();
        (&far).write_all(b"abc").unwrap();
        for reader in readers {
            assert_eq!(reader.wait().unwrap(), 1);
        }
    });
}

#[test]
fn a_cancelled_read_has_taken_nothing() {
    in_root_fiber(|| {
        let (near, far) = pair();
        let reader = near.try_clone().unwrap();
        let fiber = spawn(move || (&reader).read(&mut [0; 8]).unwrap());
        switchback::yield_now().wait();
        (&far).write_all(b"hello").unwrap();
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        let mut text = [0; 8];
        assert_eq!((&near).read(&mut text).unwrap(), 5);
    });
}

#[test]
fn a_cancelled_accept_has_taken_no_connection() {
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepts = listener.try_clone().unwrap();
        let fiber = spawn(move || accepts.accept().map(drop).unwrap());
        switchback::yield_now().wait();
        fiber.cancel();
        let _client = TcpStream::connect(address).unwrap();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        listener.accept().unwrap();
    });
}

#[test]
fn a_socket_that_is_always_ready_starves_nobody() {
    in_root_fiber(|| {
        let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (near, far) = pair();
        let spinner = spawn(move || {
            let to = listener.local_addr().unwrap();
            loop {
                listener.send_to(b"x", to).unwrap();
                listener.recv(&mut [0; 1]).unwrap();
            }
        });
        echoes(&near, &far);
        switchback::sleep(Duration::from_millis(2)).wait();
        spinner.cancel();
        assert!(spinner.wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn calls_that_wait_are_refused_in_async_code() {
    in_async(|| async {
        let listener =
            TcpListener::bind(("127.0.0.1".parse::<std::net::IpAddr>().unwrap(), 0)).unwrap();
        let refused = panic_of(|| listener.accept());
        let begin = "`net::TcpListener::accept` would block the runtime; use tokio's sockets, or ";
        assert!(refused.message.starts_with(begin), "{refused:?}");
        // A call that never waits is allowed.
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_read_is_a_switchpoint_also_when_it_is_ready() {
    in_root_fiber(|| {
        let (near, far) = pair();
        (&far).write_all(b"x").unwrap();
        let refused = panic_of(|| assert_no_switchpoints(|| (&near).read(&mut [0; 1])));
        assert!(refused.message.contains("is a switchpoint"), "{refused:?}");
        assert_eq!((&near).read(&mut [0; 1]).unwrap(), 1);
    });
}

#[test]
fn a_call_in_a_fiber_that_unwinds_returns_an_error() {
    in_root_fiber(|| {
        let (near, _far) = pair();
        let errors = Log::new();
        let log = errors.clone();
        let fiber = spawn(move || {
            let _reads = OnDrop(|| log.push((&near).read(&mut [0; 1]).unwrap_err()));
            crate::support::forever();
        });
        switchback::yield_now().wait();
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        let error = &errors.take()[0];
        assert_eq!(error.kind(), ErrorKind::Other);
        let message = "cancelled: the fiber is unwinding and cannot wait";
        assert_eq!(error.to_string(), message);
    });
}

#[test]
fn a_runtime_without_io_is_told_of() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let fiber = spawn(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let refused = panic_of(|| listener.accept());
                assert!(refused.message.contains("IO is disabled"), "{refused:?}");
            });
            fiber.await.unwrap();
        });
    });
}

#[test]
fn a_bridge_in_any_executor_waits() {
    watched(|| {
        let (near, far) = pair();
        let thread = std::thread::spawn(move || (&far).write_all(b"x"));
        futures::executor::block_on(switchback::bridge(move || {
            assert_eq!((&near).read(&mut [0; 1]).unwrap(), 1);
        }));
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn sockets_become_those_of_std_and_tokio_and_come_back() {
    watched(|| {
        let (near, far) = pair();
        near.set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let clone = near.try_clone().unwrap();
        let refused = std::net::TcpStream::try_from(clone).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
        let std = std::net::TcpStream::try_from(near).unwrap();
        // It blocks, for as long as its timeout.
        assert_eq!(std.read_timeout().unwrap(), Some(Duration::from_millis(20)));
        assert_eq!(
            (&std).read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let near = TcpStream::from(std);
        assert_eq!(
            near.read_timeout().unwrap(),
            Some(Duration::from_millis(20))
        );

        let runtime = runtime();
        let tokio = {
            let _runtime = runtime.enter();
            tokio::net::TcpStream::try_from(near).unwrap()
        };
        let near = TcpStream::try_from(tokio).unwrap();
        drop(runtime);
        (&far).write_all(b"x").unwrap();
        assert_eq!((&near).read(&mut [0; 1]).unwrap(), 1);
    });
}

#[test]
fn a_socket_without_a_descriptor_tells_at_its_first_use() {
    #[cfg(unix)]
    watched(|| {
        use std::os::fd::OwnedFd;
        // No socket at all.
        let file = std::fs::File::open("/dev/null").unwrap();
        let socket = UdpSocket::from(OwnedFd::from(file));
        assert!(socket.recv(&mut [0; 1]).is_err());
    });
}

#[test]
fn a_lookup_holds_up_no_fiber() {
    in_root_fiber(|| {
        use switchback::net::ToSocketAddrs;
        let looked_up = spawn(|| "localhost:80".to_socket_addrs().unwrap().count());
        assert!(looked_up.wait().unwrap() > 0);
        assert_panics(
            "`net::ToSocketAddrs::to_socket_addrs` is a switchpoint and was called inside \
             `assert_no_switchpoints`; wait before or after that block",
            || assert_no_switchpoints(|| "127.0.0.1:80".to_socket_addrs()),
        );
    });
}

#[test]
fn sockets_outlive_hubs_that_end_while_they_wait() {
    watched(|| {
        let (near, far) = pair();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        for round in 0..20 {
            let (near, datagrams) = (near.try_clone().unwrap(), datagrams.try_clone().unwrap());
            switchback::run(move || {
                for _ in 0..3 {
                    let (near, datagrams) =
                        (near.try_clone().unwrap(), datagrams.try_clone().unwrap());
                    spawn(move || (&near).read(&mut [0; 1]).map(drop));
                    let receiver = spawn(move || datagrams.recv(&mut [0; 1]).map(drop));
                    if round % 2 == 0 {
                        std::mem::forget(receiver);
                    }
                }
                switchback::yield_now().wait();
                // It ends with six fibers that wait.
            })
            .unwrap();
        }
        // Nothing was taken, and every place to wait is free again.
        (&far).write_all(b"x").unwrap();
        let reader = near.try_clone().unwrap();
        switchback::run(move || assert_eq!((&reader).read(&mut [0; 2]).unwrap(), 1)).unwrap();
        datagrams
            .send_to(b"y", datagrams.local_addr().unwrap())
            .unwrap();
        assert_eq!(datagrams.recv(&mut [0; 2]).unwrap(), 1);
    });
}

#[test]
fn a_socket_in_a_thread_local_is_dropped_at_the_end_of_its_thread() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<TcpStream>> = const { std::cell::RefCell::new(None) };
    }
    watched(|| {
        let far = std::thread::spawn(|| {
            switchback::run(|| {
                let (near, far) = pair();
                echoes(&near, &far); // a runtime watches it
                KEPT.set(Some(near));
                far
            })
            .unwrap()
        });
        let far = far.join().unwrap();
        assert_eq!((&far).read(&mut [0; 1]).unwrap(), 0);
    });
}
