//! [`Worker`]: the thread of a hub, from its start to its end.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::exit::{Exit, Way};
use crate::base::lock::lock;
use crate::base::report;
use crate::handles::HubHandle;
use crate::hub::Config;
use crate::insight::slices;
use crate::scheduler::serve;
use crate::switch;

/// The thread of a hub, as seen by the code that sends it work or waits for its end.
pub(super) struct Worker {
    name: Box<str>,
    pub(super) hub: HubHandle,
    pub(super) exit: Arc<Exit>,
    /// Taken by the first caller that joins the thread.
    os: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts a thread with a hub, and waits until the hub runs.
    pub(super) fn start(config: Config) -> io::Result<Arc<Worker>> {
        let name = config.name.to_string();
        if name.contains('\0') {
            let why = "the name of a hub's thread must not contain a zero byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let slices = slices::enforce(config.slice)?;
        let exit = Arc::new(Exit::default());
        let (started, has_started) = sync_channel(1);
        let os = thread::Builder::new().name(name.clone()).spawn({
            let exit = exit.clone();
            move || {
                let _slices = slices;
                run(config, &exit, started);
            }
        })?;
        match has_started.recv() {
            Ok(Ok(hub)) => Ok(Arc::new(Worker {
                name: name.into(),
                hub,
                exit,
                os: Mutex::new(Some(os)),
            })),
            Ok(Err(e)) => {
                let _ = os.join();
                Err(e)
            }
            Err(_) => {
                let _ = os.join();
                Err(io::Error::other("the hub's thread panicked at its start"))
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Joins the thread, which is ending. This is short, because the thread runs no more
    /// user code.
    pub(super) fn join(&self) {
        let mut os = lock(&self.os);
        if let Some(os) = os.take() {
            // The thread has caught and reported its own panics.
            let _ = os.join();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HubThread").field(&self.hub).finish()
    }
}

/// Runs the hub on its thread.
fn run(config: Config, exit: &Arc<Exit>, started: SyncSender<io::Result<HubHandle>>) {
    Exit::tell_at_end(exit);
    let has_failed = started.clone();
    let served = catch_unwind(AssertUnwindSafe(|| {
        serve::serve(config, |mailbox| {
            let _ = started.send(Ok(HubHandle::new(mailbox)));
        })
    }));
    match served {
        Ok(Ok(())) => {}
        Ok(Err(e)) => {
            let _ = has_failed.send(Err(e));
        }
        Err(payload) => {
            report::error(format_args!(
                "the thread {} of a hub panicked",
                thread_label(),
            ));
            exit.set_panic(payload);
        }
    }
    if switch::unfinished() > 0 {
        park_for_ever(exit);
    }
}

/// Parks the thread, which must not end: frames of an abandoned stack may refer to its
/// thread-locals, and other threads may refer to those frames.
fn park_for_ever(exit: &Exit) -> ! {
    report::warn(format_args!(
        "the thread {} of a hub stays parked for ever, since {} of its stacks could not be \
         unwound and what is on them may still be in use",
        thread_label(),
        switch::unfinished(),
    ));
    exit.leave(Way::Parked);
    loop {
        thread::park();
    }
}

fn thread_label() -> String {
    match thread::current().name() {
        Some(name) => format!("'{name}'"),
        None => "without a name".to_owned(),
    }
}
