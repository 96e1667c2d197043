# Exchange of model files with Keras: it opens ours, we open its, predictions and further training agree.
# SPDX-License-Identifier: Apache-2.0
#
# Run by run.sh. One line a check; the last line sums up.
import os
import sys
import tempfile
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy

import models
from checks import attempt, check, configuration, difference, exchange, files_difference, predictions, start, strata
import checks

SAMPLES, BATCH, EPOCHS = 50, 16, 2  # the last batch is smaller
TOLERANCE = 1e-5
TRAINED = 1e-4  # after steps of two implementations


def layer_of(tensor):
    return tensor._keras_history.operation.name


def samples(model, seed):
    """Inputs and targets that fit a model, by the names of its inputs and outputs."""
    draw = numpy.random.default_rng(seed)
    inputs, targets = {}, {}
    for tensor in model.inputs:
        shape = (SAMPLES, *tensor.shape[1:])
        inputs[layer_of(tensor)] = values_of(draw, str(tensor.dtype), shape).astype(tensor.dtype)
    for tensor in model.outputs:
        targets[layer_of(tensor)] = targets_like(draw, tensor, layer_of(tensor))
    return inputs, targets


def values_of(draw, dtype, shape):
    if dtype == "bool":  # a mask, in which some queries see no key
        return draw.integers(0, 2, shape)
    return draw.integers(0, 20, shape) * draw.integers(0, 2, shape) if "int" in dtype else draw.uniform(-1, 1, shape)


def targets_like(draw, tensor, name):
    classes = tensor.shape[-1]
    if name == "logits":
        return draw.integers(0, classes, SAMPLES)
    if classes == 1:
        return draw.integers(0, 2, (SAMPLES, 1)).astype("float32")
    return numpy.eye(classes, dtype="float32")[draw.integers(0, classes, (SAMPLES, *tensor.shape[1:-1]))]


def as_keras(arrays):
    values = list(arrays.values())
    return values if len(values) > 1 else values[0]


def files_of(folder, option, arrays):
    words = []
    for name, array in arrays.items():
        path = f"{folder}/{option}-{name}.npy"
        numpy.save(path, array)
        words += [f"--{option}", f"{name}={path}"]
    return words


def predict(model, inputs):
    return model.predict(as_keras(inputs), verbose=0)


def compare_predictions(what, model, path, inputs, ranks=(1, 2)):
    expected = predict(model, inputs)
    for count in ranks:
        got = attempt(f"{what}: predictions on {count} ranks", predictions, model, path, inputs, count)
        if got is not None:
            check(f"{what}: predictions on {count} ranks", difference(got, expected, TOLERANCE))


def compare_again(what, model, ours, folder):
    """Keras writes what it read: configuration, names, weights and optimizer state are the same as in our file."""
    again = f"{folder}/again.keras"
    model.save(again)
    check(f"{what}: Keras writes the same file", files_difference(ours, again))


# --- files that we wrote ---


