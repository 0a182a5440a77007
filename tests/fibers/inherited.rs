//! `fiber_local!` with `#[inherited]`, and values that are set for a while.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use switchback::io::AsyncReader;
use switchback::{
    Builder, Fiber, FiberSet, Hub, HubPool, HubThread, bridge, fiber_local, prelude::*, scope,
    spawn, try_scope, yield_now,
};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use crate::support::ending::{poll_once, unwinds};
use crate::support::{
    Drops, OnDrop, Token, in_async, in_child, in_root_fiber, multi_thread_runtime, panic_of,
};

fiber_local! {
    /// The one that all tests here pass on.
    #[inherited]
    static REQUEST: Cell<u32> = const { Cell::new(0) };
    #[inherited(local)]
    static HERE: RefCell<Option<Rc<u32>>> = RefCell::default();
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// Sets all three.
fn set(request: u32) {
    REQUEST.set(request);
    HERE.set(Some(Rc::new(request)));
    OWN.set(request);
}

fn read() -> [u32; 3] {
    let here = HERE.with_borrow(|here| here.as_deref().copied().unwrap_or(0));
    [REQUEST.get(), here, OWN.get()]
}

type Make = (&'static str, fn() -> [u32; 3]);

/// Everything that makes a fiber or a bridge on this thread: what that reads.
const HERE_MADE: &[Make] = &[
    ("spawn", || spawn(read).wait().unwrap()),
    ("Builder::spawn", || {
        Builder::new().spawn(read).unwrap().wait().unwrap()
    }),
    ("scope", || scope(|s| s.spawn(read).wait().unwrap())),
    ("try_scope", || {
        try_scope(|s| Ok::<_, ()>(s.spawn(|| Ok(read())).wait().unwrap())).unwrap()
    }),
    ("FiberSet", || {
        let mut set = FiberSet::new();
        set.spawn(read);
        set.join_next().wait().unwrap().unwrap()
    }),
    ("bridge", || bridge(read).wait()),
    ("AsyncReader", || {
        let bytes = || std::io::Cursor::new(read().map(|value| value as u8));
        let mut reader = Box::pin(AsyncReader::new(bytes));
        let mut bytes = [0; 3];
        reader.read_exact(&mut bytes).wait().unwrap();
        bytes.map(u32::from)
    }),
];

#[test]
fn who_is_made_on_the_thread_inherits_both() {
    in_root_fiber(|| {
        for (name, make) in HERE_MADE {
            spawn(move || {
                set(7);
                assert_eq!(make(), [7, 7, 0], "{name}");
                assert_eq!(read(), [7, 7, 7], "{name}");
            })
            .wait()
            .unwrap();
        }
    });
}

/// Everything that sends a fiber to a hub.
const SENT: &[Make] = &[
    ("HubHandle::spawn", || {
        let fiber = Hub::current().handle().spawn(read).unwrap();
        fiber.wait().unwrap()
    }),
    ("HubThread::spawn", || {
        let thread = HubThread::new().unwrap();
        thread.spawn(read).unwrap().wait().unwrap()
    }),
    ("HubPool::spawn", || {
        let pool = HubPool::new(1).unwrap();
        pool.spawn(read).unwrap().wait().unwrap()
    }),
    ("HubPool::call", || {
        let pool = HubPool::new(1).unwrap();
        pool.call(read).wait().unwrap()
    }),
    ("Builder::spawn_on", || {
        let pool = HubPool::new(1).unwrap();
        let fiber = Builder::new().spawn_on(&pool, read).unwrap();
        fiber.wait().unwrap()
    }),
];

#[test]
fn who_is_sent_inherits_what_may_be_sent() {
    in_root_fiber(|| {
        for (name, send) in SENT {
            set(7);
            assert_eq!(send(), [7, 0, 0], "{name}");
        }
    });
}

#[test]
fn async_code_and_plain_threads_pass_on_theirs() {
    in_async(|| async {
        set(8);
        assert_eq!(spawn(read).await.unwrap(), [8, 8, 0]);
        let thread = HubThread::new().unwrap();
        let hub = thread.handle();
        let sent = std::thread::spawn(move || {
            set(9);
            hub.spawn(read).unwrap().wait().unwrap()
        });
        assert_eq!(sent.join().unwrap(), [9, 0, 0]);
    });
}

#[test]
fn it_is_a_copy_from_when_the_fiber_was_made() {
    in_root_fiber(|| {
        REQUEST.set(1);
        let fiber = Fiber::new(|| {
            let inherited = REQUEST.get();
            REQUEST.set(3);
            inherited
        });
        REQUEST.set(2);
        assert_eq!(fiber.wait().unwrap(), 1);
        assert_eq!(REQUEST.get(), 2);
    });
}

#[test]
fn what_has_no_value_yet_is_not_inherited() {
    fiber_local! {
        #[inherited]
        static NUMBER: Cell<u32> = Cell::new(NEXT.replace(NEXT.get() + 1));
    }
    thread_local! { static NEXT: Cell<u32> = const { Cell::new(0) }; }
    in_root_fiber(|| {
        assert_eq!(spawn(|| NUMBER.get()).wait().unwrap(), 0);
        assert_eq!(spawn(|| NUMBER.get()).wait().unwrap(), 1);
        assert_eq!(NUMBER.get(), 2);
    });
}

/// Counts its copies, and does something when it is copied.
struct Copied {
    drops: Drops,
    _token: Token,
    when_copied: fn(),
}

impl Copied {
    fn new(drops: &Drops, when_copied: fn()) -> Option<Copied> {
        Some(Copied {
            drops: drops.clone(),
            _token: drops.token(),
            when_copied,
        })
    }
}

impl Clone for Copied {
    fn clone(&self) -> Copied {
        (self.when_copied)();
        Copied {
            drops: self.drops.clone(),
            _token: self.drops.token(),
            when_copied: self.when_copied,
        }
    }
}

fiber_local! {
    #[inherited]
    static COPIED: RefCell<Option<Copied>> = RefCell::default();
}

#[test]
fn copies_are_dropped_also_of_fibers_that_never_run() {
    in_root_fiber(|| {
        let drops = Drops::new();
        COPIED.set(Copied::new(&drops, || ()));
        drop(Fiber::new(|| ()));
        let cancelled = spawn(|| ());
        cancelled.cancel();
        assert!(cancelled.wait().is_err());
        spawn(|| ()).wait().unwrap();
        drop(bridge(|| ()));
        let thread = HubThread::new().unwrap();
        let hub = thread.handle();
        thread.close().wait();
        assert!(hub.spawn(|| ()).is_err());
        assert_eq!(drops.count(), 5);
    });
}

#[test]
fn a_copy_that_panics_is_reported_and_not_inherited() {
    let Some(child) = in_child(|| {
        in_root_fiber(|| {
            let drops = Drops::new();
            COPIED.set(Copied::new(&drops, || panic!("no copies")));
            REQUEST.set(7);
            let fiber = spawn(|| (COPIED.with_borrow(Option::is_none), REQUEST.get()));
            assert_eq!(fiber.wait().unwrap(), (true, 7));
        });
    }) else {
        return;
    };
    child.assert_success();
    child.assert_reported("the clone of an inherited fiber-local panicked", 1);
}

#[test]
fn a_copy_cannot_wait() {
    thread_local! { static WAITED: Cell<Option<bool>> = const { Cell::new(None) }; }
    in_root_fiber(|| {
        let waits = || WAITED.set(Some(!unwinds(|| yield_now().wait())));
        COPIED.set(Copied::new(&Drops::new(), waits));
        spawn(|| ()).wait().unwrap();
        assert_eq!(WAITED.get(), Some(false));
    });
}

#[test]
fn a_block_has_its_value_and_gives_the_former_one_back() {
    in_root_fiber(|| {
        REQUEST.set(1);
        REQUEST.sync_scope(Cell::new(2), || {
            assert_eq!(REQUEST.get(), 2);
            REQUEST.sync_scope(Cell::new(3), || {
                yield_now().wait();
                assert_eq!(spawn(|| REQUEST.get()).wait().unwrap(), 3);
            });
            REQUEST.set(4);
            assert!(unwinds(
                || REQUEST.sync_scope(Cell::new(5), || panic!("inside"))
            ));
            assert_eq!(REQUEST.get(), 4);
        });
        assert_eq!(REQUEST.get(), 1);
        let cancelled = spawn(|| {
            let _last = OnDrop(|| assert_eq!(REQUEST.get(), 1));
            REQUEST.sync_scope(Cell::new(6), || pending::<()>().wait());
        });
        yield_now().wait();
        cancelled.cancel();
        assert!(cancelled.wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_block_on_a_key_without_a_value_leaves_it_without() {
    fiber_local! { static KEY: Cell<u32> = Cell::new(1); }
    in_root_fiber(|| {
        KEY.sync_scope(Cell::new(2), || assert_eq!(KEY.get(), 2));
        assert_eq!(KEY.get(), 1);
    });
}

#[test]
fn futures_that_take_turns_have_their_own() {
    in_async(|| async {
        let one = |id: u32| async move {
            for _ in 0..3 {
                assert_eq!(REQUEST.get(), id);
                tokio::task::yield_now().await;
            }
            spawn(|| REQUEST.get()).await.unwrap()
        };
        let both = tokio::join!(
            REQUEST.scope(Cell::new(1), one(1)),
            REQUEST.scope(Cell::new(2), REQUEST.scope(Cell::new(3), one(3))),
        );
        assert_eq!((both, REQUEST.get()), ((1, 3), 0));
    });
}

#[test]
fn a_future_takes_its_value_from_thread_to_thread() {
    let runtime = multi_thread_runtime();
    let body = REQUEST.scope(Cell::new(7), async {
        for n in 0..100 {
            REQUEST.set(REQUEST.get() + 1);
            assert_eq!(REQUEST.get(), 8 + n);
            tokio::task::yield_now().await;
        }
    });
    runtime.block_on(async { tokio::spawn(body).await.unwrap() });
}

#[test]
fn what_a_future_has_is_dropped_with_the_value_in_place() {
    in_async(|| async {
        let seen = Rc::new(Cell::new(0));
        let sees = seen.clone();
        let future = async move {
            let _last = OnDrop(move || sees.set(REQUEST.get()));
            pending::<()>().await;
        };
        let mut future = Box::pin(REQUEST.scope(Cell::new(7), future));
        assert!(poll_once(future.as_mut()).is_pending());
        assert_eq!(REQUEST.get(), 0);
        drop(future);
        assert_eq!((seen.get(), REQUEST.get()), (7, 0));
    });
}

const OVER: &str = "the future of `LocalKey::scope` was polled after it was over; make another one";

#[test]
fn a_future_that_is_over_is_not_polled() {
    let mut done = Box::pin(REQUEST.scope(Cell::new(7), async {}));
    assert!(poll_once(done.as_mut()).is_ready());
    assert_eq!(panic_of(|| poll_once(done.as_mut())).message, OVER);
    let mut panics =
        Box::pin(REQUEST.scope(Cell::new(7), poll_fn(|_| -> Poll<()> { panic!("inside") })));
    assert!(unwinds(|| poll_once(panics.as_mut())));
    assert_eq!(REQUEST.get(), 0);
    assert_eq!(panic_of(|| poll_once(panics.as_mut())).message, OVER);
}

#[test]
fn a_future_is_dropped_where_the_key_is_gone() {
    type Kept = Pin<Box<dyn Future<Output = ()>>>;
    fiber_local! {
        static LATE: RefCell<Option<Kept>> = RefCell::default();
        static KEY: Token = Drops::new().token();
    }
    in_root_fiber(|| {
        let drops = Drops::new();
        let token = drops.token();
        let inner = drops.token();
        spawn(move || {
            // Dropped last, when the key is gone.
            LATE.with(|_| ());
            KEY.with(|_| ());
            let future = async move {
                let _inner = inner;
                pending::<()>().await;
            };
            let mut future: Kept = Box::pin(KEY.scope(token, future));
            assert!(poll_once(future.as_mut()).is_pending());
            LATE.set(Some(future));
        })
        .wait()
        .unwrap();
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_wait_for_a_future_sets_the_fibers_own() {
    in_root_fiber(|| {
        REQUEST.set(1);
        let go = Rc::new(Notify::new());
        let goes = go.clone();
        let fiber = spawn(move || {
            let future = async move {
                goes.notified().await;
                REQUEST.get()
            };
            (REQUEST.scope(Cell::new(2), future).wait(), REQUEST.get())
        });
        yield_now().wait();
        assert_eq!(REQUEST.get(), 1);
        go.notify_one();
        assert_eq!(fiber.wait().unwrap(), (2, 1));
    });
}
