#!/bin/sh
# Each public header compiles by itself, as C and as C++.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"

# compile LANGUAGE STANDARD: complaints about each header, included twice
compile() {
    (cd "$srcdir/include" && find strata.h strata -name '*.h') | while read -r header; do
        printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$header" "$header" |
            $CC -x "$1" -std="$2" -Wall -Wextra -Werror -fsyntax-only \
                -DOMPI_SKIP_MPICXX -I"$srcdir/include" - 2>&1
    done
}

verdict "headers as C" "$(compile c gnu17)"
if command -v g++ > /dev/null; then
    OMPI_CC=g++
    export OMPI_CC
    verdict "headers as C++" "$(compile c++ gnu++11)"
else
    skipped "headers as C++" "no g++"
fi
