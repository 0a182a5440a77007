#!/usr/bin/env bash
# Checks that the package is complete: it builds as it would be published. Cargo needs a
# working tree without uncommitted changes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

cargo package --locked
