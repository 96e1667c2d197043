#!/bin/sh
# The library exports its public functions, all of them and nothing else.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"

exported=$(nm -D --defined-only .libs/libstrata.so | awk '{ print $3 }')
verdict "only strata_* is exported" "$(echo "$exported" | grep -v '^strata_[^_]')"

# Declarations may go over several lines: STRATA_EXPORT const char *strata_status_text(…
declared=$(find "$srcdir/include" -name '*.h' -exec cat {} + | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/.*STRATA_EXPORT [^(]*[ *]\(strata_[a-z0-9_]*\)(.*/\1/p')
verdict "every function of the headers is exported" "$(for name in $declared; do
    echo "$exported" | grep -Fqx "$name" || echo "$name"
done)"
verdict "the headers declare functions" "$([ -n "$declared" ] || echo "none found")"
