/* strata train: goes on training a Keras model, or trains it from scratch, and saves it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static const option options[] = {
    {"x", "FILE", OPTION_WORDS, offsetof(arguments, x), STRATA_MAX_COLUMNS, true,
     "inputs: .npy or IDX, packed by gzip or not; once for each input\n"
     "of the model, in order, or as NAME=FILE"},
    {"y", "FILE", OPTION_WORDS, offsetof(arguments, y), STRATA_MAX_COLUMNS, true,
     "targets, in the same way, one for each output"},
    {"sample-weight", "FILE", OPTION_WORDS, offsetof(arguments, sample_weight), STRATA_MAX_COLUMNS,
     false, "weights of the samples, for all outputs or each"},
    {"validation-x", "FILE", OPTION_WORDS, offsetof(arguments, validation_x), STRATA_MAX_COLUMNS,
     false, "inputs to evaluate after every epoch"},
    {"validation-y", "FILE", OPTION_WORDS, offsetof(arguments, validation_y), STRATA_MAX_COLUMNS,
     false, "their targets"},
    {"validation-split", "PART", OPTION_REAL, offsetof(arguments, validation_split), 0, false,
     "last part of the samples to keep for validation, as 0.1"},
    {"epochs", "N", OPTION_COUNT, offsetof(arguments, epochs), 0, false,
     "number of the last epoch (1)"},
    {"initial-epoch", "N", OPTION_INDEX, offsetof(arguments, initial_epoch), 0, false,
     "epochs that were done before (0)"},
    {"batch-size", "N", OPTION_COUNT, offsetof(arguments, batch_size), 0, false,
     "samples of a step, over all ranks (32)"},
    {"shuffle", "HOW", OPTION_TEXT, offsetof(arguments, shuffle), 0, false,
     "True (every epoch anew), False, or batch (whole batches)"},
    {"optimizer", "TEXT", OPTION_TEXT, offsetof(arguments, optimizer), 0, false,
     "in Keras notation: \"SGD(0.1, momentum=0.9)\""},
    {"loss", "TEXT", OPTION_WORDS, offsetof(arguments, loss), STRATA_MAX_COLUMNS, false,
     "of all outputs; or repeated, one for each"},
    {"metrics", "LIST", OPTION_WORDS, offsetof(arguments, metrics), STRATA_MAX_COLUMNS, false,
     "separated by commas; or repeated, a list for each output"},
    {"callback", "TEXT", OPTION_WORDS, offsetof(arguments, callback), STRATA_MAX_CALLBACKS, false,
     "\"EarlyStopping(patience=3)\", ModelCheckpoint, CSVLogger,\nTerminateOnNaN; may be repeated"},
    {"checkpoint", "PATH", OPTION_TEXT, offsetof(arguments, checkpoint), 0, false,
     "save the run there, the last three times: runs/digits.h5,\nor a folder as runs/"},
    {"save-freq", "WHEN", OPTION_TEXT, offsetof(arguments, save_freq), 0, false,
     "epoch, a number of batches, or a time as 10m (epoch)"},
    {"resume", "PATH", OPTION_TEXT, offsetof(arguments, resume), 0, false,
     "checkpoint to go on from; auto: the newest of --checkpoint,\nor a fresh start where there is "
     "none"},
    {"verbose", "HOW", OPTION_TEXT, offsetof(arguments, verbose), 0, false,
     "auto, 0 (nothing), 1 (a bar), 2 (a line an epoch)"},
    {"plan", NULL, OPTION_LIBRARY, 0, 0, false,
     "first print what a step will exchange and hold, by layer\n(or STRATA_PLAN=1)"},
    {"profile", "[=FILE]", OPTION_LIBRARY, 0, 0, false,
     "at the end print where the time went; and write a trace of all\nranks to FILE, for Perfetto "
     "(or STRATA_PROFILE)"},
    {"output", "FILE", OPTION_WORDS, offsetof(arguments, output), 1, false,
     "where the trained model goes (MODEL-trained.keras)"},
};

/* --- compile: what the options say instead of what the model was compiled with --- */

/* The end of a metric in "mae,TopKCategoricalAccuracy(k=3, name='a,b'),mse". */
static char *end_of_metric(char *text)
{
    int depth = 0;
    char quote = '\0';
    for (; *text && (*text != ',' || depth > 0 || quote); text++) {
        if (quote)
            quote = *text == quote ? '\0' : quote;
        else if (*text == '\'' || *text == '"')
            quote = *text;
        else
            depth += (strchr("([{", *text) != NULL) - (strchr(")]}", *text) != NULL);
    }
    return text;
}

/* Cuts `list` in place. */
static void split_metrics(strata_context *ctx, char *list, const char **metrics)
{
    int count = 0;
    for (char *item = list, *end; item; item = end) {
        end = end_of_metric(item);
        end = *end ? (*end = '\0', end + 1) : NULL;
        if (count == STRATA_MAX_METRICS) {
            strata_fail(ctx, STRATA_INVALID, "option '--metrics' names more than %d metrics",
                        STRATA_MAX_METRICS);
            return;
        }
        metrics[count++] = item;
    }
}

static void take_losses(const words *losses, strata_compile_options *to)
{
    if (losses->items[0] && !losses->items[1])
        to->loss = losses->items[0];
    else
        memcpy(to->losses, losses->items, sizeof to->losses);
}

