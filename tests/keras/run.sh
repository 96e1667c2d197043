#!/bin/sh
# Exchange of model files with the newest Keras of PyPI; called by make check-keras in the build folder.
# SPDX-License-Identifier: Apache-2.0
#
# The virtual environment is made once and kept in tests/keras/venv of the build folder. STRATA_KERAS_PYTHON names a Python that has
# Keras, JAX and h5py, to be used instead. Without either this fails: what could not be tried has not passed.
set -u
: "${srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${builddir:=.}" "${MPIRUN:=mpirun}"
export srcdir builddir MPIRUN
folder=$builddir/tests/keras
log=$folder/venv.log

export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_sharedfp=^sm
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export KERAS_BACKEND=jax JAX_PLATFORMS=cpu PYTHONDONTWRITEBYTECODE=1
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

give_up() {
    echo "check-keras: $1; see $log"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

# The last line of a complete environment is the file "complete".
make_environment() {
    mkdir -p "$folder"
    [ -e "$folder/venv/complete" ] && return
    rm -rf "$folder/venv"
    echo "check-keras: installing Keras in $folder/venv"
    python3 -m venv "$folder/venv" > "$log" 2>&1 ||
        give_up "python3 -m venv does not work (Debian: apt-get install python3-venv)"
    timeout 600 "$folder/venv/bin/pip" install --disable-pip-version-check keras jax h5py numpy >> "$log" 2>&1 ||
        give_up "Keras cannot be had from PyPI"
    touch "$folder/venv/complete"
}

if [ -z "${STRATA_KERAS_PYTHON:-}" ]; then
    make_environment
    STRATA_KERAS_PYTHON=$folder/venv/bin/python
fi
"$STRATA_KERAS_PYTHON" -c 'import keras, jax, h5py' > "$log" 2>&1 || give_up "$STRATA_KERAS_PYTHON cannot import Keras"
exec timeout 600 "$STRATA_KERAS_PYTHON" "$srcdir/tests/keras/exchange.py"
