/* Models: Functional and Sequential, and how a model runs as a layer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <string.h>

#include <strata/layers/core.h>

#include "base/memory.h"

typedef struct config {
    STRATA_LAYER_COMMON
} config;
static const config defaults = {STRATA_LAYER_DEFAULTS};
static const strata_field fields[] = {STRATA_LAYER_FIELDS(config)};

typedef struct state {
    strata_model *model;
} state;

strata_model *strata__model_of(const strata_layer *layer)
{
    bool is_model =
        layer->class == &strata_functional_class || layer->class == &strata_sequential_class;
    return is_model ? ((state *)layer->state)->model : NULL;
}

/* --- running --- */

static strata_tensor *reshaped(strata_tensor *x, const strata_shape *shape)
{
    strata_shape target = {.rank = shape->rank - 1};
    memcpy(target.dims, shape->dims + 1, (size_t)target.rank * sizeof *target.dims);
    return strata_ops_reshape(x, target);
}

/* Keras lets (batch,) stand for (batch, 1) and the other way round. */
static strata_tensor *fit_rank(strata_tensor *x, const strata_shape *wanted)
{
    if (x->shape.rank + 1 == wanted->rank && strata__last(wanted) == 1) {
        strata_shape shape = x->shape;
        shape.dims[shape.rank++] = 1;
        return reshaped(x, &shape);
    }
    if (x->shape.rank == wanted->rank + 1 && strata__last(&x->shape) == 1) {
        strata_shape shape = x->shape;
        shape.rank--;
        return reshaped(x, &shape);
    }
    return x;
}

/* The batch axis may differ: a fixed batch size of an Input binds nobody, as in Keras. */
static bool shapes_fit(const strata_shape *given, const strata_shape *wanted)
{
    bool fits = given->rank == wanted->rank;
    for (int i = 1; fits && i < given->rank; i++)
        fits = wanted->dims[i] == STRATA_NONE || given->dims[i] == STRATA_NONE ||
               given->dims[i] == wanted->dims[i];
    return fits;
}

static strata_tensor *fit_input(strata_model *model, int index, strata_tensor *x)
{
    const strata_tensor *wanted = model->inputs[index];
    strata_tensor *fitted = fit_rank(x, &wanted->shape);
    if (!fitted)
        return NULL;
    if (!shapes_fit(&fitted->shape, &wanted->shape)) {
        char given[STRATA__SHAPE_TEXT], expected[STRATA__SHAPE_TEXT];
        strata__fail(model->ctx, STRATA_INVALID,
                     "Input %d with name '%s' of layer '%s' is incompatible with the layer: "
                     "expected shape=%s, found shape=%s",
                     index, strata_tensor_layer(wanted)->name, model->layer->name,
                     strata__shape_text(&wanted->shape, expected),
                     strata__shape_text(&x->shape, given));
        return NULL;
    }
    if (fitted->dtype == wanted->dtype)
        return fitted;
    strata_tensor *cast = strata_ops_cast(fitted, wanted->dtype);
    strata_tensor_set_mask(cast, fitted->mask);
    return cast;
}

static strata_status run_step(const strata__graph_step *step, strata_tensor **values)
{
    const strata__graph_call *call = step->call;
    strata_tensor *inputs[call->input_count], *outputs[call->output_count];
    for (int i = 0; i < call->input_count; i++)
        inputs[i] = values[step->input_slots[i]];
    STRATA_TRY(strata__graph_call_run(call, inputs, outputs));
    for (int i = 0; i < call->output_count; i++)
        values[step->output_slots[i]] = outputs[i];
    return STRATA_OK;
}

static strata_status run_steps(strata_model *model, const strata_call *call, strata_tensor **values,
                               strata_tensor **outputs)
{
    for (int i = 0; i < model->input_count; i++) {
        values[model->input_slots[i]] = fit_input(model, i, call->inputs[i]);
        STRATA_TRY(model->ctx->status);
    }
    for (int i = 0; i < model->step_count; i++)
        STRATA_TRY(run_step(&model->steps[i], values));
    for (int i = 0; i < model->output_count; i++)
        outputs[i] = values[model->output_slots[i]];
    return STRATA_OK;
}

static strata_status call_many(strata_layer *layer, const strata_call *call,
                               strata_tensor **outputs)
{
    strata_model *model = ((state *)layer->state)->model;
    if (!model)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "model '%s' has been freed with strata_model_free() and is called",
                            layer->name);
    STRATA_TRY(strata__model_ready(model));
    if (call->count != model->input_count)
        return strata__fail(model->ctx, STRATA_INVALID,
                            "Layer \"%s\" expects %d input(s), but it received %d input tensors.",
                            layer->name, model->input_count, call->count);
    strata_tensor **values = strata__calloc(model->ctx, (size_t)model->slot_count, sizeof *values);
    if (!values)
        return STRATA_NO_MEMORY;
    strata_status status = run_steps(model, call, values, outputs);
    strata__free(model->ctx, values);
    return status;
}

/* --- making --- */

