/* strata evaluate: loss and metrics of a compiled Keras model over files of samples. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "options.h"

static const option options[] = {
    {"x", "FILE", OPTION_WORDS, offsetof(arguments, x), STRATA_MAX_COLUMNS, true,
     "inputs: .npy or IDX, packed by gzip or not; once for each input\n"
     "of the model, in order, or as NAME=FILE"},
    {"y", "FILE", OPTION_WORDS, offsetof(arguments, y), STRATA_MAX_COLUMNS, true,
     "targets, in the same way, one for each output"},
    {"sample-weight", "FILE", OPTION_WORDS, offsetof(arguments, sample_weight), STRATA_MAX_COLUMNS,
     false, "weights of the samples, for all outputs or each"},
    {"batch-size", "N", OPTION_COUNT, offsetof(arguments, batch_size), 0, false,
     "samples of a step, over all ranks (32)"},
    {"verbose", "HOW", OPTION_TEXT, offsetof(arguments, verbose), 0, false,
     "auto, 0 (nothing but the result), 1 (a bar), 2 (a line)"},
};

static void run(strata_context *ctx, const arguments *given)
{
    strata_file_options files = {0};
    options_files(&given->x, files.x);
    options_files(&given->y, files.y);
    options_files(&given->sample_weight, files.sample_weight);
    strata_model *model = strata_load(ctx, given->model);
    strata_dataset *data = strata_file_dataset_from(ctx, &files);
    const strata_logs *logs =
        strata_evaluate(model, data, .batch_size = given->batch_size, .verbose = given->verbose);
    for (int i = 0; logs && strata_rank(ctx) == 0 && i < logs->count; i++)
        printf("%s: %.9g\n", logs->names[i], logs->values[i]);
}

const command evaluate_command = {
    .name = "evaluate",
    .summary = "Prints loss and metrics of a compiled Keras model.",
    .own = {options, sizeof options / sizeof *options},
    .run = run,
};
