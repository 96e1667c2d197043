/* Initializers. https://keras.io/api/layers/initializers */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "state/initializer.h"
#include "state/orthogonal.h"

/* An instance with a seed of its own gives the same values to every variable; otherwise each path
 * has its stream. */
static strata__key key_of(strata__key key, int64_t seed)
{
    if (seed == STRATA_NONE)
        return key;
    return (strata__key){.seed = (uint64_t)seed, .stream = strata__stream("initializer", 0)};
}

/* --- Zeros, Ones, Constant --- */

static double zero_value(const void *config)
{
    (void)config;
    return 0;
}

static double one_value(const void *config)
{
    (void)config;
    return 1;
}

static const strata__class zeros = {
    .name = "Zeros",
    .aliases = "zero",
    .module = "keras.initializers",
    .methods = &(const strata__initializer_methods){.value = zero_value},
};

static const strata__class ones = {
    .name = "Ones",
    .aliases = "one",
    .module = "keras.initializers",
    .methods = &(const strata__initializer_methods){.value = one_value},
};

typedef struct constant_config {
    double value;
} constant_config;

static const strata_field constant_fields[] = {
    STRATA_FIELD(constant_config, value, .help = "of every element"),
};

static double constant_value(const void *config)
{
    return ((const constant_config *)config)->value;
}

static const strata__class constant = {
    .name = "Constant",
    .module = "keras.initializers",
    .config_size = sizeof(constant_config),
    .defaults = &(const constant_config){.value = 0},
    .fields = constant_fields,
    .field_count = sizeof constant_fields / sizeof *constant_fields,
    .methods = &(const strata__initializer_methods){.value = constant_value},
};

/* --- RandomNormal, TruncatedNormal, RandomUniform --- */

typedef struct normal_config {
    double mean, stddev;
    int64_t seed;
} normal_config;

static const normal_config normal_defaults = {.stddev = 0.05, .seed = STRATA_NONE};
static const strata_field normal_fields[] = {
    STRATA_FIELD(normal_config, mean, .help = "of the distribution"),
    STRATA_FIELD(normal_config, stddev, .help = "of the distribution before it is truncated"),
    STRATA_FIELD(normal_config, seed, .help = "a whole number gives the same values every time"),
};

/* x → mean + stddev · x */
static void spread(float *x, int64_t count, double mean, double stddev)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(mean + stddev * x[i]);
}

static void normal_fill(const void *config, strata__key key, const strata_shape *shape,
                        int64_t first, int64_t count, float *out)
{
    const normal_config *c = config;
    (void)shape;
    strata__random_normal(key_of(key, c->seed), (uint64_t)first, count, out);
    spread(out, count, c->mean, c->stddev);
}

static void truncated_fill(const void *config, strata__key key, const strata_shape *shape,
                           int64_t first, int64_t count, float *out)
{
    const normal_config *c = config;
    (void)shape;
    strata__random_truncated_normal(key_of(key, c->seed), (uint64_t)first, count, out);
    spread(out, count, c->mean, c->stddev);
}

static const strata__class random_normal = {
    .name = "RandomNormal",
    .aliases = "normal",
    .module = "keras.initializers",
    STRATA_CLASS_CONFIG(normal_config, normal_defaults, normal_fields),
    .methods = &(const strata__initializer_methods){.fill = normal_fill},
};

static const strata__class truncated_normal = {
    .name = "TruncatedNormal",
    .module = "keras.initializers",
    STRATA_CLASS_CONFIG(normal_config, normal_defaults, normal_fields),
    .methods = &(const strata__initializer_methods){.fill = truncated_fill},
};

typedef struct uniform_config {
    double minval, maxval;
    int64_t seed;
} uniform_config;

static const strata_field uniform_fields[] = {
    STRATA_FIELD(uniform_config, minval, .help = "smallest value"),
    STRATA_FIELD(uniform_config, maxval, .help = "bound that no value reaches"),
    STRATA_FIELD(uniform_config, seed, .help = "a whole number gives the same values every time"),
};

/* [lowest, highest): rounding to float32 must not reach the upper bound. */
static void uniform_draw(strata__key key, int64_t first, int64_t count, double lowest,
                         double highest, float *out)
{
    float below = nextafterf((float)highest, (float)lowest);
    strata__random_uniform(key, (uint64_t)first, count, out);
    for (int64_t i = 0; i < count; i++) {
        float x = (float)(lowest + (highest - lowest) * out[i]);
        out[i] = x < below || lowest >= highest ? x : below;
    }
}

