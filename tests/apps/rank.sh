#!/bin/sh
# One rank of a trial of trial.sh: runs a program in $TRIAL, or in a folder for this rank alone, and leaves its exit code there.
# SPDX-License-Identifier: Apache-2.0
cd "$TRIAL/rank$OMPI_COMM_WORLD_RANK" 2> /dev/null || cd "$TRIAL" || exit 1
"$@"
echo $? > "$TRIAL/.exit.$OMPI_COMM_WORLD_RANK"
