/* Inbound nodes: the calls of a graph, as Keras's JSON lists them layer by layer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/nodes.h"

#include <string.h>

#include "base/text.h"

/* --- to JSON --- */

static json_t *tensor_json(const strata_model *model, const strata_tensor *tensor)
{
    const strata__graph_call *maker = tensor->origin;
    return json_pack("{s:s, s:{s:o, s:s, s:[s, i, i]}}", "class_name", "__keras_tensor__", "config",
                     "shape", strata__shape_json(&tensor->shape), "dtype",
                     strata_dtype_name(tensor->dtype), "keras_history", maker->layer->name,
                     strata__node_index(model, maker), tensor->origin_index);
}

static json_t *args_json(const strata_model *model, const strata__graph_call *call)
{
    const strata_layer_class *class = call->layer->class;
    json_t *tensors = json_array();
    for (int i = 0; i < call->unnamed; i++)
        json_array_append_new(tensors, tensor_json(model, call->inputs[i]));
    bool listed = class->takes_list || (call->positional > 1 && !class->input_names);
    return listed ? json_pack("[o]", tensors) : tensors;
}

/* The row of the class's arguments whose tensor is this input. */
static const strata_field *row_of(const strata__graph_call *call, int input)
{
    const strata_field *row = call->layer->class->arguments;
    for (int next = call->positional;; row++) {
        const char *member = (const char *)call->arguments + row->offset;
        if (row->type == STRATA_FIELD_TENSOR && *(strata_tensor *const *)member && next++ == input)
            return row;
    }
}

strata__keyword strata__keyword_of(const strata__graph_call *call, int input)
{
    if (input < call->unnamed)
        return (strata__keyword){0};
    if (input >= call->positional) {
        const strata_field *row = row_of(call, input);
        const char *name = row->list ? row->list : row->name;
        return (strata__keyword){name, strlen(name)};
    }
    const char *name = call->layer->class->input_names;
    for (int i = 0; i < input; i++)
        name = strchr(name, '|') + 1;
    return (strata__keyword){name, strcspn(name, "|")};
}

