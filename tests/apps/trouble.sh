# For scripts that run the program trouble and look at what becomes of it. Sourced, after tap.sh.
# SPDX-License-Identifier: Apache-2.0

said=$(mktemp -d) # what the last run has said and written
trap 'rm -rf "$said"' EXIT
trouble_options=

# run RANKS ARGUMENTS...: `trouble ARGUMENTS CHECKPOINT`; $code is the exit code of mpirun, $seconds what it took
run() {
    ranks=$1
    shift
    started=$(date +%s)
    timeout -k 5 60 "$MPIRUN" -n "$ranks" tests/apps/trouble "$@" "$said/run.h5" $trouble_options \
        > "$said/output" 2> "$said/errors" < /dev/null
    code=$?
    seconds=$(($(date +%s) - started))
}

# mpirun may end a moment before the last of those that it has killed
left_behind() {
    for pid in $(sed -n 's/^pid //p' "$said/output"); do
        waits=0
        while kill -0 "$pid" 2> /dev/null && [ $waits -lt 50 ]; do
            waits=$((waits + 1))
            sleep 0.1
        done
        [ $waits -lt 50 ] || echo "process $pid is left behind"
    done
}
