#!/usr/bin/env bash
# Checks that the documentation builds without a warning, with and without private items.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true
export RUSTDOCFLAGS="-D warnings"

# The public pages are built last, so they are the ones that remain.
cargo doc --no-deps --all-features --document-private-items
cargo doc --no-deps --all-features
