//! Work that is done on other threads: `blocking` and, with its feature, `compute`.
// A fiber is a future; here it is returned from async blocks to outlive them.
#![allow(clippy::async_yields_async)]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use switchback::{
    HubPool, HubThread, Offload, blocking, bridge, in_fiber, prelude::*, spawn, yield_now,
};
use tokio::runtime::{Builder, Handle};

use crate::support::ending::{Count, poll_once};
use crate::support::{
    Drops, OnDrop, Token, in_async, in_child, in_root_fiber, ms, multi_thread_runtime, panic_of,
    runtime, text, watched,
};

/// Which of the two the test is about.
type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Runs a test for each kind of offloading that this build has.
fn for_each<T: Send + 'static>(test: impl Fn(fn(Job<T>) -> Offload<T>)) {
    test(|job| blocking(job));
    #[cfg(feature = "compute")]
    test(|job| switchback::compute(job));
}

/// How many kinds these are.
const KINDS: usize = 1 + cfg!(feature = "compute") as usize;

fn thread_id() -> thread::ThreadId {
    thread::current().id()
}

/// A job that has begun and ends when it is told to, with a token as its result.
struct Held {
    job: Offload<Token>,
    release: mpsc::Sender<()>,
    drops: Drops,
}

impl Held {
    fn new(offload: fn(Job<Token>) -> Offload<Token>) -> Held {
        let drops = Drops::new();
        let token = drops.token();
        let (begins, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let job = offload(Box::new(move || {
            begins.send(()).unwrap();
            released.recv().unwrap();
            token
        }));
        has_begun.recv().unwrap();
        Held {
            job,
            release,
            drops,
        }
    }
}

fn wait_until(what: impl Fn() -> bool) {
    while !what() {
        thread::yield_now();
    }
}

// Where it works.

#[test]
fn a_fiber_waits_for_a_job_while_others_run() {
    in_root_fiber(|| {
        for_each(|offload| {
            let here = thread_id();
            let (go, gone) = mpsc::channel();
            let mut other = spawn(move || go.send(()).unwrap());
            // It cannot end before the other fiber has run.
            let job = offload(Box::new(move || {
                gone.recv().unwrap();
                (thread_id(), in_fiber())
            }));
            let (there, fiber) = job.wait();
            assert_ne!(there, here);
            assert!(!fiber);
            other.join().wait().unwrap();
        });
    });
}

#[test]
fn it_is_awaited_in_tasks_of_every_runtime() {
    in_async(|| async {
        let here = thread_id();
        assert_ne!(blocking(thread_id).await, here);
    });
    watched(|| {
        multi_thread_runtime().block_on(async {
            let task = tokio::spawn(async { blocking(|| 6 * 7).await });
            assert_eq!(task.await.unwrap(), 42);
        });
    });
}

#[test]
fn it_is_waited_for_on_a_plain_thread_without_a_runtime() {
    watched(|| {
        for_each(|offload| {
            assert!(Handle::try_current().is_err());
            let here = thread_id();
            assert_ne!(offload(Box::new(thread_id)).wait(), here);
        });
    });
}

#[test]
fn it_is_waited_for_in_fibers_of_hub_threads_and_in_bridges() {
    watched(|| {
        let (hub, pool) = (HubThread::new().unwrap(), HubPool::new(2).unwrap());
        for fiber in [
            hub.spawn(|| blocking(|| 1).wait()).ok(),
            pool.spawn(|| blocking(|| 1).wait()).ok(),
        ] {
            assert_eq!(fiber.unwrap().join().wait().unwrap(), 1);
        }
        let awaited = bridge(|| blocking(|| 1).wait());
        assert_eq!(multi_thread_runtime().block_on(awaited), 1);
        pool.close().wait();
    });
}

#[test]
fn its_threads_are_those_of_the_current_runtime() {
    watched(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.thread_name("of-the-runtime").build().unwrap();
        let name = runtime.block_on(async {
            let mut fiber =
                spawn(|| blocking(|| thread::current().name().map(str::to_owned)).wait());
            fiber.join().await.unwrap()
        });
        assert_eq!(name.as_deref(), Some("of-the-runtime"));
    });
}

#[test]
fn a_blocking_job_may_enter_a_runtime_and_wait_for_another_job() {
    in_root_fiber(|| {
        let job = blocking(|| {
            let nested = multi_thread_runtime().block_on(async { 40 });
            nested + blocking(|| 2).wait()
        });
        assert_eq!(job.wait(), 42);
    });
}

#[test]
fn a_job_begins_without_being_waited_for() {
    watched(|| {
        for_each(|offload| {
            let (tell, told) = mpsc::channel();
            let job = offload(Box::new(move || tell.send(thread_id()).unwrap()));
            assert_ne!(told.recv().unwrap(), thread_id());
            job.wait();
        });
    });
}

