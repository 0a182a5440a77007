#!/usr/bin/env bash
# The benches compile. Running them is for a quiet machine: `cargo bench`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo bench --no-run
