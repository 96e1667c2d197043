#!/bin/sh
# The language model of bytes: it learns, goes on from its checkpoint, writes a sample, and refuses what it cannot use.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

program=$PWD/apps/bytes_transformer
text=$TRIAL/text
awk 'BEGIN { for (i = 0; i < 900; i++) printf "the cat sat on the mat and %d looked at it.\n", i % 7 }' > "$text"
small="--text=$text --steps=60 --report=20 --batch-size=8 --length=32 --blocks=1 --heads=1 --sample=40"

# learn RANKS OPTIONS...: $codes, and what it says in $said
learn() {
    ranks=$1
    shift
    rm -f "$TRIAL"/.exit.*
    # shellcheck disable=SC2086 # several words
    timeout -k 5 100 "$MPIRUN" -n "$ranks" "$srcdir/tests/apps/rank.sh" "$program" $small "$@" \
        > "$said/output" 2> "$said/errors" < /dev/null
    codes=$(cat "$TRIAL"/.exit.* | tr '\n' ' ')
    rm -f "$TRIAL"/.exit.*
}

# expect NAME CODES CONDITION...: what was said, unless both hold
expect() {
    name=$1 wanted=$2
    shift 2
    verdict "$name" "$([ "$codes" = "$wanted" ] && "$@" || { echo "exit codes: $codes"; cat "$said/output" "$said/errors"; })"
}

bits() { # the held-out bits per byte of every report
    sed -n 's/^step [0-9]*: [0-9.]* bits per byte, \([0-9.]*\) on held-out text$/\1/p' "$1"
}

falls() { # three reports, each lower than the one before, far below the 8 of chance at the end
    bits "$said/output" | awk 'NR > 1 && $1 >= last { wrong = 1 } { last = $1 } END { exit wrong || NR != 3 || last > 4 }'
}

same() { # as another run said, within a unit of the last digit
    bits "$said/output" > "$said/these"
    paste "$1" "$said/these" | awk '{ d = $1 - $2; if (d > 0.0015 || d < -0.0015) wrong = 1 } END { exit wrong || NR != 3 }'
}

learn 1 --output="$TRIAL/model.keras"
expect "bits per byte fall" "0 " falls
expect "the model is saved" "0 " test -s "$TRIAL/model.keras"
expect "a sample begins with the prompt" "0 " grep -q "^And " "$said/output"
bits "$said/output" > "$said/alone"
learn 2 --mesh=data=2
expect "two replicas learn the same" "0 0 " same "$said/alone"
learn 3 --mesh=rows=3
expect "so does a model in three pieces" "0 0 0 " same "$said/alone"
learn 4 --mesh=rows=2,cols=2
expect "and one on a grid" "0 0 0 0 " same "$said/alone"
learn 2 --dtype-policy=mixed_bfloat16
expect "products of bfloat16 learn too" "0 0 " falls

learn 2 --text="$TRIAL/missing"
expect "a missing text" "66 66 " grep -q "cannot open the text" "$said/errors"
printf 'too short' > "$TRIAL/short"
learn 2 --text="$TRIAL/short"
expect "a text that is too short" "65 65 " grep -q "too few for batches" "$said/errors"
learn 2 --blocks=0
expect "a model without blocks" "1 1 " grep -q "'--blocks=0' is unknown or has a bad value" "$said/errors"