strata_model *strata__model_new(strata_context *ctx, const strata_layer_class *class,
                                const char *name)
{
    if (ctx->status != STRATA_OK)
        return NULL;
    strata_model *model = strata__calloc(ctx, 1, sizeof *model);
    if (!model)
        return NULL;
    model->ctx = ctx;
    model->next = ctx->models;
    ctx->models = model;
    config given = {STRATA_LAYER_DEFAULTS, .name = name};
    model->layer = strata_layer_new(ctx, class, &given);
    if (!model->layer)
        return NULL;
    ((state *)model->layer->state)->model = model;
    model->layer->to_json = NULL;
    model->sequential = class == &strata_sequential_class;
    return model;
}

static strata_tensor **kept(strata_context *ctx, const strata_list *list)
{
    strata_tensor **copy = strata__calloc(ctx, (size_t)list->count, sizeof *copy);
    for (int i = 0; copy && i < list->count; i++)
        copy[i] = strata__tensor_share(list->tensors[i]);
    return copy;
}

static strata_status take_ends(strata_model *model, const strata_list *inputs,
                               const strata_list *outputs)
{
    strata_context *ctx = model->ctx;
    if (inputs->count > STRATA__MOST_TENSORS || outputs->count > STRATA__MOST_TENSORS)
        return strata__fail(
            ctx, STRATA_UNSUPPORTED,
            "model '%s': %d inputs and %d outputs; at most %d of each are supported",
            model->layer->name, inputs->count, outputs->count, STRATA__MOST_TENSORS);
    model->inputs = kept(ctx, inputs);
    model->outputs = kept(ctx, outputs);
    if (!model->inputs || !model->outputs)
        return STRATA_NO_MEMORY;
    model->input_count = inputs->count;
    model->output_count = outputs->count;
    for (int i = 0; i < inputs->count; i++) {
        const strata__graph_call *maker = inputs->tensors[i]->origin;
        if (!maker || maker->layer->class != &strata_input_layer_class)
            return strata__fail(
                ctx, STRATA_INVALID,
                "model '%s': input %d was not made by strata_input(); begin the graph there",
                model->layer->name, i);
    }
    for (int i = 0; i < outputs->count; i++) {
        if (!outputs->tensors[i]->origin)
            return strata__fail(ctx, STRATA_INVALID,
                                "model '%s': output %d is not the result of a layer call",
                                model->layer->name, i);
    }
    return STRATA_OK;
}

static strata_context *context_of(const strata_list *list)
{
    for (int i = 0; i < list->count; i++) {
        if (!list->tensors[i])
            return NULL;
    }
    return list->count > 0 ? list->tensors[0]->ctx : NULL;
}

strata_model *strata_functional_from(const strata_functional_options *options)
{
    strata_context *ctx = context_of(&options->inputs);
    if (!ctx || !context_of(&options->outputs))
        return NULL;
    strata_model *model = strata__model_new(ctx, &strata_functional_class, options->name);
    if (model && take_ends(model, &options->inputs, &options->outputs) == STRATA_OK)
        strata__graph_make(model);
    return strata__agree(ctx) == STRATA_OK ? model : NULL;
}

/* --- Sequential --- */

strata_model *strata_sequential(strata_context *ctx, const char *name)
{
    return strata__model_new(ctx, &strata_sequential_class, name);
}

static strata_status check_sequential_name(const strata_model *model, const strata_layer *layer)
{
    for (int i = 0; i < model->layers.count; i++) {
        if (strcmp(((strata_layer *)model->layers.items[i])->name, layer->name) == 0)
            return strata__fail(
                model->ctx, STRATA_INVALID,
                "All layers added to a Sequential model should have unique names. Name '%s' is "
                "already the "
                "name of a layer in this model. Update the `name` argument to pass a unique name.",
                layer->name);
    }
    return STRATA_OK;
}

/* Variables of a layer that is built inside a Sequential carry its name: "sequential/dense/kernel".
 */
static strata_status prefix_path(const strata_model *model, strata_layer *layer)
{
    if (layer->built)
        return STRATA_OK;
    char *path = strata__format(model->ctx, "%s/%s", model->layer->name, layer->name);
    if (!path)
        return STRATA_NO_MEMORY;
    strata__free(model->ctx, layer->path);
    layer->path = path;
    return STRATA_OK;
}

strata_status strata_sequential_add(strata_model *model, strata_layer *layer)
{
    if (!model || !layer)
        return STRATA_INVALID;
    if (!model->sequential || model->ready)
        return strata__fail(model->ctx, STRATA_INVALID,
                            "layer '%s' cannot be added to model '%s': it is %s", layer->name,
                            model->layer->name,
                            model->sequential ? "built already" : "not a Sequential");
    if (layer->class == &strata_input_layer_class) {
        if (model->entry || model->layers.count > 0)
            return strata__fail(model->ctx, STRATA_INVALID,
                                "Sequential model '%s': InputLayer '%s' must be the first layer",
                                model->layer->name, layer->name);
        model->entry = layer;
        model->top = strata__input_tensor(layer);
        return model->ctx->status;
    }
    STRATA_TRY(check_sequential_name(model, layer));
    STRATA_TRY(prefix_path(model, layer));
    if (!strata__list_add(model->ctx, &model->layers, layer))
        return STRATA_NO_MEMORY;
    STRATA_TRY(strata_layer_track(model->layer, "layers", layer));
    if (model->top)
        model->top = strata_layer_call(layer, model->top);
    return model->ctx->status;
}

