#!/usr/bin/env bash
# The code is formatted as rustfmt wants it.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
