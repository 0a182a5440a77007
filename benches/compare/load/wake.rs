//! Row `load-wake`: the place in line of a wake and of a cancel that another thread sends
//! when it has sent 10,000 fibers, or tasks, that have not begun. The figure is that of the
//! later of the two: 1 if both came before all of them.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use switchback::HubThread;
use switchback::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::on_runtime;

const SENT: usize = 10_000;

pub(super) fn row() -> Row {
    Row::new("load-wake", Unit::Less("place in line"))
        .rounds(5)
        .column(Column::Switchback, of_fibers)
        .column(Column::TokioTasks, of_tasks)
}

/// Notes at its drop how many have begun.
struct Notes {
    begun: Arc<AtomicU64>,
    noted: mpsc::Sender<u64>,
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = self.noted.send(self.begun.load(Relaxed));
    }
}

fn of_fibers() -> f64 {
    let hub = HubThread::new().expect("a thread can be started");
    let begun = Arc::new(AtomicU64::new(0));
    let (noted, places) = mpsc::channel();
    let notes = || Notes {
        begun: begun.clone(),
        noted: noted.clone(),
    };
    let (wake, woken) = oneshot::channel::<()>();
    let (first, second) = (notes(), notes());
    let waits = hub.spawn(move || {
        let _first = first;
        let _ = woken.wait();
    });
    let cancelled = hub.spawn(move || {
        let _second = second;
        pending::<()>().wait();
    });
    let (open, gate) = mpsc::channel::<()>();
    let (closed, is_closed) = mpsc::channel();
    let busy = hub.spawn(move || {
        let _ = closed.send(());
        let _ = gate.recv();
    });
    is_closed.recv().expect("the fiber begins");
    for _ in 0..SENT {
        let begun = begun.clone();
        let sent = hub.spawn(move || {
            begun.fetch_add(1, Relaxed);
        });
        drop(sent.expect("the hub is open"));
    }
    wake.send(()).expect("the fiber waits");
    cancelled.expect("the hub is open").cancel();
    drop(open);
    let place = later(&places);
    drop((waits, busy));
    hub.close().wait();
    place
}

fn of_tasks() -> f64 {
    let begun = Arc::new(AtomicU64::new(0));
    let (noted, places) = mpsc::channel();
    let notes = || Notes {
        begun: begun.clone(),
        noted: noted.clone(),
    };
    let (started, has_started) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = thread::spawn(move || {
        on_runtime(async {
            let _ = started.send(Handle::current());
            let _ = stopped.await;
        });
    });
    let handle = has_started.recv().expect("the runtime starts");
    let (wake, woken) = oneshot::channel::<()>();
    let (first, second) = (notes(), notes());
    handle.spawn(async move {
        let _first = first;
        let _ = woken.await;
    });
    let cancelled = handle.spawn(async move {
        let _second = second;
        pending::<()>().await;
    });
    let (open, gate) = mpsc::channel::<()>();
    let (closed, is_closed) = mpsc::channel();
    handle.spawn(async move {
        let _ = closed.send(());
        let _ = gate.recv();
    });
    is_closed.recv().expect("the task begins");
    for _ in 0..SENT {
        let begun = begun.clone();
        handle.spawn(async move { begun.fetch_add(1, Relaxed) });
    }
    wake.send(()).expect("the task waits");
    cancelled.abort();
    drop(open);
    let place = later(&places);
    drop(stop);
    runtime.join().expect("the runtime does not panic");
    place
}

/// The place of the later of two.
fn later(places: &mpsc::Receiver<u64>) -> f64 {
    let begun = [(); 2].map(|()| places.recv().expect("both end"));
    (begun[0].max(begun[1]) + 1) as f64
}
