# Counted checks, runs of our programs, and comparisons of model files.
# SPDX-License-Identifier: Apache-2.0
import json
import math
import os
import subprocess
import tempfile
import zipfile

import h5py
import numpy

SECONDS = 120  # for one run of a program
MPIRUN = os.environ.get("MPIRUN", "mpirun")
BUILD = os.environ.get("builddir", ".")

passed = failed = 0


def check(what, complaint):
    """Counts one check; an empty complaint passes."""
    global passed, failed
    if complaint:
        failed += 1
        print(f"not ok - {what}\n    {complaint}", flush=True)
    else:
        passed += 1
        print(f"ok - {what}", flush=True)


def attempt(what, function, *arguments):
    """The function's result; an exception counts as a failed check and gives None."""
    try:
        return function(*arguments)
    except Exception as error:  # whatever Keras or a program of ours says
        check(what, f"{type(error).__name__}: {error}")
        return None


def start(ranks, program, *arguments):
    command = [MPIRUN, "-n", str(ranks), os.path.join(BUILD, program), *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)


def run(ranks, program, *arguments):
    """Standard output of a program that must succeed."""
    result = start(ranks, program, *arguments)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("strata: ")]
        raise RuntimeError(f"{program} {arguments} exits {result.returncode}: {' '.join(lines) or result.stderr}")
    return result.stdout


def strata(ranks, *arguments):
    return run(ranks, "apps/strata", *arguments)


def exchange(*arguments):
    return run(2, "tests/keras/exchange", *arguments)


def difference(ours, theirs, tolerance):
    """Complaint about arrays, or lists of them, that are not equal within a tolerance relative to the largest value."""
    if not isinstance(theirs, list):
        ours, theirs = [ours], [theirs]
    if len(ours) != len(theirs):
        return f"{len(ours)} arrays, expected {len(theirs)}"
    for index, (a, b) in enumerate(zip(ours, theirs)):
        a, b = numpy.asarray(a), numpy.asarray(b)
        if a.shape != b.shape:
            return f"array {index} has shape {a.shape}, expected {b.shape}"
        scale = max(1.0, float(numpy.abs(b).max(initial=0)))
        error = float(numpy.abs(a - b).max(initial=0)) / scale
        if not error <= tolerance:
            return f"array {index} differs by {error:g}, more than {tolerance:g}"
    return ""


def predictions(model, path, inputs, ranks, *options):
    """What our program predicts for inputs by name: one array for each output of the Keras model."""
    with tempfile.TemporaryDirectory() as folder:
        words = []
        for name, array in inputs.items():
            numpy.save(f"{folder}/{name}.npy", array)
            words += ["--x", f"{name}={folder}/{name}.npy"]
        outputs = [f"{folder}/output{index}.npy" for index in range(len(model.outputs))]
        for output in outputs:
            words += ["--output", output]
        strata(ranks, "predict", path, *words, "--verbose", 0, *options)
        arrays = [numpy.load(output) for output in outputs]
    return arrays if len(arrays) > 1 else arrays[0]


# --- files ---


def configuration(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


# Keys that only the newest Keras writes and the one before refuses, and what they say when they say nothing: we leave them out.
EMPTY = {"optional": [False], "ragged": [False], "quantization_config": [None], "input_axes": [None], "output_axes": [None],
         "training": [False], "mask": [None], "use_gate": [False], "sliding_window": [None],
         "compile_config": [{}], "jit_compile": ["auto", True]}


def without_empty(config):
    """
    Also without the id that Keras gives to an object that occurs several times. A single input or output, which stands by itself
    since Keras 3.11, stands in a list as before; every version reads both.
    """
    if isinstance(config, list):
        return [without_empty(item) for item in config]
    if not isinstance(config, dict):
        return config
    result = {key: without_empty(value) for key, value in config.items()
              if key != "shared_object_id" and not (key in EMPTY and value in EMPTY[key])}
    for key in ("input_layers", "output_layers"):
        if isinstance(result.get(key), list) and isinstance(result[key][0], str):
            result[key] = [result[key]]
    return result


def config_difference(ours, theirs, path="config"):
    """Complaint about the first place where two JSON values differ; Keras rounds some numbers to float32."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return "" if math.isclose(ours, theirs, rel_tol=1e-6) else f"{path} is {ours!r}, expected {theirs!r}"
    # layers that need no building have no build_config in Keras
    if isinstance(ours, dict) and isinstance(theirs, dict):
        different = (ours.keys() ^ theirs.keys()) - {"build_config"}
        if different:
            return f"{path} has the keys {sorted(ours)}, expected {sorted(theirs)}"
        pairs = [(f"{path}.{key}", ours[key], theirs[key]) for key in ours.keys() & theirs.keys()]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(ours, theirs))]
    else:
        return "" if ours == theirs else f"{path} is {ours!r}, expected {theirs!r}"
    return next(filter(None, (config_difference(a, b, place) for place, a, b in pairs)), "")


def stored_arrays(path):
    """Every data set of model.weights.h5, by its path."""
    arrays = {}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        with h5py.File(archive.extract("model.weights.h5", folder)) as file:
            file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def files_difference(ours, theirs):
    """Complaint about two .keras files that do not hold the same model, weights and optimizer state."""
    complaint = config_difference(*(without_empty(configuration(path)) for path in (ours, theirs)))
    if complaint:
        return complaint
    a, b = stored_arrays(ours), stored_arrays(theirs)
    if a.keys() != b.keys():
        return f"the data sets {sorted(a.keys() ^ b.keys())} are in one file only"
    for name in a:
        if a[name].dtype != b[name].dtype:
            return f"{name} is {a[name].dtype}, expected {b[name].dtype}"
        if not numpy.array_equal(a[name], b[name]):
            return f"{name} has other values or another shape"
    return ""
