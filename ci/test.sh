#!/usr/bin/env bash
# Checks that all tests and doctests of the package and of `examples/libraries` pass, with the
# default features, and then with all features.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

# Both packages at once, so that what they have in common is compiled once.
# `benches/compare` has no tests, and ci/layers.sh runs those of `ci/layers`.
packages=(--workspace --exclude compare --exclude layers)

cargo test "${packages[@]}"
cargo test "${packages[@]}" --all-features
