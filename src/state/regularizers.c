/* Regularizers. https://keras.io/api/layers/regularizers */
/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>

#include "state/gram.h"
#include "state/initializer.h"

/* --- Regularizer: the base class, which adds nothing --- */

static double no_value(strata_context *ctx, const void *config, const float *w,
                       const strata_shape *shape)
{
    (void)ctx;
    (void)config;
    (void)w;
    (void)shape;
    return 0;
}

static void no_gradient(strata_context *ctx, const void *config, const float *w,
                        const strata_shape *shape, double scale, float *out)
{
    (void)ctx;
    (void)config;
    (void)w;
    (void)shape;
    (void)scale;
    (void)out;
}

static const strata__class base = {
    .name = "Regularizer",
    .module = "keras.regularizers",
    .methods = &(const strata__regularizer_methods){.value = no_value, .gradient = no_gradient},
};

/* --- l1·Σ|w| + l2·Σw²; L1 and L2 leave one of them at 0 --- */

typedef struct sums_config {
    double l1, l2;
} sums_config;

static const strata_field sums_fields[] = {
    STRATA_FIELD(sums_config, l1, .min = 0, .max = DBL_MAX, .help = "factor of the sum of |w|"),
    STRATA_FIELD(sums_config, l2, .min = 0, .max = DBL_MAX, .help = "factor of the sum of squares"),
};

static double sums_value(strata_context *ctx, const void *config, const float *w,
                         const strata_shape *shape)
{
    const sums_config *c = config;
    int64_t count = strata__product(shape, 0, shape->rank);
    double sizes = 0, squares = 0;
    (void)ctx;
    for (int64_t i = 0; i < count; i++) {
        sizes += fabs(w[i]);
        squares += (double)w[i] * w[i];
    }
    return c->l1 * sizes + c->l2 * squares;
}

/* l1·sign(w) + 2·l2·w */
static void sums_gradient(strata_context *ctx, const void *config, const float *w,
                          const strata_shape *shape, double scale, float *out)
{
    const sums_config *c = config;
    int64_t count = strata__product(shape, 0, shape->rank);
    float l1 = (float)(scale * c->l1), twice_l2 = (float)(2 * scale * c->l2);
    (void)ctx;
    for (int64_t i = 0; i < count; i++)
        out[i] += l1 * (float)((w[i] > 0) - (w[i] < 0)) + twice_l2 * w[i];
}

static const strata__regularizer_methods sums_methods = {.value = sums_value,
                                                         .gradient = sums_gradient};

static const strata__class l1 = {
    .name = "L1",
    .module = "keras.regularizers",
    .config_size = sizeof(sums_config),
    .defaults = &(const sums_config){.l1 = 0.01},
    .fields = &sums_fields[0],
    .field_count = 1,
    .methods = &sums_methods,
};

static const strata__class l2 = {
    .name = "L2",
    .module = "keras.regularizers",
    .config_size = sizeof(sums_config),
    .defaults = &(const sums_config){.l2 = 0.01},
    .fields = &sums_fields[1],
    .field_count = 1,
    .methods = &sums_methods,
};

static const strata__class l1l2 = {
    .name = "L1L2",
    .aliases = "l1_l2",
    .module = "keras.regularizers",
    .config_size = sizeof(sums_config),
    .defaults = &(const sums_config){.l1 = 0},
    .fields = sums_fields,
    .field_count = sizeof sums_fields / sizeof *sums_fields,
    .methods = &sums_methods,
};

/* --- OrthogonalRegularizer --- */

typedef struct orthogonal_config {
    double factor;
    const char *mode;
} orthogonal_config;

static const strata_field orthogonal_fields[] = {
    STRATA_FIELD(orthogonal_config, factor, .min = 0, .max = DBL_MAX,
                 .help = "of the mean of |cosine| over the pairs"),
    STRATA_FIELD(orthogonal_config, mode, .choices = "rows|columns",
                 .help = "what is to be orthogonal"),
};

static strata_status orthogonal_check(strata_context *ctx, const void *config,
                                      const strata_shape *shape, const char *path)
{
    char text[STRATA__SHAPE_TEXT];
    (void)config;
    if (shape->rank == 2)
        return STRATA_OK;
    return strata__fail(ctx, STRATA_INVALID,
                        "Inputs to OrthogonalRegularizer must have rank 2. Received: "
                        "inputs.shape=%s (variable '%s')",
                        strata__shape_text(shape, text), path);
}

/* Factor of Σ over ordered pairs of |cosine|: the mean over the n(n−1)/2 pairs. A single vector has
 * no pairs. */
static double pair_factor(const orthogonal_config *c, int64_t vectors)
{
    return vectors > 1 ? c->factor / ((double)vectors * (double)(vectors - 1)) : 0;
}

static strata__vectors vectors_of(const orthogonal_config *c, const float *w,
                                  const strata_shape *shape)
{
    return (strata__vectors){
        .w = w, .rows = shape->dims[0], .columns = shape->dims[1], .by_columns = c->mode[0] == 'c'};
}

static double orthogonal_value(strata_context *ctx, const void *config, const float *w,
                               const strata_shape *shape)
{
    strata__vectors vectors = vectors_of(config, w, shape);
    return pair_factor(config, strata__vector_count(&vectors)) * strata__cosine_sum(ctx, &vectors);
}

static void orthogonal_gradient(strata_context *ctx, const void *config, const float *w,
                                const strata_shape *shape, double scale, float *out)
{
    strata__vectors vectors = vectors_of(config, w, shape);
    strata__cosine_sum_gradient(ctx, &vectors,
                                scale * pair_factor(config, strata__vector_count(&vectors)), out);
}

static const strata__class orthogonal = {
    .name = "OrthogonalRegularizer",
    .module = "keras.regularizers",
    .config_size = sizeof(orthogonal_config),
    .defaults = &(const orthogonal_config){.factor = 0.01, .mode = "rows"},
    .fields = orthogonal_fields,
    .field_count = sizeof orthogonal_fields / sizeof *orthogonal_fields,
    .methods = &(const strata__regularizer_methods){.check = orthogonal_check,
                                                    .value = orthogonal_value,
                                                    .gradient = orthogonal_gradient,
                                                    .whole = true},
};

static const strata__class *const classes[] = {&l1, &l1l2, &l2, &orthogonal, &base};

const strata__family strata__regularizer_family = {
    .kind = "regularizer",
    .classes = classes,
    .class_count = sizeof classes / sizeof *classes,
};
