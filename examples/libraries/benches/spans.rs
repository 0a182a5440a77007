//! Yields with the feature `tracing`, by what there is to take off the thread at each. For
//! `ci/cost.sh`, as `benches/cost` is.
//!
//! Run with: `cargo bench -p libraries --features tracing --bench spans -- THING COUNT`.

use std::process::ExitCode;

use thing::{Thing, yields};
use tracing::info_span;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[path = "../../../benches/cost/thing.rs"]
mod thing;

const FIBERS: &str = "switchback::fiber";
const WAKERS: &str = "runtime::waker";

const THINGS: [Thing; 5] = [
    ("yield-no-subscriber", |count| yields(10, count)),
    ("yield-no-span", |count| {
        subscribe(&[FIBERS, WAKERS]);
        yields(10, count);
    }),
    ("yield-one-span", |count| {
        subscribe(&[FIBERS, WAKERS]);
        // The fibers begin in it.
        let _span = info_span!("request").entered();
        yields(10, count);
    }),
    ("yield-own-span", |count| {
        subscribe(&[WAKERS]);
        yields(10, count);
    }),
    ("yield-own-span-and-wakes", |count| {
        subscribe(&[]);
        yields(10, count);
    }),
];

fn main() -> ExitCode {
    thing::main(&THINGS)
}

/// Has the registry keep all spans and take all events, except those of these targets.
fn subscribe(unwanted: &'static [&'static str]) {
    let wanted = filter_fn(|metadata| !unwanted.contains(&metadata.target()));
    // Without arguments, the operations follow each other.
    let _ = tracing_subscriber::registry().with(wanted).try_init();
}
