//! What a fact is made of, and how it is checked.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::support::{emulated, this_program};

/// Longer than any fact takes on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names the fact whose program a process is.
const PROGRAM: &str = "SWITCHBACK_INTERRUPT";

const SIGINT: i32 = 2;

/// Is in the report of a fiber that has the thread when Ctrl-C comes.
const HAS_THE_THREAD: &str = "so the root fiber is not cancelled yet";

/// A program, run on the main thread of a process of its own, and what happens to
/// it.
pub(crate) struct Fact {
    program: fn(),
    script: fn(&mut Program),
}

pub(crate) fn fact(program: fn(), script: fn(&mut Program)) -> Fact {
    Fact { program, script }
}

pub(crate) type Named = (&'static str, fn() -> Fact);

/// The test program: checks the facts that the arguments name, or all, or is the
/// program of one.
pub(crate) fn main(facts: &[Named]) -> ExitCode {
    if let Ok(name) = env::var(PROGRAM) {
        let fact = facts.iter().find(|(known, _)| *known == name);
        (fact.expect("this process is the program of a fact").1().program)();
        return ExitCode::SUCCESS;
    }
    if env::args().any(|arg| arg == "--list") {
        facts.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let parts: Vec<_> = env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part));
    let (mut passed, mut failed) = (0, 0);
    for (name, fact) in facts.iter().filter(|(name, _)| chosen(name)) {
        let holds = check(name, &fact());
        println!("test {name} ... {}", if holds { "ok" } else { "FAILED" });
        if holds { passed += 1 } else { failed += 1 }
    }
    if emulated() {
        eprintln!("SKIPPED: interrupt: which signals have a handler is not told under an emulator");
    }
    println!("interrupt: {passed} passed, {failed} failed");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn check(name: &str, fact: &Fact) -> bool {
    let mut child = this_program()
        .env(PROGRAM, name)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = Errors::read(child.stderr.take().unwrap());
    let mut program = Program {
        id: child.id(),
        input: child.stdin.take(),
        output: BufReader::new(child.stdout.take().unwrap()),
        child: Some(child),
        errors,
    };
    let (done, is_done) = mpsc::channel::<()>();
    let id = program.id;
    let watchdog = thread::spawn(move || {
        let hangs = is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hangs {
            println!("the program hangs");
            signal(id, "KILL");
        }
        hangs
    });
    let script = catch_unwind(AssertUnwindSafe(|| (fact.script)(&mut program)));
    let is_over = program.child.is_none();
    if let Some(mut child) = program.child.take() {
        let _ = child.kill();
        let status = child.wait().unwrap();
        let errors = program.errors.all();
        println!("the program had to be killed, {status}; its stderr: {errors}");
    }
    drop(done);
    script.is_ok() && is_over && !watchdog.join().unwrap()
}

fn signal(id: u32, name: &str) {
    // The shell's own command: there need not be a program of that name.
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {id}")])
        .status();
    assert!(sent.unwrap().success(), "{id} cannot be sent SIG{name}");
}

/// A program that runs, as its script sees it.
pub(crate) struct Program {
    id: u32,
    input: Option<process::ChildStdin>,
    output: BufReader<process::ChildStdout>,
    child: Option<process::Child>,
    errors: Errors,
}

impl Program {
    /// The next line that it says is `line`.
    #[track_caller]
    pub(crate) fn says(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    fn line(&mut self) -> String {
        let mut said = String::new();
        self.output.read_line(&mut said).unwrap();
        said.trim_end().to_owned()
    }

    /// Presses Ctrl-C, and waits until the program has been told or is dead. If the next came while the
    /// handler runs in one thread, another thread would handle it, and the two would count as one.
    pub(crate) fn interrupt(&self) {
        // A handler blocks its own signal in its thread; and an emulator has a thread that always does.
        let held_up = || sigint_in(&threads(self.id), &["SigPnd", "ShdPnd", "SigBlk"]);
        let always = held_up();
        signal(self.id, "INT");
        while held_up() > always {
            thread::yield_now();
        }
    }

    /// Ends its next, or present, [`listen`].
    pub(crate) fn tell(&mut self) {
        self.input.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    /// SIGINT has killed it, after it had said all that was heard.
    #[track_caller]
    pub(crate) fn is_killed(&mut self) {
        let (status, errors) = self.end();
        assert_eq!(
            status.signal(),
            Some(SIGINT),
            "{status}; its stderr: {errors}"
        );
    }

    /// It has come to its end, after it had said all that was heard. Returns what
    /// it has reported.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> String {
        let (status, errors) = self.end();
        assert!(status.success(), "{status}; its stderr: {errors}");
        errors
    }

    /// As [`ends`](Self::ends), and it has reported nothing; apart from who had the thread, if it had it
    /// for long because the machine is busy.
    #[track_caller]
    pub(crate) fn ends_quietly(&mut self) {
        let errors = self.ends();
        let mut lines = errors.lines();
        assert!(lines.all(|line| line.contains(HAS_THE_THREAD)), "{errors}");
    }

    /// It reports this, while it runs.
    pub(crate) fn reports(&mut self, text: &str) {
        // With this feature, reports go to `tracing`, not to stderr.
        if cfg!(not(feature = "tracing")) {
            self.errors.hear(text);
        }
    }

    #[track_caller]
    fn end(&mut self) -> (process::ExitStatus, String) {
        assert_eq!(self.line(), "", "it goes on");
        let status = self.child.take().unwrap().wait().unwrap();
        (status, self.errors.all())
    }
}

/// What a program writes to stderr.
struct Errors {
    lines: mpsc::Receiver<String>,
    heard: String,
}

impl Errors {
    fn read(from: process::ChildStderr) -> Errors {
        let (told, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(from).split(b'\n').map(Result::unwrap);
            lines.for_each(|line| {
                let _ = told.send(String::from_utf8_lossy(&line).into_owned() + "\n");
            });
        });
        Errors {
            lines,
            heard: String::new(),
        }
    }

    /// Waits for a line with this text.
    fn hear(&mut self, text: &str) {
        let heard = self.lines.iter().any(|line| {
            self.heard += &line;
            line.contains(text)
        });
        assert!(heard, "{}", self.heard);
    }

    /// Waits for its end, and returns all of it.
    fn all(&mut self) -> String {
        self.heard.extend(self.lines.iter());
        mem::take(&mut self.heard)
    }
}

/// Says a line to the script.
pub(crate) fn say(line: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line.as_ref()).unwrap();
    out.flush().unwrap();
}

