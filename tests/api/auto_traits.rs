//! What is `Send`, `Sync` and `Unpin`, and what must not be.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;

use switchback::{
    AccessError, Bridge, BridgeBorrowed, Builder, Call, CancelOnDrop, Cancelled, Close,
    CloseThreads, CloseThreadsWithin, CloseTimeout, CloseWithin, Elapsed, Fiber, FiberHandle,
    FiberId, FiberSet, Hub, HubBuilder, HubClosed, HubData, HubHandle, HubMetrics, HubPool,
    HubThread, Join, JoinError, LocalKey, Offload, PoolIter, PoolReader, PoolWriter, Scope,
    ScopedFiber, Sleep, SwitchBack, SwitchError, Switcher, YieldNow,
    io::{AsyncReader, AsyncWriter, Blocking, Sink},
    stream::{FromIter, WaitIter},
};

/// Answers by method resolution: the inherent methods exist only where their
/// bound holds, and hide those of [`Otherwise`] there.
struct Is<T: ?Sized>(PhantomData<T>);

trait Otherwise {
    fn send(&self) -> bool {
        false
    }
    fn sync(&self) -> bool {
        false
    }
    fn unpin(&self) -> bool {
        false
    }
    fn cloned(&self) -> bool {
        false
    }
}

impl<T: ?Sized> Otherwise for Is<T> {}

impl<T: ?Sized + Send> Is<T> {
    fn send(&self) -> bool {
        true
    }
}

impl<T: ?Sized + Sync> Is<T> {
    fn sync(&self) -> bool {
        true
    }
}

impl<T: ?Sized + Unpin> Is<T> {
    fn unpin(&self) -> bool {
        true
    }
}

impl<T: Clone> Is<T> {
    fn cloned(&self) -> bool {
        true
    }
}

fn of_value<T>(_: &T) -> Is<T> {
    Is(PhantomData)
}

macro_rules! facts {
    ($($type:ty: $send:literal Send, $sync:literal Sync, $unpin:literal Unpin;)*) => {$(
        let is = Is::<$type>(PhantomData);
        let (send, sync, unpin) = (is.send(), is.sync(), is.unpin());
        assert_eq!(
            (send, sync, unpin),
            ($send, $sync, $unpin),
            "Send, Sync, Unpin of {}",
            stringify!($type),
        );
    )*};
}

/// Neither `Send` nor `Sync`, whether it is `Unpin` or not.
macro_rules! stays {
    ($($type:ty)*) => {$(
        let is = Is::<$type>(PhantomData);
        assert!(!is.send(), "{} is Send", stringify!($type));
        assert!(!is.sync(), "{} is Sync", stringify!($type));
    )*};
}

/// Neither `Send` nor `Sync`.
type Local = Rc<()>;
/// `Send`, not `Sync`.
type Cell = std::cell::Cell<u8>;

#[test]
fn the_probe_tells_yes_from_no() {
    facts! {
        u8: true Send, true Sync, true Unpin;
        Local: false Send, false Sync, true Unpin;
        Cell: true Send, false Sync, true Unpin;
        std::marker::PhantomPinned: true Send, true Sync, false Unpin;
    }
    assert!(Is::<u8>(PhantomData).cloned());
    assert!(!Is::<io::Error>(PhantomData).cloned());
    stays! { Local std::cell::RefCell<Local> }
}

#[test]
fn a_fiber_goes_where_its_result_may_go() {
    facts! {
        Fiber<u8>: true Send, true Sync, true Unpin;
        Fiber<Cell>: true Send, true Sync, true Unpin;
        Fiber<Local>: false Send, false Sync, true Unpin;
        Fiber<std::marker::PhantomPinned>: true Send, true Sync, true Unpin;
        CancelOnDrop<Cell>: true Send, true Sync, true Unpin;
        FiberSet<Cell>: true Send, true Sync, true Unpin;
        FiberSet<Local>: false Send, false Sync, true Unpin;
        CancelOnDrop<Local>: false Send, false Sync, true Unpin;
        Call<Cell>: true Send, true Sync, true Unpin;
        PoolReader: true Send, true Sync, true Unpin;
        PoolWriter: true Send, true Sync, true Unpin;
        PoolIter<Cell>: true Send, false Sync, true Unpin;
        PoolIter<std::marker::PhantomPinned>: true Send, true Sync, true Unpin;
        Join<'static, u8>: true Send, true Sync, true Unpin;
        Join<'static, Cell>: true Send, true Sync, true Unpin;
        Join<'static, Local>: false Send, false Sync, true Unpin;
    }
}

