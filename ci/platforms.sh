#!/usr/bin/env bash
# Checks that the crate works where it says: with the oldest Rust, and on other processors and
# systems. `ci/platforms.sh TARGET...` checks these alone:
#
#   msrv      Rust 1.85: each feature compiles alone, none and all; tests run
#   system    the stacks of other systems, on this one: tests run
#   minimal   the lowest versions that Cargo.toml allows: tests run
#   i686      x86 Linux: tests run, and with `panic = "abort"` an example
#   aarch64   aarch64 Linux, under qemu: the same
#   riscv64   riscv64 Linux, under qemu: tests run, if it is named
#   windows   x86-64 Windows, under wine: as i686
#   macos     aarch64 macOS: the crate and its tests compile
#   freebsd   x86-64 FreeBSD: the crate and the tests of stacks compile
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
# Those that take longest come first.
default=(windows aarch64 i686 msrv minimal macos freebsd system)
all=("${default[@]}" riscv64)

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/switchback-platforms
root=$cache/root

# skip WHY: ends the target, which runs in a shell of its own
skip() {
    echo "SKIPPED: $which: $1" >&2
    exit 0
}

# apt ARGUMENT...: with lists of its own, which have the packages of other processors too
apt() {
    local of=$cache/apt
    mkdir -p "$of/lists/partial" "$of/cache/archives/partial"
    apt-get -qq -o Dir::State::lists="$of/lists" -o Dir::Cache="$of/cache" \
        -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Architectures::=i386 \
        -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}

# downloaded FOLDER PACKAGE...: downloads these into the folder, or fails
downloaded() {
    local folder=$1
    shift
    mkdir -p "$cache/have" "$root"
    if [ ! -e "$cache/have/lists" ]; then
        # Some lists may be out of reach without harm: only the packages count.
        apt update >&2 || true
        touch "$cache/have/lists"
    fi
    if ! (cd "$folder" && apt download "$@" >&2); then
        rm -rf "$cache/have/lists"
        return 1
    fi
}

# unpacked PACKAGE...: unpacks those that are not yet, or skips the target
unpacked() {
    local package missing=()
    # One target at a time, since many need the same packages.
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    for package in "$@"; do
        [ -e "$cache/have/$package" ] || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        unpack "${missing[@]}"
    fi
    exec 9>&-
}

# unpack PACKAGE...: unpacks these, or skips the target
unpack() {
    local package debs
    debs=$(mktemp -d)
    # The lists may be older than the packages: the second time they are new.
    if ! downloaded "$debs" "$@" && ! downloaded "$debs" "$@"; then
        rm -rf "$debs"
        skip "its packages cannot be had"
    fi
    printf '%s\0' "$debs"/*.deb | xargs -0 -P 2 -n 1 sh -c 'dpkg -x "$1" "$0"' "$root"
    rm -rf "$debs"
    for package in "$@"; do
        touch "$cache/have/$package"
    done
}

# tool NAME COMMAND...: makes a program that is this command and its own arguments
tool() {
    local name=$1
    shift
    # Another target may be using the old one.
    printf '#!/bin/sh\n%s "$@"\n' "$*" >"$cache/$name.$which"
    chmod +x "$cache/$name.$which"
    mv "$cache/$name.$which" "$cache/$name"
}

# needs PACKAGE...: sets up Rust 1.85 and the packages
needs() {
    if [ "$(uname -sm)" != "Linux x86_64" ] ||
        ! command -v dpkg >/dev/null || ! command -v apt-get >/dev/null; then
        skip "this takes packages for x86-64 Debian 12"
    fi
    unpacked rustc-web libstd-rust-web-1.85 libstd-rust-web-dev libllvm19 libz3-4 libedit2 \
        libbsd0 libmd0 libxml2 libicu72 "$@"
    local libraries=$root/usr/lib/x86_64-linux-gnu
    tool rustc "LD_LIBRARY_PATH='$libraries' exec '$root/usr/bin/rustc'"
    # All targets of Rust 1.85 share one, and so what is built for this machine.
    CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/platforms
    # Not the warnings of an old compiler. Here nobody reads backtraces.
    export RUSTC=$cache/rustc CARGO_TARGET_DIR RUSTFLAGS="-A warnings ${RUSTFLAGS:-}"
    export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
    "$RUSTC" -vV >/dev/null || skip "the Rust of the packages does not run here"
}

# tests PROGRAM...: builds and runs these test programs, for the target in `$target` if it is set,
# with cargo's options in `$options` and the features in `$features`, each within the limit
tests() {
    local program programs=(${SWITCHBACK_TESTS:-"$@"}) these=()
    for program in "${programs[@]}"; do
        these+=(--test "$program")
    done
    local cargo=(cargo ${options:-} test --locked -p switchback ${target:+--target "$target"}
        --features "${features:-}")
    "${cargo[@]}" --no-run "${these[@]}"
    for program in "${programs[@]}"; do
        echo "-- $program"
        # Of the output only what says how much ran, unless it fails.
        if ! "${cargo[@]}" --test "$program" -- ${arguments:-} >"$CARGO_TARGET_DIR/output-$which" 2>&1; then
            cat "$CARGO_TARGET_DIR/output-$which" >&2
            echo "$program failed, or took longer than $limit seconds" >&2
            return 1
        fi
        # The harness may have begun a line when a test says that it is skipped.
        grep -aoE 'SKIPPED: .*|^test result: .*|^interrupt: .*' "$CARGO_TARGET_DIR/output-$which"
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

# aborts: runs the example for `panic = "abort"` on `$target`
aborts() {
    local program=$CARGO_TARGET_DIR/$target/abort/examples/panic_abort name=${target//-/_}
    local runner=CARGO_TARGET_${name^^}_RUNNER
    [ -z "${SWITCHBACK_TESTS:-}" ] || return 0
    echo "-- panic_abort"
    cargo ${options:-} build --locked -p switchback --profile abort --example panic_abort \
        --target "$target"
    [ -e "$program" ] || program=$program.exe
    # What the test of this example, which runs it on this system, says.
    diff <(sed -n '/let expected = \[/,/\];/s/^ *r\?#\?"\(.*\)"#\?,$/\1/p' \
        tests/api/panic_abort.rs) <(${!runner} "$program" 2>/dev/null)
    echo "it says what it has to"
}

# all_features: prints the names of all features
all_features() {
    sed -n '/^\[features\]/,/^\[dep/s/^\([a-z-]*\) = .*/\1/p' Cargo.toml
}

