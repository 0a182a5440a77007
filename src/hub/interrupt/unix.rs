//! Handles SIGINT with the safe actions of `signal-hook`. Its handler runs them in the
//! order of their registration:
//!
//! | action | registered |
//! |---|---|
//! | end the process, as by default, if [`ARMED`] | at the first `run`, for ever |
//! | set [`ARMED`] | while a hub listens and does not ignore interrupts |
//! | write to a socket, which wakes the hub's runtime | as long as the second |
//! | write to a socket, which wakes a [`Teller`] | while a hub listens |
//!
//! A runtime woken by the third action therefore finds `ARMED` set. This is why tokio's own
//! listener is not used: its action stays where it was first registered. In a later `run`
//! it would come before the second action and could wake the hub too early.

use std::cell::Cell;
use std::io::{self, Read};
use std::os::unix::net;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::{SigId, flag, low_level};
use tokio::net::UnixStream;

use crate::base::lock::lock;

/// Whether the next SIGINT ends the process: either no hub listens, or the listening hub
/// has not answered the last SIGINT.
///
/// Ordering: the actions are sequentially consistent. The hub learns of a set through the
/// kernel, and the flag publishes nothing else.
static ARMED: AtomicBool = AtomicBool::new(true);

/// Whether the first action is registered.
static INSTALLED: Mutex<bool> = Mutex::new(false);

#[derive(Debug)]
pub(super) struct Signal {
    reader: UnixStream,
    writer: net::UnixStream,
    actions: Cell<Option<[SigId; 2]>>,
}

impl Signal {
    pub(super) fn listen(ignored: bool) -> io::Result<Signal> {
        {
            let mut installed = lock(&INSTALLED);
            if !*installed {
                flag::register_conditional_default(SIGINT, &ARMED)?;
                *installed = true;
            }
        }
        let (reader, writer) = net::UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        let signal = Signal {
            reader: UnixStream::from_std(reader)?,
            writer,
            actions: Cell::new(None),
        };
        if !ignored {
            signal.register()?;
        }
        // Until here SIGINT has had its default effect.
        ARMED.store(false, Ordering::SeqCst);
        Ok(signal)
    }

    /// Arranges for `cx` to be woken when a SIGINT comes.
    pub(super) fn poll(&self, cx: &mut Context<'_>) {
        while let Poll::Ready(Ok(())) = self.reader.poll_read_ready(cx) {
            match self.reader.try_read(&mut [0; 16]) {
                Ok(1..) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
            }
        }
    }

    /// Returns whether a SIGINT has come that is not answered.
    #[inline]
    pub(super) fn has_come(&self) -> bool {
        ARMED.load(Ordering::SeqCst)
    }

    /// Records that the cancel was delivered to the root fiber.
    pub(super) fn answered(&self) {
        ARMED.store(false, Ordering::SeqCst);
    }

    /// Lets the next SIGINT end the process.
    pub(super) fn let_end_process(&self) {
        ARMED.store(true, Ordering::SeqCst);
    }

    pub(super) fn set_ignored(&self, ignored: bool) -> io::Result<()> {
        if !ignored {
            return self.register();
        }
        self.unregister();
        ARMED.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Restores the default effect of SIGINT, or none if it is `ignored`. Returns whether a
    /// SIGINT has come that was not answered.
    pub(super) fn stop(&self, ignored: bool) -> bool {
        let has_come = ARMED.swap(!ignored, Ordering::SeqCst);
        self.unregister();
        has_come
    }

    fn register(&self) -> io::Result<()> {
        let writer = self.writer.try_clone()?;
        let arm = flag::register(SIGINT, &ARMED)?;
        match low_level::pipe::register(SIGINT, writer) {
            Ok(wake) => self.actions.set(Some([arm, wake])),
            Err(e) => {
                low_level::unregister(arm);
                return Err(e);
            }
        }
        Ok(())
    }

    fn unregister(&self) {
        for action in self.actions.take().into_iter().flatten() {
            low_level::unregister(action);
        }
    }
}

/// A thread that is told of each SIGINT, also while the hub's thread is stuck. Dropping it waits for its
/// end.
#[derive(Debug)]
pub(super) struct Teller {
    action: SigId,
    thread: Option<thread::JoinHandle<()>>,
}

impl Teller {
    /// After each SIGINT, calls `looks` now and then for as long as that is not answered, until it
    /// returns false.
    pub(super) fn start(looks: impl FnMut() -> bool + Send + 'static) -> io::Result<Teller> {
        let (reader, writer) = net::UnixStream::pair()?;
        let action = low_level::pipe::register(SIGINT, writer)?;
        let tells = move || {
            // An error cannot be told to anybody.
            let _ = tell(reader, looks);
        };
        let named = thread::Builder::new().name("switchback-ctrl-c".into());
        let mut teller = Teller {
            action,
            thread: None,
        };
        teller.thread = Some(named.spawn(tells)?);
        Ok(teller)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        // This closes the writer, and so ends the thread.
        low_level::unregister(self.action);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Does what [`Teller::start`] says until the writer is closed.
fn tell(mut reader: net::UnixStream, mut looks: impl FnMut() -> bool) -> io::Result<()> {
    /// How long a hub has to answer.
    const PERIOD: Duration = Duration::from_millis(200);

    let mut buffer = [0; 16];
    loop {
        reader.set_read_timeout(None)?;
        if reader.read(&mut buffer)? == 0 {
            return Ok(());
        }
        reader.set_read_timeout(Some(PERIOD))?;
        while ARMED.load(Ordering::SeqCst) && looks() {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
        }
    }
}
