/* Times training steps of one workload; prints one line of numbers on rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <strata.h>

/* Usage: bench_train mlp|convnet|wide|transformer [--mesh=…] [--dtype-policy=…]. The line:
 * samples/s of the fastest step and of the median one, their times in ms, resident MiB (most of any
 * rank), system allocations in the steady steps, seconds of the clock at the end of the first step.
 */

enum { WARM_UP = 10, MOST_STEPS = 400 };

typedef struct workload {
    const char *name;
    strata_shape input; /* without the batch axis */
    int64_t batch;
    int steps;   /* timed */
    bool tokens; /* inputs are bytes, labels the next ones; else numbers and one label of 10 */
    strata_tensor *(*network)(strata_tensor *x);
} workload;

static strata_tensor *mlp(strata_tensor *x)
{
    x = strata_dense(x, .units = 512, .activation = "relu");
    x = strata_dense(x, .units = 512, .activation = "relu");
    return strata_dense(x, .units = 10);
}

static strata_tensor *convolution(strata_tensor *x, int64_t filters)
{
    return strata_conv2d(x, .filters = filters, .kernel_size = {3}, .padding = "same",
                         .activation = "relu");
}

static strata_tensor *convnet(strata_tensor *x)
{
    x = convolution(convolution(x, 32), 32);
    x = strata_max_pooling2d(x);
    x = convolution(convolution(x, 64), 64);
    x = strata_flatten(strata_max_pooling2d(x));
    x = strata_dense(x, .units = 128, .activation = "relu");
    return strata_dense(x, .units = 10);
}

static strata_tensor *wide(strata_tensor *x)
{
    for (int i = 0; i < 4; i++)
        x = strata_dense(x, .units = 4096, .activation = "relu");
    return strata_dense(x, .units = 10);
}

static strata_tensor *block(strata_tensor *x)
{
    strata_tensor *h = strata_layer_normalization(x);
    h = strata_multi_head_attention(h, h, .num_heads = 4, .key_dim = 64, .use_causal_mask = true);
    x = strata_add(STRATA_LIST(x, h));
    h = strata_layer_normalization(x);
    h = strata_dense(h, .units = 1024, .activation = "gelu");
    return strata_add(STRATA_LIST(x, strata_dense(h, .units = 256)));
}

static strata_tensor *transformer(strata_tensor *x)
{
    x = strata_embedding(x, .input_dim = 256, .output_dim = 256);
    for (int i = 0; i < 4; i++)
        x = block(x);
    return strata_dense(strata_layer_normalization(x), .units = 256);
}

static const workload workloads[] = {
    {"mlp", {.rank = 1, .dims = {784}}, 128, 300, false, mlp},
    {"convnet", {.rank = 3, .dims = {28, 28, 1}}, 64, 60, false, convnet},
    {"transformer", {.rank = 1, .dims = {128}}, 16, 40, true, transformer},
    {"wide", {.rank = 1, .dims = {4096}}, 256, 8, false, wide},
};

/* --- a clock at the end of each step --- */

typedef struct clock_state {
    int count;
    double ends[WARM_UP + MOST_STEPS];
    int64_t before, allocations; /* of memory from the system: at the start of a step, within steps
                                    after the warm-up */
    double first;                /* seconds since 1970 at the end of the first step */
} clock_state;

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int64_t allocations_of(strata_model *model)
{
    return strata_memory(strata_model_context(model)).system_allocations;
}

static void step_begins(strata_callback *self, strata_model *model, int64_t batch)
{
    (void)batch;
    ((clock_state *)self->state)->before = allocations_of(model);
}

static void step_ended(strata_callback *self, strata_model *model, int64_t batch,
                       const strata_logs *logs)
{
    clock_state *state = self->state;
    (void)batch;
    (void)logs;
    if (state->count == 0)
        state->first = seconds(CLOCK_REALTIME);
    if (state->count >= WARM_UP)
        state->allocations += allocations_of(model) - state->before;
    if (state->count < WARM_UP + MOST_STEPS)
        state->ends[state->count++] = seconds(CLOCK_MONOTONIC);
}

/* --- data: random, the same on every rank; times do not depend on the values --- */

static float *random_inputs(int64_t count)
{
    float *x = malloc((size_t)count * sizeof *x);
    uint64_t state = 1;
    for (int64_t i = 0; x && i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(state >> 40) / (float)(1 << 24);
    }
    return x;
}

static int32_t *random_classes(int64_t count, int classes)
{
    int32_t *y = malloc((size_t)count * sizeof *y);
    uint64_t state = 2;
    for (int64_t i = 0; y && i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        y[i] = (int32_t)((state >> 33) % (uint64_t)classes);
    }
    return y;
}

typedef struct samples {
    void *x;
    int32_t *y;
    strata_dataset *dataset;
} samples;

static samples make_samples(strata_context *ctx, const workload *w)
{
    int64_t count = w->batch * 4, features = 1;
    for (int i = 0; i < w->input.rank; i++)
        features *= w->input.dims[i];
    strata_shape x = {.rank = w->input.rank + 1, .dims = {count}};
    memcpy(x.dims + 1, w->input.dims, (size_t)w->input.rank * sizeof *x.dims);
    strata_shape y = w->tokens ? x : STRATA_SHAPE(count);
    samples made = {.x = w->tokens ? (void *)random_classes(count * features, 256)
                                   : random_inputs(count * features),
                    .y = w->tokens ? random_classes(count * features, 256)
                                   : random_classes(count, 10)};
    made.dataset =
        strata_array_dataset(ctx, .x = {{made.x, x, w->tokens ? STRATA_INT32 : STRATA_FLOAT32}},
                             .y = {{made.y, y, STRATA_INT32}});
    return made;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(strata_context *ctx, const workload *w, const clock_state *state)
{
    double times[MOST_STEPS];
    int count = 0;
    for (int i = WARM_UP; i < state->count; i++)
        times[count++] = state->ends[i] - state->ends[i - 1];
    qsort(times, (size_t)count, sizeof *times, compare);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (strata_rank(ctx) == 0 && count > 0)
        printf("%s %.1f %.1f %.4f %.4f %ld %lld %.3f\n", w->name, (double)w->batch / times[0],
               (double)w->batch / times[count / 2], 1e3 * times[0], 1e3 * times[count / 2],
               usage.ru_maxrss / 1024, (long long)state->allocations, state->first);
}

static void run(strata_context *ctx, const workload *w)
{
    samples data = make_samples(ctx, w);
    strata_tensor *input =
        strata_input(ctx, .shape = w->input, .dtype = w->tokens ? "int32" : "float32");
    strata_model *model = strata_functional(input, w->network(input));
    strata_compile(model, .optimizer = "adam",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)");
    clock_state state = {0};
    strata_callback clock = {
        .state = &state, .train_batch_begin = step_begins, .train_batch_end = step_ended};
    strata_fit(model, data.dataset, .batch_size = w->batch, .epochs = (WARM_UP + w->steps + 3) / 4,
               .verbose = "0", .callbacks = {&clock});
    report(ctx, w, &state);
    strata_dataset_free(data.dataset);
    free(data.x);
    free(data.y);
}

int main(int argc, char **argv)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    const workload *found = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(argv[1], workloads[i].name) == 0)
            found = &workloads[i];
    }
    if (found)
        run(ctx, found);
    else
        strata_fail(ctx, STRATA_INVALID, "workload '%s' is none of mlp, convnet, transformer, wide",
                    argc > 1 ? argv[1] : "");
    return strata_finish(&ctx);
}
