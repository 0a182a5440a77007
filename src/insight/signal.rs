//! [`dump_on_signal`]: prints a dump of all hubs when a signal comes.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::raw::c_int;
use std::os::unix::net::UnixStream;
use std::thread;

use signal_hook::consts::FORBIDDEN;
use signal_hook::{SigId, low_level};

use super::dump_all;

/// Writes a dump of all hubs of the process to stderr whenever this signal comes, until the guard is
/// dropped: with SIGQUIT, `kill -QUIT` and Ctrl-\ show what every fiber waits for, as they do for
/// Java's and Go's threads.
///
/// The handler of the signal only writes a byte to a socket, so it may come at any moment. A thread
/// that this starts takes the [dump](crate::dump_all), and prints it while the program goes on. With the
/// feature `backtrace`, it has the backtraces of 10,000 fibers of each hub.
///
/// The signal loses the effect that it has by default, and keeps losing it after the guard is dropped.
///
/// # Errors
///
/// Returns an error if the signal cannot be handled, or if the thread or its socket cannot be made.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// const SIGQUIT: i32 = 3; // the `libc` crate has it
/// let _guard = switchback::dump_on_signal(SIGQUIT)?;
/// # Ok(())
/// # }
/// ```
pub fn dump_on_signal(signal: c_int) -> io::Result<SignalGuard> {
    if FORBIDDEN.contains(&signal) {
        let why = format!("signal {signal} cannot be handled: use another, such as SIGQUIT");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let (reader, writer) = UnixStream::pair()?;
    let end = reader.try_clone()?;
    thread::Builder::new()
        .name("switchback-dump".into())
        .spawn(move || print_for_each_byte(reader))?;
    match low_level::pipe::register(signal, writer) {
        Ok(action) => Ok(SignalGuard { action, end }),
        Err(e) => {
            let _ = end.shutdown(Shutdown::Both);
            Err(e)
        }
    }
}

/// Ends what [`dump_on_signal`] began when it is dropped.
#[must_use = "dropping it ends the dumps"]
pub struct SignalGuard {
    action: SigId,
    /// The thread reads from the same socket.
    end: UnixStream,
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        low_level::unregister(self.action);
        let _ = self.end.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for SignalGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignalGuard")
    }
}

/// The maximum number of fibers of a hub whose backtraces are printed. To store the frames of that many
/// takes some 100 ms of the hub's thread.
#[cfg(feature = "backtrace")]
const BACKTRACES: usize = 10_000;

fn print_for_each_byte(mut signals: UnixStream) {
    // Signals that come while a dump is printed are one.
    let mut bytes = [0; 64];
    while matches!(signals.read(&mut bytes), Ok(1..)) {
        let dump = dump_all();
        #[cfg(feature = "backtrace")]
        let dump = dump.backtraces(BACKTRACES);
        let dump = futures::executor::block_on(dump);
        let _ = write!(io::stderr().lock(), "{dump}");
    }
}
