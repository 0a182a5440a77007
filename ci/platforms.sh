#!/usr/bin/env bash
# Checks that the crate works where it says: with the oldest Rust, and on other processors and
# systems: msrv, i686, aarch64 and macos; `ci/platforms.sh TARGET...` checks these instead:
#
#   msrv      Rust 1.85: each feature compiles alone, none and all; tests run
#   system    the stacks of other systems, on this one: tests run
#   minimal   the lowest versions that Cargo.toml allows: tests run
#   i686      x86 Linux: tests run
#   aarch64   aarch64 Linux, under qemu: tests run
#   windows   x86-64 Windows, under wine: tests run
#   abort     `panic = "abort"` on i686 and aarch64: an example runs
#   macos     aarch64 macOS: the crate and its tests compile
#   freebsd   x86-64 FreeBSD: the same
#
# What these need comes from the packages of Debian 12 for x86-64, which has Rust 1.85, and is
# unpacked below `$XDG_CACHE_HOME/switchback-platforms`: nothing is installed, and root is not
# needed. Without such packages the target is skipped, with a message. `system` and `minimal` use
# the toolchain that is there.
#
# Each target runs the test programs that say most about it. `SWITCHBACK_TESTS="hub io"` runs
# others instead. No program may take longer than a limit.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

limit=600 # seconds for each program
all=(msrv system minimal i686 aarch64 windows abort macos freebsd)
# The others have not been shown to be steady, or quick, so they run only if they are named.
default=(msrv i686 aarch64 macos)

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/switchback-platforms
root=$cache/root
# All targets of Rust 1.85 share one, and so what is built for this machine.
old_target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/platforms

# Not the warnings of an old compiler. Here nobody reads backtraces.
export RUSTFLAGS="-A warnings ${RUSTFLAGS:-}"
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0

skip() {
    echo "SKIPPED: $1" >&2
}

# apt ARGUMENT...: with lists of its own, which have the packages of other processors too
apt() {
    local of=$cache/apt
    mkdir -p "$of/lists/partial" "$of/cache/archives/partial"
    apt-get -qq -o Dir::State::lists="$of/lists" -o Dir::Cache="$of/cache" \
        -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Architectures::=i386 \
        -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}

