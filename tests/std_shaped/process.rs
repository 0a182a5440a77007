//! `switchback::process` against `std::process`, and what only it can do.

use std::io::Read;

use switchback::process::{Command, Stdio};
use switchback::{prelude::*, spawn};

use crate::support::{folder, in_child, in_root_fiber, watched};

mod with_std {
    use std::process;
    use std::thread;

    include!("scripts/process.rs");
}

mod with_ours {
    use switchback::process;
    use switchback::thread;

    include!("scripts/process.rs");
}

mod on_threads {
    use std::thread;
    use switchback::process;

    include!("scripts/process.rs");
}

#[test]
fn processes_are_as_with_std() {
    let expected = with_std::processes();
    let fibers = watched(|| switchback::run(with_ours::processes).unwrap());
    assert_eq!(fibers, expected);
    assert_eq!(watched(on_threads::processes), expected);
}

#[test]
fn child_survives_cancelled_output() {
    let folder = folder("survives");
    let path = folder.path().to_owned();
    in_root_fiber(move || {
        let script = "touch begun; while [ ! -e go ]; do sleep 0.01; done; touch done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&path);
        let fiber = spawn(move || command.output().map(drop));
        let appears = |name: &str| {
            while !path.join(name).exists() {
                switchback::sleep(std::time::Duration::from_millis(5)).wait();
            }
        };
        appears("begun");
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        std::fs::write(path.join("go"), "").unwrap();
        appears("done");
    });
}

#[test]
fn a_cancelled_wait_can_be_repeated() {
    in_root_fiber(|| {
        let mut cat = Command::new("sh");
        cat.args(["-c", "read line; exit 5"]).stdin(Stdio::piped());
        let mut child = cat.spawn().unwrap();
        let input = child.stdin.take();
        let waits = switchback::with_timeout(std::time::Duration::from_millis(5), || child.wait());
        assert!(waits.is_err());
        drop(input);
        assert_eq!(child.wait().unwrap().code(), Some(5));
    });
}

#[test]
fn kill_on_drop_kills() {
    in_root_fiber(|| {
        let mut sleep = Command::new("sh");
        sleep
            .args(["-c", "exec sleep 1000"])
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = sleep.spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        drop(child);
        assert_eq!(output.read(&mut [0; 1]).unwrap(), 0); // its end of the pipe is closed
    });
}

#[test]
fn a_child_outlives_the_runtime_that_it_was_run_in() {
    watched(|| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "read line; exit 7"])
            .stdin(Stdio::piped());
        let mut child = switchback::run(move || command.spawn().unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7)); // on a plain thread
        let waits = move || child.wait().unwrap().code();
        assert_eq!(switchback::run(waits).unwrap(), Some(7));
    });
}

#[test]
fn a_fiber_that_exits_ends_the_process_without_a_report() {
    let child = in_child(|| {
        switchback::run(|| {
            spawn(crate::support::forever);
            switchback::yield_now().wait();
            switchback::process::exit(0);
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
        assert_eq!(child.stderr, "");
    }
}
