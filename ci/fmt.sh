#!/usr/bin/env bash
# Checks that the code, including `ci/layers`, is formatted with rustfmt.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