static void uniform_fill(const void *config, strata__key key, const strata_shape *shape,
                         int64_t first, int64_t count, float *out)
{
    const uniform_config *c = config;
    (void)shape;
    uniform_draw(key_of(key, c->seed), first, count, c->minval, c->maxval, out);
}

static const strata__class random_uniform = {
    .name = "RandomUniform",
    .aliases = "uniform",
    .module = "keras.initializers",
    .config_size = sizeof(uniform_config),
    .defaults = &(const uniform_config){.minval = -0.05, .maxval = 0.05, .seed = STRATA_NONE},
    .fields = uniform_fields,
    .field_count = sizeof uniform_fields / sizeof *uniform_fields,
    .methods = &(const strata__initializer_methods){.fill = uniform_fill},
};

/* --- VarianceScaling and the six that fix its scale, mode and distribution --- */

typedef struct scaling_config {
    double scale;
    const char *mode, *distribution;
    int64_t seed;
} scaling_config;

static const strata_field scaling_fields[] = {
    STRATA_FIELD(scaling_config, scale, .exclusive_min = true, .help = "variance times the fan"),
    STRATA_FIELD(scaling_config, mode, .choices = "fan_in|fan_out|fan_avg", .help = "which fan"),
    STRATA_FIELD(scaling_config, distribution,
                 .choices = "truncated_normal|untruncated_normal|uniform|normal",
                 .help = "normal is truncated_normal"),
    STRATA_FIELD(scaling_config, seed, .help = "a whole number gives the same values every time"),
};

enum { SCALING_FIELDS = sizeof scaling_fields / sizeof *scaling_fields };

/* (receptive field …, in, out); a vector is both. */
static double fan(const strata_shape *shape, const char *mode)
{
    double in = 1, out = 1, field = 1;
    for (int i = 0; i < shape->rank - 2; i++)
        field *= (double)shape->dims[i];
    if (shape->rank > 0)
        in = out = (double)shape->dims[shape->rank - 1];
    if (shape->rank > 1)
        in = (double)shape->dims[shape->rank - 2];
    if (strcmp(mode, "fan_in") == 0)
        return in * field;
    return strcmp(mode, "fan_out") == 0 ? out * field : (in + out) * field / 2;
}

/* Standard deviation of a unit normal that is cut at ±2: dividing by it restores the variance. */
static const double truncation = 0.87962566103423978;

static void scaling_fill(const void *config, strata__key key, const strata_shape *shape,
                         int64_t first, int64_t count, float *out)
{
    const scaling_config *c = config;
    double scale = c->scale / fmax(1, fan(shape, c->mode));
    key = key_of(key, c->seed);
    if (strcmp(c->distribution, "uniform") == 0) {
        double limit = sqrt(3 * scale);
        uniform_draw(key, first, count, -limit, limit, out);
    } else if (strcmp(c->distribution, "untruncated_normal") == 0) {
        strata__random_normal(key, (uint64_t)first, count, out);
        spread(out, count, 0, sqrt(scale));
    } else {
        strata__random_truncated_normal(key, (uint64_t)first, count, out);
        spread(out, count, 0, sqrt(scale) / truncation);
    }
}

static const strata__initializer_methods scaling_methods = {.fill = scaling_fill};

static const strata__class variance_scaling = {
    .name = "VarianceScaling",
    .module = "keras.initializers",
    .config_size = sizeof(scaling_config),
    .defaults =
        &(const scaling_config){
            .scale = 1, .mode = "fan_in", .distribution = "truncated_normal", .seed = STRATA_NONE},
    .fields = scaling_fields,
    .field_count = SCALING_FIELDS,
    .methods = &scaling_methods,
};

/* VarianceScaling by another name, with the seed as its only argument. */
#define SCALING(id, keras_name, ...)                                                               \
    static const strata__class id = {                                                              \
        .name = keras_name,                                                                        \
        .module = "keras.initializers",                                                            \
        .config_size = sizeof(scaling_config),                                                     \
        .defaults = &(const scaling_config){__VA_ARGS__, .seed = STRATA_NONE},                     \
        .fields = &scaling_fields[SCALING_FIELDS - 1],                                             \
        .field_count = 1,                                                                          \
        .methods = &scaling_methods}
SCALING(glorot_normal, "GlorotNormal", .scale = 1, .mode = "fan_avg",
        .distribution = "truncated_normal");
