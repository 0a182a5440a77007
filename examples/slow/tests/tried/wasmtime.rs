use switchback::{JoinError, prelude::*, spawn, yield_now};
use wasmtime::{Engine, Linker, Module, Store};

use crate::support::{in_child, in_root_fiber};
use crate::waits::{unwinds, wait_for_cancel};

/// Calls the host `n` times.
const MODULE: &str = r#"
    (module
        (import "host" "ask" (func $ask))
        (func (export "run") (param $n i32)
            (loop $again
                (call $ask)
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $again (local.get $n)))))
"#;

fn run(times: i32, ask: fn()) {
    let engine = Engine::default();
    let module = Module::new(&engine, MODULE).unwrap();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "ask", ask).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<i32, ()>(&mut store, "run");
    run.unwrap().call(&mut store, times).unwrap();
}

fn wait() {
    yield_now().wait();
}

#[test]
fn host_functions_that_do_not_wait() {
    in_root_fiber(|| {
        let fibers: Vec<_> = (1..=10).map(|n| spawn(move || run(n, || ()))).collect();
        for fiber in fibers {
            fiber.wait().unwrap();
        }
    });
}

/// It notes for each thread which call is the innermost. The calls of two fibers that wait in their
/// host functions do not end in that order. In a child, since it is not in order afterwards.
#[test]
fn calls_of_two_fibers_that_wait_in_host_functions_fail_an_assertion() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let fibers = [2, 4].map(|times| spawn(move || run(times, wait)));
            let ended = fibers.map(|fiber| fiber.wait());
            let failed = |ended: &Result<(), JoinError>| {
                ended.as_ref().is_err_and(|error| {
                    error.is_panic() && error.to_string().contains("assertion failed")
                })
            };
            assert!(ended.iter().any(failed), "{ended:?}");
        });
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn one_fiber_at_a_time_waits_in_host_functions() {
    in_root_fiber(|| {
        for times in 1..=10 {
            spawn(move || run(times, wait)).wait().unwrap();
        }
    });
}

#[test]
fn a_cancel_unwinds_through_the_module() {
    unwinds(|| run(1, wait_for_cancel));
}
