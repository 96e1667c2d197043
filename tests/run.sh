#!/bin/sh
# Runs one test program under mpirun at each of its rank counts, or one test script.
# SPDX-License-Identifier: Apache-2.0
#
#   tests/run.sh PROGRAM [WORDS]     in the build folder; only tests whose names contain WORDS
#
# Rank counts are 1 2 3 4, or those that a line "/* ranks: 1 2 */" of the program's source gives, or $STRATA_RANKS.
# Each run has a deadline of $STRATA_TEST_TIMEOUT seconds. Every run is closed by a line "# exit STATUS: what".
set -u
program=${1#./}
shift
srcdir=${srcdir:-$(dirname "$0")/..}
export srcdir
export STRATA_GOLDEN="${STRATA_GOLDEN:-$srcdir/tests/golden}"
export MPIRUN="${MPIRUN:-mpirun}"
deadline=${STRATA_TEST_TIMEOUT:-120}

# More ranks than cores, several programs at a time, one thread a rank; the shared-file-pointer plugin "sm" can hang on
# what a killed program left behind; and of MPI's own files OMPIO loses failed writes.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_sharedfp=^sm OMPI_MCA_io=^ompio
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

failed=0
run() {
    what=$1
    shift
    timeout -k 10 "$deadline" "$@" < /dev/null
    status=$?
    if [ $status = 124 ] || [ $status = 137 ]; then
        what="$what, no end within $deadline s"
    fi
    echo "# exit $status: $what"
    [ $status = 0 ] || failed=1
}

ranks_of() {
    ranks=$(sed -n 's,^/\* ranks: \([0-9 ]*\) \*/.*,\1,p' "$srcdir/$1.c" 2>/dev/null)
    echo "${STRATA_RANKS:-${ranks:-1 2 3 4}}"
}

case $program in
*.sh) run "$program" "$program" "$@" ;;
*)
    for n in $(ranks_of "$program"); do
        run "$program, $n ranks" "$MPIRUN" -n "$n" "./$program" "$@"
    done
    ;;
esac
exit $failed