SCALING(glorot_uniform, "GlorotUniform", .scale = 1, .mode = "fan_avg", .distribution = "uniform");
SCALING(he_normal, "HeNormal", .scale = 2, .mode = "fan_in", .distribution = "truncated_normal");
SCALING(he_uniform, "HeUniform", .scale = 2, .mode = "fan_in", .distribution = "uniform");
SCALING(lecun_normal, "LecunNormal", .scale = 1, .mode = "fan_in",
        .distribution = "truncated_normal");
SCALING(lecun_uniform, "LecunUniform", .scale = 1, .mode = "fan_in", .distribution = "uniform");

/* --- Identity --- */

typedef struct identity_config {
    double gain;
} identity_config;

static const strata_field identity_fields[] = {
    STRATA_FIELD(identity_config, gain, .omit_default = true,
                 .help = "of the ones on the diagonal"),
};

static strata_status identity_check(strata_context *ctx, const void *config,
                                    const strata_shape *shape, const char *path)
{
    char text[STRATA__SHAPE_TEXT];
    (void)config;
    if (shape->rank == 2)
        return STRATA_OK;
    return strata__fail(ctx, STRATA_INVALID,
                        "Identity matrix initializer can only be used for 2D matrices. Received: "
                        "shape=%s of rank %d "
                        "(variable '%s')",
                        strata__shape_text(shape, text), shape->rank, path);
}

static void identity_fill(const void *config, strata__key key, const strata_shape *shape,
                          int64_t first, int64_t count, float *out)
{
    float gain = (float)((const identity_config *)config)->gain;
    (void)key;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = (first + i) / shape->dims[1], column = (first + i) % shape->dims[1];
        out[i] = row == column ? gain : 0;
    }
}

static const strata__class identity = {
    .name = "Identity",
    .aliases = "IdentityInitializer",
    .module = "keras.initializers",
    .config_size = sizeof(identity_config),
    .defaults = &(const identity_config){.gain = 1},
    .fields = identity_fields,
    .field_count = sizeof identity_fields / sizeof *identity_fields,
    .methods = &(const strata__initializer_methods){.check = identity_check, .fill = identity_fill},
};

/* --- Orthogonal --- */

typedef struct orthogonal_config {
    double gain;
    int64_t seed;
} orthogonal_config;

static const strata_field orthogonal_fields[] = {
    STRATA_FIELD(orthogonal_config, gain, .help = "length of the rows or columns"),
    STRATA_FIELD(orthogonal_config, seed,
                 .help = "a whole number gives the same values every time"),
};

static strata_status orthogonal_check(strata_context *ctx, const void *config,
                                      const strata_shape *shape, const char *path)
{
    char text[STRATA__SHAPE_TEXT];
    (void)config;
    if (shape->rank >= 2)
        return STRATA_OK;
    return strata__fail(
        ctx, STRATA_INVALID,
        "The tensor to initialize must be at least two-dimensional. Received: shape=%s of rank %d "
        "(variable '%s')",
        strata__shape_text(shape, text), shape->rank, path);
}

static strata_status orthogonal_whole(strata_context *ctx, const void *config, strata__key key,
                                      const strata_shape *shape, float *out)
{
    const orthogonal_config *c = config;
    int64_t rows = strata__product(shape, 0, shape->rank - 1);
    return strata__orthogonal(ctx, key_of(key, c->seed), rows, strata__last(shape), c->gain, out);
}

static const strata__class orthogonal = {
    .name = "Orthogonal",
    .aliases = "OrthogonalInitializer",
    .module = "keras.initializers",
    .config_size = sizeof(orthogonal_config),
    .defaults = &(const orthogonal_config){.gain = 1, .seed = STRATA_NONE},
    .fields = orthogonal_fields,
    .field_count = sizeof orthogonal_fields / sizeof *orthogonal_fields,
    .methods =
        &(const strata__initializer_methods){.check = orthogonal_check, .whole = orthogonal_whole},
};

static const strata__class *const classes[] = {
    &constant,         &glorot_normal,    &glorot_uniform,
    &he_normal,        &he_uniform,       &identity,
    &lecun_normal,     &lecun_uniform,    &ones,
    &orthogonal,       &random_normal,    &random_uniform,
    &truncated_normal, &variance_scaling, &zeros,
};

const strata__family strata__initializer_family = {
    .kind = "initializer",
    .classes = classes,
    .class_count = sizeof classes / sizeof *classes,
};
