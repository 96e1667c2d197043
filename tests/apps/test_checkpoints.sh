#!/bin/sh
# Checkpoints that nothing can go on from, and places where none can be: one line, the same exit code on 1 and 2 ranks.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

model=$models/sequential_dense.keras # (5) → (2), mse
idx x 3 6 5
idx y 1 6 2
idx images 100 6 8 8 2
idx labels 5 6

# train [OPTIONS] or other [OPTIONS]: the words of a training, and of one of another model
train="train $model --x x --y y --output o.keras --verbose 0"
other="train $models/convnet.keras --x images --y labels --output o.keras --verbose 0"

# unfit NAME CODE PATTERN WORDS [OPTIONS]: refused on 1 and on 2 ranks
unfit() {
    title=$1 status=$2 message=$3 words=$4
    shift 4
    for size in 1 2; do
        # shellcheck disable=SC2086 # words
        refused_on $size "$title, on $size" "$status" "$message" $words "$@"
    done
}

# --- files ---

# shellcheck disable=SC2086 # words
accepted "a training that saves a checkpoint" "" $train --epochs 1 --checkpoint run.h5
good=$(cd "$TRIAL" && ls run-000001-*.h5)
# shellcheck disable=SC2086 # words
accepted "a training that goes on from it" "" $train --epochs 2 --resume "$good"
rm -f "$TRIAL/o.keras"

unfit "a checkpoint of another model" 65 "has no 'weights/stem/kernel'; was it another model's" "$other" --resume "$good"
unfit "a checkpoint of another optimizer" 65 "has 'optimizer/[a-z_0-9]*', which is not there" "$train" --resume "$good" \
    --optimizer "SGD(0.1, momentum=0.9)"
unfit "a checkpoint of an optimizer with slots" 65 "was saved with the optimizer Adam, the model has SGD" "$train" \
    --resume "$good" --optimizer "SGD(0.1)"
cp "$TRIAL/$good" "$TRIAL/newer.h5"
set_byte newer.h5 8 2
unfit "a newer format" 1 "'newer.h5' has format version 2, this program reads up to 1; use a newer" "$train" \
    --resume newer.h5
length=$(wc -c < "$TRIAL/$good")
for bytes in 0 5000 $((length - 1)); do
    head -c $bytes "$TRIAL/$good" > "$TRIAL/cut.h5"
    unfit "a checkpoint cut to $bytes bytes" 65 "'cut.h5' is (damaged: it has $bytes bytes|not a checkpoint)" "$train" \
        --resume cut.h5
done
(cat "$TRIAL/$good" && echo more) > "$TRIAL/long.h5"
unfit "a checkpoint that is too long" 65 "'long.h5' is damaged: it has $((length + 5)) bytes" "$train" --resume long.h5
cp "$TRIAL/$good" "$TRIAL/flipped.h5"
set_byte flipped.h5 $((length - 100)) 255
unfit "a checkpoint with a changed byte" 65 "checkpoint 'flipped.h5' is damaged" "$train" --resume flipped.h5
seq 9999 > "$TRIAL/words.h5"
unfit "a file that is not HDF5" 65 "'words.h5' is not a checkpoint" "$train" --resume words.h5
unfit "an HDF5 file of another kind" 65 "weights.h5' is not a checkpoint" "$train" --resume "$models/sequential_dense.weights.h5"
unfit "no file" 66 "cannot find a checkpoint 'nowhere.h5', nor one like 'nowhere-" "$train" --resume nowhere.h5
mkdir "$TRIAL/folder" "$TRIAL/taken-000001-0000000003.h5"
unfit "an empty folder" 66 "cannot find a checkpoint 'folder', nor one like" "$train" --resume folder
unfit "a folder where a file of the series should be" 66 "cannot read 'taken-000001-0000000003.h5': it is not a regular" \
    "$train" --resume taken.h5
mkfifo "$TRIAL/pipe.h5"
unfit "a pipe" 66 "cannot read 'pipe.h5': it is not a regular file" "$train" --resume pipe.h5

cp "$TRIAL/$good" "$TRIAL/run-000002-0000000002.h5"
set_byte run-000002-0000000002.h5 $((length - 100)) 255
# shellcheck disable=SC2086 # words
accepted "a damaged newest one is passed over" "run-000002-0000000002.h5' is damaged.*the checkpoint before it is tried" \
    $train --resume run.h5
rm -f "$TRIAL/o.keras"

# --- places ---

unfit "a folder for checkpoints that is a file" 74 "cannot list 'x/'" "$train" --checkpoint x/run.h5
STRATA_NODE_MEMORY=500
export STRATA_NODE_MEMORY
unfit "a mesh that cannot hold the model" 1 "cannot be placed on the mesh data=.*: .* a node that has 500.00 B; use more" \
    "$train"
unset STRATA_NODE_MEMORY

for setting in DRIVER=ompio DEADLINE=soon; do
    export "STRATA_CHECKPOINT_$setting"
    unfit "an unknown setting, $setting" 1 "STRATA_CHECKPOINT_${setting%=*} is '${setting#*=}'; it takes" "$train" \
        --checkpoint new/run.h5
    unset "STRATA_CHECKPOINT_${setting%=*}"
done

# --- permissions, which root must do without first ---

cat > "$said/unprivileged" << END
#!/bin/sh
exec setpriv --bounding-set=-dac_override,-dac_read_search "$strata" "\$@"
END
chmod +x "$said/unprivileged"
[ "$(id -u)" != 0 ] || strata=$said/unprivileged
cp "$TRIAL/$good" "$TRIAL/secret.h5"
chmod 000 "$TRIAL/secret.h5"
chmod 500 "$TRIAL/folder"
if "$strata" --version > /dev/null 2>&1; then
    unfit "a checkpoint without permission to read" 66 "cannot open 'secret.h5': Permission denied" "$train" --resume secret.h5
    unfit "a folder without permission to write" 74 "cannot create a file beside 'folder/.*: Permission denied" "$train" \
        --checkpoint folder/run.h5
else
    skipped "files without permission" "root cannot do without its rights here"
fi
chmod 600 "$TRIAL/secret.h5"
chmod 700 "$TRIAL/folder"
