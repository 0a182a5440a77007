#!/usr/bin/env bash
# Checks that the loom models hold: loom runs them in every order in which the threads'
# steps can be taken, with a bounded number of preemptions.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"
# The cfg is our own, because tokio has no sockets under `--cfg loom`.
export RUSTFLAGS="--cfg switchback_loom ${RUSTFLAGS:-}"

# A filter that matches no model would pass, so check that there are some.
models=$(cargo test --release --lib --target-dir "${CARGO_TARGET_DIR:-target}/loom" \
    -- loom_tests _models --list | grep -c ': test$') || true
if [ "${models:-0}" -eq 0 ]; then
    echo "there is no model" >&2
    exit 1
fi
cargo test --release --lib --target-dir "${CARGO_TARGET_DIR:-target}/loom" -- loom_tests _models
