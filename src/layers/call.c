/* Calling a layer: checks, build, features, masks, losses, and the graph of symbolic calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "layers/input_spec.h"
#include "layers/layer.h"
#include "state/initializer.h"
#include "tensor/numerics.h"

strata_tensor *strata_tensor_mask(const strata_tensor *tensor)
{
    return tensor ? tensor->mask : NULL;
}

void strata_tensor_set_mask(strata_tensor *tensor, strata_tensor *mask)
{
    if (!tensor || tensor->mask == mask)
        return;
    strata__tensor_share(mask);
    strata_tensor_release(tensor->mask);
    tensor->mask = mask;
}

/* --- build --- */

static strata_status build(strata_layer *layer, int count, const strata_shape *shapes)
{
    if (layer->built)
        return STRATA_OK;
    layer->build_shapes = strata__alloc(layer->ctx, (size_t)count * sizeof *shapes);
    if (!layer->build_shapes)
        return STRATA_NO_MEMORY;
    memcpy(layer->build_shapes, shapes, (size_t)count * sizeof *shapes);
    layer->build_count = count;
    /* Weights must not depend on the batch size, nor get_config on the first batch. */
    for (int i = 0; i < count; i++) {
        if (shapes[i].rank > 0)
            layer->build_shapes[i].dims[0] = STRATA_NONE;
    }
    if (layer->class->build)
        STRATA_TRY(layer->class->build(layer, count, layer->build_shapes));
    layer->built = true;
    return layer->ctx->status;
}

strata_status strata_layer_build(strata_layer *layer, strata_shape input)
{
    return layer ? build(layer, 1, &input) : STRATA_INVALID;
}

static strata_status build_for(strata_layer *layer, int count, strata_tensor *const *inputs)
{
    if (layer->built)
        return STRATA_OK;
    strata_shape *shapes = strata__alloc(layer->ctx, (size_t)count * sizeof *shapes);
    if (!shapes)
        return STRATA_NO_MEMORY;
    for (int i = 0; i < count; i++)
        shapes[i] = inputs[i]->shape;
    strata_status status = build(layer, count, shapes);
    strata__free(layer->ctx, shapes);
    return status;
}

/* --- inputs --- */

static strata_status check_count(const strata_layer *layer, int count)
{
    int least = layer->class->min_inputs, most = layer->class->max_inputs;
    if (least == 0 && most == 0)
        least = most = 1;
    if (count > STRATA__MOST_TENSORS)
        return strata__fail(
            layer->ctx, STRATA_UNSUPPORTED,
            "layer '%s': %d inputs; at most %d are supported, join some of them first", layer->name,
            count, STRATA__MOST_TENSORS);
    if (count >= least && (most < 0 || count <= most))
        return STRATA_OK;
    return strata__fail(layer->ctx, STRATA_INVALID,
                        "Layer \"%s\" expects %s%d input(s), but it received %d input tensors.",
                        layer->name, most < 0 ? "at least " : "", least, count);
}

/* Brings the feature axes to what the class works on. A local layer with several inputs takes
 * pieces only if all are pieces alike. */
static void arrange_features(const strata_layer *layer, int count, strata_tensor **inputs)
{
    bool pieces = layer->class->features != STRATA_FEATURES_WHOLE;
    if (layer->class->features == STRATA_FEATURES_LOCAL) {
        for (int i = 1; i < count; i++) {
            pieces &= inputs[i]->layout.split == inputs[0]->layout.split &&
                      strata__last(&inputs[i]->shape) == strata__last(&inputs[0]->shape);
        }
    }
    for (int i = 0; i < count && !pieces; i++)
        inputs[i] = strata__whole(inputs[i]);
}

static void clear_losses(void *user, strata_layer *layer)
{
    (void)user;
    strata__layer_clear_losses(layer);
}

/* --- outputs --- */

/* Σ over outputs of reg(output) / batch size, as an added loss: one value a sample. */
strata_status strata__regularize_activity(strata_layer *layer, int count, strata_tensor **outputs)
{
    if (!layer->activity_regularizer.class)
        return STRATA_OK;
    for (int i = 0; i < count; i++) {
        strata_tensor *penalty = strata__activity_penalty(&layer->activity_regularizer, outputs[i]);
        if (!penalty)
            return layer->ctx->status;
        STRATA_TRY(strata_layer_add_loss(layer, penalty));
    }
    return STRATA_OK;
}

