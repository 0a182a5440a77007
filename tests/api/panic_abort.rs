//! A build with `panic = "abort"` works as documented: the example `panic_abort`
//! is built without unwinding and run in a child process.

use std::path::Path;
use std::process::{Command, Output};

/// Builds and runs the example in the profile `abort`, in a folder of its own so
/// that it does not wait for the lock of the cargo that runs this test.
fn run_example(args: &[&str]) -> Output {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic-abort");
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--profile", "abort"])
        .args(["--example", "panic_abort", "--target-dir"])
        .arg(target)
        .arg("--")
        .args(args)
        .env("RUST_BACKTRACE", "0")
        // A sanitizer's flags do not go with this build.
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_unwinding_join_wait_or_cancelled_close_and_runtime_drop_work_as_documented() {
    let output = run_example(&[]);
    assert!(output.status.success(), "{output:?}");
    let expected = [
        "can unwind: false",
        "join: Ok(42)",
        r#"wait_or_cancelled: Ok("cancelled: please")"#,
        "wait: to its end",
        "a closure that never ran is dropped",
        "close: true, true",
        // What the suspended fiber holds is not dropped: its stack is leaked.
        "runtime dropped: true",
        "thread closed: true",
    ];
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), expected);
    let warnings = text(&output.stderr);
    assert!(warnings.contains("its stack is leaked"), "{warnings}");
    assert!(warnings.contains("stays parked for ever"), "{warnings}");
}

#[test]
fn without_unwinding_with_timeout_refuses() {
    let output = run_example(&["with_timeout"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), "can unwind: false\n");
    let message = text(&output.stderr);
    assert!(
        message.contains("`with_timeout` ends its body by unwinding"),
        "{message}",
    );
    assert!(message.contains("examples/panic_abort.rs"), "{message}");
}
