#!/bin/sh
# Damaged, missing and unfitting data files: one line, the same exit code on all ranks, nothing left behind.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

model=$models/sequential_dense.keras # (5) → (2), mse
classes=$models/convnet.keras        # (8, 8, 2) → 6 classes
idx x 3 6 5
idx y 1 6 2
idx images 100 6 8 8 2
idx labels 5 6

# unfit NAME CODE PATTERN X Y [OPTIONS]: refused by train
unfit() {
    name=$1 code=$2 pattern=$3 x=$4 y=$5
    shift 5
    refused "$name" "$code" "$pattern" train "$model" --x "$x" --y "$y" --output o.keras --verbose 0 "$@"
}

# --- files ---

unfit "a missing file" 66 "cannot open 'nowhere'" nowhere y
unfit "a folder for a file" 66 "'\\.'" . y
: > "$TRIAL/empty"
unfit "an empty file" 65 "'empty'" empty y
printf 'not an array, just words' > "$TRIAL/words"
unfit "an unknown format" 65 "'words'" words y
cp "$TRIAL/x" "$TRIAL/magic"
set_byte magic 0 1
unfit "a wrong magic number" 65 "'magic'" magic y
cp "$TRIAL/x" "$TRIAL/type"
set_byte type 2 7
unfit "an unknown type of elements" 1 "'type'" type y
head -c 30 "$TRIAL/x" > "$TRIAL/short"
unfit "a short file" 65 "'short'" short y
head -c 6 "$TRIAL/x" > "$TRIAL/header"
unfit "a file that ends in its header" 65 "'header'" header y
(cat "$TRIAL/x" && echo more) > "$TRIAL/long"
unfit "a file that is too long" 65 "'long'" long y
cp "$TRIAL/x" "$TRIAL/huge"
for offset in 4 5 6 7 8 9 10 11; do
    set_byte huge $offset 255
done
unfit "sizes that no file has" 65 "'huge'" huge y

gzip -c "$TRIAL/x" > "$TRIAL/x.gz"
accepted "a gzip file" "" train "$model" --x x.gz --y y --verbose 0 --output gzip.keras
size=$(wc -c < "$TRIAL/x.gz")
head -c $((size - 6)) "$TRIAL/x.gz" > "$TRIAL/cut.gz"
unfit "a truncated gzip file" 65 "'cut.gz'" cut.gz y
cp "$TRIAL/x.gz" "$TRIAL/garbled.gz"
set_byte garbled.gz $((size / 2)) 255
unfit "a garbled gzip file" 65 "'garbled.gz'" garbled.gz y
cp "$TRIAL/x.gz" "$TRIAL/sum.gz"
set_byte sum.gz $((size - 8)) 0
set_byte sum.gz $((size - 7)) 0
unfit "a gzip file with a wrong checksum" 65 "'sum.gz'" sum.gz y
head -c 30 "$TRIAL/x" | gzip -c > "$TRIAL/short.gz"
unfit "a gzip file that is short inside" 65 "'short.gz'" short.gz y
printf '\223NUMPY\001\000\166\000{nonsense' > "$TRIAL/x.npy"
unfit "a damaged NPY header" 65 "'x.npy'" x.npy y

# --- what does not fit together ---

idx x4 3 4 5
unfit "other numbers of samples" 1 "same number of samples" x4 y
idx wide 3 6 7
unfit "inputs of another shape" 1 "expected shape=\\(None, 5\\), found shape=\\(None, 7\\)" wide y
unfit "targets of another shape" 1 "shape" x wide
unfit "an unknown name of an input" 1 "no input named 'pixels'" pixels=x y
unfit "too many inputs" 1 "takes 1" x y --x x
idx none 0 0 5
unfit "no samples" 1 "no samples" none y
unfit "validation data of another shape" 1 "found shape=\\(None, 7\\)" x y --validation-x wide --validation-y y

# --- labels ---

set_byte labels $((8 + 4)) 6
refused "a label out of range" 65 "label 6 .*sample 4" train "$classes" --x images --y labels --shuffle False \
    --verbose 0 --output o.keras
refused "a label out of range when shuffled" 65 "label 6" train "$classes" --x images --y labels --batch-size 2 \
    --verbose 0 --output o.keras
refused "a label out of range in validation" 65 "label 6 .*sample 4" evaluate "$classes" --x images --y labels --verbose 0

# --- what one rank alone sees ---

mkdir "$TRIAL/rank0" "$TRIAL/rank1"
cp "$TRIAL/x" "$TRIAL/y" "$TRIAL/rank0"
cp "$TRIAL/y" "$TRIAL/rank1"
unfit "a file that rank 0 alone has" 66 "cannot open 'x'" x y
cp "$TRIAL/wide" "$TRIAL/rank1/x"
STRATA_NODE_RANKS=1
export STRATA_NODE_RANKS
unfit "a file that differs on another node" 65 "'x' is uint8\\(6, 7\\) here and uint8\\(6, 5\\) on rank 0" x y
cp "$TRIAL/short" "$TRIAL/rank1/x"
unfit "a file that is damaged on another node" 65 "'x'" x y
