#!/bin/sh
# Automake test driver: counts test functions, not programs, in what tests/run.sh prints.
# SPDX-License-Identifier: Apache-2.0
#
# Understands cmocka ("[  FAILED  ] name") and TAP ("not ok 1 - name") lines. A run that ended badly without a failed
# function, or without any function, counts as one failure. See "Custom Test Drivers" in the Automake manual.
set -u
log=
trs=
name=
while [ $# -gt 0 ]; do
    case $1 in
    --test-name) name=$2 ;;
    --log-file) log=$2 ;;
    --trs-file) trs=$2 ;;
    --)
        shift
        break
        ;;
    esac
    shift 2
done

"$@" > "$log" 2>&1

awk -v name="$name" -v trs="$trs" '
function result(verdict, what) {
    count[verdict]++
    print ":test-result: " verdict " " what > trs
    if (verdict == "FAIL")
        failures = failures "    " what "\n"
    running = ""
    in_run++
    if (verdict == "FAIL")
        failed_in_run++
}
/^\[==========\] [0-9]+ test\(s\) run/ { listing = 1 }
listing && !/^# exit/ { next }
/^\[ RUN      \] / { running = $4 }
running != "" && index($0, "[       OK ] " running) { result("PASS", running) }
running != "" && index($0, "[  FAILED  ] " running) { result("FAIL", running) }
running != "" && index($0, "[  SKIPPED ] " running) { result("SKIP", running) }
running != "" && $0 == "[  ERROR   ] " running { result("FAIL", running) }
/^ok .*# (SKIP|skip)/ { result("SKIP", $0); next }
/^ok / { result("PASS", $0) }
/^not ok / { result("FAIL", $0) }
/^# exit [0-9]+: / {
    bad = $3 != "0:"
    what = substr($0, index($0, ": ") + 2)
    if (running != "")
        result("FAIL", what ": " running)
    else if (bad && !failed_in_run)
        result("FAIL", what ": exit status " $3 + 0)
    else if (!in_run)
        result("FAIL", what ": no test ran")
    if (failed_in_run)
        failures = failures "    in " what "\n"
    in_run = failed_in_run = listing = 0
    running = ""
    ended++
}
END {
    if (!ended)
        result("FAIL", name ": did not run")
    verdict = count["FAIL"] ? "FAIL" : count["PASS"] ? "PASS" : "SKIP"
    print ":global-test-result: " verdict > trs
    print ":recheck: " (count["FAIL"] ? "yes" : "no") > trs
    print ":copy-in-global-log: " (count["FAIL"] ? "yes" : "no") > trs
    printf "%s: %s (%d passed", verdict, name, count["PASS"]
    if (count["FAIL"])
        printf ", %d failed", count["FAIL"]
    if (count["SKIP"])
        printf ", %d skipped", count["SKIP"]
    printf ")\n%s", failures
}' "$log"
