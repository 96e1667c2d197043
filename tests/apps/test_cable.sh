#!/bin/sh
# A cable between two hosts is pulled: the table names the ranks behind it, and the job ends with the right code on both sides.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/apps/trouble.sh"

hosts=$srcdir/tests/apps/two_hosts.sh
case $hosts in /*) ;; *) hosts=$PWD/$hosts ;; esac
TWO_HOSTS=$said
export TWO_HOSTS
trap '"$hosts" down; rm -rf "$said"' EXIT

reason=
[ "$(id -u)" = 0 ] || reason="needs root"
command -v ip > /dev/null || reason="needs ip, from iproute2"
command -v unshare > /dev/null || reason="needs unshare, from util-linux"
[ -n "$reason" ] || "$hosts" up 2> "$said/errors" || reason="no network namespaces here: $(head -n 1 "$said/errors")"
if [ -n "$reason" ]; then
    skipped "a job on two hosts" "$reason"
    skipped "a cable that is pulled" "$reason"
    exit 0
fi

# run_there ACTION: four ranks, two on each host; rank 0 acts when it enters its fourth update
run_there() {
    timeout -k 5 60 "$hosts" mpirun -n 4 "$PWD/tests/apps/trouble" "$1" 0 update 4 "$said/run.h5" --watchdog=2 \
        > "$said/output" 2> "$said/errors" < /dev/null
    code=$?
}

run_there true
verdict "a job on two hosts" "$([ "$code" = 0 ] && [ ! -s "$said/errors" ] ||
    { echo "exit code $code"; cat "$said/errors"; })"

run_there "$hosts unplug h2"
wrong=
[ "$code" = 79 ] || wrong="exit code $code instead of 79"
grep -Eq "^  0-1 .* (gradients on data|max on all)" "$said/errors" || wrong="$wrong; no row of the ranks that wait"
grep -Eq "^strata: waited for: ranks 2-3 \(last heard [12] s ago\)$" "$said/errors" ||
    wrong="$wrong; ranks 2-3 are not waited for"
wrong="$wrong$(left_behind)"
[ -z "$wrong" ] || wrong="$wrong
$(cat "$said/errors")"
verdict "a cable that is pulled" "$wrong"
