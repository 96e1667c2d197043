# For scripts that try the program strata: files of data, and what it says, returns and leaves behind on two ranks. Sourced.
# SPDX-License-Identifier: Apache-2.0

case $srcdir in /*) ;; *) srcdir=$PWD/$srcdir ;; esac
. "$srcdir/tests/tap.sh"

strata=$PWD/apps/strata
models=$srcdir/tests/golden/files
TRIAL=$(mktemp -d) # where the program runs
said=$(mktemp -d)  # what it says
trap 'rm -rf "$TRIAL" "$said"' EXIT
export TRIAL

# --- data ---

byte() {
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %03o "$1")"
}

# idx FILE BYTE SIZE...: an IDX file of equal bytes; the sizes are below 256
idx() {
    file=$TRIAL/$1 value=$2 count=1
    shift 2
    {
        printf '\000\000\010' && byte $#
        for size in "$@"; do
            printf '\000\000\000' && byte "$size"
            count=$((count * size))
        done
        head -c $count /dev/zero | tr '\000' "\\$(printf %03o "$value")"
    } > "$file"
}

# set_byte FILE OFFSET BYTE
set_byte() {
    byte "$3" | dd of="$TRIAL/$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

# --- trials ---

# try RANKS ARGUMENTS...: `strata ARGUMENTS`; $codes are the exit codes of the ranks, or "hangs"
try() {
    ranks=$1
    shift
    rm -f "$TRIAL"/.exit.*
    timeout -k 5 60 "$MPIRUN" -n "$ranks" "$srcdir/tests/apps/rank.sh" "$strata" "$@" \
        > "$said/output" 2> "$said/errors" < /dev/null
    if [ $? -ge 124 ]; then
        codes=hangs
    else
        codes=$(cat "$TRIAL"/.exit.* | tr '\n' ' ')
    fi
    rm -f "$TRIAL"/.exit.*
}

contents() {
    (cd "$TRIAL" && find . -type f -exec cksum {} + | sort)
}

# complaints CODES PATTERN BEFORE: what is wrong about the last trial, which should have failed
complaints() {
    [ "$codes" = "$1" ] || echo "exit codes: $codes, expected $1"
    [ "$(wc -l < "$said/errors")" = 1 ] || echo "standard error has not one line"
    grep -Eq "^strata: error( on rank [0-9]+)?: .*$2" "$said/errors" || echo "no '$2' in:"
    [ ! -s "$said/output" ] || echo "standard output is not empty"
    [ "$(contents)" = "$3" ] || echo "files were changed or left behind"
}

# refused_on RANKS NAME CODE PATTERN ARGUMENTS...: so many ranks end with CODE, one says one line with PATTERN, no file changes
refused_on() {
    count=$1 name=$2 code=$3 pattern=$4
    shift 4
    before=$(contents)
    try "$count" "$@"
    wrong=$(complaints "$(yes "$code" | head -n "$count" | tr '\n' ' ')" "$pattern" "$before")
    [ -z "$wrong" ] || wrong="$wrong
$(cat "$said/errors")"
    verdict "$name" "$wrong"
}

# refused NAME CODE PATTERN ARGUMENTS...: on two ranks
refused() {
    refused_on 2 "$@"
}

# accepted NAME PATTERN ARGUMENTS...: two ranks succeed and standard error is one line with PATTERN, or nothing where that is empty
accepted() {
    name=$1 pattern=$2
    shift 2
    try 2 "$@"
    wrong=
    [ "$codes" = "0 0 " ] || wrong="exit codes: $codes"
    if [ -z "$pattern" ]; then
        [ ! -s "$said/errors" ] || wrong="$wrong standard error is not empty"
    elif [ "$(wc -l < "$said/errors")" != 1 ] || ! grep -Eq "$pattern" "$said/errors"; then
        wrong="$wrong no '$pattern'"
    fi
    [ -z "$wrong" ] || wrong="$wrong
$(cat "$said/errors")"
    verdict "$name" "$wrong"
}
