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

const THINGS: [Thing; 4] = [
    ("yield-no-subscriber", |count| yields(10, count)),
    ("yield-no-span", |count| {
        subscribe(false);
        yields(10, count);
    }),
    ("yield-one-span", |count| {
        subscribe(false);
        // The fibers begin in it.
        let _span = info_span!("request").entered();
        yields(10, count);
    }),
    ("yield-own-span", |count| {
        subscribe(true);
        yields(10, count);
    }),
];

fn main() -> ExitCode {
    thing::main(&THINGS)
}

/// Has the registry keep the spans, with those that fibers have of their own if `of_fibers` says so.
fn subscribe(of_fibers: bool) {
    let wanted = filter_fn(move |metadata| of_fibers || metadata.target() != "switchback::fiber");
    // Without arguments, the operations follow each other.
    let _ = tracing_subscriber::registry().with(wanted).try_init();
}
