//! What `{:?}` shows of the public types: a name, a state or a place, and nothing that is private.

use std::fmt::Debug;
use std::future::{pending, ready};
use std::io;
use std::panic::resume_unwind;

use switchback::io::{AsyncReader, AsyncWriter, Blocking};
use switchback::stream::{WaitStream as _, from_iter};
use switchback::sync::{self, Arc, mpsc};
use switchback::{
    Builder, Fiber, FiberSet, Hub, HubPool, HubThread, SwitchBack, bridge, current_fiber,
    prelude::*, scope, sleep, spawn, thread, with_timeout, yield_now,
};

use crate::support::{in_root_fiber, ms, watched};

/// The texts with `N` for each number, since ids and times differ from run to run.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn add(&mut self, value: impl Debug) {
        let mut text = String::new();
        for c in format!("{value:?}").chars() {
            match c {
                '0'..='9' if text.ends_with('N') => {}
                '0'..='9' => text.push('N'),
                c => text.push(c),
            }
        }
        self.0.push(text);
    }

    #[track_caller]
    fn are(self, expected: &[&str]) {
        for (text, expected) in self.0.iter().zip(expected) {
            assert_eq!(text, expected);
        }
        assert_eq!(self.0.len(), expected.len());
    }
}

#[test]
fn fibers() {
    in_root_fiber(|| {
        let mut shown = Shown::default();
        shown.add(current_fiber().unwrap());
        let mut fiber = spawn(|| pending::<()>().wait());
        shown.add(&fiber);
        yield_now().wait();
        shown.add(&fiber);
        shown.add(fiber.handle());
        shown.add(fiber.id());
        shown.add(fiber.join());
        fiber.cancel_with("please");
        let error = fiber.join().wait().unwrap_err();
        shown.add(&error);
        shown.add(error.cancelled());
        shown.add(spawn(|| resume_unwind(Box::new("why"))).wait());
        shown.add(Fiber::new(|| ()));
        shown.add(spawn(|| ()).cancel_on_drop());
        shown.add(Builder::new().name("parser"));
        let mut set = FiberSet::new();
        set.spawn(|| ());
        shown.add(&set);
        scope(|s| {
            shown.add(s.spawn(|| ()));
            shown.add(s);
        });
        let _ = switchback::try_scope(|s| {
            shown.add(s);
            Ok::<(), ()>(())
        });
        let handle = thread::Builder::new().name("old".into());
        shown.add(&handle);
        let handle = handle.spawn(|| ()).unwrap();
        shown.add(&handle);
        shown.add(handle.thread());
        shown.add(handle.thread().id());
        thread::scope(|s| {
            shown.add(s.spawn(|| ()));
            shown.add(s);
        });
        shown.are(&[
            r#"Fiber { id: N, name: "Root", phase: Started, spawned_at: tests/api/../support/mod.rs:N:N, .. }"#,
            r#"Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. }"#,
            r#"Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. }"#,
            r#"Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. }"#,
            "FiberId(N)",
            r#"Join(Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. })"#,
            r#"JoinError { fiber: "Fiber-N", id: FiberId(N), cause: Cancelled(Some("please")) }"#,
            r#"Some(Cancelled(Some("please")))"#,
            r#"Err(JoinError { fiber: "Fiber-N", id: FiberId(N), cause: Panic(Some("why")) })"#,
            r#"Fiber { id: N, name: "Fiber-N", phase: New, spawned_at: tests/api/debug.rs:N:N, .. }"#,
            r#"CancelOnDrop(Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. })"#,
            r#"Builder { name: Some("parser"), stack_size: None, measure_stack: false }"#,
            "FiberSet { len: N, .. }",
            r#"ScopedFiber(Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. })"#,
            "Scope { children: N, .. }",
            "TryScope { scope: Scope { children: N, .. }, .. }",
            r#"Builder { name: Some("old"), stack_size: None, measure_stack: false }"#,
            r#"JoinHandle(Thread { id: ThreadId(N), name: Some("old"), .. })"#,
            r#"Thread { id: ThreadId(N), name: Some("old"), .. }"#,
            "ThreadId(N)",
            "ScopedJoinHandle(Thread { id: ThreadId(N), name: None, .. })",
            "Scope { children: N, .. }",
        ]);
    });
}