int strata__keyword_compare(strata__keyword a, strata__keyword b)
{
    size_t shared = a.length < b.length ? a.length : b.length;
    int order = shared ? strncmp(a.name, b.name, shared) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* Under its own name, or in the list that it is an entry of, after nulls for entries that are not
 * given. */
static void put_tensor(json_t *kwargs, const strata__graph_call *call, int input, json_t *tensor)
{
    const strata_field *rows = call->layer->class->arguments, *row = NULL;
    strata__keyword keyword = strata__keyword_of(call, input);
    char name[64];
    size_t place = 0;
    snprintf(name, sizeof name, "%.*s", (int)keyword.length, keyword.name);
    if (input >= call->positional)
        row = row_of(call, input);
    if (!row || !row->list) {
        json_object_set_new(kwargs, name, tensor);
        return;
    }
    for (const strata_field *other = rows; other < row; other++)
        place += other->list && strcmp(other->list, row->list) == 0;
    if (!json_object_get(kwargs, name))
        json_object_set_new(kwargs, name, json_array());
    json_t *list = json_object_get(kwargs, name);
    while (json_array_size(list) < place)
        json_array_append_new(list, json_null());
    json_array_append_new(list, tensor);
}

static json_t *kwargs_json(const strata_model *model, const strata__graph_call *call)
{
    const strata_layer_class *class = call->layer->class;
    json_t *kwargs = json_object();
    if (call->arguments)
        strata__fields_to_json(model->ctx, class->arguments, class->argument_count,
                               class->argument_defaults, call->arguments, kwargs);
    for (int i = call->unnamed; i < call->input_count; i++)
        put_tensor(kwargs, call, i, tensor_json(model, call->inputs[i]));
    if (call->training >= 0)
        json_object_set_new(kwargs, "training", json_boolean(call->training));
    return kwargs;
}

/* {"args": [TENSOR, …] or [[TENSOR, …]], "kwargs": {…}}: layers that take lists get one. */
json_t *strata__nodes_json(const strata_model *model, const strata_layer *layer)
{
    json_t *nodes = json_array();
    for (int i = 0; i < layer->calls.count; i++) {
        const strata__graph_call *call = layer->calls.items[i];
        if (strata__is_step(model, call))
            json_array_append_new(nodes, json_pack("{s:o, s:o}", "args", args_json(model, call),
                                                   "kwargs", kwargs_json(model, call)));
    }
    return nodes;
}

/* --- tensors from JSON --- */

strata_status strata__stored_damaged(const strata__stored_graph *graph, const char *what,
                                     const char *where)
{
    return strata__fail(graph->ctx, STRATA_BAD_DATA,
                        "configuration of model '%s': %s in layer '%s'", graph->model, what,
                        where ? where : "?");
}

strata__stored_layer *strata__stored_find(const strata__stored_graph *graph, const char *name)
{
    for (int i = 0; name && i < graph->count; i++) {
        if (strcmp(graph->layers[i].name, name) == 0)
            return &graph->layers[i];
    }
    return NULL;
}

strata__found strata__stored_tensor(const strata__stored_graph *graph, const json_t *history,
                                    strata_tensor **tensor)
{
    const strata__stored_layer *maker =
        strata__stored_find(graph, json_string_value(json_array_get(history, 0)));
    json_int_t node = json_integer_value(json_array_get(history, 1));
    json_int_t index = json_integer_value(json_array_get(history, 2));
    if (maker && !maker->layer)
        strata__fail(
            graph->ctx, STRATA_UNSUPPORTED,
            "configuration of model '%s': the operation '%s' in the graph is not supported; "
            "layers are",
            graph->model, maker->name);
    if (!maker || !maker->layer || node < 0 || index < 0)
        return STRATA__BROKEN;
    if (node >= maker->layer->calls.count)
        return STRATA__WAIT;
    const strata__graph_call *call = maker->layer->calls.items[node];
    if (index >= call->output_count)
        return STRATA__BROKEN;
    *tensor = call->outputs[index];
    return STRATA__FOUND;
}

/* keras_history of a "__keras_tensor__"; NULL: `item` is none. */
static const json_t *history_of(const json_t *item)
{
    const char *class = json_string_value(json_object_get(item, "class_name"));
    return class && strcmp(class, "__keras_tensor__") == 0
               ? json_object_get(json_object_get(item, "config"), "keras_history")
               : NULL;
}

/* --- calls from JSON --- */

/* What a call is given. */
typedef struct parts {
    const strata__stored_graph *graph;
    const strata__stored_layer *stored;
    const strata_layer_class *class;
    int count, unnamed; /* inputs, and how many of them `args` has */
    strata_tensor *inputs[STRATA__MOST_INPUTS];
    void *arguments; /* owned */
    int training;
} parts;

/* Collects the tensors of `args`, lists flattened one level as Keras nests them. */
static strata__found read_args(parts *p, const json_t *args)
{
    size_t i;
    json_t *item;
    json_array_foreach(args, i, item)
    {
        if (!json_is_array(item) && (!history_of(item) || p->count >= STRATA__MOST_INPUTS))
            return STRATA__BROKEN;
        strata__found found =
            json_is_array(item)
                ? read_args(p, item)
                : strata__stored_tensor(p->graph, history_of(item), &p->inputs[p->count]);
        if (found != STRATA__FOUND)
            return found;
        p->count += !json_is_array(item);
    }
    return STRATA__FOUND;
}

/* The place of `name` in "query|value|key", −1: it is not there. */
static int input_index(const strata_layer_class *class, const char *name)
{
    size_t length;
    const char *at = strata__list_find(class->input_names, name, false, &length);
    int index = at ? 0 : -1;
    for (const char *c = class->input_names; at && c < at; c++)
        index += *c == '|';
    return index;
}

static const strata_field *tensor_row(const strata_layer_class *class, const char *name)
{
    for (int i = 0; i < class->argument_count; i++) {
        const strata_field *row = &class->arguments[i];
        if (row->type == STRATA_FIELD_TENSOR && strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

/* Keras hands over the masks of inputs as arguments. Those that an operation computes are derived
 * anew here. */
static bool is_derived_mask(const parts *p, const char *name, const json_t *value)
{
    const strata__stored_layer *maker =
        strata__stored_find(p->graph, json_string_value(json_array_get(history_of(value), 0)));
    if (strcmp(name, "mask") == 0)
        return !tensor_row(p->class, name) || (maker && !maker->layer);
    for (const char *at = p->class->input_names; at;
         at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        size_t length = strcspn(at, "|");
        if (strncmp(name, at, length) == 0 && strcmp(name + length, "_mask") == 0)
            return maker && !maker->layer;
    }
    return false;
}

/* The arguments that are no tensors: into p->arguments, others are refused. */
static strata_status read_options(parts *p, const json_t *plain)
{
    strata__class described = strata__arguments_class(p->class);
    char owner[192];
    snprintf(owner, sizeof owner, "call of layer '%s'", p->stored->name);
    json_t *unknown = json_object();
    strata_status status =
        strata__config_from_json(p->graph->ctx, &described, plain, owner, unknown, &p->arguments);
    const char *name = json_object_iter_key(json_object_iter(unknown));
    if (status == STRATA_OK && name)
        status = strata__fail(p->graph->ctx, STRATA_UNSUPPORTED,
                              "configuration of model '%s': layer '%s' is called with the argument "
                              "%s, which is not supported",
                              p->graph->model, p->stored->name, name);
    json_decref(unknown);
    return status;
}

/* Entries of a list of tensors go by the names of their members; false: the class has no such list.
 * Entries beyond them mean nothing to Keras. */
static bool sort_list(const parts *p, const char *name, const json_t *list, json_t *tensors)
{
    bool known = false;
    size_t next = 0;
    for (int i = 0; json_is_array(list) && i < p->class->argument_count; i++) {
        const strata_field *row = &p->class->arguments[i];
        if (!row->list || strcmp(row->list, name) != 0)
            continue;
        json_t *item = json_array_get(list, next++);
        const strata__stored_layer *maker =
            strata__stored_find(p->graph, json_string_value(json_array_get(history_of(item), 0)));
        if (history_of(item) && !(maker && !maker->layer))
            json_object_set(tensors, row->name, item);
        known = true;
    }
    return known;
}

/* Sorts the keyword arguments: options go to `plain`, tensors by name to `tensors`. */
static void sort_keywords(parts *p, const json_t *kwargs, json_t *plain, json_t *tensors)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)kwargs, name, value)
    {
        if (strcmp(name, "training") == 0 && json_is_boolean(value))
            p->training = json_is_true(value);
        else if (!sort_list(p, name, value, tensors) && !json_is_null(value) &&
                 !is_derived_mask(p, name, value))
            json_object_set(history_of(value) ? tensors : plain, name, value);
    }
}

static strata__found read_tensor(parts *p, const char *name, const json_t *value)
{
    int index = input_index(p->class, name);
    const strata_field *row = tensor_row(p->class, name);
    if (index < p->count && !row) {
        strata__fail(p->graph->ctx, STRATA_UNSUPPORTED,
                     "configuration of model '%s': layer '%s' is called with the tensor %s, which "
                     "is not supported",
                     p->graph->model, p->stored->name, name);
        return STRATA__BROKEN;
    }
    strata_tensor **place =
        row ? (strata_tensor **)((char *)p->arguments + row->offset) : &p->inputs[index];
    return strata__stored_tensor(p->graph, history_of(value), place);
}

/* Inputs that are given by name follow those of `args`; none may be left out. */
static strata__found close_inputs(parts *p)
{
    while (p->count < STRATA__MOST_INPUTS && p->inputs[p->count])
        p->count++;
    for (int i = p->count; i < STRATA__MOST_INPUTS; i++) {
        if (p->inputs[i])
            return STRATA__BROKEN;
    }
    return STRATA__FOUND;
}

static strata__found read_keywords(parts *p, const json_t *kwargs)
{
    json_t *plain = json_object(), *tensors = json_object();
    sort_keywords(p, kwargs, plain, tensors);
    strata__found found = read_options(p, plain) == STRATA_OK ? STRATA__FOUND : STRATA__BROKEN;
    const char *name;
    json_t *value;
    json_object_foreach(tensors, name, value)
    {
        if (found == STRATA__FOUND)
            found = read_tensor(p, name, value);
    }
    json_decref(plain);
    json_decref(tensors);
    return found == STRATA__FOUND ? close_inputs(p) : found;
}

static strata__found call_layer(const parts *p)
{
    strata_layer *layer = p->stored->layer;
    strata_tensor *outputs[strata__call_outputs(layer, p->arguments)];
    int before = layer->calls.count;
    if (strata_layer_call_with(layer, p->arguments, p->count, p->inputs, p->training, outputs) !=
            STRATA_OK ||
        layer->calls.count == before)
        return STRATA__BROKEN;
    strata__graph_call *made = layer->calls.items[layer->calls.count - 1];
    made->unnamed = p->unnamed;
    return STRATA__FOUND;
}

static strata__found make_call(const strata__stored_graph *graph, strata__stored_layer *stored)
{
    const json_t *node = json_array_get(stored->nodes, stored->next_node);
    const json_t *args = json_object_get(node, "args");
    parts p = {.graph = graph, .stored = stored, .class = stored->layer->class, .training = -1};
    strata__found found = json_is_array(args) ? read_args(&p, args) : STRATA__BROKEN;
    p.unnamed = p.count;
    if (found == STRATA__FOUND)
        found = read_keywords(&p, json_object_get(node, "kwargs"));
    if (found == STRATA__FOUND)
        found = call_layer(&p);
    strata__class described = strata__arguments_class(p.class);
    strata__config_free(graph->ctx, &described, p.arguments);
    stored->next_node += found == STRATA__FOUND;
    return found;
}

/* Makes the calls of a layer as far as their inputs exist. */
static strata__found make_layer_calls(const strata__stored_graph *graph,
                                      strata__stored_layer *stored, bool *progress)
{
    strata__found made = STRATA__FOUND;
    while (stored->layer && made == STRATA__FOUND &&
           stored->next_node < json_array_size(stored->nodes)) {
        made = make_call(graph, stored);
        *progress |= made == STRATA__FOUND;
    }
    return made;
}

strata_status strata__stored_calls(strata__stored_graph *graph)
{
    bool progress = true;
    const strata__stored_layer *waiting = NULL;
    while (progress) {
        progress = false;
        waiting = NULL;
        for (int i = 0; i < graph->count; i++) {
            strata__stored_layer *stored = &graph->layers[i];
            strata__found made = make_layer_calls(graph, stored, &progress);
            if (made == STRATA__BROKEN && graph->ctx->status != STRATA_OK)
                return graph->ctx->status;
            if (made == STRATA__BROKEN)
                return strata__stored_damaged(
                    graph, "a call whose inputs are not tensors of layers", stored->name);
            if (made == STRATA__WAIT)
                waiting = stored;
        }
    }
    return waiting ? strata__stored_damaged(graph, "a call that waits for itself", waiting->name)
                   : STRATA_OK;
}