/* Builds the graph from the entry to the top. Keras makes an inner Functional, which takes a name
 * from the counter. */
static strata_status close_sequential(strata_model *model)
{
    if (model->layers.count == 0)
        return strata__fail(model->ctx, STRATA_INVALID,
                            "Sequential model '%s' cannot be built because it has no layers. Call "
                            "strata_sequential_add().",
                            model->layer->name);
    strata__free(model->ctx, strata__unique_name(model->ctx, "functional"));
    strata_tensor *input = ((strata__graph_call *)model->entry->calls.items[0])->outputs[0];
    strata_list inputs = {1, (strata_tensor *const[]){input}};
    strata_list outputs = {1, (strata_tensor *const[]){model->top}};
    STRATA_TRY(take_ends(model, &inputs, &outputs));
    return strata__graph_make(model);
}

static strata_status build_sequential(strata_model *model, const strata_shape *shape,
                                      strata_dtype dtype)
{
    strata_context *ctx = model->ctx;
    int nesting = ctx->nesting;
    ctx->nesting = 0; /* the calls below form the graph, whoever asks for it */
    strata_input_layer_config given = {strata_input_layer_defaults};
    given.batch_shape = *shape;
    given.dtype = strata_dtype_name(dtype);
    model->entry = strata_layer_new(ctx, &strata_input_layer_class, &given);
    model->top = model->entry ? strata__input_tensor(model->entry) : NULL;
    for (int i = 0; i < model->layers.count && model->top; i++)
        model->top = strata_layer_call(model->layers.items[i], model->top);
    ctx->nesting = nesting;
    return ctx->status;
}

strata_status strata_model_build(strata_model *model, strata_shape input)
{
    if (!model)
        return STRATA_INVALID;
    if (model->sequential && !model->ready && !model->entry)
        STRATA_TRY(build_sequential(model, &input, STRATA_FLOAT32));
    return strata__model_ready(model);
}

strata_status strata__model_ready(strata_model *model)
{
    if (model->ready)
        return STRATA_OK;
    if (model->sequential && model->entry)
        return close_sequential(model);
    return strata__fail(
        model->ctx, STRATA_INVALID,
        "model '%s' is not built: its input shape is unknown; begin it with an InputLayer or call "
        "strata_model_build()",
        model->layer->name);
}

/* A Sequential without InputLayer is built by its first call. */
static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    strata_model *model = ((state *)layer->state)->model;
    (void)count;
    return model->sequential ? strata_model_build(model, inputs[0]) : STRATA_OK;
}

/* --- what a model is --- */

strata_layer *strata_model_layer(strata_model *model)
{
    return model ? model->layer : NULL;
}

const char *strata_model_name(const strata_model *model)
{
    return model->layer->name;
}

strata_context *strata_model_context(const strata_model *model)
{
    return model->ctx;
}

strata_layer *strata_model_get_layer(const strata_model *model, int index)
{
    return index >= 0 && index < model->layers.count ? model->layers.items[index] : NULL;
}

strata_layer *strata_model_find_layer(const strata_model *model, const char *name)
{
    for (int i = 0; i < model->layers.count; i++) {
        strata_layer *layer = model->layers.items[i];
        if (strcmp(layer->name, name) == 0)
            return layer;
    }
    return NULL;
}

strata_tensor *strata_model_input(const strata_model *model, int index)
{
    return index >= 0 && index < model->input_count ? model->inputs[index] : NULL;
}

strata_tensor *strata_model_output(const strata_model *model, int index)
{
    return index >= 0 && index < model->output_count ? model->outputs[index] : NULL;
}

void strata_model_free(strata_model *model)
{
    if (!model)
        return;
    strata_context *ctx = model->ctx;
    strata__agree(ctx); /* all ranks are here */
    for (strata_model **at = &ctx->models; *at; at = &(*at)->next) {
        if (*at == model) {
            *at = model->next;
            break;
        }
    }
    if (model->trainer)
        ctx->compiler->free(model);
    strata__graph_free(model);
    strata__list_free(ctx, &model->layers);
    if (model->layer)
        ((state *)model->layer->state)->model = NULL;
    strata__free(ctx, model);
}

void strata__models_free(strata_context *ctx)
{
    while (ctx->models)
        strata_model_free(ctx->models);
}

const strata_layer_class strata_functional_class = {
    .name = "Functional",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .min_inputs = 1,
    .max_inputs = -1,
    .features = STRATA_FEATURES_SHARDED,
    .uses_mask = true,
    .call_many = call_many,
};

const strata_layer_class strata_sequential_class = {
    .name = "Sequential",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .min_inputs = 1,
    .max_inputs = -1,
    .features = STRATA_FEATURES_SHARDED,
    .uses_mask = true,
    .build = build,
    .call_many = call_many,
};
