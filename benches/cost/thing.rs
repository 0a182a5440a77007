//! What programs of operations to count have in common.

use std::process::ExitCode;

use switchback::{Hub, HubBuilder, prelude::*, spawn, yield_now};

/// An operation, by name, and the function that repeats it.
pub(crate) type Thing = (&'static str, fn(u64));

/// Runs what the arguments say.
pub(crate) fn main(things: &[Thing]) -> ExitCode {
    // Cargo adds `--bench`.
    let arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    match &arguments.collect::<Vec<_>>()[..] {
        [] => {
            for (name, run) in things {
                println!("{name}");
                run(10);
            }
        }
        [name, count] => {
            let thing = things.iter().find(|(known, _)| known == name);
            let (Some((_, run)), Ok(count)) = (thing, count.parse()) else {
                eprintln!("no such thing, or no such number: {name} {count}");
                return ExitCode::from(2);
            };
            run(count);
        }
        _ => {
            eprintln!("expected THING COUNT");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

#[allow(dead_code)] // not every program has such
pub(crate) fn in_fiber(f: impl FnOnce() + 'static) {
    in_fiber_of(Hub::builder(), f);
}

fn in_fiber_of(hub: HubBuilder, f: impl FnOnce() + 'static) {
    hub.run(f).expect("the fiber does not panic");
}

/// Runs `f` in each of `fibers` fibers.
fn in_fibers(fibers: u64, f: impl Fn() + Copy + 'static) {
    in_fibers_of(Hub::builder(), fibers, f);
}

pub(crate) fn in_fibers_of(hub: HubBuilder, fibers: u64, f: impl Fn() + Copy + 'static) {
    in_fiber_of(hub, move || {
        let fibers: Vec<_> = (0..fibers).map(|_| spawn(f)).collect();
        for mut fiber in fibers {
            fiber.join().wait().expect("the fiber does not panic");
        }
    });
}

/// A number of fibers yield, `count` times in total.
pub(crate) fn yields(fibers: u64, count: u64) {
    in_fibers(fibers, move || {
        (0..count / fibers).for_each(|_| yield_now().wait());
    });
}
