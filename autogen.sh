#!/bin/sh
# Bootstrap: makes configure, Makefile.in and the list of layers. With `demo` or `check`, everything up to a run.
# SPDX-License-Identifier: Apache-2.0
#
#   ./autogen.sh          for people who build by hand: then ./configure && make && make check
#   ./autogen.sh demo     install what is missing, build in ./build, train on Fashion-MNIST on all cores
#   ./autogen.sh check    the same set-up, then make check
#   ./autogen.sh layers   only turn src/layers/layers.def into src/layers/layers.am (make calls this)
#
# CONFIGURE_FLAGS is handed to configure by demo and check.
set -eu
cd "$(dirname "$0")"

packages="build-essential gfortran autoconf automake libtool pkg-config libopenmpi-dev openmpi-bin
    libscalapack-openmpi-dev libopenblas-openmp-dev libhdf5-openmpi-dev libdnnl-dev
    libjansson-dev libzip-dev zlib1g-dev libcmocka-dev dataset-fashion-mnist"

say() {
    echo "autogen.sh: $*" >&2
}

# STRATA_LAYER(dense, "Dense", core) -> src/layers/core/dense.c, and tests/layers/test_dense.c where it exists
list_layers() {
    echo "# Made by autogen.sh from layers.def."
    sed -n 's/^STRATA_LAYER(\([a-z0-9_]*\), *"[A-Za-z0-9]*", *\([a-z]*\))$/\1 \2/p' \
        src/layers/layers.def | while read -r id family; do
        echo "libstrata_la_SOURCES += src/layers/$family/$id.c"
        if [ -f "tests/layers/test_$id.c" ]; then
            echo "check_PROGRAMS += tests/layers/test_$id"
        fi
    done
}

write_layers() {
    list_layers > src/layers/layers.am.new
    mv src/layers/layers.am.new src/layers/layers.am
}

bootstrap() {
    write_layers
    mkdir -p build-aux
    autoreconf --install --warnings=all,no-override
}

missing_packages() {
    for package in $packages; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' ||
            printf ' %s' "$package"
    done
}

# Leaves with the one line to type when packages are missing and this user may not install any.
install_packages() {
    command -v dpkg-query > /dev/null || { say "not a Debian system; configure will name what is missing"; return; }
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo > /dev/null && sudo -v; then
        as_root=sudo
    else
        echo "apt-get install --no-install-recommends$missing"
        exit 1
    fi
    say "installing$missing"
    $as_root apt-get update
    # shellcheck disable=SC2086 # lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing < /dev/null
}

build() {
    install_packages
    bootstrap
    mkdir -p build
    # shellcheck disable=SC2086 # a list of flags
    (cd build && ../configure ${CONFIGURE_FLAGS:-} && make -j"$(nproc)")
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
}

demo() {
    build
    say "mpirun build/apps/fashion_mnist, one rank a core"
    OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec mpirun build/apps/fashion_mnist
}

check() {
    packages="$packages python3-venv" # for make check-keras
    build
    cd build
    # make ends a failure with words of its own; the count shall be the last line all the same
    make check || {
        make -s summary 2> /dev/null || exit 1
    }
}

case ${1-} in
'') bootstrap ;;
layers) write_layers ;;
demo | check) "$1" ;;
*)
    say "unknown argument '$1': none, demo or check"
    exit 2
    ;;
esac
