//! Dumps from other threads than the hub's.

use std::future::pending;
use std::sync::mpsc;
use std::time::Duration;

use futures::StreamExt as _;
use switchback::{
    Cycle, Fiber, FiberState, Hub, HubPool, HubThread, current_fiber, dump_all, prelude::*,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn a_dump_from_another_thread_and_from_async_code() {
    let thread = HubThread::new().unwrap();
    let (running, has_run) = mpsc::channel();
    let stuck = thread.spawn(move || {
        running.send(()).unwrap();
        pending::<()>().wait();
    });
    let stuck = stuck.unwrap();
    has_run.recv().unwrap();
    let dump = loop {
        let dump = thread.handle().dump().wait().unwrap();
        if dump.fiber(stuck.id()).unwrap().state() == FiberState::Waiting {
            break dump;
        }
    };
    assert_eq!(dump.fiber(stuck.id()).unwrap().parent(), None);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let dump = thread.handle().dump();
    let dump = runtime.block_on(runtime.spawn(dump)).unwrap().unwrap();
    assert_eq!(dump.fibers().len(), 1);
    stuck.cancel();
    thread.close().wait();
    let gone = thread.handle().dump().wait().unwrap_err();
    assert!(!gone.is_blocked());
    assert!(gone.to_string().contains("the hub has ended"));
}

#[test]
fn a_blocked_hub_does_not_answer_in_time_and_later_does() {
    let thread = HubThread::new().unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (running, has_run) = mpsc::channel();
    let blocks = thread.spawn(move || {
        running.send(()).unwrap();
        held.recv().unwrap();
    });
    has_run.recv().unwrap();
    let limit = Duration::from_millis(1);
    let error = thread.handle().dump_within(limit).wait().unwrap_err();
    assert!(error.is_blocked());
    assert_eq!(
        std::io::Error::from(error).kind(),
        std::io::ErrorKind::TimedOut
    );
    let late = thread.handle().dump();
    release.send(()).unwrap();
    assert!(late.wait().is_ok());
    blocks.unwrap().wait().unwrap();
}

#[test]
fn a_dump_overtakes_what_has_not_begun() {
    let thread = HubThread::new().unwrap();
    let (release, held) = mpsc::channel::<()>();
    let blocks = thread.spawn(move || held.recv().unwrap()).unwrap();
    for _ in 0..10_000 {
        thread.spawn(|| ()).unwrap();
    }
    let hub = thread.handle();
    let (told, tells) = mpsc::channel();
    let asks = std::thread::spawn(move || {
        // The first poll asks.
        let mut dump = Box::pin(hub.dump());
        let once = std::future::poll_fn(|cx| {
            assert!(dump.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        });
        once.wait();
        told.send(()).unwrap();
        dump.wait().unwrap()
    });
    tells.recv().unwrap();
    release.send(()).unwrap();
    let dump = asks.join().unwrap();
    assert!(dump.queued() > 5000, "{}", dump.queued());
    drop(blocks);
}

#[test]
fn fibers_of_a_pool_know_who_called() {
    let pool = HubPool::new(1).unwrap();
    const LINE: u32 = line!() + 1;
    let call = pool.call(|| pending::<()>().wait());
    let hub = pool.handles().next().unwrap();
    let dump = loop {
        let dump = hub.dump().wait().unwrap();
        if dump.fibers().len() == 1 {
            break dump;
        }
    };
    assert_eq!(dump.fibers()[0].spawned_at().line(), LINE);
    assert_eq!(dump.fibers()[0].spawned_at().file(), file!());
    drop(call);
}

#[test]
fn the_fibers_of_a_pools_streams_know_where_they_were_made() {
    let pool = HubPool::new(1).unwrap();
    let place = || {
        let dump = Hub::current().dump();
        let fiber = dump.fiber(current_fiber().unwrap().id()).unwrap();
        assert_eq!(fiber.spawned_at().file(), file!());
        fiber.spawned_at().line()
    };
    let (tell, told) = mpsc::channel();
    let tells = || {
        let tell = tell.clone();
        move || tell.send(place()).unwrap()
    };

    let tell = tells();
    let mut reader = pool.reader(move || {
        tell();
        std::io::empty()
    });
    let read = line!() - 4;
    assert_eq!(reader.read(&mut [0]).wait().unwrap(), 0);
    assert_eq!(told.recv().unwrap(), read);

    let tell = tells();
    let mut output = pool.output(move |_| {
        tell();
        Ok(())
    });
    let written = line!() - 4;
    assert_eq!(output.read(&mut [0]).wait().unwrap(), 0);
    assert_eq!(told.recv().unwrap(), written);

    let tell = tells();
    let mut writer = pool.writer(std::io::sink, move |_| {
        tell();
        Ok(())
    });
    let taken = line!() - 4;
    writer.shutdown().wait().unwrap();
    assert_eq!(told.recv().unwrap(), taken);

    let tell = tells();
    let mut items = pool.iter(move || {
        tell();
        std::iter::empty::<u8>()
    });
    let iterated = line!() - 4;
    assert!(items.next().wait().is_none());
    assert_eq!(told.recv().unwrap(), iterated);
}

#[test]
fn locks_in_opposite_order_across_two_hubs() {
    use switchback::sync::{Arc, Mutex};

    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let threads = [HubThread::new().unwrap(), HubThread::new().unwrap()];
    let both_have_one = Arc::new(std::sync::Barrier::new(2));
    let fibers = [(a.clone(), b.clone()), (b, a)]
        .into_iter()
        .zip(&threads)
        .map(|((first, second), thread)| {
            let both_have_one = both_have_one.clone();
            let takes = move || {
                let _first = first.lock().unwrap();
                both_have_one.wait();
                drop(second.lock());
            };
            thread.spawn(takes).unwrap()
        });
    let fibers: Vec<_> = fibers.collect();
    let ids: Vec<_> = fibers.iter().map(Fiber::id).collect();
    let is_it = |cycle: &Cycle| {
        let fibers = cycle.fibers();
        fibers.len() == 2 && ids.iter().all(|id| fibers.contains(id))
    };
    let dump = loop {
        let dump = dump_all().wait();
        if dump.cycles().iter().any(is_it) {
            break dump;
        }
    };
    let text = dump.to_string();
    assert!(text.contains("2 fibers wait for each other"), "{text}");
    assert!(text.contains(file!()), "{text}");
    // Each hub alone has no cycle of its own.
    let hubs = dump
        .hubs()
        .filter(|hub| ids.iter().any(|id| hub.fiber(*id).is_some()));
    assert!(hubs.into_iter().all(|hub| hub.cycles().is_empty()));
    let [first, second] = fibers.try_into().expect("there are two");
    first.cancel();
    assert!(first.wait().unwrap_err().is_cancelled());
    second.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn a_signal_prints_what_every_fiber_waits_for() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use switchback::{Builder, Hub, yield_now};

    const CHILD: &str = "SWITCHBACK_PRINTS_DUMPS";
    if std::env::var_os(CHILD).is_some() {
        let _guard = switchback::dump_on_signal(libc::SIGQUIT).unwrap();
        let hub = Hub::builder().name("of the child");
        let told = hub.run(|| {
            let stuck = Builder::new().name("stuck in the child");
            let _stuck = stuck.spawn(|| pending::<()>().wait()).unwrap();
            yield_now().wait();
            // On the output, for the parent to send the signal, and to close the input at last.
            println!("\nready");
            switchback::blocking(|| std::io::stdin().read_line(&mut String::new())).wait()
        });
        told.unwrap().unwrap();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("elsewhere::a_signal_prints_what_every_fiber_waits_for")
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = output.lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "ready"));
    let mut errors = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    for _ in 0..3 {
        let status = Command::new("kill")
            .args(["-QUIT", &child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
        assert!(errors.any(|line| line.starts_with("hub 'of the child' on thread")));
        assert!(errors.any(|line| line.contains("'stuck in the child', waiting")));
        assert!(errors.any(|line| line.contains(concat!("at ", file!()))));
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn deadlocks_are_told_of_once_while_they_last() {
    use switchback::sync::{Arc, Mutex};
    use switchback::{Builder, watch_deadlocks};

    let error = watch_deadlocks(Duration::ZERO, |_| {}).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let (tell, told) = mpsc::channel();
    let _guard = watch_deadlocks(Duration::from_millis(1), move |cycle| {
        // Other tests of this process have deadlocks too.
        if cycle.to_string().contains("'locks itself out'") {
            let _ = tell.send(cycle.clone());
        }
    });
    let thread = HubThread::new().unwrap();
    let own = |limit: Option<Duration>| {
        let stuck = Builder::new().name("locks itself out");
        let locks = move || {
            let lock = Arc::new(Mutex::new(()));
            let _guard = lock.lock().unwrap();
            match limit {
                Some(limit) => drop(switchback::with_timeout(limit, || drop(lock.lock()))),
                None => drop(lock.lock()),
            }
        };
        stuck.spawn_on(&thread, locks).unwrap()
    };
    let first = own(None);
    let cycle = told.recv().unwrap();
    assert_eq!(cycle.fibers(), [first.id()]);
    assert!(!cycle.may_break());
    let long = own(Some(Duration::from_secs(3600)));
    let cycle = told.recv().unwrap();
    assert_eq!(
        cycle.fibers(),
        [long.id()],
        "the first one is not told again"
    );
    assert!(cycle.may_break());
    for stuck in [first, long] {
        stuck.cancel();
        assert!(stuck.wait().unwrap_err().is_cancelled());
    }
}

#[cfg(unix)]
#[test]
#[allow(unsafe_code)]
fn signals_in_the_middle_of_anything_harm_nothing() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use switchback::{run, spawn, yield_now};

    let Some(child) = crate::support::in_child(|| {
        let _guard = switchback::dump_on_signal(libc::SIGQUIT).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        run(move || {
            let thread = std::thread::spawn(move || {
                let own = std::process::id().try_into().unwrap();
                for _ in 0..200 {
                    // SAFETY: it touches no memory; the signal, for this process, has a handler.
                    assert_eq!(unsafe { libc::kill(own, libc::SIGQUIT) }, 0);
                    std::thread::yield_now();
                }
                ends.store(true, Ordering::Release);
            });
            // Switches, stacks that unwind, and memory and libraries that come and go.
            while !over.load(Ordering::Acquire) {
                #[cfg(all(target_os = "linux", target_env = "gnu"))]
                crate::support::linux::load_a_library();
                let fibers = (1..20_usize).map(|n| {
                    spawn(move || {
                        let memory = vec![n; n * 100];
                        yield_now().wait();
                        if n % 3 == 0 {
                            std::panic::resume_unwind(Box::new(memory));
                        }
                    })
                });
                let fibers: Vec<_> = fibers.collect();
                for (n, fiber) in (1..).zip(fibers) {
                    assert_eq!(fiber.wait().is_err(), n % 3 == 0);
                }
            }
            thread.join().unwrap();
        })
        .unwrap();
    }) else {
        return;
    };
    child.assert_success();
}
