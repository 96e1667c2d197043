#!/bin/sh
# The benchmark: our times beside those of others in the same run, one row each:
#     what <tab> ours <tab> the other's <tab> its name <tab> ratio (above 1: ours is ahead)
# SPDX-License-Identifier: Apache-2.0
#
# Peers run where Keras or PyTorch can be imported by $STRATA_BENCH_PYTHON (default python3; several, separated by blanks, are
# tried in turn). Alone on the machine, nothing else running: everything here is noisy.
set -u
: "${srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${builddir:=.}" "${MPIRUN:=mpirun}"
bench=$builddir/tests/bench
pythons=${STRATA_BENCH_PYTHON:-python3}

export OMPI_MCA_sharedfp=^sm OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# OpenBLAS 0.3.21 takes newer processors with AVX-512 for very old ones; p?gemm shall have the kernels that fit.
if [ -z "${OPENBLAS_CORETYPE-}" ] && grep -qw avx512f /proc/cpuinfo 2> /dev/null; then
    export OPENBLAS_CORETYPE=SkylakeX
fi
cores=$(getconf _NPROCESSORS_ONLN)

row() {
    printf '%s\t%s\t%s\t%s\t%s\n' "$@"
}

ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "-" }'
}

# --- peers: "NAME SAMPLES_PER_SECOND MEDIAN MIB" of the best, or nothing ----------------------------------------------------

python_with() {
    for python in $pythons; do
        "$python" -c "import $1" > /dev/null 2>&1 && { echo "$python"; return; }
    done
}

peer_line() { # PEER WORKLOAD [OPTIONS]
    module=$1
    case $1 in keras-jax) module=jax ;; keras-tensorflow) module=tensorflow ;; esac
    python=$(python_with "$module")
    [ -n "$python" ] || return 0
    env -u OMP_NUM_THREADS "$python" "$srcdir/tests/bench/peers.py" "$@" --threads 2 2> /dev/null |
        sed -n 's/.*"peer": "\([^"]*\)".* "samples_per_s": \([0-9.]*\), "median_samples_per_s": \([0-9.]*\).*"rss_mib": \([0-9]*\).*/\1 \2 \3 \4/p'
}

# Of the best peer the fastest of three runs, as of ours.
best_peer() { # WORKLOAD [OPTIONS]
    best=$(for peer in keras-jax keras-tensorflow torch; do peer_line "$peer" "$@"; done | sort -k2,2 -rn | head -n 1)
    [ -n "$best" ] || return 0
    { echo "$best"; peer_line "${best%% *}" "$@"; peer_line "${best%% *}" "$@"; } | sort -k2,2 -rn | head -n 1
}

# --- ours -------------------------------------------------------------------------------------------------------------------

# A program's rows; a failure is told, and leaves none.
launch() { # RANKS PROGRAM [OPTIONS]
    ranks=$1 program=$2
    shift 2
    [ "$ranks" -gt "$cores" ] && yields=1 || yields=0
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=$yields \
        "$MPIRUN" -n "$ranks" "$bench/$program" "$@" 2> "$errors" ||
        { echo "$program $* on $ranks ranks failed:"; cat "$errors"; } >&2
}

# Fields of tests/bench/bench_train.c; the fastest of three runs.
ours() { # RANKS THREADS WORKLOAD [OPTIONS]
    ranks=$1 threads=$2
    shift 2
    for _ in 1 2 3; do
        [ "$threads" = 1 ] || export OMPI_MCA_hwloc_base_binding_policy=none
        export OMP_NUM_THREADS="$threads" OPENBLAS_NUM_THREADS="$threads"
        launch "$ranks" bench_train "$@"
    done | sort -k2,2 -rn | head -n 1
}

field() { # LINE NUMBER
    echo "$1" | cut -d' ' -f"$2"
}

# Samples a second of the fastest step and of the median one.
speed_rows() { # WHAT OURS PEER
    name=$(field "${3:--}" 1)
    for step in fastest median; do
        [ $step = fastest ] && at=2 || at=3
        theirs=$(field "${3:-- - -}" "$at")
        row "$1, samples/s, $step step" "$(field "$2" "$at")" "$theirs" "$name" "$(ratio "$(field "$2" "$at")" "$theirs")"
    done
}

