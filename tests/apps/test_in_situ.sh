#!/bin/sh
# The simulations that train a surrogate: with training, without it, and when it fails, the field is the same to the last bit.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"

said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT

# run PROGRAM RANKS OPTIONS...: $field is what it says of the field
run() {
    program=$1 ranks=$2
    shift 2
    timeout -k 5 100 "$MPIRUN" -n "$ranks" "apps/$program" --size=48 --steps=200 --every=20 "$@" \
        > "$said/output" 2> "$said/errors" < /dev/null
    code=$?
    field=$(sed -n 's/^the field after 200 steps: *//p' "$said/output")
}

# expected PATTERNS...: the run has ended well with the same field as ever, and said this on either stream
expected() {
    [ "$code" = 0 ] || echo "exit code $code"
    [ -n "$field" ] && [ "$field" = "$undisturbed" ] || echo "the field is '$field' instead of '$undisturbed'"
    for pattern in "$@"; do
        cat "$said/output" "$said/errors" | grep -Eq -e "$pattern" || echo "no '$pattern'"
    done
}

# part NAME PATTERNS...
part() {
    name=$1
    shift
    wrong=$(expected "$@")
    [ -z "$wrong" ] || wrong="$wrong
$(cat "$said/output" "$said/errors")"
    verdict "$name" "$wrong"
}

# simulation PROGRAM
simulation() {
    run "$1" 1 --no-training
    undisturbed=$field
    part "$1: without training"
    for ranks in 1 2 3; do
        run "$1" $ranks
        part "$1, $ranks ranks: with training, which learns" "^step 180: .* error is (0\.[0-4]|[0-4]\.[0-9]E-01|[0-9.]+E-0[2-9])"
        verdict "$1, $ranks ranks: says nothing else" "$(cat "$said/errors")"
    done
    run "$1" 4 --mesh=cols=2
    part "$1: trainers on a grid" "^step 180: "
    run "$1" 4 --fail=100
    part "$1: training that fails" "^step 80: " "^training ends at step 100; the simulation goes on" \
        "^strata: error.*: step [0-9]+, rank [01]: array 0 of the data, sample [0-9]+, is nan at \([0-9]+, 0\)$"
    run "$1" 3 --seed=lucky
    part "$1: training that cannot begin" "^training ends at step 0" "'--seed' takes a whole number"
    run "$1" 2 --watchdog=5
    part "$1: a thread that MPI does not know of is not started" "no watchdog: MPI was started with MPI_THREAD_SINGLE" \
        "^step 180: "
}

simulation in_situ
if [ -x apps/in_situ_fortran ]; then
    simulation in_situ_fortran
else
    skipped "in_situ_fortran" "no Fortran compiler"
fi