static void attach_masks(strata_layer *layer, const strata_call *call, int count,
                         strata_tensor **outputs)
{
    strata_tensor *mask = call->count > 0 ? call->inputs[0]->mask : NULL;
    bool any = false;
    for (int i = 0; i < call->count; i++)
        any |= call->inputs[i]->mask != NULL;
    if (layer->class->compute_mask) {
        mask = layer->class->compute_mask(layer, call);
    } else if (!layer->class->passes_mask) {
        if (any && !layer->class->uses_mask && !layer->mask_warned) {
            layer->mask_warned = true;
            strata__warn(
                layer->ctx,
                "Layer '%s' (of type %s) was passed an input with a mask attached to it. However, "
                "this layer does not support masking and will therefore destroy the mask "
                "information. Downstream layers will not see the mask.",
                layer->name, layer->class->name);
        }
        return;
    }
    for (int i = 0; i < count; i++) {
        if (!outputs[i]->mask)
            strata_tensor_set_mask(outputs[i], mask);
    }
}

/* --- the graph --- */

static strata_tensor **kept_copy(strata_context *ctx, int count, strata_tensor *const *tensors)
{
    strata_tensor **copy = strata__alloc(ctx, (size_t)count * sizeof *copy);
    for (int i = 0; copy && i < count; i++)
        copy[i] = strata__tensor_share(tensors[i]);
    return copy;
}

static bool is_among(const strata_tensor *tensor, int count, strata_tensor *const *tensors)
{
    for (int i = 0; i < count; i++) {
        if (tensors[i] == tensor)
            return true;
    }
    return false;
}

/* What carries the origin of an output: a view of a symbolic one, or the shape of a value, such as
 * a variable's, that a layer returns as it is. */
static strata_tensor *stand_in(strata_tensor *output)
{
    strata_tensor *own = output->symbolic ? strata__tensor_view(output, &output->shape)
                                          : strata__tensor_symbolic(output->ctx, output->dtype,
                                                                    &output->shape, output->layout);
    strata_tensor_set_mask(own, output->mask);
    return own;
}

/* An output that is an input (Identity, Dropout outside training) gets a tensor of its own, to
 * carry its own origin. */
static strata_status own_outputs(int count, strata_tensor *const *inputs, int output_count,
                                 strata_tensor **outputs)
{
    for (int i = 0; i < output_count; i++) {
        strata_tensor *output = outputs[i];
        if (output->symbolic && !output->origin && !is_among(output, count, inputs) &&
            !is_among(output, i, outputs))
            continue;
        outputs[i] = stand_in(output);
        if (!outputs[i])
            return output->ctx->status;
    }
    return STRATA_OK;
}

/* A struct of the class's arguments: a copy of the given one, or the defaults. NULL: the class has
 * none. */
static void *copy_arguments(const strata_layer *layer, const void *arguments)
{
    const strata_layer_class *class = layer->class;
    void *copy = class->arguments_size ? strata__alloc(layer->ctx, class->arguments_size) : NULL;
    if (copy)
        memcpy(copy, arguments ? arguments : class->argument_defaults, class->arguments_size);
    return copy;
}

/* What a call is given. */
typedef struct given {
    int count, positional; /* tensors, and how many of them are inputs: those of arguments follow */
    strata_tensor *const *tensors;
    const void *arguments; /* NULL: the defaults */
    int training;          /* 1, 0, −1: as the enclosing call */
} given;

static void record_call(strata_layer *layer, const given *g, int output_count,
                        strata_tensor **outputs)
{
    strata_context *ctx = layer->ctx;
    strata__graph_call *made = strata__calloc(ctx, 1, sizeof *made);
    if (!made || own_outputs(g->count, g->tensors, output_count, outputs) != STRATA_OK) {
        strata__free(ctx, made);
        return;
    }
    *made =
        (strata__graph_call){.layer = layer,
                             .index = layer->calls.count,
                             .training = g->training,
                             .arguments = g->arguments ? copy_arguments(layer, g->arguments) : NULL,
                             .positional = g->positional,
                             .unnamed = g->positional,
                             .input_count = g->count,
                             .output_count = output_count,
                             .inputs = kept_copy(ctx, g->count, g->tensors),
                             .outputs = kept_copy(ctx, output_count, outputs)};
    if (ctx->status != STRATA_OK || !strata__list_add(ctx, &layer->calls, made)) {
        strata__graph_call_free(ctx, made);
        return;
    }
    for (int i = 0; i < output_count; i++) {
        outputs[i]->origin = made;
        outputs[i]->origin_index = i;
    }
}

