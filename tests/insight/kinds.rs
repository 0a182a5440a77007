//! What a dump says about fibers that are stuck in the modules with std's names, and in calls that
//! have no future of their own.

use std::io::{Read, Write};
use std::time::Duration;

use switchback::{HubThread, net, sync, thread};

use crate::dump::says_with;
use crate::support::forever;

/// Checks each of these calls, which do not return: the type that the dump has to name, and the call.
macro_rules! stuck {
    ($($name:ident: $type_name:literal, $call:expr;)*) => {
        $(#[test]
        fn $name() {
            let call = || { let _ = $call; };
            says_with(call, None, $type_name, |fiber| {
                assert_eq!(fiber.wait().unwrap().at().file(), file!());
            });
        })*
    };
}

/// A lock that another fiber holds.
fn held<T>(lock: T, hold: impl FnOnce(&T) + Send + 'static) -> sync::Arc<T>
where
    T: Send + Sync + 'static,
{
    let lock = sync::Arc::new(lock);
    let theirs = lock.clone();
    thread::spawn(move || hold(&theirs));
    thread::yield_now();
    lock
}

fn mutex() -> sync::Arc<sync::Mutex<()>> {
    held(sync::Mutex::new(()), |lock| {
        let _guard = lock.lock();
        forever();
    })
}

fn write_locked() -> sync::Arc<sync::RwLock<()>> {
    held(sync::RwLock::new(()), |lock| {
        let _guard = lock.write();
        forever();
    })
}

/// A value that another fiber makes for ever.
fn unmade() -> sync::Arc<sync::OnceLock<()>> {
    held(sync::OnceLock::new(), |value| {
        value.get_or_init(forever);
    })
}

fn listener() -> net::TcpListener {
    net::TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

fn stream() -> (net::TcpListener, net::TcpStream) {
    let listener = listener();
    let stream = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, stream)
}

stuck! {
    a_mutex: "cell::Waiting<", mutex().lock().is_ok();
    a_read_lock: "cell::WaitingToRead<", write_locked().read().is_ok();
    a_write_lock: "cell::WaitingToWrite<", write_locked().write().is_ok();
    a_condition: "line::Notified<", {
        let lock = sync::Mutex::new(());
        sync::Condvar::new().wait(lock.lock().unwrap()).is_ok()
    };
    a_barrier: "barrier", sync::Barrier::new(2).wait();
    a_semaphore: "semaphore", sync::Semaphore::new(0).acquire().forget();
    an_event: "line::Notified<", sync::Event::new().wait();
    a_value_that_is_made_once: "line::Notified<", unmade().get_or_init(|| ());
    a_receiver: "channel::Recv<", {
        let (_sender, receiver) = sync::mpsc::channel::<()>();
        receiver.recv()
    };
    a_sender_of_a_full_channel: "channel::Send<", {
        let (sender, _receiver) = sync::mpsc::sync_channel(0);
        sender.send(())
    };
    a_thread_that_parks: "Parked", thread::park();
    a_thread_that_sleeps: "Sleep", thread::sleep(Duration::from_secs(3600));
    a_thread_that_joins: "JoinHandle", thread::spawn(forever).join().is_ok();
    a_scope_of_threads: "Scope", thread::scope(|s| drop(s.spawn(forever)));
    an_accept: "", listener().accept();
    a_read_of_a_stream: "", stream().1.read(&mut [0]);
    a_write_to_a_stream: "", {
        let (_listener, mut stream) = stream();
        while stream.write(&[0; 65536]).is_ok() {}
    };
    a_read_of_a_datagram: "", net::UdpSocket::bind(("127.0.0.1", 0)).unwrap().recv(&mut [0]);
    the_close_of_a_thread: "Close", {
        let thread = HubThread::new().unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let shielded = move || switchback::shield(|| {
            begun.send(()).unwrap();
            forever();
        });
        drop(thread.spawn(shielded).unwrap());
        begins.recv().unwrap();
        switchback::Wait::wait(thread.handle().close())
    };
}

#[cfg(unix)]
stuck! {
    readiness: "Ready", {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        switchback::Wait::wait(switchback::io::ready(ours, switchback::Events::READABLE))
    };
}
