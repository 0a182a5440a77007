//! Shows what works, and how, in a build that cannot unwind.
//!
//! Run with: `cargo run --profile abort --example panic_abort`
//!
//! With the argument `with_timeout` it shows that this function refuses to run: the process
//! aborts. In a build that can unwind, the program prints what is different there.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use switchback::{Fiber, Hub, HubThread, prelude::*, sleep, spawn, with_timeout};

/// Prints a line when it is dropped.
struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        println!("{} is dropped", self.0);
    }
}

fn main() {
    println!("can unwind: {}", cfg!(panic = "unwind"));
    if std::env::args().any(|arg| arg == "with_timeout") {
        let body = || with_timeout(Duration::from_secs(1), || "in time");
        println!("with_timeout: {:?}", switchback::run(body));
        return;
    }

    switchback::run(|| {
        println!("join: {:?}", spawn(|| 42).join().wait());

        let mut listens = spawn(|| pending::<()>().wait_or_cancelled().unwrap_err().to_string());
        sleep(Duration::ZERO).wait();
        listens.cancel_with("please");
        println!("wait_or_cancelled: {:?}", listens.join().wait());

        // A cancel cannot end a bare wait, so this fiber waits to its end.
        let mut deaf = spawn(|| sleep(Duration::from_millis(20)).wait());
        sleep(Duration::ZERO).wait();
        deaf.cancel();
        println!(
            "wait: {}",
            deaf.join()
                .wait()
                .map_or_else(|e| e.to_string(), |()| "to its end".into())
        );

        let ended = Rc::new(Cell::new(false));
        let flag = ended.clone();
        spawn(move || flag.set(pending::<()>().wait_or_cancelled().is_err()));
        let mut unstarted: Fiber<()> = Fiber::new({
            let noisy = Noisy("a closure that never ran");
            move || drop(noisy)
        });
        sleep(Duration::ZERO).wait();
        Hub::current().close().wait();
        println!(
            "close: {}, {:?}",
            ended.get(),
            unstarted.join().wait().is_err()
        );
    })
    .expect("the root fiber ends");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut suspended = None;
    runtime.block_on(async {
        suspended = Some(spawn(|| {
            let _noisy = Noisy("what a suspended fiber holds");
            pending::<()>().wait();
        }));
        tokio::task::yield_now().await;
    });
    drop(runtime);
    let ended = suspended.map(|mut fiber| fiber.join().wait());
    println!(
        "runtime dropped: {}",
        matches!(ended, Some(Err(e)) if e.is_cancelled())
    );

    // The hub's thread parks for ever, because it cannot unwind the stack.
    let hub = HubThread::new().expect("a thread");
    let mut stuck = hub.spawn(|| pending::<()>().wait()).expect("it is open");
    let mut behind = hub.spawn(|| ()).expect("it is open");
    behind.join().wait().expect("it does not panic");
    hub.close().wait();
    println!("thread closed: {}", stuck.join().wait().is_err());
}
