/* strata predict: outputs of a Keras model for files of samples, as .npy files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static const option options[] = {
    {"x", "FILE", OPTION_WORDS, offsetof(arguments, x), STRATA_MAX_COLUMNS, true,
     "inputs: .npy or IDX, packed by gzip or not; once for each input\n"
     "of the model, in order, or as NAME=FILE"},
    {"output", "FILE", OPTION_WORDS, offsetof(arguments, output), STRATA_MAX_COLUMNS, true,
     ".npy file to write; once for each output of the model, in\norder, or as NAME=FILE for some"},
    {"batch-size", "N", OPTION_COUNT, offsetof(arguments, batch_size), 0, false,
     "samples of a step, over all ranks (32)"},
    {"verbose", "HOW", OPTION_TEXT, offsetof(arguments, verbose), 0, false,
     "auto, 0 (nothing), 1 (a bar), 2 (a line)"},
};

/* What becomes of one output of the model. */
typedef struct result {
    const char *file; /* NULL: not asked for */
    strata_shape shape;
    float *values; /* of that shape, on rank 0 */
} result;

/* --- which output goes where --- */

/* Index of the output that "NAME=FILE" names, −1 if none has such a name: then all of it is a path.
 */
static int output_named(const strata_model *model, const char *text)
{
    strata_tensor *output;
    const char *equals = strchr(text, '=');
    for (int i = 0; equals && i < STRATA_MAX_COLUMNS && (output = strata_model_output(model, i));
         i++) {
        const char *name = strata_layer_name(strata_tensor_layer(output));
        if (strlen(name) == (size_t)(equals - text) && strncmp(name, text, strlen(name)) == 0)
            return i;
    }
    return -1;
}

static void assign_files(strata_context *ctx, const strata_model *model, const words *files,
                         result *results)
{
    for (int i = 0; files->items[i] && strata_error(ctx) == STRATA_OK; i++) {
        int named = output_named(model, files->items[i]), index = named < 0 ? i : named;
        const char *file = named < 0 ? files->items[i] : strchr(files->items[i], '=') + 1;
        if (!strata_model_output(model, index))
            strata_fail(ctx, STRATA_INVALID, "--output '%s': model '%s' has no output %d", file,
                        strata_model_name(model), index);
        else if (results[index].file)
            strata_fail(ctx, STRATA_INVALID, "--output '%s': output %d goes to '%s' already", file,
                        index, results[index].file);
        else
            results[index].file = file;
        strata_output_check(ctx, file);
    }
}

/* --- rooms --- */

/* (samples, sizes of the output); how many numbers, 0 after an error. */
static int64_t shape_of(strata_context *ctx, const strata_model *model, int index, int64_t samples,
                        strata_shape *shape)
{
    int64_t numbers = samples;
    *shape = strata_tensor_shape(strata_model_output(model, index));
    shape->dims[0] = samples;
    for (int i = 1; i < shape->rank; i++) {
        if (shape->dims[i] == STRATA_NONE ||
            __builtin_mul_overflow(numbers, shape->dims[i], &numbers)) {
            strata_fail(ctx, STRATA_UNSUPPORTED,
                        "size of axis %d of output %d of model '%s' is not known", i, index,
                        strata_model_name(model));
            return 0;
        }
    }
    return numbers;
}

/* Rank 0 holds the values; that it can is agreed. */
static void make_room(strata_context *ctx, const strata_model *model, int64_t samples,
                      result *results, float **outputs)
{
    for (int i = 0; i < STRATA_MAX_COLUMNS; i++) {
        if (!results[i].file)
            continue;
        int64_t numbers = shape_of(ctx, model, i, samples, &results[i].shape);
        if (numbers == 0 || strata_rank(ctx) != 0)
            continue;
        outputs[i] = results[i].values = malloc((size_t)numbers * sizeof(float));
        if (!outputs[i])
            strata_fail(ctx, STRATA_NO_MEMORY, "no memory for %lld numbers of output %d",
                        (long long)numbers, i);
    }
    strata_agree(ctx);
}

/* --- the command --- */

static void predict(strata_context *ctx, strata_model *model, const arguments *given,
                    result *results)
{
    strata_file_options files = {0};
    float *outputs[STRATA_MAX_COLUMNS] = {NULL};
    assign_files(ctx, model, &given->output, results);
    options_files(&given->x, files.x);
    strata_dataset *data = strata_file_dataset_from(ctx, &files);
    if (!data)
        return;
    make_room(ctx, model, strata_dataset_size(data), results, outputs);
    strata_predict(model, data, outputs, .batch_size = given->batch_size,
                   .verbose = given->verbose);
    for (int i = 0; i < STRATA_MAX_COLUMNS; i++) {
        if (results[i].file)
            strata_npy_write(ctx, results[i].file, STRATA_FLOAT32, results[i].shape,
                             results[i].values);
    }
}

static void run(strata_context *ctx, const arguments *given)
{
    result results[STRATA_MAX_COLUMNS] = {{0}};
    strata_model *model = strata_load(ctx, given->model);
    if (model)
        predict(ctx, model, given, results);
    for (int i = 0; i < STRATA_MAX_COLUMNS; i++)
        free(results[i].values);
}

const command predict_command = {
    .name = "predict",
    .summary = "Writes the outputs of a Keras model to .npy files.",
    .own = {options, sizeof options / sizeof *options},
    .run = run,
};
