//! What a dump says about a fiber that is stuck, for each wait of the crate. Those that need files, or that
//! no row shows, are in `files.rs` and below.

use std::future::pending;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::{Sink, StreamExt};
use switchback::io::{AsyncReader, AsyncWriter, Blocking, SharedRead, SharedWrite};
use switchback::sync::{self, Arc, nonpoison};
use switchback::{
    FiberSet, FiberState, Hub, HubPool, HubThread, SwitchBack, Track, WaitDump, WaitsFor, bridge,
    dump_all, net, prelude::*, spawn, stream, thread,
};
use tokio::io::{
    AsyncBufRead, AsyncRead, AsyncReadExt, AsyncSeek, AsyncWrite, AsyncWriteExt, ReadBuf,
};

use crate::sources;
use crate::stuck::{LASTS, Says, full_dump, on_hub, stuck};
use crate::support::forever;

const HOUR: Duration = Duration::from_secs(3600);

/// What another fiber does something with until this is dropped.
struct Held<T> {
    what: Arc<T>,
    _until: sync::mpsc::Sender<()>,
}

impl<T> std::ops::Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

/// Has `hold` called in another fiber, with `what` and something to wait for.
fn held<T>(what: T, hold: impl FnOnce(&T, &dyn Fn()) + Send + 'static) -> Held<T>
where
    T: Send + Sync + 'static,
{
    let what = Arc::new(what);
    let (until, end) = sync::mpsc::channel::<()>();
    let theirs = what.clone();
    thread::spawn(move || {
        hold(&theirs, &|| {
            let _ = end.recv();
        })
    });
    thread::yield_now();
    Held {
        what,
        _until: until,
    }
}

fn mutex() -> Held<sync::Mutex<()>> {
    held(sync::Mutex::new(()), |lock, hold| {
        let _guard = lock.lock();
        hold();
    })
}

fn write_locked() -> Held<sync::RwLock<()>> {
    held(sync::RwLock::new(()), |lock, hold| {
        let _guard = lock.write();
        hold();
    })
}

fn reentrant() -> Held<sync::ReentrantLock<()>> {
    held(sync::ReentrantLock::new(()), |lock, hold| {
        let _guard = lock.lock();
        hold();
    })
}

fn nonpoison_mutex() -> Held<nonpoison::Mutex<()>> {
    held(nonpoison::Mutex::new(()), |lock, hold| {
        let _guard = lock.lock();
        hold();
    })
}

fn nonpoison_write_locked() -> Held<nonpoison::RwLock<()>> {
    held(nonpoison::RwLock::new(()), |lock, hold| {
        let _guard = lock.write();
        hold();
    })
}

/// One that another fiber runs for ever.
fn run() -> Held<sync::Once> {
    held(sync::Once::new(), |once, hold| once.call_once(hold))
}

/// A value that another fiber makes for ever.
fn unmade() -> Held<sync::OnceLock<()>> {
    held(sync::OnceLock::new(), |value, hold| {
        value.get_or_init(hold);
    })
}

/// As [`unmade`].
fn lazy() -> Held<sync::LazyLock<(), impl FnOnce()>> {
    let (until, end) = sync::mpsc::channel::<()>();
    let what = Arc::new(sync::LazyLock::new(move || {
        let _ = end.recv();
    }));
    let theirs = what.clone();
    thread::spawn(move || {
        sync::LazyLock::force(&theirs);
    });
    thread::yield_now();
    Held {
        what,
        _until: until,
    }
}

/// A full queue.
fn full() -> sync::Queue<()> {
    let queue = sync::Queue::with_capacity(1);
    queue.put(());
    queue
}

stuck! {
    a_wait_for_any_future: ".wait()" => "Pending<()>", None, pending::<()>().wait();
    a_wait_for_async_code: ".wait()" => "a_wait_for_async_code", None, async { pending::<()>().await }.wait();
    a_wait_with_a_timeout: ".wait_timeout()" => "Pending<()>", None, pending::<()>().wait_timeout(HOUR);
    a_wait_until_a_deadline: ".wait_until()" => "Pending<()>", None, {
        pending::<()>().wait_until(tokio::time::Instant::now() + HOUR)
    };
    a_wait_or_cancelled: ".wait_or_cancelled()" => "Pending<()>", None, pending::<()>().wait_or_cancelled();
    a_park: "park()", Some(WaitsFor::Unpark(_)), switchback::park();
    a_scope: "scope", Some(WaitsFor::Children(_)), switchback::scope(|s| drop(s.spawn(forever)));
    a_try_scope: "try_scope", Some(WaitsFor::Children(_)), {
        switchback::try_scope(|s| {
            s.spawn(|| -> Result<(), ()> {
                forever();
                Ok(())
            });
            Ok(())
        })
    };
    an_iterator_over_a_stream: "WaitIter::next", None, futures::stream::pending::<()>().wait_iter().next();
    a_send_to_a_sink: ".wait_send()" => "Send<", None, Never.wait_send(());
    a_feed_of_a_sink: ".wait_feed()" => "Feed<", None, Never.wait_feed(());
    a_flush_of_a_sink: ".wait_flush()" => "Flush<", None, Never.wait_flush();
    a_close_of_a_sink: ".wait_close()" => "Close<", None, Never.wait_close();
}

// The modules with std's names.
stuck! {
    a_thread_that_parks: "thread::park", Some(WaitsFor::Unpark(_)), thread::park();
    a_thread_that_parks_for_a_time: "thread::park_timeout", Some(WaitsFor::Unpark(_)), {
        thread::park_timeout(HOUR)
    };
    a_thread_that_sleeps: "thread::sleep", Some(WaitsFor::Time(_)), thread::sleep(HOUR);
    a_thread_that_sleeps_until: "thread::sleep_until", Some(WaitsFor::Time(_)), {
        thread::sleep_until(Instant::now() + HOUR)
    };
    a_thread_that_joins: "JoinHandle::join", Some(WaitsFor::Fiber(_)), thread::spawn(forever).join();
    a_scope_of_threads: "thread::scope", Some(WaitsFor::Children(_)), {
        thread::scope(|s| drop(s.spawn(forever)))
    };
    a_join_in_a_scope: "ScopedJoinHandle::join", Some(WaitsFor::Fiber(_)), {
        thread::scope(|s| s.spawn(forever).join().is_ok())
    };

    a_mutex: "Mutex::lock", Some(WaitsFor::Lock(Some(_))), mutex().lock().is_ok();
    a_mutex_without_poison: "Mutex::lock", Some(WaitsFor::Lock(Some(_))), {
        drop(nonpoison_mutex().lock())
    };
    a_reentrant_lock: "ReentrantLock::lock", Some(WaitsFor::Lock(Some(_))), drop(reentrant().lock());
    a_read_lock: "RwLock::read", Some(WaitsFor::Lock(Some(_))), write_locked().read().is_ok();
    a_write_lock: "RwLock::write", Some(WaitsFor::Lock(Some(_))), write_locked().write().is_ok();
    a_read_lock_without_poison: "RwLock::read", Some(WaitsFor::Lock(Some(_))), {
        drop(nonpoison_write_locked().read())
    };
    a_write_lock_without_poison: "RwLock::write", Some(WaitsFor::Lock(Some(_))), {
        drop(nonpoison_write_locked().write())
    };
    a_condition: "Condvar::wait", None, {
        let lock = sync::Mutex::new(());
        sync::Condvar::new().wait(lock.lock().unwrap()).is_ok()
    };
    the_lock_of_a_condition: "Condvar::wait", Some(WaitsFor::Lock(Some(_))), {
        let shared = Arc::new((sync::Mutex::new(()), sync::Condvar::new()));
        let guard = shared.0.lock().unwrap();
        let theirs = shared.clone();
        thread::spawn(move || {
            let _guard = theirs.0.lock();
            theirs.1.notify_one();
            forever();
        });
        shared.1.wait(guard).is_ok()
    };
    a_condition_while: "Condvar::wait_while", None, {
        let lock = sync::Mutex::new(());
        sync::Condvar::new().wait_while(lock.lock().unwrap(), |()| true).is_ok()
    };
    a_condition_for_a_time: "Condvar::wait_timeout", None, {
        let lock = sync::Mutex::new(());
        sync::Condvar::new().wait_timeout(lock.lock().unwrap(), HOUR).is_ok()
    };
    a_condition_while_for_a_time: "Condvar::wait_timeout_while", None, {
        let lock = sync::Mutex::new(());
        let condition = sync::Condvar::new();
        condition.wait_timeout_while(lock.lock().unwrap(), HOUR, |()| true).is_ok()
    };
    a_condition_without_poison: "Condvar::wait", None, {
        let lock = nonpoison::Mutex::new(());
        drop(nonpoison::Condvar::new().wait(lock.lock()))
    };
    a_condition_without_poison_while: "Condvar::wait_while", None, {
        let lock = nonpoison::Mutex::new(());
        drop(nonpoison::Condvar::new().wait_while(lock.lock(), |()| true))
    };
    a_condition_without_poison_for_a_time: "Condvar::wait_timeout", None, {
        let lock = nonpoison::Mutex::new(());
        drop(nonpoison::Condvar::new().wait_timeout(lock.lock(), HOUR))
    };
    a_barrier: "Barrier::wait", None, sync::Barrier::new(2).wait();
    a_semaphore: "Semaphore::acquire", None, sync::Semaphore::new(0).acquire().forget();
    a_semaphore_with_too_few_permits: "Semaphore::acquire_many", None, {
        sync::Semaphore::new(1).acquire_many(2).forget()
    };
    an_event: "Event::wait", None, sync::Event::new().wait();
    an_event_for_a_time: "Event::wait_timeout", None, sync::Event::new().wait_timeout(HOUR);
    what_is_run_once: "Once::call_once", Some(WaitsFor::Once(_)), run().call_once(|| ());
    what_is_run_once_in_spite_of_poison: "Once::call_once_force", Some(WaitsFor::Once(_)), {
        run().call_once_force(|_| ())
    };
    the_end_of_what_is_run_once: "Once::wait", Some(WaitsFor::Once(_)), run().wait();
    what_nobody_runs: "Once::wait", None, sync::Once::new().wait();
    the_end_of_what_is_run_once_in_spite_of_poison: "Once::wait_force", Some(WaitsFor::Once(_)), {
        run().wait_force()
    };
    a_value_that_is_made_once: "OnceLock::get_or_init", Some(WaitsFor::Once(_)), {
        unmade().get_or_init(|| ());
    };
    a_value_that_is_set_once: "OnceLock::set", Some(WaitsFor::Once(_)), unmade().set(());
    a_value_that_others_set: "OnceLock::wait", Some(WaitsFor::Once(_)), {
        unmade().wait();
    };
    a_lazy_value: "a use of a `LazyLock`", Some(WaitsFor::Once(_)), {
        sync::LazyLock::force(&lazy());
    };
    a_use_of_a_lazy_value: "a use of a `LazyLock`", Some(WaitsFor::Once(_)), **lazy();
    a_receiver: "Receiver::recv", None, {
        let (_sender, receiver) = sync::mpsc::channel::<()>();
        receiver.recv()
    };
    a_receiver_for_a_time: "Receiver::recv_timeout", None, {
        let (_sender, receiver) = sync::mpsc::channel::<()>();
        receiver.recv_timeout(HOUR)
    };
    an_iterator_over_messages: "Receiver::recv", None, {
        let (_sender, receiver) = sync::mpsc::channel::<()>();
        for () in receiver {}
    };
    a_sender_of_a_full_channel: "SyncSender::send", None, {
        let (sender, _receiver) = sync::mpsc::sync_channel(0);
        sender.send(())
    };
    an_empty_queue: "Queue::get", None, sync::Queue::<()>::new().get();
    an_empty_queue_for_a_time: "Queue::get_timeout", None, sync::Queue::<()>::new().get_timeout(HOUR);
    a_full_queue: "Queue::put", None, full().put(());
    the_items_of_a_queue: "Queue::join", None, full().join();
    an_empty_stack: "LifoQueue::get", None, sync::LifoQueue::<()>::new().get();
    an_empty_heap: "PriorityQueue::get", None, sync::PriorityQueue::<()>::new().get();
}

// The futures of the crate, and its async functions.
stuck! {
    a_sleep: ".wait()" => "Sleep", Some(WaitsFor::Time(_)), switchback::sleep(HOUR).wait();
    a_join: ".wait()" => "Join<", Some(WaitsFor::Fiber(_)), spawn(forever).join().wait();
    a_fiber: ".wait()" => "Fiber<", Some(WaitsFor::Fiber(_)), spawn(forever).wait();
    a_fiber_that_ends_with_its_guard: ".wait()" => "CancelOnDrop<", Some(WaitsFor::Fiber(_)), {
        spawn(forever).cancel_on_drop().wait()
    };
    a_fiber_of_another_hub: ".wait()" => "CancelOnDrop<", Some(WaitsFor::Fiber(_)), {
        let thread = HubThread::new().unwrap();
        thread.spawn(forever).unwrap().cancel_on_drop().wait()
    };
    a_fiber_of_a_scope: ".wait()" => "ScopedFiber<", Some(WaitsFor::Fiber(_)), {
        switchback::scope(|s| s.spawn(forever).wait().is_ok())
    };
    a_thread: ".wait()" => "JoinHandle<", Some(WaitsFor::Fiber(_)), thread::spawn(forever).wait();
    a_thread_of_a_scope: ".wait()" => "ScopedJoinHandle<", Some(WaitsFor::Fiber(_)), {
        thread::scope(|s| s.spawn(forever).wait().is_ok())
    };
    a_call_of_a_pool: ".wait()" => "Call<", Some(WaitsFor::Fiber(_)), {
        HubPool::new(1).unwrap().call(forever).wait()
    };
    the_next_of_a_set: ".wait()" => "FiberSet<()>::join_next", _, set().join_next().wait();
    all_of_a_set: ".wait()" => "FiberSet<()>::join_all", _, set().join_all().wait();
    the_shutdown_of_a_set: ".wait()" => "FiberSet<()>::shutdown", _, {
        let (_until, end) = sync::mpsc::channel::<()>();
        let mut set = FiberSet::new();
        set.spawn(move || switchback::shield(|| { let _ = end.recv(); }));
        thread::yield_now();
        set.shutdown().wait()
    };
    a_switch_back: ".wait()" => "SwitchBack<", None, {
        let back = SwitchBack::<()>::new();
        let _switcher = back.switcher();
        back.wait()
    };
    a_bridge: ".wait()" => "Bridge<", None, bridge(forever).wait();
    #[allow(unsafe_code)]
    a_bridge_that_borrows: ".wait()" => "BridgeBorrowed<", None, {
        // SAFETY: it is not forgotten.
        unsafe { switchback::bridge_borrowed(forever) }.wait()
    };
    a_local_of_async_code: ".wait()" => "LocalScope<", None, LOCAL.scope(1, pending::<()>()).wait();
    a_job: ".wait()" => "Offload<", None, {
        let (_release, held) = std::sync::mpsc::channel::<()>();
        switchback::blocking(move || held.recv().is_ok()).wait()
    };
    #[cfg(feature = "compute")]
    a_computation: ".wait()" => "Offload<", None, {
        let (_release, held) = std::sync::mpsc::channel::<()>();
        switchback::compute(move || held.recv().is_ok()).wait()
    };
    the_items_of_an_iterator: ".wait()" => "FromIter<", None, {
        stream::from_iter(|| std::iter::repeat_with(forever)).next().wait()
    };
    the_items_of_a_pool: ".wait()" => "PoolIter<", _, {
        let pool = HubPool::new(1).unwrap();
        pool.iter(|| std::iter::repeat_with(forever)).next().wait()
    };
    a_reader_of_async_code: ".wait()" => "AsyncReader", None, {
        AsyncReader::new(|| Blocking::new(Never)).read(&mut [0]).wait()
    };
    a_writer_of_async_code: ".wait()" => "AsyncWriter<", None, {
        let mut writer = AsyncWriter::new(Never, |sink| sink, |mut sink| sink.flush());
        writer.shutdown().wait()
    };
    a_reader_of_a_pool: ".wait()" => "PoolReader", _, {
        let pool = HubPool::new(1).unwrap();
        pool.reader(|| Blocking::new(Never)).read(&mut [0]).wait()
    };
    a_writer_of_a_pool: ".wait()" => "PoolWriter", _, {
        let pool = HubPool::new(1).unwrap();
        pool.writer(|| Blocking::new(Never), |mut never| never.flush()).shutdown().wait()
    };
    the_close_of_a_hub: ".wait()" => "Close", None, {
        let thread = busy();
        thread.handle().close().wait()
    };
    the_close_of_a_thread: ".wait()" => "CloseThreads", None, busy().close().wait();
    the_close_of_a_thread_for_a_time: ".wait()" => "CloseThreadsWithin", None, {
        busy().close_within(HOUR).wait()
    };
    the_dump_of_a_hub: ".wait()" => "Dump", None, {
        let (_release, thread) = blocked();
        thread.handle().dump().wait()
    };
    the_dumps_of_all_hubs: ".wait()" => "DumpAll" / tries, None, {
        let (_release, _thread) = blocked();
        loop {
            dump_all().wait();
        }
    };
    a_hub_that_a_fiber_drives: ".wait()" => "Hub::run_until", None, Hub::run_until(pending::<()>()).wait();

    a_mutex_in_async_code: ".wait()" => "Mutex<()>::lock_async", Some(WaitsFor::Lock(Some(_))), {
        mutex().lock_async().wait().is_ok()
    };
    a_read_lock_in_async_code: ".wait()" => "RwLock<()>::read_async", Some(WaitsFor::Lock(Some(_))), {
        write_locked().read_async().wait().is_ok()
    };
    a_write_lock_in_async_code: ".wait()" => "RwLock<()>::write_async", Some(WaitsFor::Lock(Some(_))), {
        write_locked().write_async().wait().is_ok()
    };
    a_condition_in_async_code: ".wait()" => "Condvar::wait_async", None, {
        let lock = sync::Mutex::new(());
        sync::Condvar::new().wait_async(lock.lock().unwrap()).wait().is_ok()
    };
    a_condition_while_in_async_code: ".wait()" => "Condvar::wait_while_async", None, {
        let lock = sync::Mutex::new(());
        let condition = sync::Condvar::new();
        condition.wait_while_async(lock.lock().unwrap(), |()| true).wait().is_ok()
    };
    a_barrier_in_async_code: ".wait()" => "Barrier::wait_async", None, {
        sync::Barrier::new(2).wait_async().wait()
    };
    a_semaphore_in_async_code: ".wait()" => "Semaphore::acquire_async", None, {
        sync::Semaphore::new(0).acquire_async().wait().forget()
    };
    many_permits_in_async_code: ".wait()" => "Semaphore::acquire_many_async", None, {
        sync::Semaphore::new(1).acquire_many_async(2).wait().forget()
    };
    an_event_in_async_code: ".wait()" => "Event::wait_async", None, sync::Event::new().wait_async().wait();
    what_is_run_once_in_async_code: ".wait()" => "Once::wait_async", Some(WaitsFor::Once(_)), {
        run().wait_async().wait()
    };
    a_value_in_async_code: ".wait()" => "OnceLock<()>::wait_async", Some(WaitsFor::Once(_)), {
        unmade().wait_async().wait();
    };
    a_lazy_value_in_async_code: ".wait()" => "::force_async", Some(WaitsFor::Once(_)), {
        sync::LazyLock::force_async(&lazy()).wait();
    };
    a_receiver_in_async_code: ".wait()" => "Receiver<()>::recv_async", None, {
        let (_sender, receiver) = sync::mpsc::channel::<()>();
        receiver.recv_async().wait()
    };
    a_sender_in_async_code: ".wait()" => "SyncSender<()>::send_async", None, {
        let (sender, _receiver) = sync::mpsc::sync_channel(0);
        sender.send_async(()).wait()
    };
    an_empty_queue_in_async_code: ".wait()" => "Queue<()>::get_async", None, {
        sync::Queue::<()>::new().get_async().wait()
    };
    a_full_queue_in_async_code: ".wait()" => "Queue<()>::put_async", None, full().put_async(()).wait();
    the_items_of_a_queue_in_async_code: ".wait()" => "Queue<()>::join_async", None, {
        full().join_async().wait()
    };
}

switchback::fiber_local! {
    static LOCAL: u32 = 0;
}

fn set() -> FiberSet<()> {
    let mut set = FiberSet::new();
    set.spawn(forever);
    set
}

/// A hub whose only fiber puts every cancel off.
fn busy() -> HubThread {
    let thread = HubThread::new().unwrap();
    let (begun, begins) = std::sync::mpsc::channel();
    let shielded = move || {
        switchback::shield(|| {
            begun.send(()).unwrap();
            forever();
        })
    };
    drop(thread.spawn(shielded).unwrap());
    begins.recv().unwrap();
    thread
}

/// A hub whose thread is blocked until the sender is dropped.
fn blocked() -> (std::sync::mpsc::Sender<()>, HubThread) {
    let thread = HubThread::new().unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = std::sync::mpsc::channel();
    let blocks = move || {
        begun.send(()).unwrap();
        held.recv().is_ok()
    };
    drop(thread.spawn(blocks).unwrap());
    begins.recv().unwrap();
    (release, thread)
}

// Streams and sockets.
stuck! {
    a_read: "Blocking::read", None, Blocking::new(Never).read(&mut [0]);
    a_read_for_a_time: "Blocking::read", None, {
        let mut stream = Blocking::new(Never);
        stream.set_read_timeout(Some(HOUR)).unwrap();
        stream.read(&mut [0])
    };
    a_shared_read: "Blocking::read", None, (&Blocking::new(Never)).read(&mut [0]);
    a_read_into_two: "Blocking::read_vectored", None, {
        let (mut one, mut two) = ([0], [0]);
        let mut bufs = [io::IoSliceMut::new(&mut one), io::IoSliceMut::new(&mut two)];
        Blocking::new(Never).read_vectored(&mut bufs)
    };
    a_look_into_the_buffer: "Blocking::fill_buf", None, Blocking::new(Never).fill_buf().is_ok();
    a_write: "Blocking::write", None, Blocking::new(Never).write(&[0]);
    a_shared_write: "Blocking::write", None, (&Blocking::new(Never)).write(&[0]);
    a_write_from_two: "Blocking::write_vectored", None, {
        Blocking::new(Never).write_vectored(&[io::IoSlice::new(&[0])])
    };
    a_flush: "Blocking::flush", None, Blocking::new(Never).flush();
    a_seek: "Blocking::seek", None, Blocking::new(Never).seek(SeekFrom::Start(0));
    a_shutdown: "Blocking::shutdown_write", None, Blocking::new(Never).shutdown_write();

    an_accept: "net::TcpListener::accept", None, listener().accept();
    a_stream_that_comes: "net::TcpListener::accept", None, listener().incoming().next();
    a_read_of_a_stream: "net::TcpStream::read", None, stream().1.read(&mut [0]);
    a_read_of_a_stream_for_a_time: "net::TcpStream::read", None, {
        let (_listener, mut stream) = stream();
        stream.set_read_timeout(Some(HOUR)).unwrap();
        stream.read(&mut [0])
    };
    a_read_of_a_stream_into_two: "net::TcpStream::read_vectored", None, {
        stream().1.read_vectored(&mut [io::IoSliceMut::new(&mut [0])])
    };
    a_look_at_a_stream: "net::TcpStream::peek", None, stream().1.peek(&mut [0]);
    a_write_to_a_stream: "net::TcpStream::write", None, {
        let (_listener, mut stream) = stream();
        while stream.write(&[0; 65536]).is_ok() {}
    };
    a_write_to_a_stream_from_two: "net::TcpStream::write_vectored", None, {
        let (_listener, mut stream) = stream();
        while stream.write_vectored(&[io::IoSlice::new(&[0; 65536])]).is_ok() {}
    };
    a_datagram: "net::UdpSocket::recv", None, udp().recv(&mut [0]);
    a_datagram_from_somebody: "net::UdpSocket::recv_from", None, udp().recv_from(&mut [0]);
    a_look_at_a_datagram: "net::UdpSocket::peek", None, udp().peek(&mut [0]);
    a_look_at_a_datagram_from_somebody: "net::UdpSocket::peek_from", None, udp().peek_from(&mut [0]);
}

fn listener() -> net::TcpListener {
    net::TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

fn stream() -> (net::TcpListener, net::TcpStream) {
    let listener = listener();
    let stream = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, stream)
}

fn udp() -> net::UdpSocket {
    net::UdpSocket::bind(("127.0.0.1", 0)).unwrap()
}

/// A stream and a sink that are never ready.
struct Never;

impl AsyncRead for Never {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncBufRead for Never {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Pending
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

impl AsyncWrite for Never {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncSeek for Never {
    fn start_seek(self: Pin<&mut Self>, _: SeekFrom) -> io::Result<()> {
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Pending
    }
}

impl SharedRead for Never {
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        pending()
    }
}

impl SharedWrite for Never {
    fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> {
        pending()
    }
}

impl Sink<()> for Never {
    type Error = ();

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, (): ()) -> Result<(), ()> {
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Pending
    }
}

/// Only the root can wait for the close of its own hub, so another fiber looks at it.
#[test]
fn the_close_of_its_own_hub_for_a_time() {
    on_hub(Track::Times, || {
        let root = switchback::current_fiber().unwrap().id();
        let looks = move || {
            switchback::shield(|| {
                switchback::sleep(LASTS).wait();
                let dump = full_dump();
                let says = Says {
                    call: ".wait()",
                    type_name: "CloseWithin",
                    waits_for: |waits_for| waits_for.is_none(),
                    tries: false,
                };
                says.of(dump.fiber(root).unwrap(), &dump, Location::caller());
            });
        };
        let looks = spawn(looks);
        thread::yield_now();
        // The clock may come to the end while the dump is looked at.
        let _ = Hub::current().close_within(HOUR).wait();
        looks.wait().unwrap();
    });
}

/// It is written to by a fiber of the pool.
#[test]
fn an_output_that_nobody_reads() {
    let pool = HubPool::new(1).unwrap();
    let mut output = pool.output(|output| {
        loop {
            output.write_all(&[0; 65536])?;
        }
    });
    assert_eq!(output.read(&mut [0]).wait().unwrap(), 1);
    let hub = pool.handles().next().unwrap();
    loop {
        let dump = hub.dump().wait().unwrap();
        let fiber = &dump.fibers()[0];
        let waits_there = |wait: &WaitDump| wait.call() == "HubPool::output";
        if fiber.state() == FiberState::Waiting && fiber.wait().is_some_and(waits_there) {
            assert!(dump.to_string().contains("for `HubPool::output`"));
            break;
        }
    }
}

/// Each call that waits, each future and each async function of the crate has a row above or in `files.rs`.
#[test]
fn every_wait_has_a_row() {
    // These have no wait that a dump can show.
    const OTHERS: [&str; 8] = [
        // They give way, or never suspend.
        "thread::yield_now",
        "YieldNow",
        "cancel_everywhere",
        // They are called in bridges, which are not in the dump.
        "Sink::write",
        "Sink::write_vectored",
        "Sink::flush",
        // The system takes what is sent at once.
        "net::UdpSocket::send",
        "net::UdpSocket::send_to",
    ];
    let rows = concat!(include_str!("kinds.rs"), include_str!("files.rs"));
    let rows = || rows.split('"').skip(1).step_by(2).chain(OTHERS);
    let has = |is_it: &dyn Fn(&str) -> bool| rows().any(is_it);
    let mut missing = Vec::new();
    // The names of calls, as the sources have them: "`Mutex::lock`", and in macros "::get`".
    for (_, text) in sources::read() {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let literals = code.flat_map(|line| line.split('"').skip(1).step_by(2));
        for quoted in literals.filter_map(|literal| literal.strip_suffix('`')) {
            let has_it = match quoted.strip_prefix('`') {
                Some(name) => has(&|row| row == name),
                None => has(&|row| row.ends_with(quoted)),
            };
            if !has_it && !quoted.trim_start_matches('`').is_empty() && !quoted.contains(' ') {
                missing.push(quoted.to_owned());
            }
        }
    }
    // "impl Future for Sleep", "impl<T> Mutex<T>: pub async fn lock_async(&self)".
    for item in include_str!("../api/surface.txt").lines() {
        let name = |of: &str| {
            of.split(['<', '(', ' '])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let after = |words| item.split_once(words).map(|(_, of)| name(of));
        let has_it = match after(" Future for ").or(after(" Stream for ")) {
            Some(of) => has(&|row| row == of || row.starts_with(&format!("{of}<"))),
            None => after("pub async fn ")
                .is_none_or(|of| has(&|row| row.ends_with(&format!("::{of}")))),
        };
        if !has_it {
            missing.push(item.to_owned());
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::net::UnixStream as StdStream;

    use switchback::io::{ready, until_ready};
    use switchback::net::unix::{UnixDatagram, UnixListener, UnixStream};
    use switchback::{Events, net};

    use super::*;
    use crate::support::{Folder, folder};

    stuck! {
        readiness: ".wait()" => "Ready<", None, {
            let (ours, _theirs) = nonblocking();
            ready(ours, Events::READABLE).wait()
        };
        an_attempt_when_ready: ".wait()" => "UntilReady<", None, {
            let (ours, _theirs) = nonblocking();
            until_ready(&ours, Events::READABLE, || (&ours).read(&mut [0])).wait()
        };
        an_accept: "net::UnixListener::accept", None, listener("accept").1.accept();
        a_read_of_a_stream: "net::UnixStream::read", None, pair().0.read(&mut [0]);
        a_read_of_a_stream_into_two: "net::UnixStream::read_vectored", None, {
            pair().0.read_vectored(&mut [io::IoSliceMut::new(&mut [0])])
        };
        a_write_to_a_stream: "net::UnixStream::write", None, {
            let (mut ours, _theirs) = pair();
            while ours.write(&[0; 65536]).is_ok() {}
        };
        a_write_to_a_stream_from_two: "net::UnixStream::write_vectored", None, {
            let (mut ours, _theirs) = pair();
            while ours.write_vectored(&[io::IoSlice::new(&[0; 65536])]).is_ok() {}
        };
        a_datagram: "net::UnixDatagram::recv", None, datagrams().0.recv(&mut [0]);
        a_datagram_from_somebody: "net::UnixDatagram::recv_from", None, {
            datagrams().0.recv_from(&mut [0])
        };
        a_datagram_to_one_who_has_many: "net::UnixDatagram::send", None, {
            let (ours, _theirs) = datagrams();
            while ours.send(&[0; 1024]).is_ok() {}
        };
        a_datagram_to_a_path: "net::UnixDatagram::send_to" / tries, None, {
            let folder = folder("kinds-send-to");
            let path = folder.path().join("socket");
            let _theirs = UnixDatagram::bind(&path).unwrap();
            let ours = UnixDatagram::unbound().unwrap();
            while ours.send_to(&[0], &path).is_ok() {}
        };
        a_datagram_to_an_address: "net::UnixDatagram::send_to_addr" / tries, None, {
            let folder = folder("kinds-send-to-addr");
            let path = folder.path().join("socket");
            let theirs = UnixDatagram::bind(&path).unwrap();
            let ours = UnixDatagram::unbound().unwrap();
            let address = theirs.local_addr().unwrap();
            while ours.send_to_addr(&[0], &address).is_ok() {}
        };
    }

    // Who connects has to wait if nobody accepts those before.
    #[cfg(target_os = "linux")]
    stuck! {
        a_connect: "net::TcpStream::connect", None, {
            let (_all, address) = full();
            net::TcpStream::connect(address)
        };
        a_connect_for_a_time: "net::TcpStream::connect_timeout", None, {
            let (_all, address) = full();
            net::TcpStream::connect_timeout(&address, HOUR)
        };
        a_connect_to_a_path: "net::UnixStream::connect" / tries, None, {
            let (folder, _listener) = listener("connect");
            let all: Vec<_> = std::iter::from_fn(|| Some(connect(&folder))).collect();
            drop(all)
        };
        a_connect_to_an_address: "net::UnixStream::connect_addr" / tries, None, {
            let (_folder, listener) = listener("connect-addr");
            let address = listener.local_addr().unwrap();
            let connect = || Some(UnixStream::connect_addr(&address).unwrap());
            let all: Vec<_> = std::iter::from_fn(connect).collect();
            drop(all)
        };
    }

    #[cfg(feature = "process")]
    stuck! {
        a_child: "process::Child::wait", None, sleeps().spawn().unwrap().wait();
        a_child_and_its_output: "process::Child::wait_with_output", None, {
            sleeps().stdout(Stdio::piped()).spawn().unwrap().wait_with_output()
        };
        the_output_of_a_command: "process::Command::output", None, sleeps().output();
        the_status_of_a_command: "process::Command::status", None, sleeps().status();
        a_write_to_a_child: "process::ChildStdin::write", None, {
            let mut child = sleeps().stdin(Stdio::piped()).spawn().unwrap();
            while child.stdin.as_mut().unwrap().write(&[0; 4096]).is_ok() {}
        };
        a_write_to_a_child_from_two: "process::ChildStdin::write_vectored", None, {
            let mut child = sleeps().stdin(Stdio::piped()).spawn().unwrap();
            let bytes = [io::IoSlice::new(&[0; 4096])];
            while child.stdin.as_mut().unwrap().write_vectored(&bytes).is_ok() {}
        };
        a_read_from_a_child: "process::ChildStdout::read", None, {
            let mut child = sleeps().stdout(Stdio::piped()).spawn().unwrap();
            child.stdout.as_mut().unwrap().read(&mut [0])
        };
        a_read_of_the_errors_of_a_child: "process::ChildStderr::read", None, {
            let mut child = sleeps().stderr(Stdio::piped()).spawn().unwrap();
            child.stderr.as_mut().unwrap().read(&mut [0])
        };
    }

    #[cfg(feature = "process")]
    use switchback::process::{Command, Stdio};

    #[cfg(feature = "process")]
    fn sleeps() -> Command {
        let mut sleep = Command::new("sleep");
        sleep.arg("1000").kill_on_drop(true);
        sleep
    }

    fn nonblocking() -> (StdStream, StdStream) {
        let (ours, theirs) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    fn datagrams() -> (UnixDatagram, UnixDatagram) {
        UnixDatagram::pair().unwrap()
    }

    fn listener(name: &str) -> (Folder, UnixListener) {
        let folder = folder(&format!("kinds-{name}"));
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        (folder, listener)
    }

    #[cfg(target_os = "linux")]
    #[track_caller]
    fn connect(to: &Folder) -> UnixStream {
        UnixStream::connect(to.path().join("socket")).unwrap()
    }

    /// A listener that has as many connections as it takes, and its address.
    #[cfg(target_os = "linux")]
    fn full() -> (
        (socket2::Socket, Vec<socket2::Socket>),
        std::net::SocketAddr,
    ) {
        use socket2::{Domain, Socket, Type};

        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || {
            let socket = socket();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        };
        let all = (0..4).map(|_| connect()).collect();
        ((listener, all), address.as_socket().unwrap())
    }
}
