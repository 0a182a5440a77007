#!/usr/bin/env bash
# Checks that all tests and doctests pass under AddressSanitizer. This needs the nightly
# toolchain; without one, the step is skipped with a message.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

host=$(rustup run nightly rustc -vV 2>/dev/null | sed -n 's/^host: //p') || host=
if [ -z "$host" ]; then
    echo "SKIPPED: no nightly toolchain, so nothing was run under AddressSanitizer" >&2
    exit 0
fi

# `corosensei/sanitizer` makes corosensei tell the sanitizer about each change of stack;
# without that, the sanitizer reports false errors. This cannot be a feature of this crate,
# because a build with it links only under the sanitizer.
#
# With an explicit target, build scripts and macros are not instrumented.
under_asan=(cargo +nightly test --target "$host" --target-dir "${CARGO_TARGET_DIR:-target}/asan"
    -p switchback -p libraries --all-features --features corosensei/sanitizer)

# Some tests make the hub abandon stacks, which leaks them on purpose, so leaks are not
# errors here. The caller's options come last and take precedence.
export ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
# With this cfg the memory of fibers that are gone is freed. Reusing it would hide late
# uses.
export RUSTFLAGS="-Zsanitizer=address --cfg switchback_no_spares"
export RUSTDOCFLAGS="-Zsanitizer=address"

# Fewer of the requests of `examples/libraries/tests/axum`, which take long here.
export SWITCHBACK_REQUESTS=1000
"${under_asan[@]}"

# These tests abandon no stack, so they must not leak.
export ASAN_OPTIONS="detect_leaks=1${ASAN_OPTIONS#detect_leaks=0}"
"${under_asan[@]}" --test io --test filters
