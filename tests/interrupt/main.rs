//! Ctrl-C under `run`. It is about the main thread and ends processes, so each
//! fact has two parts: a program, which is this one started again, and a script
//! that interrupts it and hears what it says. Without the usual harness, since
//! that one runs tests on threads.
//!
//! `cargo test --test interrupt [PART-OF-A-NAME]...`

#[cfg(unix)]
mod facts;
#[cfg(unix)]
mod program;
#[cfg(unix)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(windows)]
mod windows;

fn main() -> std::process::ExitCode {
    #[cfg(unix)]
    return program::main(facts::FACTS);
    #[cfg(windows)]
    return windows::main();
}
