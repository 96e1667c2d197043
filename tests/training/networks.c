/* Models of several kinds with one batch of data, for tests of what a step exchanges. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "networks.h"

#include <stdlib.h>

enum { MOST = 4096 };

/* Numbers that live as long as the program: datasets borrow them. */
static float numbers[MOST];
static int32_t small_numbers[MOST];

static void fill(void)
{
    for (int i = 0; i < MOST; i++) {
        numbers[i] = (float)(i * 37 % 101) / 50 - 1;
        small_numbers[i] = i % 5;
    }
}

static strata_dataset *dataset(strata_context *ctx, strata_shape x, strata_dtype x_dtype,
                               strata_shape y, strata_dtype y_dtype)
{
    const void *arrays[] = {[STRATA_FLOAT32] = numbers, [STRATA_INT32] = small_numbers};
    fill();
    return strata_array_dataset(ctx, .x = {{arrays[x_dtype], x, x_dtype}},
                                .y = {{arrays[y_dtype], y, y_dtype}});
}

strata_model *dense_network(strata_context *ctx, const char *optimizer, strata_dataset **data)
{
    strata_tensor *input = strata_input(ctx, .shape = {7});
    strata_tensor *x = strata_dense(input, .units = 20, .activation = "relu", .name = "hidden");
    x = strata_dense(x, .units = 6, .name = "out");
    strata_model *model = strata_functional(input, x, .name = "dense_net");
    strata_compile(model, .optimizer = optimizer, .loss = "mse");
    *data = dataset(ctx, STRATA_SHAPE(NETWORK_BATCH, 7), STRATA_FLOAT32,
                    STRATA_SHAPE(NETWORK_BATCH, 6), STRATA_FLOAT32);
    return model;
}

static strata_model *dense(strata_context *ctx, strata_dataset **data)
{
    return dense_network(ctx, "sgd", data);
}

static strata_model *clipped(strata_context *ctx, strata_dataset **data)
{
    return dense_network(ctx, "Adam(global_clipnorm=0.1)", data);
}

/* Convolutions, statistics of the batch, a regularizer, a layer of the caller's with whole inputs.
 */
static strata_model *images(strata_context *ctx, strata_dataset **data)
{
    strata_tensor *input = strata_input(ctx, .shape = {6, 6, 2});
    strata_tensor *x = strata_conv2d(input, .filters = 5, .kernel_size = {3}, .padding = "same",
                                     .kernel_regularizer = "L2(0.01)");
    x = strata_batch_normalization(x);
    x = strata_re_lu(x);
    x = strata_conv2d(x, .filters = 4, .kernel_size = {3}, .activation = "relu");
    x = strata_dropout(x, .rate = 0.25);
    x = strata_global_average_pooling2d(x);
    x = strata_dense(x, .units = 5, .activation = "softmax", .name = "out");
    strata_model *model = strata_functional(input, x, .name = "image_net");
    strata_compile(model, .optimizer = "adam", .loss = "sparse_categorical_crossentropy",
                   .metrics = {"accuracy"});
    *data = dataset(ctx, STRATA_SHAPE(NETWORK_BATCH, 6, 6, 2), STRATA_FLOAT32,
                    STRATA_SHAPE(NETWORK_BATCH), STRATA_INT32);
    return model;
}

/* A table of vectors, branches that are added, normalization, a nested model, a constraint. */
static strata_model *sequences(strata_context *ctx, strata_dataset **data)
{
    strata_tensor *inner = strata_input(ctx, .shape = {4, 12});
    strata_tensor *z = strata_dense(inner, .units = 12, .activation = "relu", .name = "inside",
                                    .kernel_constraint = "NonNeg");
    strata_model *block = strata_functional(inner, z, .name = "block");
    strata_tensor *input = strata_input(ctx, .shape = {4}, .dtype = "int32");
    strata_tensor *x = strata_embedding(input, .input_dim = 5, .output_dim = 12);
    z = strata_layer_call(strata_model_layer(block), strata_layer_normalization(x));
    x = strata_flatten(strata_add(STRATA_LIST(x, z)));
    x = strata_dense(x, .units = 5, .name = "out");
    strata_model *model = strata_functional(input, x, .name = "sequence_net");
    strata_compile(model, .optimizer = "RMSprop(momentum=0.9)",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)");
    *data = dataset(ctx, STRATA_SHAPE(NETWORK_BATCH, 4), STRATA_INT32, STRATA_SHAPE(NETWORK_BATCH),
                    STRATA_INT32);
    return model;
}

strata_model *attention_network(strata_context *ctx, strata_dataset **data)
{
    strata_tensor *input = strata_input(ctx, .shape = {4, 6});
    strata_tensor *x = strata_multi_head_attention(input, input, .num_heads = 3, .key_dim = 2,
                                                   .use_causal_mask = true);
    x = strata_group_query_attention(x, x, .head_dim = 3, .num_query_heads = 4,
                                     .num_key_value_heads = 2, .dropout = 0.1);
    strata_model *model = strata_functional(input, x, .name = "attention_net");
    strata_compile(model, .optimizer = "adam", .loss = "mse");
    *data = dataset(ctx, STRATA_SHAPE(NETWORK_BATCH, 4, 6), STRATA_FLOAT32,
                    STRATA_SHAPE(NETWORK_BATCH, 4, 6), STRATA_FLOAT32);
    return model;
}

const network networks[] = {{"dense", dense},
                            {"clipped", clipped},
                            {"images", images},
                            {"sequences", sequences},
                            {"attention", attention_network}};
const int network_count = TEST_COUNT(networks);

void for_each_guise(void (*check)(strata_context *ctx, const guise *guise))
{
    static const guise guises[] = {{NULL, "1"}, {"1", "1"}, {"2", "1"}, {NULL, "0"}};
    for (size_t i = 0; i < TEST_COUNT(guises); i++) {
        if (guises[i].node_ranks)
            setenv("STRATA_NODE_RANKS", guises[i].node_ranks, 1);
        setenv("STRATA_SHARED", guises[i].shared, 1);
        const char *mesh;
        for (int index = 0; (mesh = test_mesh(index)); index++) {
            strata_context *ctx = run_open(mesh);
            check(ctx, &guises[i]);
            run_close(ctx);
        }
        unsetenv("STRATA_NODE_RANKS");
        unsetenv("STRATA_SHARED");
    }
}
