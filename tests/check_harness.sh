#!/bin/sh
# The harness itself: each way to fail is counted, said with rank and values, and ends.
# SPDX-License-Identifier: Apache-2.0
set -u
number=0
folder=$(mktemp -d)
STRATA_TEST_PATIENCE=2 # seconds that a failed rank waits for the others
export STRATA_TEST_PATIENCE
trap 'rm -rf "$folder"' EXIT

# report NAME RANKS WORDS SUMMARY TEXT: the tests of `failing` whose names hold WORDS, at RANKS ranks, sum up to SUMMARY and say TEXT
report() {
    number=$((number + 1))
    STRATA_RANKS=$2 "$srcdir/tests/driver.sh" --test-name failing --log-file "$folder/log" \
        --trs-file "$folder/trs" -- "$srcdir/tests/run.sh" tests/failing "$3" > "$folder/said"
    got=$("$srcdir/tests/summary.sh" "$folder/trs")
    if [ "$got" = "$4" ] && grep -q -e "$5" "$folder/log"; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1: $got, expected $4 and '$5' in:"
        sed 's/^/    /' "$folder/said" "$folder/log"
    fi
}

report "a test that passes" "1 3" that_passes "2 passed, 0 failed, 0 skipped" "exit 0: tests/failing, 3 ranks"
report "a skipped test" "2" that_is_skipped "0 passed, 0 failed, 1 skipped" "SKIPPED"
report "an agreed assertion" "3" wrong_on "0 passed, 1 failed, 0 skipped" "^rank 2 of 3: .*: 2, expected 1 ± 0.5"
report "a leak" "2" leak "0 passed, 1 failed, 0 skipped" "^rank 1 of 2: blocks of memory left: 1, expected 0"
report "a plain assertion on one rank" "2" plain "0 passed, 1 failed, 0 skipped" "^rank 1: .*test_rank() + 1 < test_ranks()"
report "a rank that leaves the others in a collective" "2" leaves "0 passed, 1 failed, 0 skipped" "^rank 1 failed alone"
report "a sticky error" "1" error_in "0 passed, 1 failed, 0 skipped" "invalid argument: units is -1"
report "a crash" "3" crash "0 passed, 1 failed, 0 skipped" "test_crash"
STRATA_TEST_TIMEOUT=2
export STRATA_TEST_TIMEOUT
report "a hang" "2" hang "0 passed, 1 failed, 0 skipped" "no end within 2 s"
report "no test at all" "2" no_such_test "0 passed, 1 failed, 0 skipped" "no_such_test\|exit"
