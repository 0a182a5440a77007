#!/usr/bin/env bash
# Checks that the benches compile, and that the plots in `benches` are those of the tables in
# BENCHMARKS.md. To run the benches, use `cargo bench -p compare` on a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo bench --no-run
cargo bench -p compare -- draw
if ! git diff --exit-code --stat -- benches/echo.svg benches/growth.svg; then
    echo "the plots were others than those of the tables; they are drawn anew: commit them" >&2
    exit 1
fi