train_rows() { # WORKLOAD BATCH
    peer=$(best_peer "$1")
    two=$(ours 2 1 "$1")
    speed_rows "$1, batch $2, 2 ranks" "$two" "$peer"
    speed_rows "$1, batch $2, 1 rank with 2 threads" "$(ours 1 2 "$1")" "$peer"
    mib=$(field "$two" 6)
    memory=$(field "${peer:-- - - -}" 4)
    row "$1, resident MiB a rank (ratio above 1: less)" "$mib" "$memory" "$(field "${peer:--}" 1)" "$(ratio "$memory" "$mib")"
    row "$1, system allocations in a steady step" "$(field "$two" 7)" 0 "aim" -
}

# The meshes of so many ranks, one after the other.
meshes() { # RANKS
    for data in 1 2 4; do
        for rows in 1 2 4; do
            for cols in 1 2 4; do
                [ $((data * rows * cols)) != "$1" ] || echo "data=$data,rows=$rows,cols=$cols"
            done
        done
    done
}

# wide on every mesh: the best mesh of 2 ranks beside the peers, the others beside the best.
wide_rows() {
    peer=$(best_peer wide)
    for ranks in 2 4; do
        for mesh in $(meshes $ranks); do
            ours $ranks 1 wide "--mesh=$mesh" | sed "s/^wide/$mesh/"
        done > "$table"
        best=$(sort -k2,2 -rn "$table" | head -n 1)
        [ $ranks != 2 ] || speed_rows "wide, batch 256, 2 ranks, $(field "$best" 1)" "$best" "$peer"
        while read -r mesh speed rest; do
            row "wide, $ranks ranks, $mesh, samples/s" "$speed" "$(field "$best" 2)" "the best mesh of $ranks" \
                "$(ratio "$speed" "$(field "$best" 2)")"
        done < "$table"
    done
}

# Where the processor has matrix tiles; elsewhere bfloat16 is no faster than float32.
bfloat16_row() {
    what="transformer, batch 16, mixed_bfloat16, 2 ranks"
    if ! grep -qw amx_bf16 /proc/cpuinfo 2> /dev/null; then
        row "$what" - - "this processor has no AMX" -
        return
    fi
    speed_rows "$what" "$(ours 2 1 transformer --dtype-policy=mixed_bfloat16)" "$(best_peer transformer --bf16)"
}

start_row() {
    best=
    for _ in 1 2 3; do
        begin=$(date +%s.%N)
        end=$(launch 2 bench_train mlp | cut -d' ' -f8)
        best=$(awk -v a="$end" -v b="$begin" -v c="${best:-1000}" 'BEGIN { d = a - b; print d < c ? d : c }')
    done
    row "start of mpirun -n 2 to the end of the first step, s" "$best" 1.0 "aim" "$(ratio 1 "$best")"
}

# 1 GiB on the disk of temporary files. Where that is memory, as tmpfs, reading back and checksums show.
checkpoint_rows() {
    folder=${TMPDIR:-/tmp}
    type=$(df --output=fstype "$folder" | tail -n 1)
    launch 4 bench_checkpoint "$folder" | sed "s|, MB/s|, $type&|"
}

table=$(mktemp)
errors=$(mktemp)
trap 'rm -f "$table" "$errors"' EXIT
printf 'what\tours\tother\tname\tratio\n'
[ -n "$(python_with keras)$(python_with torch)" ] ||
    echo "neither Keras nor PyTorch can be imported by $pythons: rows without a peer (set STRATA_BENCH_PYTHON)" >&2
[ "$cores" -ge 2 ] || echo "only $cores core: 2 ranks share it" >&2
train_rows mlp 128
train_rows convnet 64
train_rows transformer 16
bfloat16_row
wide_rows
start_row
checkpoint_rows
launch 2 bench_reduce
launch 2 bench_share
launch 2 bench_matmul
