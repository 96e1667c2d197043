#!/bin/sh
# Every exit code that the manual names really occurs, and no others are left out.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

model=$models/sequential_dense.keras # (5) → (2), mse
images=$models/convnet.keras         # (8, 8, 2) → 6 classes
idx x 3 6 5
idx y 1 6 2
idx images 100 6 8 8 2
head -c 30 "$TRIAL/x" > "$TRIAL/short"
: > "$TRIAL/file"
seen=

# ends CODE NAME COMMAND...: mpirun, started with these words in $TRIAL, returns it
ends() {
    wanted=$1 name=$2
    shift 2
    (cd "$TRIAL" && exec timeout -k 5 60 "$MPIRUN" "$@") > "$said/output" 2> "$said/errors" < /dev/null
    code=$?
    seen="$seen $code"
    verdict "$wanted: $name" "$([ $code = "$wanted" ] || { echo "exit code $code"; cat "$said/errors"; })"
}

train="$strata train $model --x x --y y --output o.keras --verbose 0"

# shellcheck disable=SC2086 # commands in words
{
    ends 0 "a training" -n 2 $train
    ends 1 "an unknown option" -n 2 $train --mistake 3
    ends 65 "a file that was cut" -n 2 $train --x short
    ends 66 "no file" -n 2 $train --validation-x nowhere --validation-y y
    ends 74 "a file where a folder should be" -n 2 $train --checkpoint file/run.h5
    ends 75 "no time" -n 2 $train --checkpoint run.h5 --max-time 1
}
STRATA_CHECK=1
export STRATA_CHECK
ends 76 "ranks that do not call the same" -n 1 "$strata" predict "$images" --x images --output p.npy --verbose 0 \
    : -n 1 "$strata" evaluate "$images" --x images --y images --verbose 0
unset STRATA_CHECK

# --- what the sanitizers' libraries do not stand ---

if [ -n "${ASAN_OPTIONS-}" ]; then
    skipped "70 and 71" "the sanitizers need memory and come first"
    seen="$seen 70 71"
else
    printf 'int dnnl_primitive_execute(void) { return 5; }\n' | ${CC:-cc} -shared -fPIC -x c - -o "$said/broken.so"
    ends 70 "a library that fails" -n 1 -x LD_PRELOAD="$said/broken.so" "$strata" predict "$images" --x images \
        --output p.npy --verbose 0
    # 6291456 images as a file with a hole, and as float32 in one batch: 3 GiB
    printf '\000\000\010\004\000\140\000\000\000\000\000\010\000\000\000\010\000\000\000\002' > "$TRIAL/many"
    truncate -s 805306388 "$TRIAL/many"
    # shellcheck disable=SC2016 # expanded by the inner shell
    ends 71 "too large a batch" -n 1 sh -c 'ulimit -v 3000000 && exec "$@"' sh "$strata" predict "$images" --x many \
        --output p.npy --batch-size 6291456 --verbose 0
    rm "$TRIAL/many"
fi

# --- those with a test of their own ---

has_test() {
    grep -Eq "$2" "$srcdir/tests/apps/$1" || echo "tests/apps/$1 does not look for it"
}
verdict "79: see test_watchdog.sh" "$(has_test test_watchdog.sh 'code" = 79')"
verdict "80: see test_runs.sh" "$(has_test test_runs.sh 'numerics.* 80 ')"
seen="$seen 79 80"

# --- completeness ---

sorted() {
    tr ' ' '\n' | grep . | sort -nu | tr '\n' ' '
}
manual=$(sed -n '/^\.SH EXIT STATUS/,/^\.SH ENV/s/^\.B \([0-9][0-9]*\)$/\1/p' "$srcdir/apps/strata.1" | sorted)
header=$(sed -n 's/^ *X(STRATA_[A-Z_]*, \([0-9]*\),.*/\1/p' "$srcdir/include/strata/status.h" | sorted)
readme=$(sed -n '/^Exit codes,/,/^$/p' "$srcdir/README.md" | tr '\n' ' ' | grep -oE '[:,] [0-9]+ ' | tr -dc '0-9 ' | sorted)
verdict "the manual names what has occurred" "$([ "$manual" = "$(echo "$seen" | sorted)" ] ||
    echo "manual: $manual; seen: $(echo "$seen" | sorted)")"
verdict "the manual names what the library has" "$([ "$manual" = "$header" ] || echo "manual: $manual; header: $header")"
verdict "README names what the library has" "$([ "$readme" = "$header" ] || echo "README: $readme; header: $header")"