# host: prints the target that this machine is
host() {
    rustc -vV | sed -n 's/^host: //p'
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

# compiled_with ARGUMENT...: tells cargo to compile the crates of this workspace, and not what they
# need, with these arguments of nightly's rustc, which any takes here
compiled_with() {
    export RUSTC_WORKSPACE_WRAPPER=$CARGO_TARGET_DIR/$which-wrapper
    mkdir -p "$CARGO_TARGET_DIR"
    printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec "$@" %s\n' "$*" >"$RUSTC_WORKSPACE_WRAPPER"
    chmod +x "$RUSTC_WORKSPACE_WRAPPER"
}

msrv() {
    needs
    local feature
    checks --all-features
    for feature in "" $(all_features); do
        echo "-- features: ${feature:-none}"
        cargo check --locked -p switchback --features "$feature"
    done
    target=x86_64-unknown-linux-gnu
    within
    # What was stable later than in 1.85, and is there: the tests compare it with ours.
    compiled_with "'-Zcrate-attr=feature(once_wait, rwlock_downgrade)'"
    tests wait cancel std_shaped
}

system() {
    CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    export CARGO_TARGET_DIR
    compiled_with --cfg switchback_system_stacks
    target=$(host)
    within
    # Without `--target`, as in ci/test.sh, which has built what it needs.
    target= tests fibers stacks cancel
}

minimal() {
    # A copy, since the versions are in a file beside Cargo.toml.
    local copy
    CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/minimal
    export CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
    copy=$CARGO_TARGET_DIR/copy
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml src tests examples benches README.md "$copy"
    sed -i 's/^members = .*/members = []/' "$copy/Cargo.toml"
    cd "$copy"
    rm -rf examples/libraries benches/compare
    # The option is one of nightly's, which this has every cargo take.
    RUSTC_BOOTSTRAP=1 cargo -Zdirect-minimal-versions generate-lockfile
    target=$(host)
    within
    target= features=$(all_features) tests wait
}

i686() {
    needs libstd-rust-web-dev:i386 binutils-i686-linux-gnu gcc-12-i686-linux-gnu \
        gcc-i686-linux-gnu libc6-dev-i386-cross libc6-i386-cross libgcc-s1-i386-cross \
        libgcc-12-dev-i386-cross linux-libc-dev-i386-cross
    local libraries=$root/usr/i686-linux-gnu/lib
    target=i686-unknown-linux-gnu
    linker "'$root/usr/bin/i686-linux-gnu-gcc' '--sysroot=$root'" \
        "'-Wl,--dynamic-linker=$libraries/ld-linux.so.2' '-Wl,-rpath=$libraries'"
    within
    # More at a time would run out of addresses.
    arguments=--test-threads=2 tests fibers stacks hub interrupt
    aborts
}

aarch64() {
    needs libstd-rust-web-dev:arm64 binutils-aarch64-linux-gnu gcc-12-aarch64-linux-gnu \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross libc6-arm64-cross libgcc-s1-arm64-cross \
        libgcc-12-dev-arm64-cross linux-libc-dev-arm64-cross qemu-user-static
    target=aarch64-unknown-linux-gnu
    linker "'$root/usr/bin/aarch64-linux-gnu-gcc' '--sysroot=$root'"
    within "$root/usr/bin/qemu-aarch64-static -L $root/usr/aarch64-linux-gnu"
    # An emulator takes minutes for crowds of busy fibers.
    arguments=--skip=fairness tests fibers stacks hub interrupt
    aborts
}

# std_source PACKAGE...: for `$target`, of whose std there is no package, sets up its source, of which
# `$options` make it, and the packages
std_source() {
    needs rust-web-src "$@"
    # As an absolute path: else cargo takes it for another workspace.
    ln -sfn "$root"/usr/src/rustc-1.* "$root/usr/lib/rustlib/src/rust"
    export RUSTC_BOOTSTRAP=1
    options=-Zbuild-std=std,panic_unwind
    # The crates that std uses: without a network there may be only those of this workspace.
    cargo $options fetch --locked --target "$target" || skip "the crates of std cannot be had"
}

riscv64() {
    target=riscv64gc-unknown-linux-gnu
    std_source binutils-riscv64-linux-gnu gcc-12-riscv64-linux-gnu gcc-riscv64-linux-gnu \
        libc6-dev-riscv64-cross libc6-riscv64-cross libgcc-s1-riscv64-cross \
        libgcc-12-dev-riscv64-cross linux-libc-dev-riscv64-cross qemu-user-static
    linker "'$root/usr/bin/riscv64-linux-gnu-gcc' '--sysroot=$root'"
    within "$root/usr/bin/qemu-riscv64-static -L $root/usr/riscv64-linux-gnu"
    arguments=--skip=fairness tests fibers stacks hub
}

windows() {
    target=x86_64-pc-windows-gnu
    std_source binutils-mingw-w64-x86-64 gcc-mingw-w64-x86-64-posix \
        gcc-mingw-w64-x86-64-posix-runtime mingw-w64-common mingw-w64-x86-64-dev \
        wine64 libwine libz-mingw-w64
    export PATH=$PATH:$root/usr/bin # for dlltool
    linker "'$root/usr/bin/x86_64-w64-mingw32-gcc-posix' '--sysroot=$root'"
    local object std=$root/usr/lib/rustlib/$target/lib
    mkdir -p "$std"
    for object in rsbegin rsend; do
        "$RUSTC" --target $target --emit=obj -o "$std/$object.o" \
            "$root/usr/lib/rustlib/src/rust/library/rtstartup/$object.rs"
    done
    # std asks this library for random numbers, and wine 8 does not have it.
    local programs=$CARGO_TARGET_DIR/wine
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
    export WINEPREFIX=$CARGO_TARGET_DIR/wine-prefix WINEDEBUG=-all WINEPATH=$programs
    tool wine "LD_LIBRARY_PATH='$root/usr/lib/x86_64-linux-gnu' exec '$root/usr/lib/wine/wine64'"
    trap '"$root/usr/lib/wine/wineserver64" --kill || true' EXIT
    echo 'int main(void) { return 0; }' |
        "$cache/$target-linker" -x c - -o "$programs/nothing.exe"
    # This also makes the files that wine has of each user.
    timeout --kill-after=10 "$limit" "$cache/wine" "$programs/nothing.exe" </dev/null \
        >/dev/null 2>&1 || skip "wine does not run here"
    within "$cache/wine"
    tests fibers stacks interrupt
    options=-Zbuild-std=std,panic_abort aborts
}

macos() {
    target=aarch64-apple-darwin
    std_source
    checks --all-features --target "$target"
}

freebsd() {
    target=x86_64-unknown-freebsd
    std_source
    # The other tests differ from those of macOS in nothing.
    cargo $options check --locked -p switchback --test stacks --all-features --target "$target"
}

[ $# -gt 0 ] || set -- "${default[@]}"
for which in "$@"; do
    if [[ " ${all[*]} " != *" $which "* ]]; then
        echo "there is no target $which, but: ${all[*]}" >&2
        exit 1
    fi
done

# run TARGET: runs it in a shell of its own, since what a target exports is its own
run() {
    printf -- '\n---- %s\n' "$1"
    local TIMEFORMAT="-- $1 took %0R s, %0U s of a processor" which=$1
    time ("$1")
}

if [ $# -eq 1 ]; then
    run "$1"
    exit
fi

# Two at a time. They share a folder that cargo locks while it builds, so the tests of one run while
# another is built. What each has to say is printed at its end.
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
declare -A running=() # by process
failed=()

finished() {
    local process which status=0
    wait -n -p process || status=$?
    which=${running[$process]}
    unset "running[$process]"
    cat "$logs/$which"
    [ $status -eq 0 ] || failed+=("$which")
}

for which in "$@"; do
    [ ${#running[@]} -lt 2 ] || finished
    [ ${#failed[@]} -eq 0 ] || break
    run "$which" >"$logs/$which" 2>&1 &
    running[$!]=$which
done
while [ ${#running[@]} -gt 0 ]; do
    finished
done
if [ ${#failed[@]} -gt 0 ]; then
    printf '\nfailed: %s\n' "${failed[*]}" >&2
    exit 1
fi
