#!/bin/sh
# A file system that fills up: saves fail with 74 or are passed over, as asked for; what was committed loads.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/tap.sh"

# in a mount namespace of its own, as root or as who may pretend to be
if [ -z "${STRATA_SMALL_DISK:-}" ]; then
    STRATA_SMALL_DISK=$(mktemp -d)
    export STRATA_SMALL_DISK
    for flags in -m -Urm none; do
        unshare "$flags" mount -t tmpfs -o size=4k tmpfs "$STRATA_SMALL_DISK" 2> /dev/null && break
    done
    if [ "$flags" = none ]; then
        skipped "saves on a small file system" "none can be mounted, neither as root nor in a user namespace"
    else
        unshare "$flags" "$0"
    fi
    rmdir "$STRATA_SMALL_DISK"
    exit 0
fi

disk=$STRATA_SMALL_DISK
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

# disk_of KIB: a new one
disk_of() {
    umount "$disk" 2> /dev/null
    mount -t tmpfs -o "size=${1}k" tmpfs "$disk"
}

# A file of saver takes 404 KiB.
saver() { # STEPS CODE
    said=$(timeout -k 5 60 "$MPIRUN" -n 3 tests/faults/saver "$disk"/a.h5 "$1" 2> "$errors" < /dev/null)
    code=$?
    [ $code = "$2" ] || echo "saver $1: exit code $code instead of $2: $(cat "$errors")"
}

found() { # STEP
    echo "$said" | grep -qx "found $1" || echo "$said, expected: found $1"
}

nothing_else() {
    rest=$(find "$disk" -name '.*.part')
    [ -z "$rest" ] || echo "left: $rest"
}

# What goes on there is seen by the shell that asks.
full_at() { # KIB SAVED
    disk_of "$1"
    complaints=$(
        saver 9 74
        [ "$(echo "$said" | grep -c saved)" = "$2" ] || echo "saved: $said, expected $2"
        nothing_else
        saver 0 0
        found "$2"
        grep -q . "$errors" && cat "$errors"
    )
    verdict "a disk with room for $2 checkpoints" "$complaints"
}

trainee() { # RANKS ON_ERROR CODE
    timeout -k 5 60 "$MPIRUN" -n "$1" tests/faults/trainee "$disk"/a.h5 "$2" > /dev/null 2> "$errors" < /dev/null
    code=$?
    [ $code = "$3" ] || echo "exit code $code instead of $3: $(cat "$errors")"
    nothing_else
}

full_at 300 0
full_at 500 1
full_at 1000 2

disk_of 4000
verdict "a disk with room for one more than is kept" "$(
    saver 9 0
    saver 0 0
    found 9
)"

for ranks in 1 2; do
    disk_of 60
    verdict "training ends when it cannot save, $ranks ranks" "$(
        trainee $ranks stop 74
        [ "$(grep -c '^strata: error: .*: No space left on device' "$errors")" = 1 ] || cat "$errors"
    )"
    disk_of 60
    verdict "training goes on when it cannot save, if it may, $ranks ranks" "$(
        trainee $ranks continue 0
        grep -q 'goes on without this checkpoint' "$errors" || echo "no warning"
    )"
done
umount "$disk"
