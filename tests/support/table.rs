//! Tables of cases, of which each may crash, hang, or do the wrong thing.
//!
//! The cases run in child processes of the test that has the table, many in one child.
//! A child says which case it begins, so a crash or a hang is known to be that case's,
//! and another child goes on behind it. A case that is known to fail has a child of its
//! own, and less time.

use std::any::Any;
use std::collections::VecDeque;
use std::env;
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::{read_all, this_program};

/// What is right, or what was wrong.
pub(crate) type Verdict = Result<(), String>;

/// One case of a table, named by its place in it: `fiber/dropped/in a task`.
pub(crate) struct Case {
    name: String,
    body: Box<dyn FnOnce() -> Verdict + Send>,
}

impl Case {
    pub(crate) fn new(
        name: impl Into<String>,
        body: impl FnOnce() -> Verdict + Send + 'static,
    ) -> Case {
        Case {
            name: name.into(),
            body: Box::new(body),
        }
    }
}

/// Turns a condition into a verdict.
pub(crate) fn ensure(condition: bool, otherwise: impl Into<String>) -> Verdict {
    if condition {
        Ok(())
    } else {
        Err(otherwise.into())
    }
}

/// More than what comes to its end takes on any machine, and less than [`PATIENCE`]: only a failure
/// waits for so long.
#[allow(dead_code)] // not every program of tests waits so
pub(crate) const LONG: Duration = Duration::from_secs(15);

/// Awaits a future for so long, by a clock of its own: the runtime's may be broken.
pub(crate) async fn within<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let is_late = Arc::new(AtomicBool::new(false));
    let mut clock_runs = false;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if is_late.load(Ordering::SeqCst) {
            return Poll::Ready(None);
        }
        if !clock_runs {
            clock_runs = true;
            let (is_late, waker) = (is_late.clone(), cx.waker().clone());
            thread::spawn(move || {
                thread::sleep(duration);
                is_late.store(true, Ordering::SeqCst);
                waker.wake();
            });
        }
        Poll::Pending
    })
    .await
}

/// How long a case may take on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a case may take that is known to fail, most likely by hanging. One that
/// has been repaired takes some milliseconds.
const LITTLE_PATIENCE: Duration = Duration::from_millis(1500);

/// [`PATIENCE`], or so many milliseconds, for whoever looks for faults.
fn patience() -> Duration {
    let given = env::var("SWITCHBACK_FAULTS_PATIENCE").ok();
    let given = given.and_then(|ms| ms.parse().ok());
    given.map_or(PATIENCE, Duration::from_millis)
}

/// How many cases a child is given.
const BATCH: usize = 48;

/// Tells a child which cases it is for.
const CASES: &str = "SWITCHBACK_TEST_CASES";

/// Checks one fact, which is also the test's name.
#[track_caller]
pub(crate) fn check_fact(
    test: &str,
    known: &[&str],
    body: impl FnOnce() -> Verdict + Send + 'static,
) {
    check_table(test, known, vec![Case::new("", body)]);
}

