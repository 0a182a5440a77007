#!/usr/bin/env bash
# Runs the tests of this package library by library, and says which version of each was run, what
# was shown, and how many seconds that took. No part of `.ci/run`: the first build takes minutes.
#
# With names of features, such as `run.sh xz2 mlua`, only those libraries are built and run. It needs
# a compiler of C, for `openssl` and `ssh2` also the headers of OpenSSL, `git` for `gix`, and `sshd`
# for `ssh2`, which is skipped without.
set -euo pipefail
cd "$(dirname "$0")/../.."

all=(
    xz2 handlebars wasmi rquickjs mlua rusqlite redis ureq gix ssh2 openssl reqwest postgres stacker
    wasmtime
)
[ $# -gt 0 ] && libraries=("$@") || libraries=("${all[@]}")
features=$(IFS=, && echo "${libraries[*]}")
cargo=(-p slow --no-default-features --features "$features")

begun=$SECONDS
cargo test --quiet "${cargo[@]}" --no-run
echo "built in $((SECONDS - begun)) s"

failed=()
for library in "${libraries[@]}"; do
    case $library in
    gix) crates='gix-transport' ;;
    stacker) crates='stacker|serde_stacker' ;;
    *) crates=$library ;;
    esac
    versions=$(cargo tree -p slow --no-default-features --features "$library" --depth 1 --prefix none |
        sed -nE "s/^(($crates) v[^ ]*).*/\1/p" | paste -sd ,)
    begun=$SECONDS
    ended=passed
    output=$(cargo test "${cargo[@]}" --test tried -- "$library::" 2>&1) || ended=FAILED
    skipped=$(printf '%s\n' "$output" | sed -n 's/^SKIPPED: [^ ]* //p' | sort -u)
    [ -z "$skipped" ] || [ "$ended" = FAILED ] || ended="SKIPPED, since $skipped,"
    printf '\n== %s: %s in %d s\n' "$versions" "$ended" $((SECONDS - begun))
    case $ended in
    passed)
        # A test's name says what it shows.
        printf '%s\n' "$output" | sed -n "s/^test $library::\(.*\) \.\.\. ok/   \1/p" | tr _ ' '
        ;;
    FAILED)
        printf '%s\n' "$output" >&2
        failed+=("$library")
        ;;
    esac
done

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nfailed: %s\n' "${failed[*]}" >&2
    exit 1
fi
printf '\nnone failed\n'
