#!/usr/bin/env bash
# All tests and doctests pass: as in the README, then with all features.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo test
cargo test --all-features
