#!/bin/sh
# Models that are missing, damaged or do not fit: one line, the same exit code on all ranks, nothing left behind.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

damaged=$models/damaged
idx x 3 6 5
idx y 1 6 2

# unfit NAME CODE PATTERN MODEL: refused by predict
unfit() {
    refused "$1" "$2" "$3" predict "$4" --x x --output p.npy --verbose 0
}

unfit "a missing model" 66 "cannot open 'nowhere.keras'" nowhere.keras
unfit "a folder for a model" 66 "folder.keras" "$(mkdir "$TRIAL/folder.keras" && echo folder.keras)"
unfit "an unknown kind of file" 1 "model.txt" model.txt
unfit "an empty file" 65 "empty.keras' is damaged" "$damaged/empty.keras"
unfit "no archive" 65 "not_a_zip.keras' is damaged" "$damaged/not_a_zip.keras"
unfit "half of an archive" 65 "truncated_half.keras' is damaged" "$damaged/truncated_half.keras"
unfit "a flipped byte" 65 "checksum is wrong" "$damaged/flipped_byte.keras"
unfit "a configuration that is no JSON" 65 "line 1, column 500" "$damaged/config_not_json.keras"
unfit "no weights" 65 "model.weights.h5 is missing" "$damaged/no_weights.keras"
unfit "weights that are no HDF5 file" 65 "not an HDF5 file" "$damaged/weights_not_hdf5.keras"
unfit "weights of another shape" 65 "shape \\(4, 5\\) in the file and \\(5, 4\\) in the model" "$damaged/wrong_shape.keras"
unfit "a missing variable" 65 "expected 2 variables, but received 1" "$damaged/missing_dataset.keras"
unfit "an unknown layer" 1 "'NoSuchLayer'" "$damaged/unknown_class.keras"
unfit "an unknown argument of a layer" 1 "\"colour\": \"red\"" "$damaged/unknown_key.keras"
unfit "an unknown activation" 1 "unknown activation 'no_such'" "$damaged/unknown_activation.keras"
unfit "code in a file" 1 "code in files is never run" "$damaged/lambda_layer.keras"
unfit "a number that is none" 1 "units is required .* got \"four\"" "$damaged/wrong_type.keras"
accepted "a value that is not finite" "warning: .* not finite at element 0" \
    predict "$damaged/not_a_number.keras" --x x --output p.npy --verbose 0
rm -f "$TRIAL/p.npy"

# --- what one rank alone sees: each has a folder of its own ---

mkdir "$TRIAL/rank0" "$TRIAL/rank1"
cp "$TRIAL/x" "$TRIAL/rank0"
cp "$TRIAL/x" "$TRIAL/rank1"
cp "$models/sequential_dense.keras" "$TRIAL/rank0/model.keras"
accepted "a model that rank 0 alone has" "" predict model.keras --x x --output p.npy --verbose 0
rm "$TRIAL/rank0/p.npy"
cp "$models/sequential_dense.keras" "$TRIAL/rank1/model.keras"
cp "$damaged/flipped_byte.keras" "$TRIAL/rank0/model.keras"
unfit "a model that is damaged for rank 0" 65 "checksum is wrong" model.keras
