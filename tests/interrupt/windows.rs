//! The facts on Windows. A program there cannot press Ctrl-C for another one alone, so each program
//! has a console of its own and presses for itself.
#![allow(unsafe_code)]

use std::env;
use std::future::pending;
use std::os::windows::process::CommandExt as _;
use std::process::{Command, ExitCode, Output};
use std::thread;
use std::time::Duration;

use switchback::{Hub, prelude::*, run, shield, sleep};

/// Names the fact whose program a process is.
const PROGRAM: &str = "SWITCHBACK_INTERRUPT";

/// Longer than any program takes that Ctrl-C ends.
const LONG: Duration = Duration::from_secs(60);

struct Fact {
    name: &'static str,
    program: fn(),
    /// What it says before it ends.
    says: &'static str,
    is_killed: bool,
}

const FACTS: &[Fact] = &[
    Fact {
        name: "a_root_in_a_wait_is_cancelled",
        program: || {
            let result = run(|| {
                press();
                pending::<()>().wait();
            });
            say_outcome(result.map_err(|e| e.to_string()));
        },
        says: "cancelled",
        is_killed: false,
    },
    Fact {
        name: "a_second_run_is_cancelled_too",
        program: || {
            for _ in 0..2 {
                let result = run(|| {
                    press();
                    pending::<()>().wait();
                });
                say_outcome(result.map_err(|e| e.to_string()));
            }
        },
        says: "cancelled\ncancelled",
        is_killed: false,
    },
    Fact {
        name: "the_next_one_kills_while_the_root_is_shielded",
        program: || {
            let _ = run(|| {
                shield(|| {
                    println!("shielded");
                    let end = std::time::Instant::now() + LONG;
                    while std::time::Instant::now() < end {
                        press();
                        sleep(Duration::from_millis(20)).wait();
                    }
                });
            });
            println!("survived");
        },
        says: "shielded",
        is_killed: true,
    },
    Fact {
        name: "ignored_by_the_builder_it_does_nothing_to_the_root",
        program: || {
            let result = Hub::builder().ignore_interrupt(true).run(|| {
                let mut heard = switchback::spawn(|| tokio::signal::ctrl_c().wait().unwrap());
                heard.start();
                switchback::yield_now().wait();
                press();
                heard.join().wait().unwrap();
            });
            say_outcome(result.map_err(|e| e.to_string()));
        },
        says: "ended",
        is_killed: false,
    },
    Fact {
        name: "after_run_it_kills",
        program: || {
            run(|| println!("ran")).unwrap();
            press();
            thread::sleep(LONG);
            println!("survived");
        },
        says: "ran",
        is_killed: true,
    },
];

fn say_outcome(result: Result<(), String>) {
    match result {
        Ok(()) => println!("ended"),
        Err(e) if e.contains("cancelled") && e.contains("interrupted") => println!("cancelled"),
        Err(e) => println!("{e}"),
    }
}

/// Presses Ctrl-C in the console of this process.
fn press() {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GenerateConsoleCtrlEvent(event: u32, group: u32) -> i32;
    }
    // SAFETY: this call has no preconditions. Zero and zero are Ctrl-C, for the whole console.
    assert_ne!(unsafe { GenerateConsoleCtrlEvent(0, 0) }, 0);
}

fn check(fact: &Fact) -> bool {
    // A console without a window.
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    let output = Command::new(env::current_exe().unwrap())
        .env(PROGRAM, fact.name)
        .env("RUST_BACKTRACE", "0")
        .creation_flags(CREATE_NO_WINDOW)
        .output()
        .unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = &output;
    let said = String::from_utf8_lossy(stdout).replace("\r\n", "\n");
    // What a process that Ctrl-C kills exits with differs; what it has not said counts.
    let holds = said.trim_end() == fact.says && (fact.is_killed || status.success());
    if !holds {
        println!(
            "{status}; it said {said:?}; its stderr: {}",
            String::from_utf8_lossy(stderr)
        );
    }
    holds
}

pub(crate) fn main() -> ExitCode {
    if let Ok(name) = env::var(PROGRAM) {
        let fact = FACTS.iter().find(|fact| fact.name == name);
        (fact.expect("this process is the program of a fact").program)();
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for fact in FACTS {
        let holds = check(fact);
        let result = if holds { "ok" } else { "FAILED" };
        println!("test {} ... {result}", fact.name);
        failed += usize::from(!holds);
    }
    println!(
        "interrupt: {} passed, {failed} failed",
        FACTS.len() - failed
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
