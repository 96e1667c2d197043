/* Moving statistics of batch normalization, and the corrections of batch renormalization by them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/normalization/moving.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

typedef strata_batch_normalization_config config;

/* --- renorm_clipping --- */

static strata_status read_bound(strata_layer *layer, strata__moving *moving, const char *key,
                                const json_t *value)
{
    double *bound = strcmp(key, "rmin") == 0   ? &moving->rmin
                    : strcmp(key, "rmax") == 0 ? &moving->rmax
                    : strcmp(key, "dmax") == 0 ? &moving->dmax
                                               : NULL;
    if (!bound || !(json_is_number(value) || json_is_null(value)))
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': renorm_clipping takes numbers for rmax, rmin and dmax; received '%s'",
            layer->name, key);
    if (json_is_number(value))
        *bound = json_number_value(value);
    return STRATA_OK;
}

static strata_status read_clipping(strata_layer *layer, strata__moving *moving,
                                   const json_t *clipping)
{
    if (!json_is_object(clipping))
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': renorm_clipping must be an object", layer->name);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)clipping, key, value)
        STRATA_TRY(read_bound(layer, moving, key, value));
    if (moving->rmax < moving->rmin)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': rmax should be greater than rmin in the `renorm_clipping` "
                            "argument. Received: "
                            "rmax=%g, rmin=%g.",
                            layer->name, moving->rmax, moving->rmin);
    if (moving->dmax < 0)
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': dmax should be non-negative in the `renorm_clipping` argument. Received: "
            "dmax=%g.",
            layer->name, moving->dmax);
    return STRATA_OK;
}

strata_status strata__moving_create(strata_layer *layer, strata__moving *moving)
{
    config *c = layer->config;
    moving->rmin = moving->rmax = moving->dmax = NAN;
    if (!c->renorm)
        return STRATA_OK;
    if (!c->renorm_clipping)
        c->renorm_clipping = strata__strdup(layer->ctx, "{}");
    if (!c->renorm_clipping)
        return STRATA_NO_MEMORY;
    json_t *clipping = json_loads(c->renorm_clipping, 0, NULL);
    strata_status status = read_clipping(layer, moving, clipping);
    json_decref(clipping);
    return status;
}

/* --- variables --- */

/* Every replica computes the same, and what is read is their mean, as in tf.keras. */
static strata_variable *add(strata_layer *layer, const char *name, int64_t n,
                            const char *initializer)
{
    return strata_layer_add_weight(
        layer, .name = name, .shape = STRATA_SHAPE(n), .initializer = initializer, .trainable = 0,
        .synchronization = STRATA_SYNCHRONIZATION_ON_READ, .aggregation = STRATA_AGGREGATION_MEAN);
}

/* Standard deviations start as the roots of initial variances. */
static strata_variable *add_stddev(strata_layer *layer, const char *name, int64_t n,
                                   const char *initializer)
{
    strata_variable *variable = add(layer, name, n, initializer);
    float *values = variable ? variable->value->data : NULL;
    for (int64_t i = 0; values && i < n; i++)
        values[i] = sqrtf(values[i]);
    return variable;
}

strata_status strata__moving_build(strata_layer *layer, strata__moving *moving, int64_t features)
{
    const config *c = layer->config;
    moving->mean = add(layer, "moving_mean", features, c->moving_mean_initializer);
    moving->variance = add(layer, "moving_variance", features, c->moving_variance_initializer);
    if (c->renorm) {
        moving->stddev =
            add_stddev(layer, "moving_stddev", features, c->moving_variance_initializer);
        moving->renorm_mean = add(layer, "renorm_mean", features, c->moving_mean_initializer);
        moving->renorm_stddev =
            add_stddev(layer, "renorm_stddev", features, c->moving_variance_initializer);
    }
    return layer->ctx->status;
}

/* --- updates --- */

static strata_status move(strata_variable *variable, const float *batch, double momentum,
                          strata_tensor *scratch)
{
    const float *moving = variable->value->data;
    float *next = scratch->data;
    for (int64_t i = 0; i < variable->count; i++)
        next[i] = moving[i] * (float)momentum + batch[i] * (float)(1.0 - momentum);
    return strata_replica_assign(variable, scratch);
}

/* The moving variance follows from the moving standard deviation. */
static strata_status move_renorm(const strata__moving *moving, const config *c, const float *mean,
                                 float *stddev, strata_tensor *scratch)
{
    for (int64_t i = 0; i < moving->mean->count; i++)
        stddev[i] = sqrtf(stddev[i] + (float)c->epsilon);
    STRATA_TRY(move(moving->renorm_mean, mean, c->renorm_momentum, scratch));
    STRATA_TRY(move(moving->renorm_stddev, stddev, c->renorm_momentum, scratch));
    STRATA_TRY(move(moving->mean, mean, c->momentum, scratch));
    STRATA_TRY(move(moving->stddev, stddev, c->momentum, scratch));
    float *variance = scratch->data;
    for (int64_t i = 0; i < moving->mean->count; i++)
        variance[i] = fmaxf(variance[i] * variance[i] - (float)c->epsilon, 0.0f);
    return strata_replica_assign(moving->variance, scratch);
}

strata_status strata__moving_update(const strata__moving *moving, const config *c,
                                    strata_tensor *mean, strata_tensor *variance)
{
    strata_tensor *scratch = strata__tensor_like(mean);
    if (!scratch)
        return STRATA_NO_MEMORY;
    if (c->renorm)
        return move_renorm(moving, c, mean->data, variance->data, scratch);
    STRATA_TRY(move(moving->mean, mean->data, c->momentum, scratch));
    return move(moving->variance, variance->data, c->momentum, scratch);
}

/* --- corrections --- */

/* A bound that is NaN leaves the value alone. */
static float clip(double value, double least, double most)
{
    return (float)fmin(fmax(value, least), most);
}

strata_status strata__moving_correct(const strata__moving *moving, double epsilon,
                                     const strata_tensor *mean, const strata_tensor *variance,
                                     strata_tensor **gamma, strata_tensor **beta)
{
    strata_tensor *r = strata__tensor_like(mean), *d = strata__tensor_like(mean);
    if (!r || !d)
        return STRATA_NO_MEMORY;
    const float *m = mean->data, *v = variance->data;
    const float *moving_mean = moving->renorm_mean->value->data,
                *moving_stddev = moving->renorm_stddev->value->data;
    for (int64_t i = 0; i < moving->mean->count; i++) {
        double stddev = fmax((double)moving_stddev[i], sqrt(epsilon));
        ((float *)r->data)[i] =
            clip(sqrt((double)v[i] + epsilon) / stddev, moving->rmin, moving->rmax);
        ((float *)d->data)[i] =
            clip((double)(m[i] - moving_mean[i]) / stddev, -moving->dmax, moving->dmax);
    }
    strata_tensor *offset = *gamma ? strata_ops_multiply(d, *gamma) : d;
    *gamma = *gamma ? strata_ops_multiply(r, *gamma) : r;
    *beta = *beta ? strata_ops_add(offset, *beta) : offset;
    return mean->ctx->status;
}
