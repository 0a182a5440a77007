#!/usr/bin/env bash
# Checks that the benches compile. To run them, use `cargo bench` and `cargo bench -p compare`
# on a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo bench --no-run
cargo bench -p compare --no-run
