//! The modules in std's shape. Scripts run on std's threads and on fibers, with the same results; and
//! what is only ours is tested by itself.

#[cfg(feature = "fs")]
mod fs;
mod lines;
mod locks;
mod mpsc;
mod net;
mod once;
#[cfg(all(unix, feature = "process"))]
mod process;
mod programs;
mod queues;
mod stdin;
mod stress;
#[path = "../support/mod.rs"]
mod support;
mod thread;

/// What a script has seen, in words, for a comparison.
pub(crate) type Seen = Vec<String>;

/// A script in two forms: with std's modules, to be run on a thread, and with ours, to be run in a
/// fiber.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) std: fn() -> Seen,
    pub(crate) ours: fn() -> Seen,
}

/// Includes a file of scripts twice, under the `use` lines of std and under ours, as a program is
/// ported. `scripts` returns them.
macro_rules! scripts {
    ($file:literal: $($name:ident)*) => {
        #[allow(clippy::incompatible_msrv)] // `ci/platforms.sh` lets the oldest Rust use them
        mod with_std {
            #[allow(unused_imports)]
            use std::thread_local as local;
            #[allow(unused_imports)]
            use std::{sync, thread};
            include!($file);
        }

        mod with_ours {
            #[allow(unused_imports)]
            use switchback::fiber_local as local;
            #[allow(unused_imports)]
            use switchback::{sync, thread};
            include!($file);
        }

        fn scripts() -> Vec<$crate::Script> {
            vec![$($crate::Script {
                name: stringify!($name),
                std: with_std::$name,
                ours: with_ours::$name,
            }),*]
        }
    };
}
pub(crate) use scripts;

/// Runs each script in both forms, and compares what they have seen.
pub(crate) fn compare(scripts: Vec<Script>) {
    assert!(!scripts.is_empty());
    for Script { name, std, ours } in scripts {
        let of_std = support::watched(std);
        let of_ours = support::watched(move || switchback::run(ours).unwrap());
        assert_eq!(of_std, of_ours, "`{name}` with std, and with ours");
        assert!(!of_std.is_empty(), "`{name}` has seen something");
    }
}