static void compile(strata_context *ctx, strata_model *model, const arguments *given)
{
    strata_compile_options to = {.optimizer = given->optimizer, .keep = true};
    char *lists[STRATA_MAX_COLUMNS] = {NULL};
    if (!given->optimizer && !given->loss.items[0] && !given->metrics.items[0])
        return;
    take_losses(&given->loss, &to);
    for (int i = 0; given->metrics.items[i]; i++) {
        lists[i] = strdup(given->metrics.items[i]);
        if (lists[i])
            split_metrics(ctx, lists[i], to.output_metrics[i]);
        else
            strata_fail(ctx, STRATA_NO_MEMORY, "no memory for the names of metrics");
    }
    if (strata_agree(ctx) == STRATA_OK)
        strata_compile_from(model, &to);
    for (int i = 0; i < STRATA_MAX_COLUMNS; i++)
        free(lists[i]);
}

/* --- the command --- */

static strata_dataset *read_data(strata_context *ctx, const words *x, const words *y,
                                 const words *weights)
{
    strata_file_options files = {0};
    options_files(x, files.x);
    options_files(y, files.y);
    if (weights)
        options_files(weights, files.sample_weight);
    return strata_file_dataset_from(ctx, &files);
}

enum { QUOTED_PATH = 2 * PATH_MAX + 3 };

/* 'word', in the notation of Keras. */
static void quote(const char *word, char text[QUOTED_PATH])
{
    size_t length = 0;
    text[length++] = '\'';
    for (; *word && length + 4 < QUOTED_PATH; word++) {
        if (*word == '\'' || *word == '\\')
            text[length++] = '\\';
        text[length++] = *word;
    }
    text[length++] = '\'';
    text[length] = '\0';
}

/* The callback that --checkpoint asks for. */
static strata_callback *checkpoint_callback(strata_context *ctx, const arguments *given)
{
    char path[QUOTED_PATH], freq[QUOTED_PATH], text[2 * QUOTED_PATH + 32];
    const char *when = given->save_freq ? given->save_freq : "epoch";
    bool number = when[strspn(when, "0123456789")] == '\0';
    quote(given->checkpoint, path);
    quote(when, freq);
    snprintf(text, sizeof text, "Checkpoint(%s, save_freq=%s)", path, number ? when : freq);
    return strata_callback_from_text(ctx, text);
}

static void add_callbacks(strata_context *ctx, const arguments *given, strata_fit_options *to)
{
    int count = 0;
    for (; given->callback.items[count]; count++)
        to->callbacks[count] = strata_callback_from_text(ctx, given->callback.items[count]);
    if (given->checkpoint && count == STRATA_MAX_CALLBACKS)
        strata_fail(ctx, STRATA_INVALID,
                    "--callback is given %d times: none is left for --checkpoint", count);
    else if (given->checkpoint)
        to->callbacks[count] = checkpoint_callback(ctx, given);
}

static void fit(strata_context *ctx, strata_model *model, const arguments *given)
{
    strata_fit_options to = {.batch_size = given->batch_size,
                             .epochs = (int)given->epochs,
                             .initial_epoch = (int)given->initial_epoch,
                             .shuffle = given->shuffle,
                             .validation_split = given->validation_split,
                             .verbose = given->verbose,
                             .resume = given->resume};
    strata_dataset *data = read_data(ctx, &given->x, &given->y, &given->sample_weight);
    if (given->validation_x.items[0])
        to.validation_data = read_data(ctx, &given->validation_x, &given->validation_y, NULL);
    add_callbacks(ctx, given, &to);
    strata_fit_from(model, data, &to);
}

static void check_arguments(strata_context *ctx, const arguments *given, const char *output)
{
    size_t length = strlen(output), ending = strlen(".keras");
    if (length < ending || strcmp(output + length - ending, ".keras") != 0)
        strata_fail(ctx, STRATA_INVALID, "--output '%s' must end in .keras", output);
    if (!given->validation_x.items[0] != !given->validation_y.items[0])
        strata_fail(ctx, STRATA_INVALID, "--validation-x and --validation-y go together");
    if (given->save_freq && !given->checkpoint)
        strata_fail(ctx, STRATA_INVALID, "--save-freq goes with --checkpoint, which says where");
    strata_output_check(ctx, output);
}

static void run(strata_context *ctx, const arguments *given)
{
    char automatic[4096];
    const char *output = given->output.items[0], *dot = strrchr(given->model, '.');
    int stem = dot ? (int)(dot - given->model) : (int)strlen(given->model);
    snprintf(automatic, sizeof automatic, "%.*s-trained.keras", stem, given->model);
    output = output ? output : automatic;
    check_arguments(ctx, given, output);
    strata_model *model = strata_load(ctx, given->model);
    if (!model)
        return;
    compile(ctx, model, given);
    if (strata_error(ctx) == STRATA_OK && !strata_model_compiled(model))
        strata_fail(ctx, STRATA_INVALID,
                    "model '%s' was saved without compile(); give --loss, and --optimizer and "
                    "--metrics if you like",
                    given->model);
    fit(ctx, model, given);
    if (strata_save(model, output) == STRATA_OK && strata_rank(ctx) == 0)
        printf("saved %s\n", output);
}

const command train_command = {
    .name = "train",
    .summary = "Trains a Keras model and saves it.",
    .own = {options, sizeof options / sizeof *options},
    .run = run,
};
