//! How a test starts its own program once more.

use std::env;
use std::io::{self, Write as _};
use std::process::Command;
use std::thread;

/// The command that the tests run under, if they run under an emulator; `ci/platforms.sh` sets it.
const RUNNER: &str = "SWITCHBACK_TEST_RUNNER";

/// A command that runs this test program once more.
///
/// Under an emulator of a processor, this begins with the emulator's command, because the kernel
/// cannot start a program for that processor. An emulator of Windows starts programs itself.
pub(crate) fn this_program() -> Command {
    let program = env::current_exe().unwrap();
    let runner = env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        Some(emulator) if cfg!(not(windows)) => {
            let mut command = Command::new(emulator);
            command.args(words).arg(program);
            command
        }
        _ => Command::new(program),
    }
}

/// Returns whether the tests run under an emulator, and says that the test is skipped, since an
/// emulator lacks something that it needs.
pub(crate) fn under_emulation(lacks: &str) -> bool {
    if emulated() {
        skipped(&format!("the emulator lacks {lacks}"));
    }
    emulated()
}

/// Returns whether the tests run under an emulator.
pub(crate) fn emulated() -> bool {
    env::var_os(RUNNER).is_some()
}

/// Says that the test of this thread is skipped.
pub(crate) fn skipped(why: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not with `eprintln!`, whose output the harness keeps for itself.
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: {why}");
}
