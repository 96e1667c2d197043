#!/bin/sh
# Jobs that stand still: the watchdog's table names who is waited for, the exit code is right, nobody is left behind.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/apps/trouble.sh"

# Two seconds, which a busy machine may need for something else: jobs that go on get more.
patient=--watchdog=60
hasty=--watchdog=2

# row RANKS PATTERN: the last table has this row
row() {
    grep -Eq "^  $1 +[0-9]+ +[0-9]+ s  $2" "$said/table" || echo "no row of $1 with '$2'"
}

# stalled NAME WAITED [RANKS PATTERN]...: the last run has stood still because of WAITED; rows of its table
stalled() {
    name=$1 waited=$2
    shift 2
    wrong=
    [ "$code" = 79 ] || wrong="exit code $code instead of 79"
    [ "$(grep -c "the watchdog ends the job with exit code 79" "$said/errors")" = 1 ] ||
        wrong="$wrong; not one rank has ended the job"
    grep -q "warning: the job ends in [01] s" "$said/errors" || wrong="$wrong; no warning"
    # the last table is the one of the end
    awk '/no rank has made progress/ { table = "" } { table = table $0 "\n" } END { printf "%s", table }' \
        "$said/errors" > "$said/table"
    grep -Eq "^strata: waited for: $waited" "$said/table" || wrong="$wrong; nobody waits for '$waited'"
    while [ $# -gt 0 ]; do
        wrong="$wrong$(row "$1" "$2")"
        shift 2
    done
    wrong="$wrong$(left_behind)"
    [ -z "$wrong" ] || wrong="$wrong
$(cat "$said/errors")"
    verdict "$name" "$wrong"
}

# undisturbed NAME: the last run has gone on to its end, without a word
undisturbed() {
    verdict "$1" "$([ "$code" = 0 ] && [ ! -s "$said/errors" ] || { echo "exit code $code"; cat "$said/errors"; })"
}

trouble_options=$patient
run 3 true 0 data 1
undisturbed "a job that goes on"
trouble_options=$hasty
run 3 held 1 update 3
if grep -q "no debugger may hold" "$said/errors"; then
    skipped "a job that a debugger holds" "ptrace is not allowed here"
else
    undisturbed "a job that a debugger holds"
fi
suspend='pids=$(sed -n "s/^pid //p" '$said/output'); kill -STOP $pids; sleep 4; kill -CONT $pids'
run 3 "$suspend" 1 update 3
undisturbed "a job that is suspended as a whole"

run 3 stop 1 backward 3
stalled "a stopped rank" "rank 1 \\(stopped by a signal\\)$" \
    1 ".*stopped by a signal$" "(0|2)" "update +- +gradients on data"
run 3 stop 0 update 2
stalled "rank 0 is stopped: the next one speaks" "rank 0 \\(stopped by a signal\\)$" 1-2 ""
run 4 stop 2 validation 1 --mesh=rows=2,cols=2
stalled "a stopped rank on a grid" "rank 2 \\(stopped by a signal\\)$" 2 ".*stopped by a signal$"
run 4 away 2 update 4
stalled "a rank that stays away from a collective" "rank 2 \\(in no collective\\); .* 'gradients on data" \
    2 "update +- +-$" 0-1 "update +- +gradients on data" 3 "update +- +gradients on data"

STRATA_NODE_RANKS=1
export STRATA_NODE_RANKS
trouble_options=$patient
run 3 true 0 data 1
undisturbed "a job on several nodes"
trouble_options=$hasty
run 3 away 1 update 3
stalled "a rank that stays away on another node" "rank 1 \\(in no collective\\)" 1 "update +- +-$"
run 3 stop 1 update 3
stalled "the only rank of another node is stopped" "rank 1 \\(last heard [12] s ago\\)$" 1 ".*last heard"
STRATA_NODE_RANKS=2
run 4 stop 2 update 3
stalled "one of two ranks of another node is stopped" "rank 2 \\(stopped by a signal\\)$" 3 ".*gradients"
