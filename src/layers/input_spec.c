/* input_spec: what a layer demands of its inputs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "layers/input_spec.h"

void strata_layer_set_input_spec(strata_layer *layer, int index, const strata_input_spec *spec)
{
    if (!layer || index < 0 || index >= STRATA_MAX_RANK)
        return;
    layer->specs[index] = *spec;
    if (layer->spec_count <= index)
        layer->spec_count = index + 1;
}

typedef struct checked {
    strata_layer *layer;
    int index;
    const strata_tensor *input;
} checked;

static strata_status refuse(const checked *c, const char *detail)
{
    return strata__fail(c->layer->ctx, STRATA_INVALID,
                        "Input %d with name '%s' of layer '%s' is incompatible with the layer: %s",
                        c->index, c->input->origin ? strata_tensor_layer(c->input)->name : "None",
                        c->layer->name, detail);
}

static strata_status check_rank(const checked *c, const strata_input_spec *spec, const char *shape)
{
    char text[2 * STRATA__SHAPE_TEXT];
    int rank = c->input->shape.rank;
    const char *kind = NULL;
    int wanted = 0;
    if (spec->ndim >= 0 && rank != spec->ndim) {
        kind = "ndim";
        wanted = spec->ndim;
    } else if (spec->min_ndim >= 0 && rank < spec->min_ndim) {
        kind = "min_ndim";
        wanted = spec->min_ndim;
    } else if (spec->max_ndim >= 0 && rank > spec->max_ndim) {
        kind = "max_ndim";
        wanted = spec->max_ndim;
    }
    if (!kind)
        return STRATA_OK;
    snprintf(text, sizeof text, "expected %s=%d, found ndim=%d. Full shape received: %s", kind,
             wanted, rank, shape);
    return refuse(c, text);
}

static strata_status check_axes(const checked *c, const strata_input_spec *spec, const char *shape)
{
    char text[2 * STRATA__SHAPE_TEXT];
    int rank = c->input->shape.rank;
    for (int i = 0; i < spec->axis_count; i++) {
        int axis = spec->axes[i].axis < 0 ? spec->axes[i].axis + rank : spec->axes[i].axis;
        int64_t size = axis >= 0 && axis < rank ? c->input->shape.dims[axis] : -1;
        if (size == spec->axes[i].size || size == STRATA_NONE)
            continue;
        snprintf(
            text, sizeof text,
            "expected axis %d of input shape to have value %lld, but received input with shape %s",
            spec->axes[i].axis, (long long)spec->axes[i].size, shape);
        return refuse(c, text);
    }
    return STRATA_OK;
}

static strata_status check_shape(const checked *c, const strata_input_spec *spec, const char *shape)
{
    char text[3 * STRATA__SHAPE_TEXT], wanted[STRATA__SHAPE_TEXT];
    if (spec->shape.rank < 0)
        return STRATA_OK;
    bool same = spec->shape.rank == c->input->shape.rank;
    for (int i = 0; same && i < spec->shape.rank; i++) {
        int64_t size = c->input->shape.dims[i];
        same = spec->shape.dims[i] == STRATA_NONE || size == STRATA_NONE ||
               size == spec->shape.dims[i];
    }
    if (same)
        return STRATA_OK;
    snprintf(text, sizeof text, "expected shape=%s, found shape=%s",
             strata__shape_text(&spec->shape, wanted), shape);
    return refuse(c, text);
}

static strata_status check_one(const checked *c, const strata_input_spec *spec)
{
    char shape[STRATA__SHAPE_TEXT], text[128];
    strata__shape_text(&c->input->shape, shape);
    STRATA_TRY(check_rank(c, spec, shape));
    const char *dtype = strata_dtype_name(c->input->dtype);
    if (spec->dtype && strcmp(spec->dtype, dtype) != 0) {
        snprintf(text, sizeof text, "expected dtype=%s, found dtype=%s", spec->dtype, dtype);
        return refuse(c, text);
    }
    STRATA_TRY(check_axes(c, spec, shape));
    return check_shape(c, spec, shape);
}

strata_status strata__input_spec_check(strata_layer *layer, int count, strata_tensor *const *inputs)
{
    for (int i = 0; i < layer->spec_count && i < count; i++)
        STRATA_TRY(check_one(&(checked){layer, i, inputs[i]}, &layer->specs[i]));
    return STRATA_OK;
}
