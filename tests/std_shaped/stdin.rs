//! `switchback::io::stdin`. Each test has an input of its own, so it runs in a process of its own.

use std::env;
use std::io::{BufRead, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use switchback::io::{self, stdin};
use switchback::{prelude::*, spawn};

use crate::support::test_of;

const CHILD: &str = "SWITCHBACK_TEST_STDIN";

/// Runs `body` in a child process, by running the test that it is written in once more, and calls
/// `parent` with the child and its input.
#[track_caller]
fn with_input(body: impl FnOnce(), parent: impl FnOnce(&mut Child, ChildStdin)) {
    let test = test_of(&body);
    if env::var_os(CHILD).is_some() {
        return body();
    }
    let mut child = Command::new(env::current_exe().unwrap())
        .args([&*test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    parent(&mut child, input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
fn stdin_does_not_hold_run() {
    let mut open = None;
    with_input(
        || {
            switchback::run(|| {
                let reader = spawn(|| stdin().read(&mut [0; 1]));
                switchback::yield_now().wait();
                drop(reader);
            })
            .unwrap();
        },
        // The input stays open until the child has ended.
        |child, input| {
            assert!(child.wait().unwrap().success());
            open = Some(input);
        },
    );
}

#[test]
fn lines_and_reads_are_as_with_std() {
    with_input(
        || {
            switchback::run(|| -> io::Result<()> {
                let mut line = String::new();
                assert_eq!(stdin().read_line(&mut line)?, 6);
                assert_eq!(line, "first\n");
                let mut three = [0; 3];
                stdin().read_exact(&mut three)?;
                assert_eq!(&three, b"sec");
                let mut input = stdin().lock();
                assert_eq!(input.fill_buf()?.first(), Some(&b'o'));
                line.clear();
                input.read_line(&mut line)?;
                assert_eq!(line, "ond\n");
                drop(input);
                let lines: Vec<String> = stdin().lines().map_while(Result::ok).collect();
                assert_eq!(lines, ["third", "last"]);
                assert_eq!(stdin().read(&mut three)?, 0);
                assert!(!stdin().is_terminal());
                Ok(())
            })
            .unwrap()
            .unwrap();
        },
        |_, mut input| input.write_all(b"first\nsecond\nthird\nlast").unwrap(),
    );
}

#[test]
fn a_cancelled_reads_bytes_come_next() {
    with_input(
        || {
            switchback::run(|| {
                let reader = spawn(|| stdin().read(&mut [0; 8]).unwrap());
                switchback::yield_now().wait();
                reader.cancel();
                assert!(reader.wait().unwrap_err().is_cancelled());
                println!("READY");
                let mut text = String::new();
                stdin().read_to_string(&mut text).unwrap();
                assert_eq!(text, "hello");
            })
            .unwrap();
        },
        |child, mut input| {
            let mut output = io::BufReader::new(child.stdout.as_mut().unwrap());
            let mut line = String::new();
            while !line.contains("READY") {
                line.clear();
                assert_ne!(output.read_line(&mut line).unwrap(), 0, "it has ended");
            }
            input.write_all(b"hello").unwrap();
        },
    );
}

#[test]
fn fibers_and_threads_take_turns() {
    with_input(
        || {
            switchback::run(|| {
                let read = || {
                    let mut input = stdin().lock();
                    let mut pair = String::new();
                    input.read_line(&mut pair).unwrap();
                    switchback::yield_now().wait();
                    input.read_line(&mut pair).unwrap();
                    pair
                };
                let fibers = [spawn(read), spawn(read)];
                let thread = std::thread::spawn(read);
                let mut pairs = fibers.map(|fiber| fiber.wait().unwrap()).to_vec();
                pairs.push(switchback::blocking(|| thread.join().unwrap()).wait());
                pairs.sort();
                assert_eq!(pairs, ["a\nb\n", "c\nd\n", "e\nf\n"]);
            })
            .unwrap();
        },
        |_, mut input| input.write_all(b"a\nb\nc\nd\ne\nf\n").unwrap(),
    );
}
