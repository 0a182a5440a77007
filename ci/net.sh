#!/usr/bin/env bash
# Checks that a server with `switchback::net` takes at most 3% more instructions per message than
# the same with tokio's sockets and `.wait()`. Both are counted by valgrind in one run, so the
# figures need not be held in a file.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

margin=3 # percent
connections=100
few=20 # rounds
many=120

if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v valgrind >/dev/null; then
    echo "SKIPPED: no valgrind for Linux on x86_64, so no instructions were counted" >&2
    exit 0
fi

program=$(cargo bench --bench net --no-run --message-format=json |
    sed -n 's/.*"name":"net".*"executable":"\([^"]*\)".*/\1/p')

# instructions WHICH ROUNDS
instructions() {
    local output
    if ! output=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$program" "$1" "$2" 2>&1); then
        printf '%s\n' "$output" >&2
        return 1
    fi
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\)$/\1/p' <<<"$output"
}

# per_message WHICH: the difference between the two counts, which excludes starting and ending
per_message() {
    local less more
    less=$(instructions "$1" "$few")
    more=$(instructions "$1" "$many")
    awk -v n="$((more - less))" -v times="$(((many - few) * connections))" \
        'BEGIN { printf "%.1f\n", n / times }'
}

tokio=$(per_message tokio)
net=$(per_message net)
awk -v tokio="$tokio" -v net="$net" -v margin="$margin" 'BEGIN {
    change = (net / tokio - 1) * 100
    printf "instructions per message: net %.1f, tokio with .wait() %.1f, %+.1f%%\n", net, tokio, change
    if (change > margin) { print "TOO MUCH: at most " margin "% are allowed"; exit 1 }
}'
