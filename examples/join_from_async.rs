//! Joins fibers from async tasks, from `tokio::select!` with a timeout, and from another
//! fiber.
//!
//! Run with: `cargo run --example join_from_async`

use std::time::Duration;

use switchback::{Fiber, prelude::*, sleep, spawn};
use tokio::time;

/// Spawns a fiber that works for `ms` milliseconds in blocking style.
fn work(ms: u64) -> Fiber<u64> {
    spawn(move || {
        sleep(Duration::from_millis(ms)).wait();
        ms
    })
}

/// A fiber is a future, as a tokio `JoinHandle` is. The handle can be moved into a task,
/// because the result is `Send`; the fiber itself stays on its thread.
async fn from_tasks() -> u64 {
    let first = tokio::spawn(work(10));
    let second = tokio::spawn(async { work(20).await });
    let (first, second) = tokio::try_join!(first, second).expect("no task panics");
    first.expect("no fiber panics") + second.expect("no fiber panics")
}

/// A `join` borrows the handle. If it loses in `select!`, it is dropped and nothing is lost:
/// the fiber continues and can be joined again. Returns the result, and how often the timeout won.
async fn from_select() -> (u64, u32) {
    let mut fiber = work(50);
    let mut timeouts = 0;
    loop {
        tokio::select! {
            result = fiber.join() => return (result.expect("no fiber panics"), timeouts),
            () = time::sleep(Duration::from_millis(20)) => timeouts += 1,
        }
    }
}

/// A fiber joins others in the same way, with `.wait()` instead of `.await`.
async fn from_fiber() -> u64 {
    let parent = spawn(|| {
        let children: Vec<_> = (1..=3).map(|n| work(10 * n)).collect();
        let results = children.into_iter().map(|child| child.wait());
        results.sum::<Result<u64, _>>()
    });
    let children = parent.await.expect("the parent does not panic");
    children.expect("no child panics")
}

/// A fiber that panics ends alone. Its joiner receives the panic.
async fn from_panic() -> String {
    let fiber = spawn(|| -> u64 { std::panic::resume_unwind(Box::new("out of order")) });
    let error = fiber.await.expect_err("the fiber panics");
    assert!(error.is_panic());
    error.to_string()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sum = from_tasks().await;
    println!("from two tasks: {sum}");
    assert_eq!(sum, 30);

    let (result, timeouts) = from_select().await;
    println!("from select!: {result}, after {timeouts} timeouts");
    assert_eq!(result, 50);
    assert!(timeouts >= 1);

    let sum = from_fiber().await;
    println!("from another fiber: {sum}");
    assert_eq!(sum, 60);

    println!(
        "from a task, of a fiber that panicked: {}",
        from_panic().await
    );
}
