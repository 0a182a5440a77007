#!/usr/bin/env bash
# Checks that every example runs to its end, and that `hello` prints what its comment says.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

limit=120 # seconds for each example

# run PACKAGE FILE
run() {
    local package=$1 name output expected
    name=${2%/main.rs}
    name=$(basename "$name" .rs)
    echo "-- $name"
    if ! output=$(timeout "$limit" cargo run --release -p "$package" --example "$name"); then
        printf '%s\n' "$output"
        echo "example $name failed, or took longer than $limit seconds" >&2
        exit 1
    fi
    printf '%s\n' "$output"
    if [ "$name" = hello ]; then
        expected=$'Starting fiber\nHello, there!\nBack in root fiber'
        if [ "$output" != "$expected" ]; then
            echo "example hello should have printed:" >&2
            printf '%s\n' "$expected" >&2
            exit 1
        fi
    fi
}

cargo build --release --examples
for file in examples/*.rs examples/*/main.rs; do
    run switchback "$file"
done

cargo build --release -p libraries --examples
for file in examples/libraries/*.rs examples/libraries/*/main.rs; do
    [ "$file" = examples/libraries/lib.rs ] || run libraries "$file"
done
