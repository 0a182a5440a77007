#!/usr/bin/env bash
# Checks that the package is complete: it builds as it would be published. Cargo needs a
# working tree without uncommitted changes.
#
# `ci/package.sh --release` is for the check before publishing: it also refuses placeholders.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

if [ "${1-}" = --release ] && grep -q '^repository = .*\.invalid/' Cargo.toml; then
    echo "Cargo.toml has a placeholder for the repository" >&2
    exit 1
fi
cargo package --locked
