/* Constraints. https://keras.io/api/layers/constraints */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "state/initializer.h"
#include "tensor/axes.h"

/* --- Constraint, the base class, which changes nothing, and NonNeg --- */

static void leave(strata_context *ctx, const void *config, const strata_shape *shape, float *w)
{
    (void)ctx;
    (void)config;
    (void)shape;
    (void)w;
}

static const strata__class base = {
    .name = "Constraint",
    .module = "keras.constraints",
    .methods = &(const strata__constraint_methods){.apply = leave, .elementwise = true},
};

static void non_neg_apply(strata_context *ctx, const void *config, const strata_shape *shape,
                          float *w)
{
    int64_t count = strata__product(shape, 0, shape->rank);
    (void)ctx;
    (void)config;
    for (int64_t i = 0; i < count; i++)
        w[i] = w[i] < 0 ? 0 : w[i];
}

static const strata__class non_neg = {
    .name = "NonNeg",
    .module = "keras.constraints",
    .methods = &(const strata__constraint_methods){.apply = non_neg_apply, .elementwise = true},
};

/* --- MaxNorm, MinMaxNorm, UnitNorm: one rule with different bounds --- */

typedef struct norm_config {
    double min_value, max_value, rate;
    const char *axis;
} norm_config;

static const strata_field norm_fields[] = {
    STRATA_FIELD(norm_config, min_value, .help = "smallest norm"),
    STRATA_FIELD(norm_config, max_value, .help = "largest norm"),
    STRATA_FIELD(norm_config, rate,
                 .help = "how far a norm is moved towards its bound; 1: all the way"),
    STRATA_FIELD(norm_config, axis, .json = true, .help = "axis, or axes, that the norm sums over"),
};

static strata_status norm_check(strata_context *ctx, const void *config, const strata_shape *shape,
                                const char *path)
{
    const norm_config *c = config;
    char text[STRATA__SHAPE_TEXT];
    int axes[STRATA_MAX_RANK], count;
    if (strata__axes_read(c->axis, shape->rank, axes, &count))
        return STRATA_OK;
    return strata__fail(ctx, STRATA_INVALID,
                        "constraint of variable '%s': axis=%s is out of bounds for shape %s", path,
                        c->axis, strata__shape_text(shape, text));
}

/* Elements whose indices agree on the axes that are not summed share a norm. */
typedef struct groups {
    const strata_shape *shape;
    int64_t strides[STRATA_MAX_RANK]; /* in the array of norms; 0: a summed axis */
    int64_t count;
} groups;

static groups groups_of(const norm_config *c, const strata_shape *shape)
{
    groups made = {.shape = shape, .count = 1};
    int axes[STRATA_MAX_RANK], count;
    bool summed[STRATA_MAX_RANK] = {false};
    strata__axes_read(c->axis, shape->rank, axes, &count);
    for (int i = 0; i < count; i++)
        summed[axes[i]] = true;
    for (int i = shape->rank - 1; i >= 0; i--) {
        made.strides[i] = summed[i] ? 0 : made.count;
        made.count *= summed[i] ? 1 : shape->dims[i];
    }
    return made;
}

static int64_t group_of(const groups *groups, int64_t element)
{
    int64_t group = 0;
    for (int i = groups->shape->rank - 1; i >= 0; i--) {
        group += element % groups->shape->dims[i] * groups->strides[i];
        element /= groups->shape->dims[i];
    }
    return group;
}

/* w · (rate · clip(n, min, max) + (1 − rate) · n) / (1e-7 + n), where n = √Σ w² over the axes. */
static void norm_apply(strata_context *ctx, const void *config, const strata_shape *shape, float *w)
{
    const norm_config *c = config;
    groups groups = groups_of(c, shape);
    int64_t count = strata__product(shape, 0, shape->rank);
    double *factors = strata__calloc(ctx, (size_t)groups.count, sizeof *factors);
    if (!factors)
        return;
    for (int64_t i = 0; i < count; i++)
        factors[group_of(&groups, i)] += (double)w[i] * w[i];
    for (int64_t i = 0; i < groups.count; i++) {
        double norm = sqrt(factors[i]), clipped = fmin(fmax(norm, c->min_value), c->max_value);
        factors[i] = (c->rate * clipped + (1 - c->rate) * norm) / (1e-7 + norm);
    }
    for (int64_t i = 0; i < count; i++)
        w[i] = (float)(w[i] * factors[group_of(&groups, i)]);
    strata__free(ctx, factors);
}

static const strata__constraint_methods norm_methods = {.check = norm_check, .apply = norm_apply};

static const strata__class min_max_norm = {
    .name = "MinMaxNorm",
    .module = "keras.constraints",
    .config_size = sizeof(norm_config),
    .defaults = &(const norm_config){.min_value = 0, .max_value = 1, .rate = 1, .axis = "0"},
    .fields = norm_fields,
    .field_count = sizeof norm_fields / sizeof *norm_fields,
    .methods = &norm_methods,
};

static const strata_field max_norm_fields[] = {
    STRATA_FIELD(norm_config, max_value, .help = "largest norm"),
    STRATA_FIELD(norm_config, axis, .json = true, .help = "axis, or axes, that the norm sums over"),
};

static const strata__class max_norm = {
    .name = "MaxNorm",
    .module = "keras.constraints",
    .config_size = sizeof(norm_config),
    .defaults = &(const norm_config){.min_value = 0, .max_value = 2, .rate = 1, .axis = "0"},
    .fields = max_norm_fields,
    .field_count = sizeof max_norm_fields / sizeof *max_norm_fields,
    .methods = &norm_methods,
};

static const strata__class unit_norm = {
    .name = "UnitNorm",
    .module = "keras.constraints",
    .config_size = sizeof(norm_config),
    .defaults = &(const norm_config){.min_value = 1, .max_value = 1, .rate = 1, .axis = "0"},
    .fields = &max_norm_fields[1],
    .field_count = 1,
    .methods = &norm_methods,
};

static const strata__class *const classes[] = {&base, &max_norm, &min_max_norm, &non_neg,
                                               &unit_norm};

const strata__family strata__constraint_family = {
    .kind = "constraint",
    .classes = classes,
    .class_count = sizeof classes / sizeof *classes,
};
