#!/bin/sh
# What was installed can be used: a program finds header and library through strata.pc, and runs.
# SPDX-License-Identifier: Apache-2.0
#
#   installcheck.sh PKGCONFIGDIR LIBDIR BINDIR     each with DESTDIR in front; DESTDIR is in the environment
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PKG_CONFIG_PATH=$1${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
LD_LIBRARY_PATH=$2${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

cat > "$folder/program.c" << 'END'
#include <stdio.h>
#include <strata.h>
int main(void)
{
    return puts(strata_dtype_name(STRATA_FLOAT32)) < 0;
}
END
sysroot=${DESTDIR:+--define-variable=prefix=$DESTDIR$(pkg-config --variable=prefix strata)}
# shellcheck disable=SC2086,SC2046 # lists of flags
$CC $CFLAGS -o "$folder/program" "$folder/program.c" $(pkg-config $sysroot --cflags --libs strata)
[ "$("$folder/program")" = float32 ]
"$3/strata" --version