/// Checks every case of a table, which belongs to the test `test` of this program.
///
/// The cases that `known` names must fail, and all others must not. A name begins with
/// that of the test, without its module; each further part, between slashes, is
/// that of the case, or several with bars between them, or a star.
#[track_caller]
pub(crate) fn check_table(test: &str, known: &[&str], cases: Vec<Case>) {
    if let Ok(chosen) = env::var(CASES) {
        run_cases(&chosen, cases);
    }
    let short = test.rsplit("::").next().unwrap();
    let names: Vec<_> = cases
        .iter()
        .map(|case| match case.name.as_str() {
            "" => short.to_owned(),
            name => format!("{short}/{name}"),
        })
        .collect();
    let is_of_test = |pattern: &&str| pattern.split('/').next() == Some(short);
    let known: Vec<_> = known.iter().copied().filter(is_of_test).collect();
    let is_known = |name: &str| known.iter().any(|pattern| matches(pattern, name));

    let mut batches = VecDeque::new();
    let (expected, sound): (Vec<_>, Vec<_>) = (0..names.len()).partition(|i| is_known(&names[*i]));
    batches.extend(expected.iter().map(|case| vec![*case]));
    batches.extend(sound.chunks(BATCH).map(<[usize]>::to_vec));
    let batches = Mutex::new(batches);
    let run = || {
        let mut failures = Vec::new();
        loop {
            let Some(mut batch) = batches.lock().unwrap().pop_front() else {
                break failures;
            };
            while let Some((done, failure)) = run_child(test, &batch, |i| is_known(&names[i])) {
                if env::var_os("SWITCHBACK_FAULTS_VERBOSE").is_some() {
                    if let Some((case, what)) = &failure {
                        println!("fails: {}: {what}", names[*case]);
                    }
                }
                failures.extend(failure);
                batch.drain(..done);
            }
        }
    };
    let mut failures: Vec<(usize, String)> = thread::scope(|s| {
        let lanes = [s.spawn(run), s.spawn(run)];
        let joined = lanes.map(|t| t.join().unwrap_or_else(|payload| resume_unwind(payload)));
        joined.into_iter().flatten().collect()
    });
    failures.sort_unstable();
    println!(
        "{short}: {} combinations, of which {} are known to fail",
        names.len(),
        expected.len(),
    );
    let mut wrong = Vec::new();
    for (case, what) in &failures {
        if !is_known(&names[*case]) {
            wrong.push(format!("fails: {}: {what}", names[*case]));
        }
    }
    let fails = |case: &usize| failures.iter().any(|(failed, _)| failed == case);
    for case in expected.iter().filter(|case| !fails(case)) {
        wrong.push(format!("is known to fail, and does not: {}", names[*case]));
    }
    for pattern in known {
        if !names.iter().any(|name| matches(pattern, name)) {
            wrong.push(format!("is known to fail, and does not exist: {pattern}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} combinations:\n{}",
        wrong.len(),
        names.len(),
        wrong.join("\n"),
    );
}

fn matches(pattern: &str, name: &str) -> bool {
    let (mut parts, mut names) = (pattern.split('/'), name.split('/'));
    loop {
        match (parts.next(), names.next()) {
            (None, None) => return true,
            (Some(part), Some(name)) if part == "*" || part.split('|').any(|p| p == name) => {}
            _ => return false,
        }
    }
}

/// Runs cases in a child until one fails: how many it has done, the last with its
/// failure. `None` if there are none.
fn run_child(
    test: &str,
    batch: &[usize],
    is_known: impl Fn(usize) -> bool,
) -> Option<(usize, Option<(usize, String)>)> {
    batch.first()?;
    let chosen: Vec<_> = batch.iter().map(usize::to_string).collect();
    let mut child = this_program()
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASES, chosen.join(","))
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = read_all(child.stderr.take().unwrap());
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (said, says) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(at) = line.find(MARK) {
                let _ = said.send(line[at + MARK.len()..].to_owned());
            }
        }
    });
    let mut done = 0;
    let failure = loop {
        let patience = match batch.get(done) {
            Some(case) if is_known(*case) => LITTLE_PATIENCE,
            _ => patience(),
        };
        match says.recv_timeout(patience) {
            Ok(line) if line == "ok" => done += 1,
            Ok(line) => break Some(line),
            Err(RecvTimeoutError::Timeout) => break Some("hangs".to_owned()),
            // The child is gone.
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    if failure.as_deref() == Some("hangs") {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    if done == batch.len() {
        return Some((done, None));
    }
    let failure = failure.unwrap_or_else(|| {
        let errors = stderr.join().unwrap();
        let text: Vec<_> = errors
            .lines()
            .filter(|l| !l.starts_with(' ') && !l.is_empty())
            .collect();
        let end = text[text.len().saturating_sub(5)..].join(" | ");
        match status.signal() {
            Some(6) => format!("aborts: {end}"),
            Some(signal) => format!("ends by signal {signal}: {end}"),
            None => format!("ends the process with {status}: {end}"),
        }
    });
    Some((done + 1, Some((batch[done], failure))))
}

/// Begins what a child says to its parent.
const MARK: &str = "@@switchback:";

fn say(what: &str) {
    // The lines of others end somewhere.
    let line = what.replace('\n', " ");
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{MARK}{line}").unwrap();
    out.flush().unwrap();
}

/// What a child does: the cases one after the other, each on a thread of its own.
fn run_cases(chosen: &str, cases: Vec<Case>) -> ! {
    let mut cases: Vec<_> = cases.into_iter().map(Some).collect();
    for index in chosen.split(',') {
        let case = cases[index.parse::<usize>().unwrap()].take().unwrap();
        let name = case.name.clone();
        // The name is what std prints of a thread that panics.
        let thread = thread::Builder::new().name(name);
        let body = move || catch_unwind(AssertUnwindSafe(case.body));
        let verdict = match thread.spawn(body).unwrap().join() {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(payload)) | Err(payload) => Err(format!("panics: {}", any_text(&*payload))),
        };
        match verdict {
            Ok(()) => say("ok"),
            Err(what) => {
                say(&what);
                break;
            }
        }
    }
    // Threads of cases may be left.
    process::exit(0);
}

/// The text of a panic's payload, or that there is none.
pub(crate) fn any_text(payload: &(dyn Any + Send)) -> String {
    match super::text(payload) {
        text if text.is_empty() => "(no text)".to_owned(),
        text => text,
    }
}
