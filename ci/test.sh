#!/usr/bin/env bash
# Checks that all tests and doctests pass: those of the package with its default features, which
# are none, and then with all features, together with those of `examples/libraries`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo test
# `benches/compare` has no tests, and ci/layers.sh runs those of `ci/layers`.
cargo test --workspace --exclude compare --exclude layers --all-features
