#!/usr/bin/env bash
# The source files use only lower layers, in the order of `ci/layers.txt`, whose
# head says what that means. The program that checks it is `ci/layers`; its own
# tests come first.
#
# `ci/layers.sh --graph` checks nothing, and prints which file uses which.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

if ! output=$(cargo test -p layers 2>&1); then
    printf '%s\n' "$output" >&2
    exit 1
fi
cargo run -p layers -- "$@"
