#!/bin/sh
# A rank that dies in any phase, or has no memory in a step: the job ends at once. The newest checkpoint loads.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/apps/trouble.sh"

# dies RANK PHASE TIME: when it enters the phase for that time, after the first checkpoint
dies() {
    rm -f "$said"/run*
    run 3 kill "$1" "$2" "$3"
    wrong=
    [ "$code" = 137 ] || wrong="exit code $code instead of 137"
    [ "$seconds" -lt 30 ] || wrong="$wrong; it took $seconds s"
    wrong="$wrong$(left_behind)"
    run 3 resume
    [ "$code" = 0 ] && [ ! -s "$said/errors" ] || wrong="$wrong; the checkpoint does not load:
$(cat "$said/errors")"
    verdict "rank $1 dies in $2" "$wrong"
}

# Others wait for its gradients: there is no way back to an error that all have.
has_no_memory() {
    rm -f "$said"/run*
    run 3 memory "$1" "$2" 3
    wrong=
    [ "$code" = 71 ] || wrong="exit code $code instead of 71"
    [ "$seconds" -lt 30 ] || wrong="$wrong; it took $seconds s"
    [ "$(grep -c 'cannot allocate' "$said/errors")" = 1 ] &&
        grep -q "^strata: rank $1: $2: cannot allocate" "$said/errors" || wrong="$wrong; it says $(cat "$said/errors")"
    verdict "rank $1 has no memory in $2" "$wrong$(left_behind)"
}

dies 1 data 4
dies 2 forward 3
dies 0 backward 3
dies 1 update 2
dies 0 checkpoint 2
dies 2 checkpoint 3
dies 1 validation 2
has_no_memory 1 forward
has_no_memory 2 backward
