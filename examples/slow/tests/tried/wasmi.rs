use std::future::pending;

use switchback::{prelude::*, spawn, yield_now};
use wasmi::{Caller, Engine, Linker, Module, Store};

use crate::support::{in_child, in_root_fiber};
use crate::waits::{at_once, look_up, wait_for_cancel};

/// Calls the host three times, each time with the last answer.
const MODULE: &str = r#"
    (module
        (import "host" "ask" (func $ask (param i32) (result i32)))
        (func (export "run") (param i32) (result i32)
            (call $ask (call $ask (call $ask (local.get 0))))))
"#;

/// The result, and how often the host was asked.
fn run(
    argument: i32,
    ask: impl Fn(i32) -> Result<i32, wasmi::Error> + Send + Sync + 'static,
) -> Result<(i32, u32), wasmi::Error> {
    let engine = Engine::default();
    let module = Module::new(&engine, MODULE)?;
    let mut store = Store::new(&engine, 0_u32);
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "ask", move |mut caller: Caller<'_, u32>, n: i32| {
        let answer = ask(n)?;
        *caller.data_mut() += 1;
        Ok::<_, wasmi::Error>(answer)
    })?;
    let instance = linker.instantiate_and_start(&mut store, &module)?;
    let run = instance.get_typed_func::<i32, i32>(&store, "run")?;
    let result = run.call(&mut store, argument)?;
    Ok((result, *store.data()))
}

#[test]
fn host_functions_wait() {
    at_once(
        |n| {
            let ask = |n: i32| Ok(look_up(&n.to_string()).parse::<i32>().unwrap() + 1);
            run(n as i32, ask).unwrap()
        },
        |n| (n as i32 + 3, 3),
    );
}

/// Its functions cannot be unwound through, so neither by a panic of the host.
#[test]
fn a_cancel_that_unwinds_in_a_host_function_is_an_abort() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let fiber = spawn(|| {
                let ask = |n| {
                    wait_for_cancel();
                    Ok(n)
                };
                run(0, ask).unwrap()
            });
            yield_now().wait();
            fiber.cancel();
            fiber.wait().unwrap_err();
        });
    });
    if let Some(child) = child {
        assert!(!child.status.success(), "{child:#?}");
        let message = "panic in a function that cannot unwind";
        assert!(child.stderr.contains(message), "{child:#?}");
    }
}

#[test]
fn a_cancel_that_is_an_error_of_the_host_function_ends_the_call() {
    in_root_fiber(|| {
        let fiber = spawn(|| {
            let ask = |n| match pending::<()>().wait_or_cancelled() {
                Ok(()) => Ok(n),
                Err(cancelled) => Err(wasmi::Error::new(cancelled.to_string())),
            };
            run(0, ask).is_err()
        });
        yield_now().wait();
        fiber.cancel();
        assert!(fiber.wait().unwrap());
    });
}
