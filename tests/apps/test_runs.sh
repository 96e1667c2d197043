#!/bin/sh
# Runs of strata: what they write, where they cannot write, and a loss that is not a number.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

model=$models/sequential_dense.keras # (5) → (2), mse
classes=$models/convnet.keras        # (8, 8, 2) → 6 classes
branches=$models/functional_multi_io.keras
idx x 3 250 5
idx y 1 250 2
idx images 100 250 8 8 2
idx labels 5 250

# written NAME FILE [MISSING]: the file is there and the other is not
written() {
    verdict "$1" "$([ -s "$TRIAL/$2" ] || echo "no $2"; [ -z "${3:-}" ] || [ ! -e "$TRIAL/$3" ] || echo "$3 is there")"
}

# --- runs that work ---

accepted "train" "" train "$model" --x x --y y --epochs 2 --batch-size 64 --verbose 2 --output trained.keras
verdict "a line an epoch and the file's name" "$(grep -c "loss: " "$said/output" | grep -qx 2 &&
    grep -qx "saved trained.keras" "$said/output" || cat "$said/output")"
accepted "train into a file" "" train "$model" --x x --y y --output trained.keras
verdict "no bar is drawn into a file" "$(tr -d '\r\033' < "$said/output" | cmp -s - "$said/output" &&
    grep -q "^8/8 - " "$said/output" || cat -v "$said/output")"
accepted "train with replicas compared" "" train "$model" --x x --y y --output trained.keras --check-replicas 2
accepted "train what was trained, with other words" "" train trained.keras --x=x --y=y --metrics \
    "mse,TopKCategoricalAccuracy(k=1, name='a,b')" --validation-split=0.2 --verbose=2 --mesh=cols=2 --seed=3
verdict "the metrics are those of the option" "$(grep -q "a,b: .* mse: .* val_loss: " "$said/output" || cat "$said/output")"
written "the name of the result" trained-trained.keras
accepted "evaluate" "" evaluate trained.keras --x x --y y --verbose 0
verdict "a line for the loss and each metric" "$([ "$(sed 's/: [0-9.e-]*$//' "$said/output" | tr '\n' ' ')" = "loss mae " ] ||
    cat "$said/output")"
accepted "predict" "" predict trained.keras --x x --output p.npy --verbose 0
verdict "predictions are an array" "$(head -c 128 "$TRIAL/p.npy" | tr -d '\0' | grep -aq "'shape': (250, 2)" || echo "no shape")"
accepted "predict one of two outputs" "" predict "$branches" --x right=x --x left=x --output value=v.npy --verbose 0
verdict "the output that was named" "$(head -c 128 "$TRIAL/v.npy" | tr -d '\0' | grep -aq "'shape': (250, 1)" || echo "no shape")"
refused "an output that does not exist" 1 "has no output 1" predict "$model" --x x --output a.npy --output b.npy
refused "an output twice" 1 "goes to 'a.npy' already" predict "$branches" --x x --x x --output class=a.npy --output class=b.npy

# --- a loss that is not a number ---

accepted "training goes on with a loss that is not a number" "warning: the loss is not a number at step 2 of epoch 1" \
    train "$model" --x x --y y --batch-size 50 --epochs 2 --optimizer "SGD(1e38)" --verbose 2 --output nan.keras
verdict "to the last epoch" "$(grep -c "loss: nan" "$said/output" | grep -qx 2 || cat "$said/output")"
written "and is saved" nan.keras
try 2 train "$model" --x x --y y --batch-size 50 --epochs 9 --optimizer "SGD(1e38)" --verbose 2 --output nan2.keras \
    --callback TerminateOnNaN
verdict "TerminateOnNaN ends it" "$([ "$codes" = "0 0 " ] && ! grep -q "Epoch 2/9" "$said/output" ||
    cat "$said/output" "$said/errors")"

refused "--check-numerics ends it and names the place" 80 "step 2, rank [01](, layer '.*')?: .* is (-?inf|-?nan) at \\(" \
    train "$model" --x x --y y --batch-size 50 --optimizer "SGD(1e38)" --verbose 0 --output nan3.keras --check-numerics

# --- where nothing can be written ---

refused "a folder that is missing" 74 "nowhere/o.keras" train "$model" --x x --y y --output nowhere/o.keras
refused "a file for a folder" 74 "x/p.npy" predict "$model" --x x --output x/p.npy
refused "a model of another kind" 1 "must end in .keras" train "$model" --x x --y y --output o.h5

mkdir "$TRIAL/locked" "$TRIAL/full"
if [ "$(id -u)" != 0 ]; then
    chmod 500 "$TRIAL/locked"
    refused "a folder that is locked" 74 "Permission denied" train "$model" --x x --y y --output locked/o.keras
    chmod 700 "$TRIAL/locked"
else
    skipped "a folder that is locked" "root may write anywhere"
fi
if mount -t tmpfs -o size=4k none "$TRIAL/full" 2> /dev/null; then
    trap 'umount "$TRIAL/full"; rm -rf "$TRIAL" "$said"' EXIT
    refused "a full disk for a model" 74 "full/o.keras.*No space" train "$model" --x x --y y --output full/o.keras --verbose 0
    refused "a full disk for predictions" 74 "full/p.npy.*No space" predict "$classes" --x images --output full/p.npy \
        --verbose 0
    cp "$TRIAL/p.npy" "$TRIAL/full/o.keras"
    refused "a full disk, and the old file stays" 74 "No space" train "$model" --x x --y y --output full/o.keras --verbose 0
    mount -o remount,ro "$TRIAL/full"
    refused "a disk that is read-only" 74 "Read-only" predict "$model" --x x --output full/p.npy --verbose 0
else
    skipped "a full disk" "mount is not allowed"
fi
