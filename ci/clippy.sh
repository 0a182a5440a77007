#!/usr/bin/env bash
# Checks that rustc and clippy give no warning in any target, with the default features, all
# features and none, and with the stacks of other systems.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo clippy --all-targets -- -D warnings
cargo clippy --all-targets --all-features -- -D warnings
cargo clippy --all-targets --no-default-features -- -D warnings
RUSTFLAGS="--cfg switchback_system_stacks ${RUSTFLAGS:-}" \
    cargo clippy --target-dir "${CARGO_TARGET_DIR:-target}/system" --all-targets -- -D warnings

# The program of ci/layers.sh is another package.
cargo clippy -p layers --all-targets -- -D warnings
