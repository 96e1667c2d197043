/* Axes over which a layer normalizes each sample by itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/normalization/sample_axes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "layers/axes.h"
#include "tensor/axes.h"

strata_status strata__sample_axes_check(const strata_layer *layer, const char *axis)
{
    int axes[STRATA_MAX_RANK], count;
    if (!strata__axes_read(axis, STRATA_MAX_RANK, axes, &count))
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': Expected an int or a list/tuple of ints for the argument 'axis', but "
            "received: %s",
            layer->name, axis);
    return STRATA_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

/* The numbers in the text, negative ones as they stand there, in ascending order. */
static void sort_numbers(const char *text, int count, long long sorted[STRATA_MAX_RANK])
{
    for (int i = 0; i < count; i++) {
        char *end;
        text += strcspn(text, "-0123456789");
        sorted[i] = strtoll(text, &end, 10);
        text = end;
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_numbers);
}

static strata_status write_list(strata_layer *layer, int count, const long long *numbers,
                                const char **axis)
{
    strata__text text = {.ctx = layer->ctx};
    for (int i = 0; i < count; i++)
        strata__text_format(&text, "%s%lld", i > 0 ? ", " : "[", numbers[i]);
    strata__text_puts(&text, "]");
    char *list = strata__text_take(&text);
    if (!list)
        return STRATA_NO_MEMORY;
    strata__free(layer->ctx, (char *)(uintptr_t)*axis);
    *axis = list;
    return STRATA_OK;
}

static strata_status measure(strata_layer *layer, const long long *sorted,
                             const strata_shape *input, strata__sample_axes *axes)
{
    axes->shape = (strata_shape){.rank = axes->count};
    for (int i = 0; i < axes->count; i++) {
        int64_t size = input->dims[sorted[i] < 0 ? sorted[i] + input->rank : sorted[i]];
        char text[STRATA__SHAPE_TEXT];
        if (size == STRATA_NONE)
            return strata__fail(layer->ctx, STRATA_INVALID,
                                "layer '%s': axis %lld must be of known size, and not the batch "
                                "axis, of the input %s",
                                layer->name, sorted[i], strata__shape_text(input, text));
        axes->shape.dims[i] = size;
    }
    return STRATA_OK;
}

strata_status strata__sample_axes_build(strata_layer *layer, const char **axis,
                                        const strata_shape *input, strata__sample_axes *axes)
{
    long long sorted[STRATA_MAX_RANK];
    int forth[STRATA_MAX_RANK], back[STRATA_MAX_RANK];
    STRATA_TRY(strata__axes_parse(layer, "axis", *axis, input->rank, axes->axes, &axes->count));
    sort_numbers(*axis, axes->count, sorted);
    STRATA_TRY(write_list(layer, axes->count, sorted, axis));
    STRATA_TRY(measure(layer, sorted, input, axes));
    axes->last = strata__axes_to_end(input->rank, axes->count, axes->axes, forth, back);
    axes->placement = axes->last && axes->count > 0 ? STRATA__VECTOR : STRATA__WHOLE;
    return STRATA_OK;
}
