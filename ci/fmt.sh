#!/usr/bin/env bash
# Checks that the code is formatted with rustfmt.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
