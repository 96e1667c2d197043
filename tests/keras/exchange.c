/* Our side of the exchange of files with Keras: models made in C, and files taken in and written
 * again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <strata.h>

/* --- models --- */

static strata_model *mlp(strata_context *ctx)
{
    strata_tensor *image = strata_input(ctx, .shape = {12, 12}, .name = "image");
    strata_tensor *x = strata_rescaling(image, .scale = 1 / 255.0, .offset = -0.5);
    x = strata_flatten(x);
    x = strata_dense(x, .units = 33, .activation = "relu", .kernel_regularizer = "L2(1e-4)",
                     .kernel_initializer = "HeNormal(seed=1)");
    x = strata_dropout(x, .rate = 0.2, .seed = 7);
    x = strata_dense(x, .units = 10, .use_bias = false, .kernel_constraint = "MaxNorm(2)",
                     .name = "logits");
    strata_model *model = strata_functional(image, x, .name = "mlp");
    strata_compile(model,
                   .optimizer =
                       "Adam(ExponentialDecay(0.01, decay_steps=10, decay_rate=0.9), clipnorm=1.0)",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)",
                   .metrics = {"accuracy", "sparse_top_k_categorical_accuracy"});
    return model;
}

/* A Sequential: layers by themselves, in Keras notation. */
static strata_model *convnet(strata_context *ctx)
{
    static const char *const layers[] = {
        "InputLayer(batch_shape=(None, 12, 12, 3), name='pixels')",
        "Conv2D(filters=6, kernel_size=3, padding='same', use_bias=False)",
        "BatchNormalization(momentum=0.9)",
        "ReLU(max_value=6.0)",
        "DepthwiseConv2D(kernel_size=(3, 3), depth_multiplier=2, strides=(2, 2))",
        "MaxPooling2D()",
        "AveragePooling2D(pool_size=2, strides=1, padding='same')",
        "LayerNormalization()",
        "GlobalAveragePooling2D()",
        "Dense(units=5, activation='softmax')",
    };
    strata_model *model = strata_sequential(ctx, "convnet");
    for (size_t i = 0; model && i < sizeof layers / sizeof *layers; i++)
        strata_sequential_add(model, strata_layer_from_text(ctx, layers[i]));
    strata_compile(model, .optimizer = "SGD(0.05, momentum=0.9, nesterov=True, use_ema=True)",
                   .loss = "categorical_crossentropy", .metrics = {"categorical_accuracy", "mse"});
    return model;
}

/* Two inputs, two outputs, and a Dense that both inputs go through. */
static strata_model *branches(strata_context *ctx)
{
    strata_tensor *left = strata_input(ctx, .shape = {6}, .name = "left");
    strata_tensor *right = strata_input(ctx, .shape = {6}, .name = "right");
    strata_layer *shared =
        strata_layer_from_text(ctx, "Dense(units=8, activation='tanh', name='shared')");
    strata_tensor *a = shared ? strata_layer_call(shared, left) : NULL;
    strata_tensor *b = shared ? strata_layer_call(shared, right) : NULL;
    strata_tensor *sum = strata_add(STRATA_LIST(a, b)),
                  *product = strata_multiply(STRATA_LIST(a, b));
    strata_tensor *all = strata_concatenate(STRATA_LIST(sum, product, a));
    strata_tensor *score = strata_dense(all, .units = 1, .activation = "sigmoid", .name = "score");
    strata_tensor *grid = strata_dense(all, .units = 6, .bias_regularizer = "l1");
    grid = strata_reshape(grid, .target_shape = {2, 3}, .name = "grid");
    strata_model *model = strata_functional_list(STRATA_LIST(left, right), STRATA_LIST(score, grid),
                                                 .name = "branches");
    strata_compile(model, .optimizer = "RMSprop(0.01, momentum=0.5, centered=True)",
                   .losses = {"binary_crossentropy", "mae"}, .loss_weights = {1, 0.5},
                   .output_metrics = {{"accuracy"}, {"mse"}});
    return model;
}

