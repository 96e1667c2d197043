#!/bin/sh
# Checked mode: collectives that do not match end the job with what each rank calls, and no hang.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
STRATA_CHECK=1
STRATA_CHECK_SECONDS=1
export STRATA_CHECK STRATA_CHECK_SECONDS

# run RANKS WORDS…: the program's exit status, and what it says
run() {
    ranks=$1
    shift
    timeout -k 5 30 "$MPIRUN" -n "$ranks" tests/state/mismatch "$@" > "$said" 2>&1 < /dev/null
}

# complain STATUS WANTED TEXT…: what is missing of this exit status, and of a report with these texts
complain() {
    [ "$1" = "$2" ] || echo "exit status $1"
    grep -q "^strata: rank [0-9]*: checking collectives: " "$said" || echo "no report"
    shift 2
    for text; do
        grep -Fq -e "$text" "$said" || echo "not said: $text"
    done
}

# ends NAME RANKS SCENARIO TEXT…
ends() {
    name=$1 ranks=$2 scenario=$3
    shift 3
    # shellcheck disable=SC2086 # a scenario and options
    run "$ranks" $scenario
    complaints=$(complain $? 76 "$@")
    verdict "$name, $ranks ranks" "$complaints${complaints:+
$(cat "$said")}"
}

# goes NAME RANKS SCENARIO
goes() {
    run "$2" "$3"
    status=$?
    verdict "$1, $2 ranks" "$([ $status = 0 ] && [ ! -s "$said" ] || { echo "exit status $status"; cat "$said"; })"
}

for ranks in 1 2 4; do
    goes "what matches goes on" $ranks nothing
done
goes "a rank may be late" 3 late
ends "another count" 2 other_count "sum on all ranks (4) float64" "rank 1: sum on all ranks (3) float64"
ends "nothing to add on one rank" 2 nothing_to_sum "rank 1: sum on all ranks (0) float64"
ends "another shape" 2 other_shape "rank 0: assign_add of 'layer/one' (2) float32" \
    "rank 1: assign_add of 'layer/one' (3) float32"
ends "another type" 2 other_dtype "assign of 'layer/one' (2) float32" "rank 1: assign of 'layer/one' (2) int32"
ends "another variable" 2 other_variable "assign of 'layer/one' (2) float32" \
    "rank 1: assign of 'layer/other' (2) float32"
ends "another operation" 2 other_operation "assign_add of 'layer/one'" "rank 1: assign_sub of 'layer/one'"
ends "other values" 2 other_values "cross assign of 'layer/one' (2) float32, values " \
    "rank 1: cross assign of 'layer/one' (2) float32, values "
ends "a replica operation is skipped" 2 skipped_assign "assign of 'layer/one'" "rank 1: max on all ranks (2) int64"
ends "a cross read is skipped, decision 7" 2 skipped_read "cross read of 'layer/one'" "rank 1: max on all ranks"
ends "a rank leaves with an error" 2 early_return "assign of 'layer/one'" \
    'rank 1: max on all ranks (2) int64, after the error "only I see this"'
for ranks in 2 4; do
    ends "a collective is skipped" $ranks skipped_sum "do not call the same" "sum on all ranks (4) float64" \
        "rank 1: barrier on all ranks (0)"
    ends "a rank never comes" $ranks never "rank 1 did not come in 1 s and did not answer"
    ends "the first rank never comes" $ranks never_first "rank 0 did not come in 1 s and did not answer"
done
ends "the ranks that agree are named together" 4 other_count "ranks 0, 2, 3: sum on all ranks (4) float64" \
    "rank 1: sum on all ranks (3) float64"
ends "a rank waits in another group" 4 "other_group --mesh=data=2,cols=2" "did not come in 1 s, but to: barrier on"
STRATA_CHECK=0 run 2 skipped_read
status=$?
verdict "nothing is compared without the mode" "$([ $status = 0 ] && [ ! -s "$said" ] || cat "$said")"
STRATA_CHECK=yes run 2 nothing
status=$?
verdict "another setting is refused" "$([ $status = 1 ] && grep -Fq "STRATA_CHECK is 'yes'" "$said" || cat "$said")"
