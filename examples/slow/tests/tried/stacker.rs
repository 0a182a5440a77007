//! `stacker` and `serde_stacker`, which is built on it.

use std::hint::black_box;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;
use switchback::{Builder, prelude::*, spawn, yield_now};
use tokio::sync::Notify;

use crate::support::{forever, in_child, in_root_fiber};

/// Takes 64 MiB of stack, a piece at a time.
fn recurse(depth: usize) -> usize {
    stacker::maybe_grow(64 << 10, 1 << 20, || {
        let bytes = black_box([1_u8; 8 << 10]);
        match depth {
            0 => 0,
            _ => recurse(depth - 1) + usize::from(bytes[depth % bytes.len()]),
        }
    })
}

const DEPTH: usize = (64 << 20) / (8 << 10);

/// It has asked the system for the end of the thread's stack. Seen from a fiber's stack, this is
/// either above, and there seems to be no stack left, or far below.
#[test]
fn it_does_not_know_the_stack_of_a_fiber() {
    in_root_fiber(|| {
        let size = 256 << 10;
        let remaining = Builder::new()
            .stack_size(size)
            .spawn(stacker::remaining_stack);
        let remaining = remaining.unwrap().wait().unwrap().unwrap();
        assert!(remaining == 0 || remaining > size, "{remaining}");
    });
}

/// From then on, it knows.
#[test]
fn after_grow_a_stack_grows_if_nothing_waits() {
    in_root_fiber(|| {
        let fibers: Vec<_> = (0..3)
            .map(|_| spawn(|| stacker::grow(1 << 20, || recurse(DEPTH))))
            .collect();
        for fiber in fibers {
            assert_eq!(fiber.wait().unwrap(), DEPTH);
        }
    });
}

/// How deep the arrays are nested that `serde_stacker` reads from `json`.
fn depth_of(json: &str) -> usize {
    let mut json = serde_json::Deserializer::from_str(json);
    json.disable_recursion_limit();
    let json = serde_stacker::Deserializer::new(&mut json);
    let mut value = Value::deserialize(json).unwrap();
    let mut depth = 0;
    // Its own destructor would need a large stack.
    while let Some(inner) = value.as_array_mut().and_then(Vec::pop) {
        value = inner;
        depth += 1;
    }
    depth
}

#[test]
fn after_grow_nested_data_is_read_if_nothing_waits() {
    in_root_fiber(|| {
        let json = "[".repeat(100_000) + &"]".repeat(100_000);
        let fiber = spawn(move || stacker::grow(1 << 20, || depth_of(&json)));
        assert_eq!(fiber.wait().unwrap(), 99_999);
    });
}

/// It keeps one end of the stack for each thread. While a fiber waits on a stack that has grown, this
/// is what all others go by.
#[cfg(target_os = "linux")]
#[test]
fn another_fiber_overflows_while_one_waits_inside() {
    let child = in_child(|| {
        in_root_fiber(|| {
            let waits = Arc::new(Notify::new());
            let waits_inside = waits.clone();
            // Begun before the other one's stack grows, so that this is mapped below its own; and so
            // large that there is no room for it above.
            let fiber = spawn(move || {
                waits_inside.notified().wait();
                recurse(DEPTH)
            });
            yield_now().wait();
            spawn(move || {
                stacker::grow(1 << 30, || {
                    waits.notify_one();
                    forever();
                });
            });
            fiber.wait().unwrap();
        });
    });
    if let Some(child) = child {
        assert!(!child.status.success(), "{child:#?}");
        let overflowed = "has overflowed its stack";
        assert!(child.stderr.contains(overflowed), "{child:#?}");
    }
}
