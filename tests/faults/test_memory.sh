#!/bin/sh
# One rank of a training that runs out of memory: one message, exit code 71, nobody waits.
# SPDX-License-Identifier: Apache-2.0
#
# `make check` takes some allocations, STRATA_FAULTS=all (make check-faults) all of them.
set -u
. "$srcdir/tests/tap.sh"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# trainee AT RANK ARGUMENTS...: allocation number AT of the rank fails, 0: none; $code, and what it said in "$place"
trainee() {
    at=$1 rank=$2
    shift 2
    rm -rf "$place/run"
    STRATA_FAULT="memory,fail,$at," STRATA_FAULT_RANK=$rank timeout -k 5 60 "$MPIRUN" -n 2 \
        tests/faults/trainee "$place/run/a.h5" stop "$@" > "$place/said" 2> "$place/errors" < /dev/null
    code=$?
}

# complaints AT: about the last run
complaints() {
    messages=$(grep -c '^strata: .*cannot allocate' "$place/errors")
    if [ "$code" != 71 ] || [ "$messages" != 1 ]; then
        echo "allocation $1: exit code $code, $messages messages: $(cat "$place/errors")"
    fi
}

# sweep RANK ARGUMENTS...
sweep() {
    trainee 0 "$@"
    count=$(sed -n 's/^calls //p' "$place/said")
    [ "${STRATA_FAULTS:-}" = all ] && step=1 || step=$((${count:-0} / 5 + 1))
    wrong=
    [ "$code" = 0 ] || wrong="exit code $code without a fault: $(cat "$place/errors")"
    for number in $(seq "$step" "$step" "${count:-0}"); do
        trainee "$number" "$@"
        wrong="$wrong$(complaints "$number")"
    done
    rank=$1
    shift
    verdict "$*: no memory at ${count:-0} allocations of rank $rank" "$wrong"
}

sweep 0 --mesh=data=2
sweep 1 --mesh=cols=2
sweep 0 --mesh=rows=2
sweep 1 wide --mesh=data=2 --profile
sweep 1 wide --mesh=cols=2 --plan
