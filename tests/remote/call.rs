//! Calls: fibers of a pool that end with the futures that wait for them.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use switchback::{Call, HubPool, HubThread, prelude::*, yield_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::support::ending::{Count, poll_once};
use crate::support::{Drops, Token, multi_thread_runtime, watched};

/// Waits until no fiber of the pool is left.
fn assert_idle(pool: &HubPool) {
    let live = || pool.handles().map(|hub| hub.metrics().live_fibers());
    while live().sum::<usize>() > 0 {
        thread::yield_now();
    }
}

/// A call that has begun and waits, with a token on its stack.
fn waiting(pool: &HubPool, token: Token) -> Call<()> {
    let (begins, has_begun) = mpsc::channel();
    let call = pool.call(move || {
        let _token = token;
        begins.send(()).unwrap();
        pending::<()>().wait();
    });
    has_begun.recv().unwrap();
    call
}

#[test]
fn a_call_gives_the_result_of_its_fiber() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            assert_eq!(pool.call(|| 6 * 7).await.unwrap(), 42);
            let call = pool.call(|| -> () { resume_unwind(Box::new("over there")) });
            let error = call.await.unwrap_err();
            assert!(error.to_string().contains("over there"), "{error}");
        });
        // On a plain thread, too.
        assert_eq!(pool.call(|| 1).wait().unwrap(), 1);
    });
}

#[test]
fn a_call_begins_without_a_poll() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let (tell, told) = mpsc::channel();
        let call = pool.call(move || tell.send(()).unwrap());
        told.recv().unwrap();
        call.wait().unwrap();
    });
}

#[test]
fn a_call_of_a_closed_pool_says_so_and_drops_what_it_was_given() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        pool.close().wait();
        let drops = Drops::new();
        let token = drops.token();
        let call = pool.call(move || drop(token));
        assert_eq!(drops.count(), 1);
        let error = call.wait().unwrap_err();
        assert!(error.is_cancelled());
        let text = error.to_string();
        assert!(text.ends_with("its pool of hubs is closed"), "{text}");
    });
}

#[test]
fn whatever_drops_a_call_cancels_its_fiber() {
    type Way = (&'static str, fn(Call<()>));
    let ways: [Way; 6] = [
        ("a drop", |call| drop(call)),
        ("a drop after a poll", |mut call| {
            assert!(poll_once(std::pin::Pin::new(&mut call)).is_pending());
        }),
        ("a timeout", |call| {
            call.wait_timeout(std::time::Duration::ZERO).unwrap_err();
        }),
        ("an unwind", |call| {
            let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _call = call;
                resume_unwind(Box::new("on the way"));
            }));
            unwound.unwrap_err();
        }),
        ("an abort of its task", |call| {
            multi_thread_runtime().block_on(async {
                let task = tokio::spawn(call);
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            });
        }),
        ("the end of its runtime", |call| {
            let runtime = multi_thread_runtime();
            runtime.spawn(call);
            drop(runtime);
        }),
    ];
    watched(move || {
        for (what, drop_it) in ways {
            let pool = HubPool::new(1).unwrap();
            let drops = Drops::new();
            let call = waiting(&pool, drops.token());
            let fiber = call.handle();
            drop_it(call);
            while fiber.is_alive() {
                thread::yield_now();
            }
            assert_eq!(drops.count(), 1, "{what}");
            assert_idle(&pool);
        }
    });
}

#[test]
fn a_call_that_is_dropped_before_it_begins_never_runs() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let (release, released) = mpsc::channel();
        let busy = pool.spawn(move || released.recv().unwrap()).unwrap();
        let (drops, runs) = (Drops::new(), Count::new());
        let (token, seen) = (drops.token(), runs.clone());
        drop(pool.call(move || {
            let _token = token;
            seen.add();
        }));
        release.send(()).unwrap();
        busy.wait().unwrap();
        pool.close().wait();
        assert_eq!((drops.count(), runs.get()), (1, 0));
    });
}

#[test]
fn a_call_that_is_forgotten_goes_on() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        std::mem::forget(pool.call(move || {
            gone.wait().unwrap();
            tell.send(()).unwrap();
        }));
        go.send(()).unwrap();
        told.recv().unwrap();
        assert_idle(&pool);
    });
}