static strata_model *embedding(strata_context *ctx)
{
    strata_tensor *words = strata_input(ctx, .shape = {7}, .dtype = "int32", .name = "words");
    strata_tensor *x = strata_embedding(words, .input_dim = 20, .output_dim = 5);
    x = strata_flatten(x);
    x = strata_activation(x, .activation = "gelu");
    x = strata_dense(x, .units = 4, .activation = "elu");
    x = strata_softmax(x);
    strata_model *model = strata_functional(words, x, .name = "embedding");
    strata_compile(model,
                   .optimizer =
                       "AdamW(CosineDecay(0.01, decay_steps=50), weight_decay=0.01, amsgrad=True)",
                   .loss = "mse");
    return model;
}

/* A block of a transformer on padded words, and attention to a memory through a mask: queries that
 * see no key, in an attention with dropout and in one without. */
static strata_model *transformer(strata_context *ctx)
{
    strata_tensor *words = strata_input(ctx, .shape = {6}, .dtype = "int32", .name = "words");
    strata_tensor *memory = strata_input(ctx, .shape = {4, 12}, .name = "memory");
    strata_tensor *mask = strata_input(ctx, .shape = {6, 4}, .dtype = "bool", .name = "mask");
    strata_tensor *x =
        strata_embedding(words, .input_dim = 20, .output_dim = 12, .mask_zero = true);
    strata_tensor *y =
        strata_multi_head_attention(x, x, .num_heads = 3, .key_dim = 4, .value_dim = 5,
                                    .dropout = 0.1, .seed = 3, .use_causal_mask = true);
    x = strata_layer_normalization(strata_add(STRATA_LIST(x, y)));
    y = strata_group_query_attention(x, memory, .head_dim = 4, .num_query_heads = 4,
                                     .num_key_value_heads = 2, .attention_mask = mask,
                                     .kernel_regularizer = "L2(1e-4)");
    x = strata_add(STRATA_LIST(x, y));
    y = strata_einsum_dense(x, .equation = "abc,cde->abde", .output_shape = {6, 3, 8},
                            .bias_axes = "de", .activation = "gelu");
    y = strata_einsum_dense(y, .equation = "...de,dec->...c", .output_shape = {12},
                            .bias_axes = "c");
    x = strata_layer_normalization(strata_add(STRATA_LIST(x, y)));
    x = strata_dense(strata_flatten(x), .units = 20, .name = "logits");
    strata_model *model =
        strata_functional_list(STRATA_LIST(words, memory, mask), STRATA_LIST(x), .name = "block");
    strata_compile(model, .optimizer = "Adam(0.003)",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)",
                   .metrics = {"accuracy"});
    return model;
}

static const struct {
    const char *name;
    strata_model *(*make)(strata_context *ctx);
} models[] = {{"mlp", mlp},
              {"convnet", convnet},
              {"branches", branches},
              {"embedding", embedding},
              {"transformer", transformer}};

static strata_model *make(strata_context *ctx, const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(name, models[i].name) == 0)
            return models[i].make(ctx);
    }
    strata_fail(ctx, STRATA_INVALID, "no model is called '%s'", name);
    return NULL;
}

/* --- the program --- */

static const char usage[] =
    "exchange make NAME OUT | exchange copy IN.keras [WEIGHTS] OUT | exchange summary IN.keras";

static void run(strata_context *ctx, int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (strcmp(what, "make") == 0 && argc == 4) {
        strata_save(make(ctx, argv[2]), argv[3]);
    } else if (strcmp(what, "copy") == 0 && (argc == 4 || argc == 5)) {
        strata_model *model = strata_load(ctx, argv[2]);
        if (argc == 5)
            strata_load_weights(model, argv[3]);
        strata_save(model, argv[argc - 1]);
    } else if (strcmp(what, "summary") == 0 && argc == 3) {
        strata_model *model = strata_load(ctx, argv[2]);
        if (model)
            strata_model_summary(model, stdout, 100);
    } else {
        strata_fail(ctx, STRATA_INVALID, "%s", usage);
    }
}

int main(int argc, char **argv)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    if (strata_error(ctx) == STRATA_OK)
        run(ctx, argc, argv);
    return strata_finish(&ctx);
}
