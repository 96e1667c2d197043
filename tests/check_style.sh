#!/bin/sh
# Rules of the house that a script can see.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"
cd "$srcdir" || exit 1

files=$(find src include apps tests -path tests/golden -prune -o -name '*.[ch]' -print | sort)
library=$(echo "$files" | grep -E '^(src|include)/')

in_library() {
    # shellcheck disable=SC2086 # a list of files
    grep -nE "$1" $library
}

verdict "files have fewer than 600 lines" "$(for file in $files; do
    lines=$(wc -l < "$file")
    [ "$lines" -lt 600 ] || echo "$file: $lines"
done)"

# In characters, as the eye counts.
verdict "lines have at most 100 columns" "$(for file in $files; do
    LC_ALL=C.UTF-8 grep -nE '^.{101,}' "$file" | sed "s|^|$file:|"
done)"

# One comment, which may run into a second line, and then the licence.
verdict "files begin with a comment that names the subject, and the licence" "$(for file in $files; do
    head -n 3 "$file" | tr '\n' ' ' |
        grep -q '^/\* .* \*/ /\* SPDX-License-Identifier: Apache-2.0 \*/' || echo "$file"
done)"

verdict "MPI is called only in mesh and storage" \
    "$(in_library '\bMPI_[A-Z][a-z_]+\(' | grep -vE '^src/(mesh|storage)/')"

# A driver of HDF5 is asked for memory where there is no context.
verdict "memory is counted: nobody else calls malloc" \
    "$(in_library '\b(malloc|calloc|realloc|aligned_alloc|strdup|strndup|asprintf)\(' |
        grep -vE '^src/(base/(memory|context)|storage/hdf5)\.c:')"

# But for strata__abort, a job or a save that stands still, and a heap that is known to be damaged.
verdict "the library does not end its caller" \
    "$(in_library '\b(exit|_exit|_Exit|abort|quick_exit)\(' |
        grep -vE '^src/(base/memory|mesh/mesh|mesh/process)\.c:')"

# shellcheck disable=SC2086 # a list of files
verdict "nothing is left for later" "$(grep -nE '\b(TODO|FIXME|XXX|HACK)\b|^ *# *if 0\b' $files)"