#[test]
fn a_fiber_that_is_taken_out_of_its_guard_goes_on_without_it() {
    watched(|| {
        let hub = HubThread::new().unwrap();
        let (go, gone) = oneshot::channel::<()>();
        let guard = hub.spawn(move || gone.wait()).unwrap().cancel_on_drop();
        let handle = guard.handle();
        let fiber = guard.into_inner();
        assert!(handle.is_alive());
        go.send(()).unwrap();
        fiber.wait().unwrap().unwrap();
    });
}

#[test]
fn a_fiber_that_was_not_started_is_started_by_a_poll_and_dropped_without_one() {
    crate::support::in_root_fiber(|| {
        let started = switchback::Fiber::new(|| 1).cancel_on_drop();
        assert_eq!(started.wait().unwrap(), 1);
        let drops = Drops::new();
        let token = drops.token();
        drop(switchback::Fiber::new(move || drop(token)).cancel_on_drop());
        yield_now().wait();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_result_that_nobody_has_taken_is_dropped_with_the_guard() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let drops = Drops::new();
        let token = drops.token();
        let call = pool.call(move || token);
        while call.handle().is_alive() {
            thread::yield_now();
        }
        assert_eq!(drops.count(), 0);
        drop(call);
        assert_eq!(drops.count(), 1);
    });
}

/// A server of requests of one line, on a pool, with clients that hang up.
///
/// It notices a hang-up as hyper does: by reading the connection while the request, which
/// it has read to its end, is being handled.
async fn serve(pool: Arc<HubPool>, mut stream: tokio::io::DuplexStream, token: Token) {
    let mut request = [0; 1];
    if stream.read_exact(&mut request).await.is_err() {
        return;
    }
    let [waits] = request;
    let call = pool.call(move || {
        let _token = token;
        for _ in 0..waits {
            yield_now().wait();
        }
        waits
    });
    tokio::select! {
        answer = call => drop(stream.write_all(&[answer.unwrap()]).await),
        _ = stream.read_u8() => {} // the client has hung up
    }
}

#[test]
fn requests_whose_clients_hang_up_leave_no_fibers() {
    const REQUESTS: usize = 10_000;
    watched(|| {
        let pool = Arc::new(HubPool::new(2).unwrap());
        let drops = Drops::new();
        let answered = Count::new();
        multi_thread_runtime().block_on(async {
            let at_once = Arc::new(Semaphore::new(200));
            let mut tasks = JoinSet::new();
            let mut random = 0x2545_f491_4f6c_dd1d_u64;
            for _ in 0..REQUESTS {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let (waits, patience) = (random as u8 % 16, (random >> 8) as u8 % 16);
                let turn = at_once.clone().acquire_owned().await.unwrap();
                let (mut client, server) = tokio::io::duplex(16);
                let served = serve(pool.clone(), server, drops.token());
                let answered = answered.clone();
                tasks.spawn(async move {
                    served.await;
                    drop(turn);
                });
                tasks.spawn(async move {
                    client.write_all(&[waits]).await.unwrap();
                    for _ in 0..patience {
                        if let Poll::Ready(answer) = poll_once(std::pin::pin!(client.read_u8())) {
                            assert_eq!(answer.unwrap(), waits);
                            answered.add();
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                });
            }
            while let Some(task) = tasks.join_next().await {
                task.unwrap();
            }
        });
        assert_idle(&pool);
        assert_eq!(drops.count(), REQUESTS);
        // Some came to their end, and some did not.
        assert!((1..REQUESTS).contains(&answered.get()));
    });
}

/// What the guide says that hyper cannot see: a server that has not read the request to
/// its end does not look further, and the fiber goes on until it reads the rest itself.
#[test]
fn post_unread_body_hangup() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let drops = Drops::new();
        let token = drops.token();
        multi_thread_runtime().block_on(async {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(b"some of the body").await.unwrap();
            drop(client);
            let (go, gone) = oneshot::channel::<()>();
            let (tell, told) = oneshot::channel();
            let call = pool.call(move || {
                let _token = token;
                tell.send(()).unwrap();
                // Whatever it does before it reads is not ended by the hang-up,
                gone.wait().unwrap();
                // and what it reads ends early.
                let mut body = vec![0; 64];
                let mut server = switchback::io::Blocking::new(server);
                std::io::Read::read_exact(&mut server, &mut body)
            });
            told.await.unwrap();
            assert_eq!(drops.count(), 0);
            go.send(()).unwrap();
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        });
        assert_eq!(drops.count(), 1);
    });
}
