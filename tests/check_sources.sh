#!/bin/sh
# Lists agree with folders: every file is built and distributed, every header is in the umbrella, every layer in layers.def.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
cd "$srcdir" || exit 1

# lines of $1 that are not lines of $2
missing_from() {
    printf '%s\n' "$1" | sort -u | while read -r line; do
        printf '%s\n' "$2" | grep -Fqx -e "$line" || echo "$line"
    done
}

listed=$(cat Makefile.am src/layers/layers.am src/*/Makefile.inc tests/Makefile.inc \
    tests/*/Makefile.inc apps/Makefile.inc include/Makefile.inc | tr ' \t' '\n\n' |
    sed 's,^\$(srcdir)/,,')
standing=$(find src include apps tests -path tests/golden -prune -o -path tests/keras -prune -o \
    -path tests/bench -prune -o \( -name '*.[ch]' -o -name '*.sh' -o -name '*.def' \) -print)
# a program of one file needs no list of sources
programs=$(echo "$listed" | grep -E '^(tests|apps)/[a-z0-9_/]*$' | sed 's/$/.c/')
verdict "every file stands in a Makefile fragment" \
    "$(missing_from "$standing" "$listed
$programs")"

headers=$(cd include && find strata -name '*.h')
included=$(sed -n 's/^#include <\(.*\)>$/\1/p' include/strata.h)
verdict "strata.h includes every public header" "$(missing_from "$headers" "$included")"

defined=$(sed -n 's/^STRATA_LAYER(\([a-z0-9_]*\), "[A-Za-z0-9]*", \([a-z]*\))$/src\/layers\/\2\/\1.c/p' \
    src/layers/layers.def)
layer_files=$(find src/layers -mindepth 2 -name '*.c')
verdict "every layer of layers.def has its file" "$(missing_from "$defined" "$layer_files")"
verdict "every file of a layer family is in layers.def or listed as a helper" \
    "$(missing_from "$layer_files" "$defined
$(echo "$listed" | grep '^src/layers/')")"

ids=$(sed -n 's/^STRATA_LAYER(\([a-z0-9_]*\),.*/\1/p' src/layers/layers.def)
verdict "layers.def is in alphabetical order" \
    "$([ "$ids" = "$(echo "$ids" | LC_ALL=C sort -u)" ] || echo "$ids" | LC_ALL=C sort -cu 2>&1)"
verdict "every line of layers.def can be read" \
    "$(grep -v '^/\*' src/layers/layers.def | grep -v '^STRATA_LAYER([a-z0-9_]*, "[A-Za-z0-9]*", [a-z]*)$')"
