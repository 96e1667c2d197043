/* Functions of one element on tensors: threads, gradients. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/pointwise.h"

#include <string.h>

#include "base/vector.h"
#include "ops/threads.h"

enum { TILE = 1024 }; /* elements whose gradients wait on the stack to be added */

bool strata__is_float(const char *who, const strata_tensor *x)
{
    if (!x)
        return false;
    if (x->dtype != STRATA_FLOAT32)
        strata__fail(x->ctx, STRATA_INVALID, "%s: the input is %s; cast it to float32 first", who,
                     strata_dtype_name(x->dtype));
    return x->dtype == STRATA_FLOAT32;
}

/* --- values --- */

typedef struct value_job {
    const strata__pointwise *function;
    const void *arguments;
    const float *x;
    float *y;
} value_job;

static void value_range(const void *user, int64_t first, int64_t count)
{
    const value_job *job = user;
    job->function->value(job->arguments, count, job->x + first, job->y + first);
}

/* --- gradients --- */

typedef struct gradient_job {
    const strata__pointwise *function;
    const void *arguments;
    const float *x, *y, *dy;
    float beta;
    float *dx;
} gradient_job;

STRATA__SIMD static void add_to(float *into, const float *from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        into[i] += from[i];
}

static void added_range(const gradient_job *job, int64_t first, int64_t end)
{
    float tile[TILE];
    for (int64_t at = first; at < end; at += TILE) {
        int64_t count = end - at < TILE ? end - at : TILE;
        job->function->slope(job->arguments, count, job->x + at, job->y + at, job->dy + at, tile);
        add_to(job->dx + at, tile, count);
    }
}

static void gradient_range(const void *user, int64_t first, int64_t count)
{
    const gradient_job *job = user;
    if (job->beta != 0.0f)
        added_range(job, first, first + count);
    else
        job->function->slope(job->arguments, count, job->x + first, job->y + first, job->dy + first,
                             job->dx + first);
}

void strata__pointwise_gradient(const strata__pointwise *function, const void *arguments,
                                int64_t count, const float *x, const float *y, const float *dy,
                                float beta, float *dx)
{
    gradient_job job = {function, arguments, x, y, dy, beta, dx};
    strata__on_threads(count, 1, gradient_range, &job);
}

/* --- on tensors --- */

/* Behind it in a node: the arguments. */
typedef struct saved {
    const strata__pointwise *function;
    _Alignas(16) char arguments[];
} saved;

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0];
    const strata_tensor *y = node->outputs[0];
    float beta, *dx = strata__gradient_into(x, &beta);
    if (dx)
        strata__pointwise_gradient(s->function, s->arguments, strata__local_count(x), x->data,
                                   y->data, y->gradient->data, beta, dx);
}

strata_tensor *strata__pointwise_apply(const char *who, strata_tensor *x,
                                       const strata__pointwise *function, const void *arguments,
                                       size_t arguments_size)
{
    if (!strata__is_float(who, x))
        return NULL;
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    value_job job = {function, arguments, x->data, y->data};
    strata__on_threads(strata__local_count(x), 1, value_range, &job);
    strata__node *node =
        strata__record(x->ctx, who, gradient, 1, &x, 1, &y, sizeof(saved) + arguments_size);
    if (node) {
        saved *s = node->saved;
        s->function = function;
        if (arguments_size)
            memcpy(s->arguments, arguments, arguments_size);
    }
    return y;
}
