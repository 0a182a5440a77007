#!/usr/bin/env bash
# The package is complete: it builds from what would be published. Cargo asks
# for a working tree without uncommitted changes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo package --locked
