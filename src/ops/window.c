/* Windows that slide over spatial axes: output sizes, layouts and keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/window.h"

#include <string.h>
#include <strings.h>

static int64_t extent(int64_t size, int64_t dilation)
{
    return (size - 1) * dilation + 1;
}

bool strata__window_axis(int64_t n, int64_t size, int64_t stride, int64_t dilation,
                         const char *padding, int64_t *out, int64_t *before, int64_t *after)
{
    int64_t covered = extent(size, dilation);
    *before = *after = 0;
    if (strcasecmp(padding, "same") == 0) {
        *out = (n + stride - 1) / stride;
        int64_t total = (*out - 1) * stride + covered - n;
        *before = total > 0 ? total / 2 : 0;
        *after = total > 0 ? total - *before : 0;
        return *out > 0;
    }
    if (strcasecmp(padding, "causal") == 0)
        *before = covered - 1;
    int64_t places = n + *before - covered;
    *out = places < 0 ? 0 : places / stride + 1;
    return *out > 0;
}

bool strata__window_accepts(const char *who, const strata_tensor *x, const strata__window *window)
{
    if (!x)
        return false;
    char text[STRATA__SHAPE_TEXT];
    if (x->shape.rank != window->rank + 2) {
        strata__fail(x->ctx, STRATA_INVALID,
                     "%s: expected ndim=%d, found ndim=%d. Full shape received: %s", who,
                     window->rank + 2, x->shape.rank, strata__shape_text(&x->shape, text));
        return false;
    }
    if (x->dtype != STRATA_FLOAT32) {
        strata__fail(x->ctx, STRATA_INVALID, "%s: the input is %s; cast it to float32 first", who,
                     strata_dtype_name(x->dtype));
        return false;
    }
    return true;
}

bool strata__window_shape(const char *who, const strata_tensor *x, const strata__window *window,
                          int64_t channels, strata_shape *shape)
{
    *shape = x->shape;
    shape->dims[shape->rank - 1] = channels;
    for (int i = 0; i < window->rank; i++) {
        int64_t n = x->shape.dims[1 + i];
        if (n == STRATA_NONE)
            continue;
        int64_t places =
            n + window->before[i] + window->after[i] - extent(window->size[i], window->dilation[i]);
        if (places < 0) {
            char text[STRATA__SHAPE_TEXT];
            strata__fail(x->ctx, STRATA_INVALID,
                         "%s: computed output size would be zero or negative: axis %d of the input "
                         "%s is shorter than "
                         "the window of %lld cells with dilation %lld",
                         who, 1 + i, strata__shape_text(&x->shape, text),
                         (long long)window->size[i], (long long)window->dilation[i]);
            return false;
        }
        shape->dims[1 + i] = places / window->strides[i] + 1;
    }
    return true;
}

strata__primitive_key strata__window_key(strata__primitive_kind kind, const strata__window *window,
                                         const strata_tensor *x, const strata_tensor *y)
{
    strata__primitive_key key = {.kind = kind,
                                 .rank = window->rank,
                                 .batch = x->local.dims[0],
                                 .channels = strata__last(&x->local),
                                 .filters = strata__last(&y->local),
                                 .groups = 1};
    for (int i = 0; i < window->rank; i++) {
        key.input[i] = x->local.dims[1 + i];
        key.output[i] = y->local.dims[1 + i];
        key.size[i] = window->size[i];
        key.strides[i] = window->strides[i];
        key.dilation[i] = window->dilation[i];
        key.before[i] = window->before[i];
        key.after[i] = window->after[i];
    }
    return key;
}

strata_tensor *strata__channels_to_last(strata_tensor *x)
{
    int axes[STRATA_MAX_RANK] = {0};
    for (int i = 1; x && i < x->shape.rank; i++)
        axes[i] = i + 1 < x->shape.rank ? i + 1 : 1;
    return strata__transpose(strata__whole(x), axes);
}

strata_tensor *strata__channels_to_first(strata_tensor *x)
{
    int axes[STRATA_MAX_RANK] = {0};
    for (int i = 1; x && i < x->shape.rank; i++)
        axes[i] = i > 1 ? i - 1 : x->shape.rank - 1;
    return strata__transpose(strata__whole(x), axes);
}

strata__onednn_window strata__window_for_onednn(const strata__primitive_key *key)
{
    strata__onednn_window window;
    memset(&window, 0, sizeof window);
    for (int64_t i = 0; i < key->rank; i++) {
        window.size[i] = key->size[i];
        window.strides[i] = key->strides[i];
        window.dilation[i] = key->dilation[i] - 1;
        window.before[i] = key->before[i];
        window.after[i] = key->after[i];
    }
    return window;
}
