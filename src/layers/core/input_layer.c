/* InputLayer: the place where a model's input enters. https://keras.io/api/layers/core_layers/input
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/core.h>

#include "base/memory.h"
#include "layers/layer.h"

typedef strata_input_layer_config config;
static const config defaults = {strata_input_layer_defaults};
static const strata_field fields[] = {
    STRATA_FIELD(config, batch_shape, .help = "shape with the batch axis in front"),
    STRATA_FIELD(config, dtype, .help = "element type of the input"),
    STRATA_FIELD(config, sparse, .help = "must be false"),
    STRATA_FIELD(config, name, .help = "unique name"),
    STRATA_FIELD(config, shape, .omit_default = true, .help = "shape without the batch axis"),
    STRATA_FIELD(config, batch_size, .omit_default = true, .help = "a fixed batch size"),
    STRATA_FIELD(config, ragged, .omit_default = true, .help = "must be false"),
    STRATA_FIELD(config, optional, .omit_default = true, .help = "must be false"),
};

/* One form only from here on: batch_shape. */
static strata_status merge_shapes(strata_layer *layer, config *c)
{
    if (c->shape.rank >= 0 && c->batch_shape.rank >= 0)
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "You cannot pass both `shape` and `batch_shape` at the same time (layer '%s').",
            layer->name);
    if (c->batch_shape.rank >= 0)
        return STRATA_OK;
    if (c->shape.rank < 0 || c->shape.rank >= STRATA_MAX_RANK)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "You must pass a `shape` argument of at most %d sizes (layer '%s').",
                            STRATA_MAX_RANK - 1, layer->name);
    c->batch_shape.rank = c->shape.rank + 1;
    c->batch_shape.dims[0] = c->batch_size;
    for (int i = 0; i < c->shape.rank; i++)
        c->batch_shape.dims[i + 1] = c->shape.dims[i];
    c->shape = (strata_shape)STRATA_NO_SHAPE;
    c->batch_size = STRATA_NONE;
    return STRATA_OK;
}

static strata_status check_sizes(strata_layer *layer, const config *c)
{
    for (int i = 0; i < c->batch_shape.rank; i++) {
        int64_t size = c->batch_shape.dims[i];
        if (size != STRATA_NONE && size < 1)
            return strata__fail(
                layer->ctx, STRATA_INVALID,
                "layer '%s': size %lld of axis %d of the input shape is not positive", layer->name,
                (long long)size, i);
        if (size == STRATA_NONE && i > 0)
            return strata__fail(
                layer->ctx, STRATA_UNSUPPORTED,
                "layer '%s': axis %d of the input shape is None; only the batch axis may be, give "
                "its size",
                layer->name, i);
    }
    return STRATA_OK;
}

static strata_status create(strata_layer *layer)
{
    config *c = layer->config;
    strata_dtype dtype;
    if (!strata_dtype_from_name(c->dtype, &dtype))
        return strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                            "layer '%s': dtype '%s' is not supported", layer->name, c->dtype);
    if (c->sparse || c->ragged || c->optional)
        return strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                            "layer '%s': %s=True is not supported; inputs are dense and required",
                            layer->name,
                            c->sparse   ? "sparse"
                            : c->ragged ? "ragged"
                                        : "optional");
    STRATA_TRY(merge_shapes(layer, c));
    STRATA_TRY(check_sizes(layer, c));
    layer->built = true;
    return STRATA_OK;
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    (void)layer;
    return call->inputs[0];
}

const strata_layer_class strata_input_layer_class = {
    .name = "InputLayer",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_LOCAL,
    .passes_mask = true,
    .bare_dtype = true,
    .create = create,
    .call = call,
};

strata_tensor *strata__input_tensor(strata_layer *layer)
{
    strata_context *ctx = layer->ctx;
    const config *c = layer->config;
    strata__graph_call *made = strata__calloc(ctx, 1, sizeof *made);
    strata_tensor **outputs = strata__calloc(ctx, 1, sizeof *outputs);
    if (!made || !outputs || !strata__scope_open(ctx)) {
        strata__free(ctx, made);
        strata__free(ctx, outputs);
        return NULL;
    }
    strata_dtype dtype = STRATA_FLOAT32;
    strata_dtype_from_name(c->dtype, &dtype);
    outputs[0] =
        strata__tensor_symbolic(ctx, dtype, &c->batch_shape, (strata__layout){.batch = true});
    if (outputs[0]) {
        strata_tensor_keep(outputs[0]);
        outputs[0]->origin = made;
    }
    strata_scope_end(ctx);
    *made = (strata__graph_call){.layer = layer,
                                 .index = layer->calls.count,
                                 .training = -1,
                                 .output_count = 1,
                                 .outputs = outputs};
    if (ctx->status == STRATA_OK && strata__list_add(ctx, &layer->calls, made))
        return outputs[0];
    strata__graph_call_free(ctx, made);
    return NULL;
}

strata_tensor *strata_input_from(strata_context *ctx, const config *from)
{
    strata_layer *layer = strata_layer_new(ctx, &strata_input_layer_class, from);
    strata_tensor *input = layer ? strata__input_tensor(layer) : NULL;
    return strata__agree(ctx) == STRATA_OK ? input : NULL;
}
