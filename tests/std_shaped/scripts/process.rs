// Scripts for `process`, under the `use` lines of std or ours.

use std::io::{BufRead, BufReader, Read, Write};

use self::process::{Command, Stdio};

/// Begins `f` on a thread, and returns what joins it.
fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
    let thread = thread::spawn(f);
    move || thread.join().unwrap()
}

fn shown<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(e) => format!("{:?} {:?}", e.kind(), e.raw_os_error()),
    }
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

pub(crate) fn processes() -> Vec<String> {
    let mut log = Vec::new();
    log.push(shown(Command::new("/nowhere").spawn().map(drop)));
    log.push(shown(Command::new("/nowhere").output()));
    log.push(shown(sh("exit 3").status()));
    log.push(shown(sh("kill -9 $$").status()));
    log.push(shown(sh("echo out; echo err >&2; exit 1").output()));
    log.push(shown(sh("cat").output())); // its input is closed
    log.push(shown(sh("echo $A$B").env("A", "1").envs([("B", "2")]).env_remove("HOME").output()));
    log.push(shown(sh("echo $HOME").env_clear().output()));
    log.push(shown(sh("pwd").current_dir("/").output()));
    log.push(shown(sh("echo hidden").stdout(Stdio::null()).output()));
    log.push(format!("{:?}", sh("true")));
    log.push(format!("{:?}", sh("true").get_args().collect::<Vec<_>>()));
    let mut again = sh("echo again; exit 2");
    log.push(shown(again.output()));
    log.push(shown(again.output()));

    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    log.push(format!("{} {} {}", child.stdin.is_some(), child.stdout.is_some(), child.stderr.is_some()));
    log.push(shown(child.try_wait()));
    let mut input = child.stdin.take().unwrap();
    let writer = start(move || {
        (0..2000).for_each(|n| writeln!(input, "a line with the number {n}").unwrap());
    });
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    writer();
    log.push(format!("{first:?} {}", rest.len()));
    log.push(shown(child.wait()));
    log.push(shown(child.wait()));
    log.push(shown(child.try_wait()));
    log.push(shown(child.kill()));

    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let id = child.id();
    child.kill().unwrap();
    log.push(shown(child.wait()));
    log.push(format!("{}", child.id() == id));

    // A pipe from one program to another.
    let mut first = sh("printf 'b\\na\\nc\\n'").stdout(Stdio::piped()).spawn().unwrap();
    let sorted = Command::new("sort").stdin(first.stdout.take().unwrap()).output();
    log.push(shown(sorted));
    log.push(shown(first.wait()));

    // More than the pipes hold, of both streams at once.
    let noisy = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; echo e >&2; i=$((i+1)); done";
    let child = sh(noisy).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    log.push(format!("{} {} {}", output.status, output.stdout.len(), output.stderr.len()));

    // Writing to a program that does not read.
    let mut child = sh("exec <&-; exit 0").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let error = loop {
        if let Err(e) = input.write_all(&[7; 65536]) {
            break e;
        }
    };
    log.push(format!("{:?}", error.kind()));
    log.push(shown(child.wait()));

    // Several at once.
    let many: Vec<_> = (0..8).map(|n| start(move || sh(&format!("exit {n}")).status().unwrap().code())).collect();
    log.push(format!("{:?}", many.into_iter().map(|join| join()).collect::<Vec<_>>()));
    log
}
