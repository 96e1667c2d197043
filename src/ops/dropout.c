/* Dropout: masks from counter-based random numbers of the global element. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/ops.h"

/* keep (count) is 1 or 0; scale = 1 / (1 − rate). */
typedef struct saved {
    strata_tensor *keep;
    float scale;
} saved;

STRATA__VECTOR static void apply(const float *x, const unsigned char *keep, float scale, float *y,
                                 int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = keep[i] ? x[i] * scale : 0.0f;
}

STRATA__VECTOR static void compare(const float *uniform, float rate, unsigned char *keep,
                                   int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        keep[i] = uniform[i] >= rate;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0], *dx = strata__tensor_like(x);
    if (!dx)
        return;
    apply(strata__gradient_at(node, 0)->data, s->keep->data, s->scale, dx->data,
          strata__local_count(x));
    strata__gradient_give(x, dx);
}

/* Draws of one row of the noise: `count` elements from global number `first` on. */
enum { CHUNK = 1024 };

static void draw(strata__key key, int64_t first, double rate, unsigned char *keep, int64_t count)
{
    float uniform[CHUNK];
    for (int64_t at = 0; at < count; at += CHUNK) {
        int64_t n = count - at < CHUNK ? count - at : CHUNK;
        strata__random_uniform(key, (uint64_t)(first + at), n, uniform);
        compare(uniform, (float)rate, keep + at, n);
    }
}

/* Every element its own draw. Rows of a split axis begin at their first feature. */
static void keep_elements(const strata_tensor *x, double rate, strata__key key, unsigned char *keep)
{
    int64_t columns = strata__last(&x->shape), own = strata__last(&x->local),
            rows = strata__local_rows(x);
    int64_t first = strata__first_element(x);
    if (!x->layout.split) {
        draw(key, first, rate, keep, rows * own);
        return;
    }
    for (int64_t i = 0; i < rows; i++)
        draw(key, first + i * columns + x->first_feature, rate, keep + i * own, own);
}

/* Element of the noise that an element of x shares: axes of size 1 in noise_shape have index 0. */
static void keep_by_shape(const strata_tensor *x, double rate, const strata_shape *noise,
                          strata__key key, unsigned char *keep)
{
    int rank = x->local.rank;
    int64_t index[STRATA_MAX_RANK] = {0}, count = strata__local_count(x);
    for (int64_t k = 0; k < count; k++) {
        int64_t element = 0;
        for (int i = 0; i < rank; i++) {
            int64_t at =
                index[i] + (i == 0 ? x->first_sample : 0) + (i == rank - 1 ? x->first_feature : 0);
            bool shared = noise->dims[i] == 1;
            element = element * (shared ? 1 : x->shape.dims[i]) + (shared ? 0 : at);
        }
        draw(key, element, rate, keep + k, 1);
        for (int i = rank - 1; i >= 0 && ++index[i] == x->local.dims[i]; i--)
            index[i] = 0;
    }
}

static strata_status check_noise(const strata_tensor *x, const strata_shape *noise)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    bool fits = noise->rank == x->shape.rank;
    for (int i = 0; fits && i < noise->rank; i++)
        fits = noise->dims[i] == 1 || noise->dims[i] == STRATA_NONE ||
               noise->dims[i] == x->shape.dims[i];
    if (fits)
        return STRATA_OK;
    return strata__fail(x->ctx, STRATA_INVALID,
                        "dropout: noise_shape %s does not broadcast to the input's shape %s",
                        strata__shape_text(noise, theirs), strata__shape_text(&x->shape, ours));
}

strata_tensor *strata__dropout(strata_tensor *x, double rate, const strata_shape *noise_shape,
                               strata__key key)
{
    if (!x || (noise_shape && check_noise(x, noise_shape) != STRATA_OK))
        return NULL;
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    strata_tensor *keep = strata__tensor_shaped(x, STRATA_BOOL, &x->shape);
    if (!keep)
        return NULL;
    if (noise_shape)
        keep_by_shape(x, rate, noise_shape, key, keep->data);
    else
        keep_elements(x, rate, key, keep->data);
    float scale = rate < 1 ? (float)(1 / (1 - rate)) : 0.0f;
    apply(x->data, keep->data, scale, y->data, strata__local_count(x));
    strata__node *node = strata__record(x->ctx, "dropout", gradient, 1, &x, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){keep, scale};
    return y;
}
