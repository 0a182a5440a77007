#!/usr/bin/env bash
# The code is formatted as rustfmt wants it, that of `ci/layers` too.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
