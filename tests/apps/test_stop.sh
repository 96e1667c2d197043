#!/bin/sh
# A training that signals stop again and again, and that goes on with the same command, ends as one that nobody disturbed.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

# data BYTES: that many different bytes, the same every time
data() {
    awk -v n="$1" 'BEGIN { x = 7; for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647; printf "%c", 33 + x % 90 } }'
}
{ printf '\000\000\010\002\000\000\003\350\000\000\000\005' && data 5000; } > "$TRIAL/x" # (1000, 5)
{ printf '\000\000\010\002\000\000\003\350\000\000\000\002' && data 2000; } > "$TRIAL/y" # (1000, 2)

# start NAME [OPTIONS]: the training in the background; $job is mpirun, which saves NAME.keras
start() {
    name=$1
    shift
    : > "$said/output" # which the background may be late to open: until_epochs must not count the epochs of another start
    # shellcheck disable=SC2086 # no --resume for the undisturbed one
    (cd "$TRIAL" && exec "$MPIRUN" -n 2 "$strata" train "$models/sequential_dense.keras" --x x --y y --batch-size 4 \
        --optimizer "Adam(0.001, use_ema=True)" --epochs 200 --validation-split 0.1 --verbose 2 --output "$name.keras" "$@") \
        > "$said/output" 2> "$said/errors" < /dev/null &
    job=$!
}

# until_epochs COUNT: waits for so many epochs of this start, or for its end
until_epochs() {
    waits=0
    while [ "$(grep -c ^Epoch "$said/output")" -lt "$1" ] && kill -0 $job 2> /dev/null && [ $waits -lt 3000 ]; do
        waits=$((waits + 1))
        sleep 0.02
    done
}

# finish: waits three minutes at most; $code is the exit code of mpirun
finish() {
    waits=0
    while kill -0 $job 2> /dev/null && [ $waits -lt 1800 ]; do
        waits=$((waits + 1))
        sleep 0.1
    done
    [ $waits -lt 1800 ] || kill -KILL $job
    wait $job
    code=$?
    numbers >> "$said/lines.$name"
}

# numbers: of each epoch, its number and what its line says but for times
numbers() {
    awk -F ' - ' '/^Epoch/ { epoch = $1 } /- loss: / { line = epoch; for (i = 3; i <= NF; i++) line = line " " $i
                 sub(/[0-9.]+[mu]?s\/step/, "", line); print line }' "$said/output"
}

# rank NUMBER: the process of a rank
rank() {
    awk -v parent=$job '$4 == parent { print $1 }' /proc/[0-9]*/stat 2> /dev/null | sort -n | sed -n "$(($1 + 1))p"
}

# stopped NAME WORDS: the job has ended with 75, rank 0 alone, and says so in a line
stopped() {
    wrong=
    [ "$code" = 75 ] || wrong="exit code $code instead of 75;"
    grep -Eq "^strata: $2.* was saved in 'run.h5'" "$said/errors" || wrong="$wrong no '$2' in:"
    [ "$(grep -c '^strata: ' "$said/errors")" = 1 ] || wrong="$wrong more than one line of ours;"
    grep -q '],0\]' "$said/errors" || wrong="$wrong it was not rank 0 that returned 75:"
    [ ! -f "$TRIAL/$name.keras" ] || wrong="$wrong a model was saved;"
    [ -z "$wrong" ] || wrong="$wrong
$(cat "$said/errors")"
    verdict "$1" "$wrong"
}

start whole
finish
verdict "a training that nobody disturbs" "$([ "$code" = 0 ] || cat "$said/errors")"

start parts --checkpoint run.h5 --resume auto
until_epochs 3
kill -USR1 "$(rank 1)"
finish
stopped "USR1 to one rank" "signal USR1 came"

start parts --checkpoint run.h5 --resume auto --save-freq 100
until_epochs 3
kill -USR1 $job
finish
stopped "USR1 to mpirun, which hands it on" "signal USR1 came"

start parts --checkpoint run.h5 --resume auto --save-freq 1h
until_epochs 3
kill -TERM "$(rank 0)"
finish
stopped "TERM to one rank" "signal TERM came"

start parts --checkpoint run.h5 --resume auto --save-freq 0.05s
until_epochs 3
kill -TERM $job
finish
verdict "TERM to mpirun, which soon kills" "$([ "$code" != 0 ] || echo "exit code 0")"

start parts --checkpoint run.h5 --resume auto --max-time 5.2
finish
stopped "time that is over" "the time is nearly up"

start parts --checkpoint run.h5 --resume auto
finish
verdict "the rest" "$([ "$code" = 0 ] || { echo "exit code $code"; cat "$said/errors"; })"

for part in whole parts; do
    (cd "$TRIAL" && "$MPIRUN" -n 1 "$strata" predict $part.keras --x x --output $part.npy --verbose 0) 2>&1
done
verdict "the same model, bit for bit" "$(cmp "$TRIAL/whole.npy" "$TRIAL/parts.npy" 2>&1)"
# an epoch that was lost with a process is there twice, and alike
verdict "the same numbers of every epoch" "$(sort -u "$said/lines.parts" > "$said/parts"
    sort -u "$said/lines.whole" | diff - "$said/parts" 2>&1 | head -n 5
    [ "$(wc -l < "$said/parts")" = 200 ] || echo "$(wc -l < "$said/parts") epochs")"
