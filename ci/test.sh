#!/usr/bin/env bash
# Checks that all tests and doctests pass: those of the package with its default features, which
# are none, and then with all features, together with those of `examples/libraries`; the stress
# driver as a release build too, where waits check less; the tests of spans once more with an older
# tracing-subscriber, which counts who keeps a span open in another way than the newest; and that of
# `examples/console`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo test
# `benches/compare` has no tests, and ci/layers.sh runs those of `ci/layers`. `examples/slow` takes
# minutes to compile; its own script runs it.
cargo test --workspace --exclude compare --exclude console --exclude layers --exclude slow \
    --all-features
cargo test --release --test stress

target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")

# In a copy, since only one version has a place in Cargo.lock. It is in the target directory, so
# that little is compiled once more.
copy=$target/older
rm -rf "$copy"
mkdir -p "$copy"
tar --create --exclude=./target --exclude=./.git . | tar --extract --directory "$copy"
cargo update --manifest-path "$copy/Cargo.toml" --package tracing-subscriber --precise 0.3.19
cargo test --manifest-path "$copy/Cargo.toml" --target-dir "$target" \
    --package libraries --features tracing --test spans

# There, a cfg is set that changes the flags of all crates.
(cd examples/console && env --unset=RUSTFLAGS cargo test --target-dir "$target/console")
