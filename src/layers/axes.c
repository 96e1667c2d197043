/* Axes arguments: one axis or a list, counted from the end when negative. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/axes.h"

#include "base/json.h"

static strata_status refuse(strata_layer *layer, const char *argument, const char *text, int rank)
{
    return strata__fail(layer->ctx, STRATA_INVALID,
                        "layer '%s': %s=%s does not name different axes of an input with %d axes", layer->name,
                        argument, text, rank);
}

static bool take_axis(const json_t *item, int rank, int *axes, int *count)
{
    json_int_t axis = json_integer_value(item);
    if (!json_is_integer(item) || axis < -rank || axis >= rank)
        return false;
    int positive = (int)(axis < 0 ? axis + rank : axis);
    for (int i = 0; i < *count; i++) {
        if (axes[i] == positive)
            return false;
    }
    axes[(*count)++] = positive;
    return true;
}

strata_status strata__axes_parse(strata_layer *layer, const char *argument, const char *text, int rank,
                                 int axes[STRATA_MAX_RANK], int *count)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    bool ok = json != NULL;
    *count = 0;
    if (json_is_array(json)) {
        size_t i;
        json_t *item;
        ok = json_array_size(json) > 0 && json_array_size(json) <= STRATA_MAX_RANK;
        for (i = 0; ok && i < json_array_size(json); i++) {
            item = json_array_get(json, i);
            ok = take_axis(item, rank, axes, count);
        }
    } else if (ok) {
        ok = take_axis(json, rank, axes, count);
    }
    json_decref(json);
    return ok ? STRATA_OK : refuse(layer, argument, text, rank);
}