/* --- the call --- */

static strata_status compute(strata_layer *layer, const strata_call *call, int output_count,
                             strata_tensor **outputs)
{
    strata_context *ctx = layer->ctx;
    STRATA_TRY(ctx->status);
    bool outer_training = ctx->training;
    strata__precision precision = ctx->precision;
    ctx->training = call->training;
    ctx->precision = layer->precision;
    ctx->nesting++;
    strata_status status = STRATA_OK;
    if (layer->class->call_many)
        status = layer->class->call_many(layer, call, outputs);
    else
        outputs[0] = layer->class->call(layer, call);
    ctx->nesting--;
    ctx->training = outer_training;
    ctx->precision = precision;
    for (int i = 0; status == STRATA_OK && i < output_count; i++) {
        if (!outputs[i])
            status = ctx->status
                         ? ctx->status
                         : strata__fail(ctx, STRATA_INVALID, "layer '%s' (%s) returned no tensor",
                                        layer->name, layer->class->name);
        else
            strata__look(outputs[i], outputs[i]->data, &outputs[i]->shape, layer->name, "output %d",
                         i);
    }
    return status;
}

/* What follows the inputs' checks: all of it is the layer's doing. */
static strata_status work(strata_layer *layer, const given *g, strata_tensor **tensors,
                          void *arguments, strata_tensor **outputs)
{
    strata_context *ctx = layer->ctx;
    int count = g->positional, output_count = strata__call_outputs(layer, arguments);
    arrange_features(layer, g->count, tensors);
    strata__argument_replace(layer->class, arguments, tensors + count);
    strata_call call = {.count = count,
                        .inputs = tensors,
                        .training = g->training < 0 ? ctx->training : g->training == 1,
                        .arguments = arguments};
    STRATA_TRY(compute(layer, &call, output_count, outputs));
    STRATA_TRY(strata__regularize_activity(layer, output_count, outputs));
    attach_masks(layer, &call, output_count, outputs);
    return ctx->status;
}

/* `tensors` is the caller's to change, as is the struct of arguments that refers to them. */
static strata_status call_with(strata_layer *layer, const given *g, strata_tensor **tensors,
                               void *arguments, strata_tensor **outputs)
{
    strata_context *ctx = layer->ctx;
    int count = g->positional;
    STRATA_TRY(check_count(layer, count));
    STRATA_TRY(strata__input_spec_check(layer, count, tensors));
    STRATA_TRY(build_for(layer, count, tensors));
    STRATA_TRY(strata__input_spec_check(layer, count, tensors));
    if (ctx->nesting == 0)
        strata__layer_walk(layer, clear_losses, NULL);
    const char *outer = strata__begin(&ctx->activity, STRATA__LAYER, layer->name);
    strata_status status = work(layer, g, tensors, arguments, outputs);
    strata__end(&ctx->activity, STRATA__LAYER, outer);
    return status;
}

static strata_status call_in_scope(strata_layer *layer, const given *g, bool symbolic,
                                   strata_tensor **tensors, void *arguments,
                                   strata_tensor **outputs)
{
    strata_context *ctx = layer->ctx;
    if (!symbolic || ctx->nesting > 0)
        return call_with(layer, g, tensors, arguments, outputs);
    if (!strata__scope_open(ctx))
        return STRATA_NO_MEMORY;
    strata_status status = call_with(layer, g, tensors, arguments, outputs);
    if (status == STRATA_OK)
        record_call(layer, g, strata__call_outputs(layer, arguments), outputs);
    strata_scope_end(ctx);
    return status == STRATA_OK ? ctx->status : status;
}

static strata_status run(strata_layer *layer, const given *g, strata_tensor **outputs)
{
    strata_context *ctx = layer->ctx;
    bool symbolic = false;
    for (int i = 0; i < g->count; i++) {
        if (!g->tensors[i])
            return STRATA_INVALID;
        symbolic |= g->tensors[i]->symbolic;
    }
    STRATA_TRY(ctx->status);
    strata_tensor **tensors = strata__alloc(ctx, (size_t)(g->count + 1) * sizeof *tensors);
    void *arguments = copy_arguments(layer, g->arguments);
    strata_status status = STRATA_NO_MEMORY;
    if (tensors && (arguments || !layer->class->arguments_size)) {
        memcpy(tensors, g->tensors, (size_t)g->count * sizeof *tensors);
        status = call_in_scope(layer, g, symbolic, tensors, arguments, outputs);
    }
    strata__free(ctx, arguments);
    strata__free(ctx, tensors);
    return status;
}