#[test]
fn hubs() {
    watched(|| {
        let mut shown = Shown::default();
        shown.add(Hub::builder().name("files"));
        let thread = HubThread::new().unwrap();
        let hub = thread.handle();
        shown.add(&thread);
        shown.add(&hub);
        shown.add(hub.close());
        shown.add(hub.dump());
        shown.add(hub.dump().wait().map(|_| ()));
        shown.add(hub.metrics());
        shown.add(thread.close());
        shown.add(thread.close_within(ms(5)));
        thread.close().wait();
        shown.add(&thread);
        shown.add(hub.dump().wait().unwrap_err());
        shown.add(hub.spawn(|| ()).unwrap_err());
        let pool = HubPool::new(2).unwrap();
        shown.add(&pool);
        shown.add(pool.close());
        shown.add(pool.close_within(ms(5)));
        shown.add(pool.call(|| pending::<()>().wait()));
        shown.add(pool.reader(io::empty));
        shown.add(pool.output(|_| Ok(())));
        shown.add(pool.writer(io::sink, |_| Ok(())));
        shown.add(pool.iter(|| 0..3));
        shown.add(switchback::dump_all());
        shown.add(switchback::watch(ms(1000), |_| ()));
        shown.are(&[
            r#"HubBuilder { name: "files", stack_size: N, max_cached_stacks: N, measure_stacks: false, track: Places, ignore_interrupt: false, close_timeout: None, .. }"#,
            r#"HubThread(HubHandle(Hub { name: "Hub", thread: 'Hub', state: Open, .. }))"#,
            r#"HubHandle(Hub { name: "Hub", thread: 'Hub', state: Open, .. })"#,
            r#"Close(Hub { name: "Hub", thread: 'Hub', state: Open, .. })"#,
            r#"Dump { hub: Hub { name: "Hub", thread: 'Hub', state: Open, .. }, limit: None, .. }"#,
            "Ok(())",
            "HubMetrics { live_fibers: N, ready: N, cached_stacks: N, spawned: N, switches: N, callbacks: N, wakes: N, remote_wakes: N, turns: N, deepest_stack: N, timers: N }",
            r#"CloseThreads(HubThread(HubHandle(Hub { name: "Hub", thread: 'Hub', state: Open, .. })))"#,
            r#"CloseThreadsWithin { target: HubThread(HubHandle(Hub { name: "Hub", thread: 'Hub', state: Open, .. })), duration: Nms }"#,
            r#"HubThread(HubHandle(Hub { name: "Hub", thread: 'Hub', state: Ended, .. }))"#,
            "DumpError(Ended)",
            "HubClosed",
            r#"HubPool { hubs: ["Hub-N", "Hub-N"], queue: PoolQueue { waiting: N, is_closed: false, .. }, .. }"#,
            r#"CloseThreads(HubPool { hubs: ["Hub-N", "Hub-N"], queue: PoolQueue { waiting: N, is_closed: false, .. }, .. })"#,
            r#"CloseThreadsWithin { target: HubPool { hubs: ["Hub-N", "Hub-N"], queue: PoolQueue { waiting: N, is_closed: false, .. }, .. }, duration: Nms }"#,
            r#"Call(Fiber { id: N, name: "Fiber-N", phase: Started, spawned_at: tests/api/debug.rs:N:N, .. })"#,
            "PoolReader { fiber: <not begun>, is_over: false, .. }",
            "PoolReader { fiber: <not begun>, is_over: false, .. }",
            "PoolWriter { fiber: <not begun>, .. }",
            "PoolIter { fiber: <not begun>, is_over: false, .. }",
            "DumpAll { backtraces: N, .. }",
            "Ok(WatchGuard)",
        ]);
    });
}

