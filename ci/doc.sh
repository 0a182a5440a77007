#!/usr/bin/env bash
# The documentation builds without a warning, that of private items too.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true
export RUSTDOCFLAGS="-D warnings"

# The public pages come last, so these are the ones that stay.
cargo doc --no-deps --all-features --document-private-items
cargo doc --no-deps --all-features
