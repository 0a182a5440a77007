#!/usr/bin/env bash
# Checks that all tests and doctests pass, with the default features as in the README, and
# then with all features.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo test
cargo test --all-features