#[test]
fn many_jobs_end_each_with_its_own_result() {
    in_root_fiber(|| {
        for_each(|offload| {
            let fibers: Vec<_> = (0..200)
                .map(|i| spawn(move || offload(Box::new(move || i)).wait()))
                .collect();
            for (i, mut fiber) in fibers.into_iter().enumerate() {
                assert_eq!(fiber.join().wait().unwrap(), i);
            }
        });
    });
}

// Panics.

#[test]
fn a_panic_of_a_job_is_resumed_where_it_is_waited_for() {
    in_root_fiber(|| {
        for_each::<()>(|offload| {
            let job = offload(Box::new(|| resume_unwind(Box::new("out of order"))));
            let payload = catch_unwind(AssertUnwindSafe(|| job.wait())).unwrap_err();
            assert_eq!(text(&*payload), "out of order");
        });
    });
}

#[test]
fn a_panic_that_nobody_waits_for_is_reported() {
    let Some(child) = in_child(|| {
        let runtime = runtime();
        let (release, released) = mpsc::channel::<()>();
        runtime.block_on(async {
            drop(blocking(move || {
                let _ = released.recv();
                resume_unwind(Box::new("out of order"));
            }));
        });
        drop(release);
        // Waits for the job.
        drop(runtime);
    }) else {
        return;
    };
    child.assert_reported("a job of `blocking` panicked, and nobody waits for it", 1);
}

// Dropping and cancelling.

#[test]
fn dropping_the_future_lets_the_job_end_and_drop_its_result_on_its_thread() {
    struct TellsThread(mpsc::Sender<thread::ThreadId>);
    impl Drop for TellsThread {
        fn drop(&mut self) {
            self.0.send(thread_id()).unwrap();
        }
    }
    watched(|| {
        for_each(|offload| {
            let (tell, told) = mpsc::channel();
            let (begins, has_begun) = mpsc::channel();
            let (release, released) = mpsc::channel();
            let job = offload(Box::new(move || {
                begins.send(thread_id()).unwrap();
                released.recv().unwrap();
                TellsThread(tell)
            }));
            let there = has_begun.recv().unwrap();
            drop(job);
            release.send(()).unwrap();
            assert_eq!(told.recv().unwrap(), there);
        });
    });
}

#[test]
fn a_result_that_is_dropped_with_the_future_is_dropped_once() {
    watched(|| {
        for_each(|offload| {
            let drops = Drops::new();
            let token = drops.token();
            let (ends, has_ended) = mpsc::channel();
            let mut job = offload(Box::new(move || {
                let _ends = OnDrop(move || ends.send(()).unwrap());
                token
            }));
            has_ended.recv().unwrap();
            // It is on its way, or there.
            if let std::task::Poll::Ready(token) = poll_once(std::pin::Pin::new(&mut job)) {
                drop(token);
            }
            drop(job);
            wait_until(|| drops.count() == 1);
        });
    });
}

#[test]
fn a_result_whose_drop_panics_on_the_jobs_thread_harms_nobody() {
    let Some(child) = in_child(|| {
        #[cfg(feature = "compute")]
        switchback::compute_threads(1).unwrap();
        let runtime = runtime();
        let ended = Count::new();
        for_each(|offload| {
            let _entered = runtime.enter();
            let (release, released) = mpsc::channel::<()>();
            let tell = ended.clone();
            drop(offload(Box::new(move || {
                let _ = released.recv();
                OnDrop(move || {
                    tell.add();
                    resume_unwind(Box::new("in a drop"));
                })
            })));
            drop(release);
        });
        // Each waits for the job before it.
        #[cfg(feature = "compute")]
        switchback::compute(|| ()).wait();
        drop(runtime);
        assert_eq!(ended.get(), KINDS);
    }) else {
        return;
    };
    child.assert_reported(
        "the drop of a job's result panicked, which is ignored",
        KINDS,
    );
}

#[test]
fn a_cancelled_waiter_leaves_at_once() {
    in_root_fiber(|| {
        for_each(|offload| {
            let Held {
                job,
                release,
                drops,
            } = Held::new(offload);
            let mut waiter = spawn(move || drop(job.wait()));
            yield_now().wait();
            assert!(waiter.cancel());
            // The job has not ended.
            assert!(waiter.join().wait().unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 0);
            release.send(()).unwrap();
            wait_until(|| drops.count() == 1);
        });
    });
}

#[test]
fn a_waiter_whose_time_is_over_leaves_and_can_come_back() {
    in_root_fiber(|| {
        for_each(|offload| {
            let mut held = Held::new(offload);
            let late = (&mut held.job).wait_timeout(ms(5));
            assert!(late.is_err());
            held.release.send(()).unwrap();
            drop(held.job.wait());
            assert_eq!(held.drops.count(), 1);
        });
    });
}