/// Blocks this thread until the script tells it to go on: what a computation
/// does to a hub.
pub(crate) fn listen() {
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line, "go on\n");
}

/// Whether this process has a handler for SIGINT, where that can be told.
pub(crate) fn catches_sigint() -> Option<bool> {
    // An emulator has handlers of its own.
    (cfg!(target_os = "linux") && !emulated()).then(|| {
        let threads = threads(process::id());
        assert!(!threads.is_empty());
        sigint_in(&threads, &["SigCgt"]) > 0
    })
}

/// How many files this process has open, where that can be told.
pub(crate) fn open_files() -> Option<usize> {
    let files = fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count())
}

/// What the system says of each thread of a process, as far as can be told.
fn threads(id: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{id}/task"));
    let statuses = threads.into_iter().flatten().flatten();
    let statuses = statuses.map(|thread| fs::read_to_string(thread.path().join("status")));
    statuses.flatten().collect()
}

/// How many of these sets of threads that are not dead SIGINT is in.
fn sigint_in(threads: &[String], sets: &[&str]) -> usize {
    let alive = threads
        .iter()
        .filter(|status| !status.contains("State:\tZ"));
    let lines = alive.flat_map(|status| status.lines());
    let has_it = |line: &&str| {
        let (name, set) = line.split_once(':').unwrap_or_default();
        sets.contains(&name)
            && u64::from_str_radix(set.trim(), 16).unwrap() & (1 << (SIGINT - 1)) != 0
    };
    lines.filter(has_it).count()
}
