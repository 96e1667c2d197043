/* Regularizers at work: penalties on variables and on the outputs of layers. */
/* SPDX-License-Identifier: Apache-2.0 */

#include "base/memory.h"
#include "state/initializer.h"

/* --- of a variable --- */

static const strata__regularizer_methods *methods_of(const strata__object *regularizer)
{
    return regularizer->class->methods;
}

/* Inside a step: there is no way back from memory that is short on one rank. */
static float *scratch(strata_context *ctx, int64_t count)
{
    float *memory = strata__calloc(ctx, (size_t)count, sizeof *memory);
    if (!memory)
        strata__abort(ctx, "regularizing");
    return memory;
}

/* The value of the grid: a new block for a shard, the variable's own otherwise. */
static float *whole_value(strata_variable *variable)
{
    if (variable->placement == STRATA__WHOLE)
        return variable->value->data;
    strata_context *ctx = variable->ctx;
    float *whole = scratch(ctx, strata__product(&variable->shape, 0, variable->shape.rank));
    if (strata__variable_collect(variable, variable->value->data, whole) != STRATA_OK)
        strata__abort(ctx, "regularizing");
    return whole;
}

static void release_whole(strata_variable *variable, float *whole)
{
    if (whole != variable->value->data)
        strata__free(variable->ctx, whole);
}

static double penalty_of_whole(strata_variable *variable)
{
    float *whole = whole_value(variable);
    double value =
        methods_of(&variable->regularizer)
            ->value(variable->ctx, variable->regularizer.config, whole, &variable->shape);
    release_whole(variable, whole);
    return value;
}

/* Pieces of a matrix are summed over the grid, those of a vector over its columns. */
static double penalty_of_pieces(strata_variable *variable)
{
    static const strata__axis axes[] = {
        [STRATA__VECTOR] = STRATA__COLS, [STRATA__MATRIX] = STRATA__GRID};
    strata_context *ctx = variable->ctx;
    double value = methods_of(&variable->regularizer)
                       ->value(ctx, variable->regularizer.config, variable->value->data,
                               &variable->value->local);
    if (variable->placement != STRATA__WHOLE)
        strata__sum(ctx, axes[variable->placement], &value, 1, STRATA_FLOAT64);
    return value;
}

/* out (local piece) += scale · the gradient's own piece. */
static void gradient_of_whole(strata_variable *variable, double scale, float *out)
{
    strata_context *ctx = variable->ctx;
    float *whole = whole_value(variable);
    float *all = scratch(ctx, strata__product(&variable->shape, 0, variable->shape.rank)),
          *own = scratch(ctx, variable->count);
    methods_of(&variable->regularizer)
        ->gradient(ctx, variable->regularizer.config, whole, &variable->shape, scale, all);
    strata__variable_cut(variable, all, own);
    for (int64_t i = 0; i < variable->count; i++)
        out[i] += own[i];
    strata__free(ctx, own);
    strata__free(ctx, all);
    release_whole(variable, whole);
}

static void regularization_gradient(strata_context *ctx, strata__node *node)
{
    const strata_tensor *upstream = strata__gradient_at(node, 0);
    strata_variable *variable = node->inputs[0]->variable;
    const strata__regularizer_methods *methods = methods_of(&variable->regularizer);
    double scale = ((const float *)upstream->data)[0] / (double)strata__variable_replicas(variable);
    float *out = strata__gradient_to_add(node->inputs[0]);
    if (!out)
        return;
    if (methods->whole)
        gradient_of_whole(variable, scale, out);
    else
        methods->gradient(ctx, variable->regularizer.config, node->inputs[0]->data,
                          &node->inputs[0]->local, scale, out);
}

strata_tensor *strata__variable_regularization(strata_variable *variable)
{
    if (!variable->regularizer.class || variable->ctx->status != STRATA_OK)
        return NULL;
    strata_context *ctx = variable->ctx;
    double value = methods_of(&variable->regularizer)->whole ? penalty_of_whole(variable)
                                                             : penalty_of_pieces(variable);
    strata_tensor *penalty =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SCALAR, (strata__layout){0});
    if (!penalty)
        return NULL;
    ((float *)penalty->data)[0] = (float)value;
    penalty->divides_gradient = true;
    strata__record(ctx, "regularization", regularization_gradient, 1, &variable->value, 1, &penalty,
                   0);
    return penalty;
}

/* --- of a layer's output --- */

typedef struct activity {
    const strata__object *regularizer;
    strata_shape sample; /* local piece of one sample */
    int64_t samples;     /* local */
    int64_t stride;      /* elements of a sample */
    double scale;        /* 1 / global batch size */
} activity;

static activity activity_of(const strata__object *regularizer, const strata_tensor *x)
{
    activity a = {.regularizer = regularizer, .sample = x->local, .samples = x->local.dims[0]};
    a.sample.dims[0] = 1;
    a.stride = strata__product(&a.sample, 0, a.sample.rank);
    a.scale = x->shape.dims[0] > 0 ? 1.0 / (double)x->shape.dims[0] : 0;
    return a;
}

/* dx += upstream of the sample / batch size · d reg / d x; columns of a split axis take their own
 * part. */
static void activity_gradient(strata_context *ctx, strata__node *node)
{
    strata_tensor *x = node->inputs[0];
    const activity *a = node->saved;
    const float *upstream = strata__gradient_at(node, 0)->data;
    float *out = strata__gradient_to_add(x);
    if (!out)
        return;
    for (int64_t i = 0; i < a->samples; i++)
        methods_of(a->regularizer)
            ->gradient(ctx, a->regularizer->config, (const float *)x->data + i * a->stride,
                       &a->sample, a->scale * upstream[i], out + i * a->stride);
}

static void sum_over_columns(strata_context *ctx, const strata_tensor *x, strata_tensor *penalty)
{
    if (x->layout.split)
        strata__sum(ctx, STRATA__COLS, penalty->data, strata__local_count(penalty), STRATA_FLOAT32);
}

strata_tensor *strata__activity_penalty(const strata__object *regularizer, strata_tensor *x)
{
    if (!x || x->ctx->status != STRATA_OK)
        return NULL;
    strata_context *ctx = x->ctx;
    const strata__regularizer_methods *methods = methods_of(regularizer);
    if (methods->whole || x->shape.rank == 0) {
        strata__fail(
            ctx, STRATA_UNSUPPORTED,
            "activity_regularizer: %s does not work on the samples one by one; use L1, L2 or L1L2",
            regularizer->class->name);
        return NULL;
    }
    strata_shape shape = {.rank = 1, .dims = {x->shape.dims[0]}};
    strata_tensor *penalty =
        strata__tensor_new(ctx, STRATA_FLOAT32, &shape, (strata__layout){.batch = x->layout.batch});
    if (!penalty)
        return NULL;
    penalty->symbolic |= x->symbolic;
    if (penalty->symbolic)
        return penalty;
    activity a = activity_of(regularizer, x);
    for (int64_t i = 0; i < a.samples; i++)
        ((float *)penalty->data)[i] =
            (float)(a.scale * methods->value(ctx, regularizer->config,
                                             (const float *)x->data + i * a.stride, &a.sample));
    sum_over_columns(ctx, x, penalty);
    strata__node *node =
        strata__record(ctx, "activity_penalty", activity_gradient, 1, &x, 1, &penalty, sizeof a);
    if (node)
        *(activity *)node->saved = a;
    return penalty;
}
