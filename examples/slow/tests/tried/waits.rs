//! Runs a library whose callbacks wait, in many fibers at once.

use std::fmt::Debug;

use switchback::{prelude::*, spawn, yield_now};

use crate::support::{Drops, forever, in_root_fiber};

/// How many fibers run a library at once.
const FIBERS: usize = 50;

/// In each fiber, the library makes `expected` of the fiber's number. It calls [`look_up`], so all of
/// them are half way at once.
pub(crate) fn at_once<T>(library: fn(usize) -> T, expected: fn(usize) -> T)
where
    T: Debug + PartialEq + Send + 'static,
{
    in_root_fiber(move || {
        let fibers: Vec<_> = (0..FIBERS).map(|n| spawn(move || library(n))).collect();
        for (n, fiber) in fibers.into_iter().enumerate() {
            assert_eq!(fiber.wait().unwrap(), expected(n));
        }
    });
}

/// What the callbacks do.
pub(crate) fn look_up(name: &str) -> String {
    for _ in 0..3 {
        yield_now().wait();
    }
    name.to_uppercase()
}

/// A fiber that is cancelled in a callback, which calls [`forever`], unwinds through the library:
/// its destructors have run when it has ended.
pub(crate) fn unwinds(library: fn()) {
    in_root_fiber(move || {
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || {
            let _token = token;
            library();
        });
        yield_now().wait();
        assert_eq!(drops.count(), 0);
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
    });
}

/// A callback that waits until it is cancelled.
pub(crate) fn wait_for_cancel() {
    forever();
}
