use rquickjs::{Context, Function, Runtime};
use switchback::{prelude::*, spawn, yield_now};

use crate::support::in_root_fiber;
use crate::waits::{at_once, look_up, unwinds, wait_for_cancel};

/// Runs a script in an interpreter of its own, which is made in the fiber.
fn run(script: String) -> String {
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|js| {
        let look_up = Function::new(js.clone(), |name: String| look_up(&name)).unwrap();
        js.globals().set("look_up", look_up).unwrap();
        let wait = Function::new(js.clone(), wait_for_cancel).unwrap();
        js.globals().set("wait", wait).unwrap();
        js.eval(script).unwrap()
    })
}

#[test]
fn functions_wait() {
    at_once(
        |n| {
            run(format!(
                "['a', 'c{n}'].map(name => look_up(name)).join(';')"
            ))
        },
        |n| format!("A;C{n}"),
    );
}

#[test]
fn a_cancel_unwinds_through_the_script() {
    unwinds(|| drop(run("wait()".to_owned())));
}

/// The script goes on, as after any exception.
#[test]
fn catch_catches_a_cancel() {
    in_root_fiber(|| {
        let script = "let ended = 'ended'; try { wait() } catch { ended = 'caught' } ended";
        let fiber = spawn(|| run(script.to_owned()));
        yield_now().wait();
        fiber.cancel();
        assert_eq!(fiber.wait().unwrap(), "caught");
    });
}
