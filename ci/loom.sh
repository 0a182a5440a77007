#!/usr/bin/env bash
# The models hold: what threads share is run by loom in every order in which
# their steps can be taken, with so many preemptions at the most.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"
# One of our own: under `--cfg loom` tokio has no sockets.
export RUSTFLAGS="--cfg switchback_loom ${RUSTFLAGS:-}"

# A name that no model has would pass for models that hold.
models=$(cargo test --release --lib --target-dir "${CARGO_TARGET_DIR:-target}/loom" \
    loom -- --list | grep -c ': test$') || true
if [ "${models:-0}" -eq 0 ]; then
    echo "there is no model" >&2
    exit 1
fi
cargo test --release --lib --target-dir "${CARGO_TARGET_DIR:-target}/loom" loom