#[test]
fn handles_in_stds_shape_go_where_the_fibers_may_go() {
    use switchback::thread::{JoinHandle, Scope, ScopedJoinHandle, Thread, ThreadId};
    facts! {
        JoinHandle<Cell>: true Send, true Sync, true Unpin;
        JoinHandle<Local>: false Send, false Sync, true Unpin;
        Thread: true Send, true Sync, true Unpin;
        ThreadId: true Send, true Sync, true Unpin;
    }
    stays! { Scope<'static, 'static> }
    assert!(!Is::<ScopedJoinHandle<'static, u8>>(PhantomData).send());
    assert!(Is::<Thread>(PhantomData).cloned());
}

#[test]
fn locks_and_channels_go_where_their_values_may_go() {
    use switchback::sync::mpsc::{Receiver, Sender, SyncSender};
    use switchback::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    facts! {
        Mutex<u8>: true Send, true Sync, true Unpin;
        Mutex<Cell>: true Send, true Sync, true Unpin;
        Mutex<Local>: false Send, false Sync, true Unpin;
        MutexGuard<'static, u8>: true Send, true Sync, true Unpin;
        MutexGuard<'static, Cell>: true Send, false Sync, true Unpin;
        MutexGuard<'static, Local>: false Send, false Sync, true Unpin;
        RwLock<u8>: true Send, true Sync, true Unpin;
        RwLock<Cell>: true Send, false Sync, true Unpin;
        RwLock<Local>: false Send, false Sync, true Unpin;
        RwLockReadGuard<'static, u8>: true Send, true Sync, true Unpin;
        RwLockReadGuard<'static, Cell>: false Send, false Sync, true Unpin;
        RwLockWriteGuard<'static, u8>: true Send, true Sync, true Unpin;
        RwLockWriteGuard<'static, Cell>: false Send, false Sync, true Unpin;
        Condvar: true Send, true Sync, true Unpin;
        Sender<Cell>: true Send, true Sync, true Unpin;
        SyncSender<Cell>: true Send, true Sync, true Unpin;
        Receiver<Cell>: true Send, true Sync, true Unpin;
        Sender<Local>: false Send, false Sync, true Unpin;
        Receiver<Local>: false Send, false Sync, true Unpin;
    }
    use switchback::sync::{
        Barrier, Event, LazyLock, LifoQueue, Once, OnceLock, PriorityQueue, Queue,
    };
    use switchback::sync::{ReentrantLock, ReentrantLockGuard, Semaphore, SemaphoreGuard};
    facts! {
        Barrier: true Send, true Sync, true Unpin;
        Event: true Send, true Sync, true Unpin;
        Once: true Send, true Sync, true Unpin;
        OnceLock<u8>: true Send, true Sync, true Unpin;
        OnceLock<Cell>: true Send, false Sync, true Unpin;
        LazyLock<u8>: true Send, true Sync, true Unpin;
        LazyLock<Cell>: true Send, false Sync, true Unpin;
        Semaphore: true Send, true Sync, true Unpin;
        SemaphoreGuard<'static>: true Send, true Sync, true Unpin;
        ReentrantLock<Cell>: true Send, true Sync, true Unpin;
        ReentrantLock<Local>: false Send, false Sync, true Unpin;
        ReentrantLockGuard<'static, u8>: false Send, true Sync, true Unpin;
        ReentrantLockGuard<'static, Cell>: false Send, false Sync, true Unpin;
        Queue<Cell>: true Send, true Sync, true Unpin;
        LifoQueue<Cell>: true Send, true Sync, true Unpin;
        PriorityQueue<u8>: true Send, true Sync, true Unpin;
        Queue<Local>: false Send, false Sync, true Unpin;
    }
    let (mutex, lock) = (Mutex::new(Cell::new(0)), RwLock::new(0));
    assert!(of_value(&mutex.lock_async()).send());
    assert!(of_value(&lock.read_async()).send());
    assert!(of_value(&lock.write_async()).send());
}

#[test]
fn adapters_go_where_what_they_wrap_may_go() {
    facts! {
        switchback::net::TcpStream: true Send, true Sync, true Unpin;
        switchback::net::TcpListener: true Send, true Sync, true Unpin;
        switchback::net::UdpSocket: true Send, true Sync, true Unpin;
        switchback::io::Stdin: true Send, true Sync, true Unpin;
    }
    #[cfg(feature = "fs")]
    facts! {
        switchback::fs::File: true Send, true Sync, true Unpin;
        switchback::fs::OpenOptions: true Send, true Sync, true Unpin;
        switchback::fs::ReadDir: true Send, true Sync, true Unpin;
        switchback::fs::DirEntry: true Send, true Sync, true Unpin;
    }
    #[cfg(feature = "process")]
    facts! {
        switchback::process::Command: true Send, true Sync, true Unpin;
        switchback::process::Child: true Send, true Sync, true Unpin;
        switchback::process::ChildStdin: true Send, true Sync, true Unpin;
        switchback::process::ChildStdout: true Send, true Sync, true Unpin;
    }
    facts! {
        Blocking<u8>: true Send, true Sync, true Unpin;
        Blocking<Cell>: true Send, false Sync, true Unpin;
        Blocking<Local>: false Send, false Sync, true Unpin;
        Sink<u8>: true Send, true Sync, true Unpin;
        Sink<Cell>: true Send, true Sync, true Unpin;
        Sink<Local>: false Send, false Sync, true Unpin;
        WaitIter<u8>: true Send, true Sync, true Unpin;
        WaitIter<Local>: false Send, false Sync, true Unpin;
    }
}

#[test]
fn what_has_a_stack_inside_stays() {
    stays! { AsyncReader AsyncWriter<u8> FromIter<u8> }
    facts! {
        AsyncReader: false Send, false Sync, true Unpin;
        AsyncWriter<std::marker::PhantomPinned>: false Send, false Sync, true Unpin;
        FromIter<std::marker::PhantomPinned>: false Send, false Sync, true Unpin;
    }
}

#[test]
fn handles_and_errors_go_anywhere() {
    facts! {
        FiberHandle: true Send, true Sync, true Unpin;
        FiberId: true Send, true Sync, true Unpin;
        JoinError: true Send, true Sync, true Unpin;
        Cancelled: true Send, true Sync, true Unpin;
        Elapsed: true Send, true Sync, true Unpin;
        SwitchError: true Send, true Sync, true Unpin;
        CloseTimeout: true Send, true Sync, true Unpin;
        HubClosed: true Send, true Sync, true Unpin;
        HubHandle: true Send, true Sync, true Unpin;
        HubMetrics: true Send, true Sync, true Unpin;
        Builder: true Send, true Sync, true Unpin;
        HubBuilder: true Send, true Sync, true Unpin;
    }
    assert!(Is::<FiberHandle>(PhantomData).cloned());
}

#[test]
fn the_time_futures_go_anywhere() {
    facts! {
        Sleep: true Send, true Sync, true Unpin;
        YieldNow: true Send, true Sync, true Unpin;
    }
}

#[test]
fn a_fiber_local_is_named_anywhere_whatever_its_value() {
    facts! {
        LocalKey<u8>: true Send, true Sync, true Unpin;
        LocalKey<Local>: true Send, true Sync, true Unpin;
        AccessError: true Send, true Sync, true Unpin;
    }
    assert!(!Is::<LocalKey<u8>>(PhantomData).cloned());
    assert!(Is::<AccessError>(PhantomData).cloned());
    fn error<E: std::error::Error + 'static>() {}
    error::<AccessError>();
}

#[test]
fn a_hub_stays_on_its_thread() {
    facts! {
        Hub: false Send, false Sync, true Unpin;
    }
    assert!(Is::<Hub>(PhantomData).cloned());
    stays! { HubData }
}

#[cfg(unix)]
#[test]
fn a_poller_stays_on_its_thread_and_what_refers_to_it_goes_anywhere() {
    stays! { switchback::Poller }
    facts! {
        switchback::Events: true Send, true Sync, true Unpin;
        switchback::PollHandle: true Send, true Sync, true Unpin;
    }
    assert!(Is::<switchback::PollHandle>(PhantomData).cloned());
    assert!(Is::<switchback::Events>(PhantomData).cloned());
}

#[test]
fn hub_threads_and_pools_and_their_closes_go_anywhere() {
    facts! {
        HubThread: true Send, true Sync, true Unpin;
        HubPool: true Send, true Sync, true Unpin;
        CloseThreads: true Send, true Sync, true Unpin;
        CloseThreadsWithin: true Send, true Sync, true Unpin;
    }
    // Dropping one closes it.
    assert!(!Is::<HubThread>(PhantomData).cloned());
    assert!(!Is::<HubPool>(PhantomData).cloned());
}

#[test]
fn an_offload_goes_where_its_result_may_go() {
    facts! {
        Offload<u8>: true Send, true Sync, true Unpin;
        Offload<Cell>: true Send, true Sync, true Unpin;
        Offload<Local>: false Send, false Sync, true Unpin;
        Offload<std::marker::PhantomPinned>: true Send, true Sync, true Unpin;
    }
}

#[test]
fn the_close_of_a_hub_is_awaited_anywhere_but_one_that_names_fibers_on_its_thread() {
    facts! {
        Close: true Send, true Sync, true Unpin;
    }
    stays! { CloseWithin }
}

#[test]
fn a_bridge_stays_on_its_thread_whatever_it_returns() {
    stays! { Bridge<u8> Bridge<Local> BridgeBorrowed<'static, u8> BridgeBorrowed<'static, Local> }
}

#[test]
fn a_switch_back_stays_on_its_thread_whatever_it_gives() {
    facts! {
        SwitchBack<u8>: false Send, false Sync, true Unpin;
        SwitchBack<Local>: false Send, false Sync, true Unpin;
        SwitchBack<std::marker::PhantomPinned>: false Send, false Sync, true Unpin;
    }
    assert!(!Is::<SwitchBack<u8>>(PhantomData).cloned());
}

#[test]
fn a_switcher_goes_where_its_value_may_go() {
    facts! {
        Switcher<u8>: true Send, true Sync, true Unpin;
        Switcher<Cell>: true Send, true Sync, true Unpin;
        Switcher<Local>: false Send, false Sync, true Unpin;
        Switcher<std::marker::PhantomPinned>: true Send, true Sync, true Unpin;
    }
    assert!(Is::<Switcher<u8>>(PhantomData).cloned());
    // Whatever its value is.
    assert!(Is::<Switcher<io::Error>>(PhantomData).cloned());
}

#[test]
fn a_scope_and_its_fibers_stay_on_their_thread() {
    stays! { Scope<'static, 'static> }
    assert!(!Is::<ScopedFiber<'static, u8>>(PhantomData).send());
    assert!(!Is::<ScopedFiber<'static, Local>>(PhantomData).send());
}

#[test]
fn run_until_stays_on_its_thread_whatever_it_runs() {
    let local = Hub::run_until(async { Rc::new(()) });
    assert!(!of_value(&local).send());
    let sendable = Hub::run_until(async {});
    assert!(of_value(&async {}).send());
    assert!(!of_value(&sendable).send());
    assert!(!of_value(&sendable).sync());
}

#[test]
fn a_fiber_value_is_not_cloned() {
    // Its output is given once.
    assert!(!Is::<Fiber<u8>>(PhantomData).cloned());
}

#[test]
fn everything_public_has_debug() {
    fn debug<T: Debug>() {}
    debug::<Fiber<Local>>();
    debug::<Join<'_, Local>>();
    debug::<FiberHandle>();
    debug::<FiberId>();
    debug::<Builder>();
    debug::<Hub>();
    debug::<Bridge<Local>>();
    debug::<BridgeBorrowed<'_, Local>>();
    debug::<Scope<'_, '_>>();
    debug::<ScopedFiber<'_, Local>>();
    debug::<Close>();
    debug::<CloseWithin>();
    debug::<CloseTimeout>();
    debug::<CloseThreads>();
    debug::<CloseThreadsWithin>();
    debug::<HubThread>();
    debug::<HubPool>();
    debug::<Offload<Local>>();
    debug::<HubBuilder>();
    debug::<JoinError>();
    debug::<Cancelled>();
    debug::<Elapsed>();
    debug::<Sleep>();
    debug::<SwitchBack<Local>>();
    debug::<Switcher<Local>>();
    debug::<SwitchError>();
    debug::<YieldNow>();
    debug::<LocalKey<Local>>();
    debug::<AccessError>();
}

#[test]
fn errors_are_errors_of_threads_and_of_io() {
    fn error<E: std::error::Error + Send + Sync + Into<io::Error> + 'static>() {}
    error::<JoinError>();
    error::<Cancelled>();
    error::<Elapsed>();
    error::<SwitchError>();
    error::<CloseTimeout>();
}

#[test]
fn join_and_fiber_have_the_same_output() {
    fn output<F: Future<Output = Result<u8, JoinError>>>() {}
    output::<Fiber<u8>>();
    output::<Join<'_, u8>>();
}
