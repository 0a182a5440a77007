use mlua::Lua;
use switchback::{prelude::*, spawn, yield_now};

use crate::support::in_root_fiber;
use crate::waits::{at_once, look_up, unwinds, wait_for_cancel};

/// Runs a script in an interpreter of its own.
fn run(script: &str) -> String {
    let lua = Lua::new();
    let look_up = |_: &Lua, name: String| Ok(look_up(&name));
    let look_up = lua.create_function(look_up).unwrap();
    lua.globals().set("look_up", look_up).unwrap();
    let wait = |_: &Lua, (): ()| {
        wait_for_cancel();
        Ok(())
    };
    lua.globals()
        .set("wait", lua.create_function(wait).unwrap())
        .unwrap();
    lua.load(script).eval().unwrap()
}

#[test]
fn functions_wait() {
    at_once(
        |n| run(&format!("return look_up('a') .. ';' .. look_up('c{n}')")),
        |n| format!("A;C{n}"),
    );
}

#[test]
fn a_cancel_unwinds_through_the_script() {
    unwinds(|| drop(run("wait() return 'went on'")));
}

/// The script goes on, as after any error.
#[test]
fn pcall_catches_a_cancel() {
    in_root_fiber(|| {
        let fiber = spawn(|| run("local ok = pcall(wait) return ok and 'ended' or 'caught'"));
        yield_now().wait();
        fiber.cancel();
        assert_eq!(fiber.wait().unwrap(), "caught");
    });
}