#[test]
fn waits() {
    in_root_fiber(|| {
        let mut shown = Shown::default();
        let hub = Hub::current();
        shown.add(&hub);
        shown.add(hub.data());
        shown.add(hub.close_within(ms(5)));
        shown.add(sleep(ms(0)));
        shown.add(yield_now());
        shown.add(bridge(|| 1));
        shown.add(switchback::blocking(|| 1));
        shown.add(SwitchBack::<u8>::new());
        shown.add(SwitchBack::<u8>::new().switcher());
        shown.add(SwitchBack::<u8>::with_timeout(ms(5)).wait());
        shown.add(pending::<()>().wait_timeout(ms(1)));
        shown.add(with_timeout(ms(1), || pending::<()>().wait()));
        switchback::fiber_local! {
            static COUNT: u8 = 1;
        }
        shown.add(&COUNT);
        shown.add(COUNT.scope(1, ready(())));
        let dump = hub.dump();
        shown.add(dump.fibers()[0].state());
        shown.add(dump.fibers()[0].spawned_at());
        shown.are(&[
            r#"Hub { name: "Hub", runtime: Some(Id(N)), state: Open, fibers: N, .. }"#,
            "HubData { values: N, .. }",
            r#"CloseWithin { hub: Hub { name: "Hub", runtime: Some(Id(N)), state: Open, fibers: N, .. }, duration: Nms }"#,
            "Sleep { deadline: None, .. }",
            "YieldNow(New)",
            "Bridge { running: true, .. }",
            "Offload { pool: Blocking, is_over: false, .. }",
            r#"SwitchBack { state: Waiting, switchers: N, fiber: Some(Fiber { id: N, name: "Root", phase: Started, spawned_at: tests/api/../support/mod.rs:N:N, .. }), timeout: None, cleanups: N }"#,
            r#"Switcher { state: Waiting, switchers: N, fiber: Some(Fiber { id: N, name: "Root", phase: Started, spawned_at: tests/api/../support/mod.rs:N:N, .. }) }"#,
            "Err(Timeout(Elapsed(Deadline)))",
            "Err(Elapsed(Deadline))",
            "Err(Elapsed(Deadline))",
            "LocalKey { .. }",
            "LocalScope { .. }",
            "Running",
            "SourcePlace(tests/api/../support/mod.rs:N:N)",
        ]);
    });
}

#[test]
fn streams() {
    in_root_fiber(|| {
        let mut shown = Shown::default();
        shown.add(Blocking::new(tokio::io::empty()));
        shown.add(AsyncReader::new(io::empty));
        shown.add(AsyncWriter::new(tokio::io::sink(), |sink| sink, |_| Ok(())));
        shown.add(from_iter(|| 0..3));
        shown.add(from_iter(|| 0..3).wait_iter());
        shown.are(&[
            "Blocking { inner: Empty { .. }, read_timeout: None, write_timeout: None }",
            "AsyncReader { buffered: N, .. }",
            "AsyncWriter { state: Idle, .. }",
            "FromIter { state: Idle, .. }",
            "WaitIter { stream: FromIter { state: Idle, .. }, ended: false }",
        ]);
    });
}

#[test]
fn locks_and_channels() {
    in_root_fiber(|| {
        let mut shown = Shown::default();
        let mutex = Arc::new(sync::Mutex::new(1));
        shown.add(&mutex);
        let guard = mutex.lock().unwrap();
        shown.add(&guard);
        shown.add(&mutex);
        drop(guard);
        shown.add(sync::RwLock::new(1));
        shown.add(sync::ReentrantLock::new(1));
        shown.add(sync::Condvar::new());
        shown.add(sync::Once::new());
        shown.add(sync::OnceLock::<u8>::new());
        shown.add(sync::LazyLock::new(|| 1));
        shown.add(sync::Barrier::new(1));
        shown.add(sync::Barrier::new(1).wait());
        shown.add(sync::Event::new());
        let semaphore = sync::Semaphore::new(2);
        shown.add(&semaphore);
        shown.add(semaphore.acquire());
        shown.add(sync::Queue::<u8>::new());
        shown.add(sync::nonpoison::Mutex::new(1));
        shown.add(sync::nonpoison::RwLock::new(1));
        shown.add(sync::nonpoison::Condvar::new());
        let (sender, receiver) = mpsc::channel::<u8>();
        shown.add(&sender);
        shown.add(&receiver);
        shown.add(receiver.iter());
        shown.add(receiver.try_iter());
        shown.add(mpsc::sync_channel::<u8>(1).0);
        drop(sender);
        shown.add(receiver.recv());
        shown.are(&[
            "Mutex { data: N, poisoned: false, .. }",
            "N",
            "Mutex { data: <locked>, poisoned: false, .. }",
            "RwLock { data: N, poisoned: false, .. }",
            "ReentrantLock { .. }",
            "Condvar { .. }",
            "Once { .. }",
            "OnceLock(<uninit>)",
            "LazyLock(<uninit>)",
            "Barrier { .. }",
            "BarrierWaitResult { is_leader: true }",
            "Event { is_set: false, .. }",
            "Semaphore { permits: N, .. }",
            "SemaphoreGuard { semaphore: Semaphore { permits: N, .. }, permits: N }",
            "Queue { len: N, unfinished: N, .. }",
            "Mutex { data: N, .. }",
            "RwLock { data: N, .. }",
            "Condvar { .. }",
            "Sender { .. }",
            "Receiver { .. }",
            "Iter(Receiver { .. })",
            "TryIter(Receiver { .. })",
            "SyncSender { .. }",
            "Err(RecvError)",
        ]);
    });
}
