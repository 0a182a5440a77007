#!/usr/bin/env bash
# All tests and doctests pass under AddressSanitizer. This needs the nightly
# toolchain; where there is none, the step is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

host=$(rustup run nightly rustc -vV 2>/dev/null | sed -n 's/^host: //p') || host=
if [ -z "$host" ]; then
    echo "SKIPPED: no nightly toolchain, so nothing was run under AddressSanitizer" >&2
    exit 0
fi

# Without these calls of corosensei into the sanitizer it takes a change of
# stack for an error. It is not a feature of this crate, since a build with it
# links only under the sanitizer.
features=tracing,test-util,corosensei/sanitizer

# Some tests make the hub abandon stacks, which leaks them on purpose, so leaks
# are no errors here. The caller's options come last and win.
export ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
# With the cfg, memory of fibers that are gone is freed instead of used again: it would hide
# who uses it too late.
export RUSTFLAGS="-Zsanitizer=address --cfg switchback_no_spares"
export RUSTDOCFLAGS="-Zsanitizer=address"

# With an explicit target, build scripts and macros are not instrumented.
cargo +nightly test --target "$host" --target-dir "${CARGO_TARGET_DIR:-target}/asan" \
    --features "$features"

# Where nothing is abandoned, nothing leaks either.
export ASAN_OPTIONS="detect_leaks=1${ASAN_OPTIONS#detect_leaks=0}"
cargo +nightly test --target "$host" --target-dir "${CARGO_TARGET_DIR:-target}/asan" \
    --features "$features" --test io
