/* A small model and its data. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "runs.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/tensor.h"
#include "training/session.h"
#include "training/trainer.h"

strata_context *run_open_with(strata_options options)
{
    options.seed = 4;
    options.verbosity = 1;
    strata_context *ctx = strata_init(MPI_COMM_WORLD, options);
    assert_all_ok(ctx);
    return ctx;
}

strata_context *run_open(const char *mesh)
{
    return run_open_with((strata_options){.mesh = mesh});
}

void run_close(strata_context *ctx)
{
    strata__session_close(ctx);
    assert_all_int_equal(strata__context_free(ctx), 0);
}

strata_model *run_model(strata_context *ctx, const char *optimizer)
{
    strata_tensor *input = strata_input(ctx, .shape = {RUN_FEATURES});
    strata_tensor *x = strata_dense(input, .units = 9, .activation = "relu", .name = "first");
    x = strata_batch_normalization(x, .name = "norm");
    x = strata_dropout(x, .rate = 0.3);
    x = strata_dense(x, .units = RUN_CLASSES, .kernel_regularizer = "L2(0.001)", .name = "last");
    strata_model *model = strata_functional(input, x, .name = "net");
    strata_compile(model, .optimizer = optimizer,
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)",
                   .metrics = {"accuracy"});
    assert_all_ok(ctx);
    return model;
}

strata_dataset *run_data(strata_context *ctx, float *x, int32_t *y)
{
    strata__random_normal((strata__key){7, 1}, 0, RUN_SAMPLES * RUN_FEATURES, x);
    for (int i = 0; i < RUN_SAMPLES; i++) {
        y[i] = i % RUN_CLASSES;
        x[i * RUN_FEATURES + y[i]] += 2;
    }
    return strata_array_dataset(ctx,
                                .x = {{x, STRATA_SHAPE(RUN_SAMPLES, RUN_FEATURES), STRATA_FLOAT32}},
                                .y = {{y, STRATA_SHAPE(RUN_SAMPLES), STRATA_INT32}});
}

int run_weights(strata_model *model, double *values, int room)
{
    strata_variable *weights[32];
    int count = strata_layer_weights(strata_model_layer(model), weights, 32), filled = 0;
    assert_true(count <= 32);
    for (int i = 0; i < count; i++) {
        strata_shape shape = strata_variable_shape(weights[i]);
        int64_t elements = strata__product(&shape, 0, shape.rank);
        float *whole = malloc((size_t)elements * sizeof *whole);
        assert_true(filled + elements <= room);
        assert_int_equal(strata_variable_dtype(weights[i]), STRATA_FLOAT32);
        assert_all_int_equal(strata_cross_read(weights[i], whole), STRATA_OK);
        for (int64_t e = 0; e < elements; e++)
            values[filled++] = whole[e];
        free(whole);
    }
    return filled;
}

static void read_slot(strata__optimizer *optimizer, int index, run_values *values)
{
    strata__optimizer_variable slot = strata__optimizer_variable_at(optimizer, index);
    float whole[RUN_MOST] = {0};
    if (!slot.slot)
        return;
    assert_all_int_equal(strata__optimizer_read(optimizer, index, whole), STRATA_OK);
    int64_t count = strata__product(&slot.shape, 0, slot.shape.rank);
    assert_true(values->slot_count + count <= 2 * RUN_MOST);
    for (int64_t e = 0; e < count; e++)
        values->slots[values->slot_count++] = whole[e];
}

void run_values_read(strata_model *model, run_values *values)
{
    strata__optimizer *optimizer = model->trainer->optimizer;
    memset(values, 0, sizeof *values);
    values->weight_count = run_weights(model, values->weights, RUN_MOST);
    for (int i = 0; i < strata__optimizer_variable_count(optimizer); i++)
        read_slot(optimizer, i, values);
}

void run_note(strata_model *model, const strata_history *history, run_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->status = strata_error(model->ctx);
    snprintf(outcome->message, sizeof outcome->message, "%s", strata_error_message(model->ctx));
    strata_error_clear(model->ctx);
    if (!history)
        return;
    outcome->epochs = history->epochs;
    outcome->count = history->count;
    assert_true(outcome->count <= RUN_NAMES && outcome->epochs <= RUN_EPOCHS);
    for (int i = 0; i < outcome->count; i++)
        memcpy(outcome->history[i], history->values[i], (size_t)outcome->epochs * sizeof(double));
    run_values_read(model, &outcome->values);
}

void run_assert_same(const run_outcome *a, const run_outcome *b)
{
    assert_all_string_equal(a->message, "");
    assert_all_string_equal(b->message, "");
    assert_all_int_equal(a->epochs, b->epochs);
    assert_all_int_equal(a->count, b->count);
    assert_all(memcmp(a->history, b->history, sizeof a->history) == 0);
    assert_all(memcmp(&a->values, &b->values, sizeof a->values) == 0);
}

const char *run_text(const char *path)
{
    static char text[1 << 14];
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    return text;
}