#[test]
fn the_close_of_a_hub_does_not_wait_for_a_computation_and_does_for_a_blocking_job() {
    watched(|| {
        for_each(|offload| {
            let hub = HubThread::new().unwrap();
            let (tell, told) = mpsc::channel();
            let mut fiber = hub
                .spawn(move || {
                    let Held {
                        job,
                        release,
                        drops,
                    } = Held::new(offload);
                    tell.send((release, drops)).unwrap();
                    job.wait()
                })
                .unwrap();
            let (release, drops) = told.recv().unwrap();
            hub.handle().close().wait();
            assert!(fiber.join().wait().is_err_and(|e| e.is_cancelled()));
            assert_eq!(drops.count(), 0);
            release.send(()).unwrap();
            hub.close().wait();
            wait_until(|| drops.count() == 1);
        });
    });
}

#[test]
fn a_job_for_a_runtime_that_has_ended_is_dropped_and_its_waiter_told() {
    watched(|| {
        let runtime = runtime();
        let handle = runtime.handle().clone();
        drop(runtime);
        let drops = Drops::new();
        let token = drops.token();
        let _entered = handle.enter();
        let job = blocking(move || drop(token));
        assert_eq!(drops.count(), 1);
        let told = panic_of(|| job.wait());
        assert_eq!(
            told.message,
            "a job of `blocking` did not begin: its runtime has ended; begin it before",
        );
    });
}

#[test]
fn a_job_is_waited_for_once() {
    watched(|| {
        let mut job = blocking(|| 1);
        assert_eq!((&mut job).wait(), 1);
        let again = panic_of(|| (&mut job).wait());
        assert_eq!(
            again.message,
            "an `Offload` was polled after it was ready; begin another job for another result"
        );
    });
}

#[test]
fn a_job_that_is_awaited_by_a_task_that_is_dropped_ends() {
    watched(|| {
        let runtime = multi_thread_runtime();
        let (tell, told) = mpsc::channel();
        let task = runtime.spawn(async move {
            let Held {
                job,
                release,
                drops,
            } = Held::new(|job| blocking(job));
            tell.send((release, drops)).unwrap();
            job.await;
            pending::<()>().await;
        });
        let (release, drops) = told.recv().unwrap();
        task.abort();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        release.send(()).unwrap();
        wait_until(|| drops.count() == 1);
    });
}

#[cfg(feature = "compute")]
mod compute {
    use std::num::NonZero;
    use std::sync::Arc;

    use switchback::{compute, compute_threads};

    use super::*;
    use crate::support::threads;

    const THREADS: &str = "switchback-comp";

    /// The settings are the whole process's, so each test of them has its own.
    #[track_caller]
    fn alone(body: impl FnOnce()) {
        if let Some(child) = in_child(body) {
            child.assert_success();
        }
    }

    #[test]
    fn it_has_a_thread_for_each_core() {
        alone(|| {
            assert_eq!(threads::named(THREADS), 0);
            let inside = compute(rayon_core::current_num_threads).wait();
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            assert_eq!(inside, cores);
            // What has begun has set its name.
            wait_until(|| threads::named(THREADS) == cores);
        });
    }

    #[test]
    fn the_number_of_threads_is_set_before_first_use() {
        alone(|| {
            compute_threads(3).unwrap();
            let again = compute_threads(3).unwrap_err();
            assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
            assert_eq!(
                again.to_string(),
                "the threads of `compute` were started before"
            );
            assert_eq!(compute(rayon_core::current_num_threads).wait(), 3);
            wait_until(|| threads::named(THREADS) == 3);
        });
    }

    #[test]
    fn the_number_of_threads_is_set_by_first_use() {
        alone(|| {
            compute(|| ()).wait();
            assert!(compute_threads(1).is_err());
        });
    }

    #[test]
    fn a_job_that_would_block_its_thread_for_another_is_refused() {
        alone(|| {
            compute_threads(1).unwrap();
            let refused = compute(|| {
                let inner = compute(|| 1);
                panic_of(|| inner.wait()).message
            });
            assert_eq!(
                refused.wait(),
                "this wait blocks a thread of `compute`, which may have to do what it waits for; \
                 use rayon's `join` or `scope` there",
            );
            // It has done the other since.
            assert_eq!(compute(|| 2).wait(), 2);
        });
    }

    #[test]
    fn a_job_forks_and_joins_on_its_own_threads() {
        let names = compute(|| {
            let name = || thread::current().name().map(str::to_owned);
            rayon_core::join(name, name)
        });
        for name in <[_; 2]>::from(names.wait()) {
            assert!(name.unwrap().starts_with("switchback-compute-"));
        }
    }

    #[test]
    fn jobs_run_at_the_same_time_as_far_as_there_are_threads() {
        alone(|| {
            compute_threads(2).unwrap();
            let barrier = Arc::new(std::sync::Barrier::new(2));
            let other = barrier.clone();
            let one = compute(move || barrier.wait().is_leader());
            let two = compute(move || other.wait().is_leader());
            assert_ne!(one.wait(), two.wait());
        });
    }
}
