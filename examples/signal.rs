//! Waits up to ten seconds for SIGHUP: an async task that watches for the signal fires a
//! `SwitchBack` with a timeout, and a cleanup ends that task. The program sends the signal
//! to itself from a thread, so that it ends soon.
//!
//! Run with: `cargo run --example signal`

#[cfg(unix)]
fn main() {
    let result = switchback::run(|| unix::wait_for_hangup(unix::hang_up_soon));
    let signal = result.expect("nobody cancels the root fiber");
    println!("the wait ended with {signal:?}");
    assert!(signal.is_ok());
}

#[cfg(not(unix))]
fn main() {
    println!("this example needs unix: there is no SIGHUP here");
}

#[cfg(unix)]
mod unix {
    use std::process::{self, Command};
    use std::thread;
    use std::time::Duration;

    use switchback::{SwitchBack, SwitchError, prelude::*};
    use tokio::signal::unix::{SignalKind, signal};

    /// Returns when the signal has come. `send` is called once the task watches for it.
    pub(super) fn wait_for_hangup(send: impl FnOnce()) -> Result<&'static str, SwitchError> {
        let mut switch_back = SwitchBack::with_timeout(Duration::from_secs(10));
        let mut hangups = signal(SignalKind::hangup()).expect("signals can be watched for");
        let switcher = switch_back.switcher();
        let watcher = tokio::spawn(async move {
            if hangups.recv().await.is_some() {
                switcher.switch("SIGHUP");
            }
        });
        // The cleanup runs whether the signal, the timeout or a cancel ended the wait.
        switch_back.add_cleanup(move || {
            watcher.abort();
            println!("no longer watching for it");
        });
        send();
        println!("waiting for SIGHUP, for ten seconds at the most");
        switch_back.wait()
    }

    /// Sends SIGHUP to this process, from a thread, in half a second.
    pub(super) fn hang_up_soon() {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(500));
            let kill = format!("kill -HUP {}", process::id());
            let status = Command::new("sh").args(["-c", &kill]).status();
            assert!(status.is_ok_and(|status| status.success()));
        });
    }
}