# unpacked PACKAGE...: unpacks those that are not yet, or fails
unpacked() {
    local package missing=()
    for package in "$@"; do
        [ -e "$cache/have/$package" ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    mkdir -p "$cache/have" "$root"
    if [ ! -e "$cache/have/lists" ]; then
        # Some lists may be out of reach without harm: only the packages count.
        apt update >&2 || true
        touch "$cache/have/lists"
    fi
    local debs
    debs=$(mktemp -d)
    if ! (cd "$debs" && apt download "${missing[@]}" >&2); then
        rm -rf "$debs" "$cache/have/lists"
        return 1
    fi
    if ! printf '%s\0' "$debs"/*.deb | xargs -0 -P 2 -n 1 sh -c 'dpkg -x "$1" "$0"' "$root"; then
        rm -rf "$debs"
        return 1
    fi
    rm -rf "$debs"
    for package in "${missing[@]}"; do
        touch "$cache/have/$package"
    done
}

# tool NAME COMMAND...: makes a program that is this command and its own arguments
tool() {
    local name=$1
    shift
    printf '#!/bin/sh\n%s "$@"\n' "$*" >"$cache/$name"
    chmod +x "$cache/$name"
}

# needs WHAT PACKAGE...: sets up Rust 1.85 and the packages; if they cannot be had, skips WHAT
needs() {
    local what=$1
    shift
    if [ "$(uname -sm)" != "Linux x86_64" ] ||
        ! command -v dpkg >/dev/null || ! command -v apt-get >/dev/null; then
        skip "$what: this takes packages for x86-64 Debian 12"
        return 1
    fi
    if ! unpacked rustc-web libstd-rust-web-1.85 libstd-rust-web-dev libllvm19 libz3-4 libedit2 \
        libbsd0 libmd0 libxml2 libicu72 "$@"; then
        skip "$what: its packages cannot be had"
        return 1
    fi
    local libraries=$root/usr/lib/x86_64-linux-gnu
    tool rustc "LD_LIBRARY_PATH='$libraries' exec '$root/usr/bin/rustc'"
    export RUSTC=$cache/rustc CARGO_TARGET_DIR=$old_target
    if ! "$RUSTC" -vV >/dev/null; then
        skip "$what: the Rust of the packages does not run here"
        return 1
    fi
}

# tests PROGRAM...: builds and runs these test programs, for the target in `$target` if it is set,
# with cargo's options in `$options`, each within the limit
tests() {
    local program programs=(${SWITCHBACK_TESTS:-"$@"}) these=()
    for program in "${programs[@]}"; do
        these+=(--test "$program")
    done
    local cargo=(cargo ${options:-} test --locked -p switchback ${target:+--target "$target"})
    "${cargo[@]}" --no-run "${these[@]}"
    for program in "${programs[@]}"; do
        echo "-- $program"
        # Of the output only what says how much ran, unless it fails.
        if ! "${cargo[@]}" --test "$program" -- ${arguments:-} >"$CARGO_TARGET_DIR/output" 2>&1; then
            cat "$CARGO_TARGET_DIR/output" >&2
            echo "$program failed, or took longer than $limit seconds" >&2
            return 1
        fi
        # The harness may have begun a line when a test says that it is skipped.
        grep -aoE 'SKIPPED: .*|^test result: .*|^interrupt: .*' "$CARGO_TARGET_DIR/output"
    done
}

# checks OPTION...: checks that the crate and its tests compile, but for those that compare it with
# parts of std which are newer than Rust 1.85
checks() {
    local program programs=()
    for program in tests/*/main.rs; do
        program=$(basename "$(dirname "$program")")
        [ "$program" = std_shaped ] || programs+=(--test "$program")
    done
    cargo ${options:-} check --locked -p switchback "${programs[@]}" "$@"
}

# within COMMAND...: tells cargo to run programs for `$target` with this command, within the limit,
# and the tests to start their children with it
within() {
    local name=${target//-/_}
    export "CARGO_TARGET_${name^^}_RUNNER=timeout --kill-after=10 $limit $*"
    [ $# -eq 0 ] || export SWITCHBACK_TEST_RUNNER="$*"
}

# linker COMMAND...: tells cargo to link programs for `$target` with this command
linker() {
    local name=${target//-/_}
    tool "$target-linker" "exec $*"
    export "CARGO_TARGET_${name^^}_LINKER=$cache/$target-linker"
}

msrv() {
    needs msrv || return 0
    local feature
    checks --all-features
    for feature in "" $(sed -n '/^\[features\]/,/^\[dep/s/^\([a-z-]*\) = .*/\1/p' Cargo.toml); do
        echo "-- features: ${feature:-none}"
        cargo check --locked -p switchback --features "$feature"
    done
    target=x86_64-unknown-linux-gnu
    within
    tests wait cancel
}

system() {
    local RUSTFLAGS="--cfg switchback_system_stacks $RUSTFLAGS"
    export RUSTFLAGS CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/system
    target=$(rustc -vV | sed -n 's/^host: //p')
    within
    tests fibers stacks cancel
}

minimal() {
    # A copy, since the versions are in a file beside Cargo.toml.
    local copy
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/minimal
    mkdir -p "$CARGO_TARGET_DIR"
    CARGO_TARGET_DIR=$(realpath "$CARGO_TARGET_DIR")
    copy=$CARGO_TARGET_DIR/copy
    rm -rf "$copy"
    mkdir "$copy"
    cp -r Cargo.toml src tests examples benches README.md "$copy"
    sed -i 's/^members = .*/members = []/' "$copy/Cargo.toml"
    cd "$copy"
    rm -rf examples/libraries benches/compare
    # The option is one of nightly's, which this has every cargo take.
    RUSTC_BOOTSTRAP=1 cargo -Zdirect-minimal-versions generate-lockfile
    target=$(rustc -vV | sed -n 's/^host: //p')
    within
    cargo check --locked --all-features
    tests wait
}

i686_linux() {
    needs "$1" libstd-rust-web-dev:i386 binutils-i686-linux-gnu gcc-12-i686-linux-gnu \
        gcc-i686-linux-gnu libc6-dev-i386-cross libc6-i386-cross libgcc-s1-i386-cross \
        libgcc-12-dev-i386-cross linux-libc-dev-i386-cross || return 1
    local libraries=$root/usr/i686-linux-gnu/lib
    target=i686-unknown-linux-gnu
    linker "'$root/usr/bin/i686-linux-gnu-gcc' '--sysroot=$root'" \
        "'-Wl,--dynamic-linker=$libraries/ld-linux.so.2' '-Wl,-rpath=$libraries'"
    within
}

i686() {
    i686_linux i686 || return 0
    # More at a time would run out of addresses.
    arguments=--test-threads=2 tests fibers stacks hub interrupt
}

aarch64_linux() {
    needs "$1" libstd-rust-web-dev:arm64 binutils-aarch64-linux-gnu gcc-12-aarch64-linux-gnu \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross libc6-arm64-cross libgcc-s1-arm64-cross \
        libgcc-12-dev-arm64-cross linux-libc-dev-arm64-cross qemu-user-static || return 1
    target=aarch64-unknown-linux-gnu
    linker "'$root/usr/bin/aarch64-linux-gnu-gcc' '--sysroot=$root'"
    within "$root/usr/bin/qemu-aarch64-static -L $root/usr/aarch64-linux-gnu"
}

aarch64() {
    aarch64_linux aarch64 || return 0
    # An emulator takes minutes for crowds of busy fibers.
    arguments=--skip=fairness tests fibers stacks hub interrupt
}

# std_source WHAT: for `$target`, of whose std there is no package, sets up its source, of which
# `$options` make it
std_source() {
    needs "$1" rust-web-src || return 1
    # As an absolute path: else cargo takes it for another workspace.
    ln -sfn "$root"/usr/src/rustc-1.* "$root/usr/lib/rustlib/src/rust"
    export RUSTC_BOOTSTRAP=1
    options=-Zbuild-std=std,panic_unwind
    # The crates that std uses: without a network there may be only those of this workspace.
    if ! cargo $options fetch --locked --target "$target"; then
        skip "$1: the crates of std cannot be had"
        return 1
    fi
}

windows() {
    target=x86_64-pc-windows-gnu
    std_source windows || return 0
    if ! unpacked binutils-mingw-w64-x86-64 gcc-mingw-w64-x86-64-posix \
        gcc-mingw-w64-x86-64-posix-runtime mingw-w64-common mingw-w64-x86-64-dev \
        wine64 libwine libz-mingw-w64; then
        skip "windows: its packages cannot be had"
        return 0
    fi
    export PATH=$PATH:$root/usr/bin # for dlltool
    linker "'$root/usr/bin/x86_64-w64-mingw32-gcc-posix' '--sysroot=$root'"
    local object std=$root/usr/lib/rustlib/$target/lib
    mkdir -p "$std"
    for object in rsbegin rsend; do
        "$RUSTC" --target $target --emit=obj -o "$std/$object.o" \
            "$root/usr/lib/rustlib/src/rust/library/rtstartup/$object.rs"
    done
    # std asks this library for random numbers, and wine 8 does not have it.
    local programs=$CARGO_TARGET_DIR/$target/debug/deps
    mkdir -p "$programs"
    "$cache/$target-linker" -shared -nostartfiles -Wl,-e,0 -x c - -ladvapi32 \
        -o "$programs/bcryptprimitives.dll" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    return SystemFunction036(data, length);
}
C
    ln -sf wineserver64 "$root/usr/lib/wine/wineserver"
    cp "$root/usr/x86_64-w64-mingw32/lib/zlib1.dll" \
        "$root/usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
    export WINEPREFIX=$CARGO_TARGET_DIR/wine-prefix WINEDEBUG=-all
    tool wine "LD_LIBRARY_PATH='$root/usr/lib/x86_64-linux-gnu' exec '$root/usr/lib/wine/wine64'"
    echo 'int main(void) { return 0; }' |
        "$cache/$target-linker" -x c - -o "$programs/nothing.exe"
    if ! timeout --kill-after=10 "$limit" "$cache/wine" "$programs/nothing.exe" </dev/null >/dev/null 2>&1
    then
        skip "windows: wine does not run here"
        return 0
    fi
    within "$cache/wine"
    tests fibers stacks interrupt
    "$root/usr/lib/wine/wineserver64" --kill || true
}

abort() {
    local which name output
    for which in i686_linux aarch64_linux; do
        "$which" abort || continue
        echo "-- $target"
        cargo build --locked -p switchback --profile abort --example panic_abort --target "$target"
        name=${target//-/_}
        runner=CARGO_TARGET_${name^^}_RUNNER
        # All that the test of this example, which runs it on this system, says.
        output=$(${!runner} "$CARGO_TARGET_DIR/$target/abort/examples/panic_abort")
        printf '%s\n' "$output"
        diff <(sed -n '/let expected = \[/,/\];/s/^ *r\?#\?"\(.*\)"#\?,$/\1/p' \
            tests/api/panic_abort.rs) <(printf '%s\n' "$output")
    done
}

# compiles WHAT TARGET: the crate and its tests
compiles() {
    target=$2
    std_source "$1" || return 0
    checks --all-features --target "$target"
}

macos() {
    compiles macos aarch64-apple-darwin
}

freebsd() {
    compiles freebsd x86_64-unknown-freebsd
}

[ $# -gt 0 ] || set -- "${default[@]}"
for which in "$@"; do
    if [[ " ${all[*]} " != *" $which "* ]]; then
        echo "there is no target $which, but: ${all[*]}" >&2
        exit 1
    fi
done
for which in "$@"; do
    printf -- '\n---- %s\n' "$which"
    TIMEFORMAT="-- $which took %0R s, %0U s of a processor"
    # What a target exports is its own.
    time ("$which")
done
