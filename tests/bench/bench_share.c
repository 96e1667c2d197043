/* Measures which share of a training step the reduction of gradients takes, beside MPI_Allreduce of
 * as many numbers; prints rows on rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/collective.h"

enum { WARM_UP = 10, REPEATS = 100, TOKENS = 128, WIDTH = 256, VOCABULARY = 256 };

typedef struct workload {
    const char *name;
    strata_shape input;
    strata_dtype dtype;
    int64_t labels, batch; /* labels a sample */
    int steps;
    strata_tensor *(*network)(strata_tensor *x);
} workload;

static strata_tensor *mlp(strata_tensor *x)
{
    x = strata_dense(x, .units = 512, .activation = "relu");
    x = strata_dense(x, .units = 512, .activation = "relu");
    return strata_dense(x, .units = 10);
}

static strata_tensor *block(strata_tensor *x)
{
    strata_tensor *y = strata_layer_normalization(x);
    strata_tensor *q = strata_dense(y, .units = WIDTH), *k = strata_dense(y, .units = WIDTH);
    y = strata_dense(y, .units = WIDTH);
    y = strata_dense(strata_attention(STRATA_LIST(q, y, k)), .units = WIDTH);
    x = strata_add(STRATA_LIST(x, y));
    y = strata_dense(strata_layer_normalization(x), .units = 4 * WIDTH, .activation = "relu");
    return strata_add(STRATA_LIST(x, strata_dense(y, .units = WIDTH)));
}

static strata_tensor *transformer(strata_tensor *x)
{
    x = strata_embedding(x, .input_dim = VOCABULARY, .output_dim = WIDTH);
    for (int i = 0; i < 4; i++)
        x = block(x);
    return strata_dense(x, .units = VOCABULARY);
}

static const workload workloads[] = {
    {"mlp", {.rank = 1, .dims = {784}}, STRATA_FLOAT32, 1, 128, 300, mlp},
    {"transformer", {.rank = 1, .dims = {TOKENS}}, STRATA_INT32, TOKENS, 16, 30, transformer},
};

/* --- a watch on each step: in collectives of arenas, without the updates that nest in them --- */

typedef struct watch {
    strata_context *ctx;
    int steps;
    double last, begun;              /* readings of the clock */
    double reducing;                 /* in this step so far */
    double step, reduction;          /* of the fastest step */
    const char *stack[STRATA__AXES]; /* nested collectives */
    int depth;
} watch;

static bool reduces(const char *name)
{
    strata__collective what;
    strata__axis axis;
    return name && strata__collective_find(name, &what, &axis) && what == STRATA__GRADIENT_SUMS;
}

static void observe(void *user, strata__doing kind, const char *name, bool begins)
{
    watch *w = user;
    double now = strata__seconds();
    if (w->depth > 0 && reduces(w->stack[w->depth - 1]))
        w->reducing += now - w->last;
    w->last = now;
    if (kind == STRATA__COLLECTIVE && begins)
        w->stack[w->depth++] = name;
    else if (kind == STRATA__COLLECTIVE)
        w->depth--;
}

static void step_ended(strata_callback *self, strata_model *model, int64_t batch,
                       const strata_logs *logs)
{
    watch *w = self->state;
    double now = strata__seconds(), step = now - w->begun;
    (void)model;
    (void)batch;
    (void)logs;
    if (w->steps++ >= WARM_UP && (w->step == 0 || step < w->step)) {
        w->step = step;
        w->reduction = w->reducing;
    }
    w->begun = now;
    w->reducing = 0;
}

/* --- the same numbers through MPI, all ranks on time --- */

/* A step's activations pass through the cache between the gradients and their sum; here it is as
 * much memory as pushes the numbers out of what a core has for itself. */
enum { BETWEEN = 64 << 20 };

static double allreduce_time(strata_context *ctx, int count)
{
    double best = 1;
    float *values = strata__calloc(ctx, (size_t)count, sizeof *values);
    char *between = strata__alloc(ctx, BETWEEN);
    for (int i = 0; values && between && i < REPEATS; i++) {
        memset(between, i, BETWEEN);
        strata__barrier(ctx, STRATA__WORLD);
        double begin = strata__seconds();
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, ctx->mesh->comm);
        double time = strata__seconds() - begin;
        best = time < best ? time : best;
    }
    strata__free(ctx, between);
    strata__free(ctx, values);
    return best;
}

static void report(const workload *w, strata_model *model, const watch *seen)
{
    strata_context *ctx = seen->ctx;
    int count = (int)strata_layer_count_params(strata_model_layer(model));
    double theirs = 1e3 * allreduce_time(ctx, count), ours = 1e3 * seen->reduction;
    double share = 100 * seen->reduction / seen->step;
    if (ctx->mesh->rank != 0)
        return;
    printf("%s, sum of %d gradients within a step, ms\t%.3f\t%.3f\tMPI_Allreduce\t%.2f\n", w->name,
           count, ours, theirs, theirs / ours);
    printf("%s, share of a step that sums of gradients take, %%\t%.1f\t5\taim\t%.2f\n", w->name,
           share, 5 / share);
}

/* --- data: numbers below the vocabulary, the same on every rank --- */

static void *random_numbers(strata_dtype dtype, int64_t count, int below)
{
    void *numbers = malloc((size_t)count * sizeof(float));
    uint64_t state = 1;
    for (int64_t i = 0; numbers && i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (dtype == STRATA_INT32)
            ((int32_t *)numbers)[i] = (int32_t)((state >> 33) % (uint64_t)below);
        else
            ((float *)numbers)[i] = (float)(state >> 40) / (float)(1 << 24);
    }
    return numbers;
}

static strata_shape with_batch(int64_t samples, const strata_shape *sample)
{
    strata_shape shape = {.rank = sample->rank + 1, .dims = {samples}};
    memcpy(shape.dims + 1, sample->dims, (size_t)sample->rank * sizeof *shape.dims);
    return shape;
}

static void run(strata_context *ctx, const workload *w)
{
    int64_t samples = w->batch * 4;
    strata_shape x_shape = with_batch(samples, &w->input);
    strata_shape y_shape = w->labels > 1 ? STRATA_SHAPE(samples, w->labels) : STRATA_SHAPE(samples);
    void *x = random_numbers(w->dtype, samples * w->input.dims[0], VOCABULARY);
    void *y = random_numbers(STRATA_INT32, samples * w->labels, 10);
    strata_dataset *data =
        strata_array_dataset(ctx, .x = {{x, x_shape, w->dtype}}, .y = {{y, y_shape, STRATA_INT32}});
    strata_tensor *input = strata_input(ctx, .shape = w->input,
                                        .dtype = w->dtype == STRATA_INT32 ? "int32" : "float32");
    strata_model *model = strata_functional(input, w->network(input));
    strata_compile(model, .optimizer = "adam",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)");
    watch seen = {.ctx = ctx, .begun = strata__seconds()};
    strata_callback ends = {.state = &seen, .train_batch_end = step_ended};
    ctx->activity.observer = &seen;
    ctx->activity.observe = observe;
    strata_fit(model, data, .batch_size = w->batch, .epochs = (WARM_UP + w->steps + 3) / 4,
               .verbose = "0", .callbacks = {&ends});
    ctx->activity.observe = NULL;
    if (strata_error(ctx) == STRATA_OK)
        report(w, model, &seen);
    strata_model_free(model);
    strata_dataset_free(data);
    free(x);
    free(y);
}

int main(int argc, char **argv)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        run(ctx, &workloads[i]);
    return strata_finish(&ctx);
}