def ours(name, folder):
    path, trained, weights = (f"{folder}/{name}{ending}" for ending in (".keras", "-trained.keras", ".weights.h5"))
    if attempt(f"{name}: written", exchange, "make", name, path) is None:
        return
    model = attempt(f"{name}: Keras opens it", keras.models.load_model, path)
    if model is None:
        return
    check(f"{name}: Keras opens it", "" if model.compiled else "it is not compiled")
    inputs, targets = samples(model, 1)
    compare_predictions(name, model, path, inputs)
    compare_again(name, model, path, folder)
    words = files_of(folder, "x", inputs) + files_of(folder, "y", targets)
    options = ["--epochs", EPOCHS, "--batch-size", BATCH, "--verbose", 0, "--output", trained]
    if attempt(f"{name}: trained", strata, 2, "train", path, *words, *options) is None:
        return
    model = attempt(f"{name}: Keras opens it trained", keras.models.load_model, trained)
    if model is None:
        return
    compare_predictions(f"{name} trained", model, trained, inputs, (2,))
    compare_again(f"{name} trained", model, trained, folder)
    steps = EPOCHS * -(-SAMPLES // BATCH)
    found = int(model.optimizer.iterations)
    check(f"{name}: steps are counted", "" if found == steps else f"{found} steps, expected {steps}")
    ours_weights(name, folder, path, trained, weights, inputs, model)


def ours_weights(name, folder, path, trained, weights, inputs, model):
    attempt(f"{name}: weights written", exchange, "copy", trained, weights)
    fresh = keras.models.load_model(path)
    attempt(f"{name}: Keras opens the weights", fresh.load_weights, weights)
    check(f"{name}: weights by themselves", difference(predict(fresh, inputs), predict(model, inputs), 0))
    summary = attempt(f"{name}: summary", exchange, "summary", path)
    if summary is not None:
        lines = []
        fresh.summary(print_fn=lambda text, line_break=False: lines.append(text), line_length=100)
        expected = {layer.name for layer in fresh.layers}
        missing = [layer for layer in expected if layer not in summary]
        total = f"Total params: {fresh.count_params():,}"
        check(f"{name}: summary", f"no line of {missing}" if missing else "" if total in summary else f"not {total}")


# --- files that Keras wrote ---


def logs_of(text):
    return {name: float(value) for name, value in (line.split(": ") for line in text.splitlines() if ": " in line)}


def compare_evaluation(what, model, path, words, inputs, targets):
    expected = model.evaluate(as_keras(inputs), as_keras(targets), batch_size=BATCH, verbose=0, return_dict=True)
    text = attempt(f"{what}: evaluated", strata, 2, "evaluate", path, *words, "--verbose", 0, "--batch-size", BATCH)
    if text is None:
        return
    logs = logs_of(text)
    missing = expected.keys() - logs.keys()
    wrong = {name: (logs[name], value) for name, value in expected.items()
             if name in logs and not abs(logs[name] - value) <= TRAINED * max(1, abs(value))}
    check(f"{what}: loss and metrics", f"missing {missing}, wrong {wrong}" if missing or wrong else "")


def compare_training(what, model, path, words, inputs, targets, folder, options):
    """Both go on from the same file, in the order of the samples: the same weights come out, and Keras opens ours."""
    trained = f"{folder}/{what}-trained.keras"
    fitting = ["--epochs", EPOCHS, "--batch-size", BATCH, "--shuffle", "False", "--verbose", 0, "--output", trained]
    if attempt(f"{what}: trained on", strata, 2, "train", path, *words, *fitting, *options) is None:
        return
    model.fit(as_keras(inputs), as_keras(targets), epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    opened = attempt(f"{what}: Keras opens it trained on", keras.models.load_model, trained)
    if opened is None:
        return
    check(f"{what}: training on agrees", difference(predict(opened, inputs), predict(model, inputs), TRAINED))
    state = [numpy.asarray(variable) for variable in opened.optimizer.variables]
    expected = [numpy.asarray(variable) for variable in model.optimizer.variables]
    check(f"{what}: optimizer state agrees", difference(state, expected, TRAINED))
    compare_predictions(f"{what} trained on", opened, trained, inputs, (1,))


def theirs(name, folder):
    model, options = models.THEIRS[name]()
    path, copied = f"{folder}/{name}.keras", f"{folder}/{name}-copied.keras"
    inputs, targets = samples(model, 2)
    if model.compiled:
        model.fit(as_keras(inputs), as_keras(targets), batch_size=BATCH, verbose=0)
    model.save(path)
    compare_predictions(name, model, path, inputs)
    if attempt(f"{name}: copied", exchange, "copy", path, copied) is not None:
        check(f"{name}: our copy is the same file", files_difference(copied, path))
    words = files_of(folder, "x", inputs) + files_of(folder, "y", targets)
    if model.compiled:
        compare_evaluation(name, model, path, words, inputs, targets)
        compare_training(name, model, path, words, inputs, targets, folder, options)
    else:
        compare_uncompiled(name, path, words, folder)


def compare_uncompiled(name, path, words, folder):
    refused = start(2, "apps/strata", "train", path, *words, "--output", f"{folder}/refused.keras")
    told = "without compile()" in refused.stderr and refused.returncode == 1
    check(f"{name}: training without a loss is refused", "" if told else refused.stderr)
    trained = f"{folder}/{name}-trained.keras"
    options = ["--loss", "mse", "--optimizer", "SGD(0.01)", "--output", trained, "--verbose", 0]
    if attempt(f"{name}: trained with options", strata, 2, "train", path, *words, *options) is not None:
        compiled = configuration(trained).get("compile_config", {})
        check(f"{name}: trained with options", "" if compiled.get("loss") == "mse" else f"loss is {compiled.get('loss')}")


def their_weights(folder):
    """A .weights.h5 of Keras into a model of the same architecture."""
    model, _ = models.THEIRS["sequential_adam"]()
    empty, weights, filled = (f"{folder}/weights{ending}" for ending in ("-empty.keras", ".weights.h5", "-filled.keras"))
    inputs, _ = samples(model, 3)
    model.save(empty)
    for variable in model.weights:
        variable.assign(numpy.asarray(variable) + 0.125)
    model.save_weights(weights)
    if attempt("weights of Keras: opened", exchange, "copy", empty, weights, filled) is not None:
        compare_predictions("weights of Keras", model, filled, inputs)


def main():
    warnings.filterwarnings("ignore", message="The structure of `inputs`")
    warnings.filterwarnings("ignore", message=".* does not support masking")
    print(f"Keras {keras.__version__}, {keras.backend.backend()}")
    keras.utils.set_random_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        for name in models.OURS:
            attempt(name, ours, name, folder)
        for name in models.THEIRS:
            attempt(name, theirs, name, folder)
        attempt("weights of Keras", their_weights, folder)
    print(f"{checks.passed} passed, {checks.failed} failed, 0 skipped")
    return checks.failed > 0 or checks.passed == 0


if __name__ == "__main__":
    sys.exit(main())