strata_status strata__graph_call_run(const strata__graph_call *call, strata_tensor *const *inputs,
                                     strata_tensor **outputs)
{
    return run(call->layer,
               &(given){.count = call->input_count,
                        .positional = call->positional,
                        .tensors = inputs,
                        .arguments = call->arguments,
                        .training = call->training},
               outputs);
}

static strata_status call_gathered(strata_layer *layer, const void *arguments, int count,
                                   strata_tensor *const *inputs, int training,
                                   strata_tensor **outputs)
{
    given g = {.count = count + strata__argument_tensors(layer->class, arguments, NULL),
               .positional = count,
               .arguments = arguments,
               .training = training};
    strata_tensor **tensors = strata__alloc(layer->ctx, (size_t)(g.count + 1) * sizeof *tensors);
    if (!tensors)
        return STRATA_NO_MEMORY;
    memcpy(tensors, inputs, (size_t)count * sizeof *tensors);
    strata__argument_tensors(layer->class, arguments, tensors + count);
    g.tensors = tensors;
    strata_status status = run(layer, &g, outputs);
    strata__free(layer->ctx, tensors);
    return status;
}

/* A layer stands in the graphs of all ranks or of none: what one of them could not make is
 * everybody's error. Within a layer's own call that is for the outer one. */
static void meet(int count, strata_tensor *const *tensors)
{
    for (int i = 0; i < count; i++) {
        if (tensors[i] && tensors[i]->symbolic && tensors[i]->ctx->nesting == 0) {
            strata__agree(tensors[i]->ctx);
            return;
        }
    }
}

strata_status strata_layer_call_with(strata_layer *layer, const void *arguments, int count,
                                     strata_tensor *const *inputs, int training,
                                     strata_tensor **outputs)
{
    strata_status status = STRATA_INVALID;
    if (layer)
        status = call_gathered(layer, arguments, count, inputs, training, outputs);
    meet(count, inputs);
    return status == STRATA_OK ? layer->ctx->status : status;
}

strata_status strata_layer_call_many(strata_layer *layer, int count, strata_tensor *const *inputs,
                                     int training, strata_tensor **outputs)
{
    return strata_layer_call_with(layer, NULL, count, inputs, training, outputs);
}

strata_tensor *strata_layer_call(strata_layer *layer, strata_tensor *input)
{
    if (layer && input && layer->class->takes_list) {
        char shape[STRATA__SHAPE_TEXT];
        strata__fail(layer->ctx, STRATA_INVALID,
                     "A `%s` layer should be called on a list of inputs. Received: input_shape=%s "
                     "(not a list of "
                     "shapes) by layer '%s'; use strata_layer_call_list()",
                     layer->class->name, strata__shape_text(&input->shape, shape), layer->name);
        return NULL;
    }
    return strata_layer_call_list(layer, (strata_list){1, &input});
}

strata_tensor *strata_layer_call_list(strata_layer *layer, strata_list inputs)
{
    if (layer && layer->output_count > 1) {
        strata__fail(layer->ctx, STRATA_INVALID,
                     "layer '%s' has %d outputs; use strata_layer_call_many()", layer->name,
                     layer->output_count);
        return NULL;
    }
    strata_tensor *output = NULL;
    if (strata_layer_call_many(layer, inputs.count, inputs.tensors, -1, &output) != STRATA_OK)
        return NULL;
    return output;
}

strata_tensor *strata_layer_apply(const strata_layer_class *class, const void *config, int count,
                                  strata_tensor *const *inputs)
{
    for (int i = 0; i < count; i++) {
        if (!inputs[i])
            return NULL;
    }
    if (count == 0)
        return NULL;
    strata_layer *layer = strata_layer_new(inputs[0]->ctx, class, config);
    return strata_layer_call_list(layer, (strata_list){count, inputs});
}

strata_tensor *strata_layer_apply_list(const strata_layer_class *class, const void *config,
                                       strata_list inputs)
{
    return strata_layer_apply(class, config, inputs.count, inputs.tensors);
}
