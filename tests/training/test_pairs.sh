#!/bin/sh
# Checkpoints of meshes of 1, 2, 3, 4 and 6 ranks, each loaded on each: the same weights, and the same losses after it.
# SPDX-License-Identifier: Apache-2.0
#
# STRATA_PAIRS=all takes all 22 meshes, which are 484 pairs (make check-resume); otherwise some of them.
set -u
. "$srcdir/tests/tap.sh"
which=${STRATA_PAIRS:-some}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

wrong=
for half in write read; do
    for ranks in 1 2 3 4 6; do
        "$MPIRUN" -n $ranks tests/training/pairs $half "$folder" "$which" < /dev/null
        status=$?
        [ $status = 0 ] || wrong="$wrong $half on $ranks ranks: exit status $status;"
        echo "# exit $status: $half on $ranks ranks"
    done
done
verdict "all halves have ended well" "$wrong"
