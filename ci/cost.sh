#!/usr/bin/env bash
# Checks that nothing has become more expensive: the instructions that valgrind counts for
# each operation of `benches/cost`, and of the bench `spans` of `examples/libraries`, are within 2%
# of `ci/cost.txt`. Unlike a clock, counting needs no quiet machine.
#
# Operations of a thousand fibers have a second figure: the cache lines that each of them has to
# fetch. So many fibers use more memory than the cache that valgrind simulates for this, one of 32
# KiB, so each line of a fiber is counted each time that the fiber runs, and those of the hub, which
# stay in the cache, are not.
#
# `ci/cost.sh --renew` writes that file anew: after a change that is worth its cost, or that
# saved more than 2%, and for another rustc or libc.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_QUIET=true

figures=ci/cost.txt
margin=2 # percent
# Each operation is run with two counts. Its cost is the difference between them, which
# excludes starting and ending.
few=2000
many=12000

skip() {
    echo "SKIPPED: $1, so no instructions were counted" >&2
    exit 0
}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "the figures are for Linux on x86_64"
fi
if ! command -v valgrind >/dev/null; then
    install=(apt-get install --yes --no-install-recommends valgrind libc6-dbg)
    if [ "$(id -u)" -ne 0 ]; then
        install=(sudo -n "${install[@]}")
    fi
    "${install[@]}" >/dev/null 2>&1 || skip "there is no valgrind, and it could not be installed"
fi

# The same source has other figures with another compiler, which inlines differently and has
# another std, and with another libc. Such differences say nothing about our changes, so the
# script warns and passes.
tools="$(rustc -V), $(getconf GNU_LIBC_VERSION 2>/dev/null || echo 'another libc')"

# executable NAME OPTION...: the path of a bench program
executable() {
    local name=$1
    shift
    cargo bench --bench "$name" --no-run --message-format=json "$@" |
        sed -n "s/.*\"name\":\"$name\".*\"executable\":\"\([^\"]*\)\".*/\1/p"
}

# instructions THING COUNT
instructions() {
    local output
    if ! output=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$program" "$1" "$2" 2>&1); then
        printf '%s\n' "$output" >&2
        return 1
    fi
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\)$/\1/p' <<<"$output"
}

# lines THING COUNT
lines() {
    local output
    if ! output=$(valgrind --tool=cachegrind --cachegrind-out-file=/dev/null --cache-sim=yes \
        --I1=32768,8,64 --D1=32768,8,64 --LL=8388608,16,64 "$program" "$1" "$2" 2>&1); then
        printf '%s\n' "$output" >&2
        return 1
    fi
    sed -n 's/^==[0-9]*== D1 *misses: *\([0-9,]*\) .*$/\1/p' <<<"$output" | tr -d ,
}

# difference COUNTER THING: what one operation adds to the counter
difference() {
    local less more
    less=$("$1" "$2" "$few")
    more=$("$1" "$2" "$many")
    awk -v n="$((more - less))" -v times="$((many - few))" 'BEGIN { printf "%.1f\n", n / times }'
}

# Prints `THING INSTRUCTIONS` for each operation, and `THING-lines LINES` for some.
count() {
    local thing
    for thing in $("$program"); do
        echo "$thing $(difference instructions "$thing")"
        if [[ $thing == *-of-1000 ]]; then
            echo "$thing-lines $(difference lines "$thing")"
        fi
    done
}

program=$(executable cost)
counted=$(count)
program=$(executable spans -p libraries --features tracing)
counted+=$'\n'$(count)

if [ "${1-}" = --renew ]; then
    cat >"$figures" <<END
# Instructions and cache lines per thing of benches/cost and of the bench spans, on Linux, x86_64.
# Held by ci/cost.sh with a margin of $margin%; written by: ci/cost.sh --renew
# tools: $tools
$counted
END
    cat "$figures"
    exit 0
fi

verdict=0
awk -v margin="$margin" '
    /^#/ || NF == 0 { next }
    NR == FNR { held[$1] = $2; next }
    !($1 in held) {
        printf "%-23s %9.1f  has no figure: renew them, with ci/cost.sh --renew\n", $1, $2
        wrong = 1
        next
    }
    {
        change = ($2 / held[$1] - 1) * 100
        printf "%-23s %9.1f  held %9.1f  %+5.1f%%", $1, $2, held[$1], change
        if (change > margin) {
            printf "  TOO MUCH: make it cheaper; or, if it is worth it, renew the figures,"
            printf " with ci/cost.sh --renew"
            wrong = 1
        } else if (change < -margin) {
            printf "  LESS: well done; renew the figures, with ci/cost.sh --renew, so that"
            printf " it stays so"
            wrong = 1
        }
        printf "\n"
        delete held[$1]
    }
    END {
        for (thing in held) {
            printf "%-23s is no more: renew the figures, with ci/cost.sh --renew\n", thing
            wrong = 1
        }
        exit wrong
    }' "$figures" <(printf '%s\n' "$counted") || verdict=$?

held_with=$(sed -n 's/^# tools: //p' "$figures")
if [ "$tools" != "$held_with" ]; then
    echo "WARNING: the figures were taken with $held_with; here is $tools." >&2
    echo "WARNING: so nothing fails; to hold changes against this one, run ci/cost.sh --renew" >&2
    echo "WARNING: before them." >&2
    exit 0
fi
exit "$verdict"
