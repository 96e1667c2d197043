/* A small training that saves after every batch, with a fault on the way. Not a test: the scripts
 * beside it run it and look at what becomes of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata.h>

#include "faults/faults.h"

enum { SAMPLES = 24, INPUTS = 16, UNITS = 64 };

static strata_model *dense_network(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {INPUTS});
    strata_tensor *y = strata_dense(x, .units = UNITS, .activation = "relu");
    return strata_functional(x, strata_dense(y, .units = 2));
}

/* Layers that communicate in their own ways. */
static strata_model *attention_network(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {INPUTS}, .dtype = "int32");
    strata_tensor *h = strata_embedding(x, .input_dim = 4, .output_dim = 8);
    h = strata_multi_head_attention(h, h, .num_heads = 2, .key_dim = 4, .dropout = 0.1);
    h = strata_layer_normalization(h);
    h = strata_batch_normalization(strata_flatten(h));
    return strata_functional(x, strata_dense(h, .units = 2, .kernel_initializer = "orthogonal"));
}

static void use(strata_model *model, strata_dataset *data)
{
    static float outputs[SAMPLES][2];
    strata_evaluate(model, data, .batch_size = 8, .verbose = "0");
    strata_predict(model, data, (float *const[]){&outputs[0][0]}, .batch_size = 8, .verbose = "0");
}

/* Wide: with other layers, in other ways, and used afterwards. */
static void train(strata_context *ctx, const char *base, const char *on_error, bool wide)
{
    static float x[SAMPLES][INPUTS], y[SAMPLES][2];
    for (int i = 0; i < SAMPLES; i++) {
        x[i][i % INPUTS] = 1;
        y[i][i % 2] = (float)i / SAMPLES;
    }
    strata_dataset *data =
        strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(SAMPLES, INPUTS), STRATA_FLOAT32}},
                             .y = {{y, STRATA_SHAPE(SAMPLES, 2), STRATA_FLOAT32}});
    char saves[512];
    snprintf(saves, sizeof saves, "Checkpoint('%s', save_freq=1, on_error='%s')", base, on_error);
    strata_model *model = wide ? attention_network(ctx) : dense_network(ctx);
    strata_compile(model, .optimizer = wide ? "AdamW(global_clipnorm=1.0)" : "adam", .loss = "mse",
                   .metrics = {wide ? "mae" : NULL});
    strata_fit(model, data, .batch_size = 8, .epochs = 2, .verbose = "0",
               .validation_data = wide ? data : NULL,
               .callbacks = {strata_callback_from_text(ctx, saves)}, .resume = "auto");
    if (wide)
        use(model, data);
}

int main(int argc, char **argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (argc < 3 || !fault_set_from_environment(rank ? atoi(rank) : 0)) {
        fputs("Usage: trainee BASE stop|continue [wide] [--mesh=…]\n", stderr);
        return EXIT_FAILURE;
    }
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    train(ctx, argv[1], argv[2], argc > 3 && strcmp(argv[3], "wide") == 0);
    if (fault_count() > 0)
        printf("calls %ld\n", fault_count());
    return strata_finish(&ctx);
}
