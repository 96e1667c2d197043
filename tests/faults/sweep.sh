#!/bin/sh
# Ranks that are killed, whose disk fails or hangs at any call of a save: what was committed loads, and nobody waits.
# SPDX-License-Identifier: Apache-2.0
#
# Each run goes on with what the one before has left. `make check` takes some calls, STRATA_FAULTS=all (make check-faults)
# all of them, on three of four ranks.
set -u
. "$srcdir/tests/tap.sh"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
base=$place/series.h5
deadline=${STRATA_CHECKPOINT_DEADLINE:-4}
if [ "${STRATA_FAULTS:-}" = all ]; then
    ranks=4 ranks_tried="0 1 3"
else
    ranks=3 ranks_tried="0 2"
fi

# saver FAULT RANK: saves two steps; $code, and what it said in "$place/said"
saver() {
    STRATA_FAULT=$1 STRATA_FAULT_RANK=$2 STRATA_CHECKPOINT_DEADLINE=$deadline \
        timeout -k 5 60 "$MPIRUN" -n $ranks tests/faults/saver "$base" 2 > "$place/said" 2> "$place/errors" < /dev/null
    code=$?
}

said() { # WORD: the last number after it
    sed -n "s/^$1 //p" "$place/said" | tail -n 1
}

wrong() {
    echo "$1" >> "$place/wrong"
}

# What the run has found is what the one before has committed, or what that was about to.
judge() { # CODES
    case " $1 " in
    *" $code "*) ;;
    *) wrong "exit code $code instead of $1: $(cat "$place/errors")" ;;
    esac
    found=$(said found)
    if [ -z "$found" ]; then
        wrong "nothing was loaded: $(cat "$place/errors")"
    elif [ "$found" -lt "$committed" ] || [ "$found" -gt $((committed + 1)) ]; then
        wrong "step $found was loaded, $committed was the last to be saved"
    fi
    committed=$(said saved)
    committed=${committed:-${found:-0}}
}

# sweep WHAT WAY CODES CALLS RANKS: some of the calls that a run makes to which nothing happens, or all. Rank 0 makes all
# kinds of them, others may not.
sweep() {
    for call in $4; do
        for rank in $5; do
            : > "$place/wrong"
            saver "$call,fail,0,series" "$rank"
            judge 0
            count=$(said calls)
            count=${count:-0}
            if [ "$count" = 0 ]; then
                [ "$rank" != 0 ] || wrong "no such call"
                [ -s "$place/wrong" ] || continue
            fi
            [ "${STRATA_FAULTS:-}" = all ] && step=1 || step=$((count / 4 + 1))
            for at in $(seq "$step" "$step" "$count"); do
                saver "$call,$2,$at,series" "$rank"
                judge "$3"
            done
            verdict "$1 at $count calls of $call of rank $rank" "$(cat "$place/wrong")"
        done
    done
}

# The time limit ends what would never end.
hangs() { # WHAT FAULT RANK
    : > "$place/wrong"
    saver "$2" "$3"
    judge 74
    verdict "$1" "$(cat "$place/wrong")"
}

committed=0
[ "${STRATA_FAULTS:-}" = all ] && calls="open write sync close rename reserve read" || calls="file"
sweep "a kill" kill 137 "$calls" "$ranks_tried"
hangs "a disk of rank 0 that does not answer" sync,hang,1,series 0
hangs "a disk of another rank that does not answer" write,hang,1,series 2
if [ "${STRATA_FAULTS:-}" = all ]; then
    sweep "an error" 5 "0 74" "$calls" "$ranks_tried"
    sweep "a full disk" 28 "0 74" "write reserve" "$ranks_tried"
    sweep "a short write" short 0 write "$ranks_tried"
    sweep "a lost write" lose "0 74" write "$ranks_tried"
fi
export STRATA_CHECKPOINT_DRIVER=mpiio
if [ "${STRATA_FAULTS:-}" != all ]; then
    sweep "MPI-IO, a kill" kill 137 write 0
    sweep "MPI-IO, an error" 5 "0 74" write 0
else
    sweep "MPI-IO, a kill" kill 137 "$calls" "$ranks_tried"
    hangs "MPI-IO, a disk that does not answer" write,hang,1,series 0
    sweep "MPI-IO, an error" 5 "0 74" "$calls" "$ranks_tried"
    sweep "MPI-IO, a full disk" 28 "0 74" write "$ranks_tried"
    sweep "MPI-IO, a short write" short "0 74" write "$ranks_tried"
    sweep "MPI-IO, a lost write" lose "0 74" write "$ranks_tried"
fi
