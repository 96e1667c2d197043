/* Lambda: a C function as a layer. https://keras.io/api/layers/core_layers/lambda */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/core.h>

#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "layers/layer.h"

typedef strata_lambda_config config;
static const config defaults = {strata_lambda_defaults};
/* `function`, `mask` and `user` are code: files hold the registered name alone. */
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, function, .help = "strata_lambda_function"),
    STRATA_FIELD(config, user, .help = "passed to the function"),
    STRATA_FIELD(config, function_name, .omit_default = true, .help = "\"package>name\""),
    STRATA_FIELD(config, output_shape, .omit_default = true,
                 .help = "of the result, without the batch axis"),
    STRATA_FIELD(config, mask, .help = "strata_lambda_function on the mask"),
    STRATA_FIELD(config, arguments, .omit_default = true, .json = true, .help = "must be empty"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

/* --- registered functions --- */

typedef struct strata__function {
    struct strata__function *next;
    char *name;
    strata_lambda_function *function;
    void *user;
} strata__function;

static const strata__function *find(strata_context *ctx, const char *name)
{
    for (const strata__function *f = ctx->functions; f; f = f->next) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

strata_status strata_register_function(strata_context *ctx, const char *name,
                                       strata_lambda_function *function, void *user)
{
    if (find(ctx, name))
        return strata__fail(ctx, STRATA_INVALID, "a function '%s' is registered already", name);
    strata__function *made = strata__alloc(ctx, sizeof *made);
    char *copy = strata__strdup(ctx, name);
    if (!made || !copy)
        return STRATA_NO_MEMORY;
    *made = (strata__function){
        .next = ctx->functions, .name = copy, .function = function, .user = user};
    ctx->functions = made;
    return STRATA_OK;
}

void strata__functions_free(strata_context *ctx)
{
    while (ctx->functions) {
        strata__function *next = ctx->functions->next;
        strata__free(ctx, ctx->functions->name);
        strata__free(ctx, ctx->functions);
        ctx->functions = next;
    }
}

/* --- the layer --- */

void strata__lambda_name_function(json_t *config)
{
    const json_t *function = json_object_get(config, "function");
    json_t *name = json_is_string(function) ? (json_t *)(uintptr_t)function
                                            : json_object_get(function, "config");
    if (json_is_string(name))
        json_object_set(config, "function_name", name);
    json_object_del(config, "function");
}

/* {"module": "builtins", "class_name": "function", "config": NAME, "registered_name": "function"}
 */
static json_t *to_json(strata_layer *layer)
{
    const config *c = layer->config;
    json_t *json = strata__config_to_json(layer->ctx, &layer->described, c);
    json_object_del(json, "function_name");
    if (!c->function_name)
        strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                     "layer '%s' is a Lambda around a C function without a name and cannot be "
                     "saved; give it one with "
                     "strata_register_function() and .function_name",
                     layer->name);
    json_object_set_new(json, "function",
                        json_pack("{s:s, s:s, s:s, s:s}", "module", "builtins", "class_name",
                                  "function", "config", c->function_name ? c->function_name : "",
                                  "registered_name", "function"));
    json_object_set_new(json, "arguments", json_object());
    return json;
}

static strata_status create(strata_layer *layer)
{
    config *c = layer->config;
    layer->to_json = to_json;
    if (c->arguments && strcmp(c->arguments, "{}") != 0)
        return strata__fail(
            layer->ctx, STRATA_UNSUPPORTED,
            "layer '%s': arguments=%s of a Lambda; a C function takes its own through `user`",
            layer->name, c->arguments);
    if (c->function)
        return STRATA_OK;
    const strata__function *found = c->function_name ? find(layer->ctx, c->function_name) : NULL;
    if (!found)
        return strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                            "layer '%s' is a Lambda around '%s', which is not a registered C "
                            "function; Python code in files "
                            "is never run: register one with strata_register_function()",
                            layer->name, c->function_name ? c->function_name : "a Python lambda");
    c->function = found->function;
    c->user = found->user;
    return STRATA_OK;
}

static strata_status check_shape(strata_layer *layer, const strata_tensor *result)
{
    const config *c = layer->config;
    char given[STRATA__SHAPE_TEXT], found[STRATA__SHAPE_TEXT];
    if (c->output_shape.rank < 0)
        return STRATA_OK;
    bool same = result->shape.rank == c->output_shape.rank + 1;
    for (int i = 0; same && i < c->output_shape.rank; i++)
        same = c->output_shape.dims[i] == STRATA_NONE ||
               result->shape.dims[i + 1] == c->output_shape.dims[i];
    if (same)
        return STRATA_OK;
    return strata__fail(layer->ctx, STRATA_INVALID,
                        "layer '%s': the function returned shape %s where output_shape is %s",
                        layer->name, strata__shape_text(&result->shape, found),
                        strata__shape_text(&c->output_shape, given));
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    strata_tensor *result = c->function(call->inputs[0], c->user);
    return result && check_shape(layer, result) == STRATA_OK ? result : NULL;
}

static strata_tensor *compute_mask(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    strata_tensor *mask = call->inputs[0]->mask;
    return c->mask && mask ? c->mask(mask, c->user) : NULL;
}

const strata_layer_class strata_lambda_class = {
    .name = "Lambda",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .create = create,
    .call = call,
    .compute_mask = compute_mask,
};
