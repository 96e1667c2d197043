#!/bin/sh
# Rooms know only the rooms before them: every #include goes up the list of src/README.md.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
cd "$srcdir" || exit 1

rooms="base mesh tensor ops state storage layers model data training"

quoted_includes() {
    find "$@" \( -name '*.[ch]' -o -name '*.def' \) -exec grep -Hn '^ *# *include "' {} +
}

# All lines but those that include a file of one of the rooms given.
outside_of() {
    pattern=$(echo "$*" | tr ' ' '|')
    grep -Ev "# *include \"($pattern)/"
}

known=
for room in $rooms; do
    known="$known${known:+ }$room"
    # shellcheck disable=SC2086 # a list of words
    verdict "$room includes only itself and rooms before it" \
        "$(quoted_includes "src/$room" | outside_of $known)"
done

verdict "src holds only rooms" "$(find src -mindepth 1 -maxdepth 1 -type d -exec basename {} \; |
    grep -Evx "$(echo "$rooms" | tr ' ' '|')")"
verdict "programs include only public headers" "$(quoted_includes apps |
    grep -Ev '# *include "(config|strata|strata/[a-z_/]*)\.h"|apps/[^:]*:[0-9]+:# *include "[a-z_]*\.h"')"
verdict "public headers include only public headers" "$(quoted_includes include)"
