/* A small training that saves after every batch, with a fault on the way. Not a test: the scripts
 * beside it run it and look at what becomes of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include <strata.h>

#include "faults/faults.h"

enum { SAMPLES = 24, INPUTS = 16, UNITS = 64 };

static strata_model *network(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {INPUTS});
    strata_tensor *y = strata_dense(x, .units = UNITS, .activation = "relu");
    y = strata_dense(y, .units = 2);
    strata_model *model = strata_functional(x, y);
    strata_compile(model, .optimizer = "adam", .loss = "mse");
    return model;
}

static void train(strata_context *ctx, const char *base, const char *on_error)
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
    strata_fit(network(ctx), data, .batch_size = 8, .epochs = 2, .verbose = "0",
               .callbacks = {strata_callback_from_text(ctx, saves)}, .resume = "auto");
}

int main(int argc, char **argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (argc < 3 || !fault_set_from_environment(rank ? atoi(rank) : 0)) {
        fputs("Usage: trainee BASE stop|continue [--mesh=…]\n", stderr);
        return EXIT_FAILURE;
    }
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    train(ctx, argv[1], argv[2]);
    if (fault_count() > 0)
        printf("calls %ld\n", fault_count());
    return strata_finish(&ctx);
}
