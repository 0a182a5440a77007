#!/usr/bin/env bash
# Checks that rustc and clippy give no warning in any target of any package with all features, and of
# this package with its default features, which are none, here and with the stacks of other systems.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

# The package alone: beside others, it could use features that only they ask for.
cargo clippy --all-targets -- -D warnings
# `examples/slow` takes minutes to compile: `cargo clippy -p slow --all-targets` is for those who change it.
cargo clippy --workspace --exclude slow --all-targets --all-features -- -D warnings
RUSTFLAGS="--cfg switchback_system_stacks ${RUSTFLAGS:-}" \
    cargo clippy --target-dir "${CARGO_TARGET_DIR:-target}/system" --all-targets -- -D warnings
