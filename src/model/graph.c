/* The graph of a model: which calls lead from its inputs to its outputs, in which order, with which
 * layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/nodes.h"

enum { NEW, ACTIVE, DONE, DEEPEST = 20000 };

typedef struct walk {
    strata_model *model;
    strata__list calls;  /* strata__graph_call, inputs before users; in the end as they run */
    strata__list layers; /* strata_layer, in the order in which they were met */
} walk;

static bool is_input(const strata_model *model, const strata_tensor *tensor)
{
    for (int i = 0; i < model->input_count; i++) {
        if (model->inputs[i] == tensor)
            return true;
    }
    return false;
}

/* A call's inputs in the order in which Keras walks along them: those without names, then the
 * others by name. The order of layers, and so of weights and of the optimizer's state, follows from
 * it. */
static void order_inputs(const strata__graph_call *call, int *order)
{
    for (int i = 0; i < call->input_count; i++) {
        strata__keyword keyword = strata__keyword_of(call, i);
        int k = i;
        for (;
             k > 0 && strata__keyword_compare(strata__keyword_of(call, order[k - 1]), keyword) > 0;
             k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

static strata_status meet(walk *w, strata__graph_call *call, int depth);

static strata_status meet_maker(walk *w, const strata__graph_call *call, int input, int depth)
{
    strata__graph_call *maker = call->inputs[input]->origin;
    if (maker)
        return meet(w, maker, depth);
    return strata__fail(
        w->model->ctx, STRATA_INVALID,
        "model '%s': input %d of layer '%s' was computed outside a layer; use Lambda",
        w->model->layer->name, input, call->layer->name);
}

/* The order is not kept on the stack, which a deep graph takes much of. */
static strata_status meet_makers(walk *w, const strata__graph_call *call, int depth)
{
    strata_context *ctx = w->model->ctx;
    int *order = strata__alloc(ctx, (size_t)call->input_count * sizeof *order);
    strata_status status = order ? STRATA_OK : STRATA_NO_MEMORY;
    if (order)
        order_inputs(call, order);
    for (int i = 0; status == STRATA_OK && i < call->input_count; i++)
        status = meet_maker(w, call, order[i], depth);
    strata__free(ctx, order);
    return status;
}

static strata_status meet(walk *w, strata__graph_call *call, int depth)
{
    strata_context *ctx = w->model->ctx;
    if (call->visit == DONE)
        return STRATA_OK;
    if (call->visit == ACTIVE || depth > DEEPEST)
        return strata__fail(ctx, STRATA_INVALID, "model '%s': the graph at layer '%s' %s",
                            w->model->layer->name, call->layer->name,
                            depth > DEEPEST ? "is more than 20000 layers deep"
                                            : "goes in a circle");
    call->visit = ACTIVE;
    if (!call->layer->visit) {
        call->layer->visit = 1;
        if (!strata__list_add(ctx, &w->layers, call->layer))
            return STRATA_NO_MEMORY;
    }
    STRATA_TRY(meet_makers(w, call, depth + 1));
    if (call->input_count == 0 && !is_input(w->model, call->outputs[0]))
        return strata__fail(ctx, STRATA_INVALID,
                            "`inputs` not connected to `outputs`: model '%s' needs input '%s', "
                            "which is not among its "
                            "inputs",
                            w->model->layer->name, call->layer->name);
    call->visit = DONE;
    return strata__list_add(ctx, &w->calls, call) ? STRATA_OK : STRATA_NO_MEMORY;
}

static strata_status meet_all(walk *w)
{
    for (int i = 0; i < w->model->output_count; i++)
        STRATA_TRY(meet(w, w->model->outputs[i]->origin, 0));
    /* Inputs that no output uses still belong to the model. */
    for (int i = 0; i < w->model->input_count; i++)
        STRATA_TRY(meet(w, w->model->inputs[i]->origin, 0));
    return STRATA_OK;
}

/* Numbers calls as they are come upon. */
static void take_turn(strata__graph_call *call, int *turns)
{
    if (!call->turn)
        call->turn = ++*turns;
}

/* Keras's depth of a layer: the longest way from it to an output, over all its calls. */
static void measure_depths(walk *w)
{
    int turns = 0;
    for (int i = w->calls.count - 1; i >= 0; i--) {
        strata__graph_call *call = w->calls.items[i];
        take_turn(call, &turns);
        if (call->layer->depth > call->depth)
            call->depth = call->layer->depth;
        call->layer->depth = call->depth;
        for (int k = 0; k < call->input_count; k++) {
            strata__graph_call *maker = call->inputs[k]->origin;
            take_turn(maker, &turns);
            if (maker->depth < call->depth + 1)
                maker->depth = call->depth + 1;
        }
    }
}

static int compare_calls(const void *a, const void *b)
{
    const strata__graph_call *one = *(strata__graph_call *const *)a;
    const strata__graph_call *other = *(strata__graph_call *const *)b;
    return one->depth != other->depth ? other->depth - one->depth : one->turn - other->turn;
}

/* Calls run deepest first, as in Keras: what a layer does to the mask of its input shows in those
 * that come later. */
static void sort_calls(strata__list *calls)
{
    qsort(calls->items, (size_t)calls->count, sizeof *calls->items, compare_calls);
}

/* Deepest first; equal depths stay in the order in which the layers were met (insertion sort is
 * stable; lists are nearly sorted). */
static void sort_layers(strata__list *layers)
{
    for (int i = 1; i < layers->count; i++) {
        strata_layer *layer = layers->items[i];
        int k = i;
        for (; k > 0 && ((strata_layer *)layers->items[k - 1])->depth < layer->depth; k--)
            layers->items[k] = layers->items[k - 1];
        layers->items[k] = layer;
    }
}

static strata_status check_names(const strata_model *model, const strata__list *layers)
{
    for (int i = 0; i < layers->count; i++) {
        const char *name = ((strata_layer *)layers->items[i])->name;
        for (int k = 0; k < i; k++) {
            if (strcmp(name, ((strata_layer *)layers->items[k])->name) == 0)
                return strata__fail(model->ctx, STRATA_INVALID,
                                    "The name \"%s\" is used 2 times in the model. All operation "
                                    "names should be unique.",
                                    name);
        }
    }
    return STRATA_OK;
}

static int *slots_of(strata_context *ctx, int count, strata_tensor *const *tensors)
{
    int *slots = strata__alloc(ctx, (size_t)count * sizeof *slots);
    for (int i = 0; slots && i < count; i++)
        slots[i] =
            ((strata__graph_call *)tensors[i]->origin)->first_slot + tensors[i]->origin_index;
    return slots;
}

static strata_status make_steps(strata_model *model, const strata__list *calls)
{
    strata_context *ctx = model->ctx;
    model->steps = strata__calloc(ctx, (size_t)calls->count, sizeof *model->steps);
    if (!model->steps)
        return STRATA_NO_MEMORY;
    for (int i = 0; i < calls->count; i++) {
        strata__graph_call *call = calls->items[i];
        call->first_slot = model->slot_count;
        model->slot_count += call->output_count;
        if (call->input_count == 0)
            continue;
        strata__graph_step *step = &model->steps[model->step_count++];
        *step =
            (strata__graph_step){.call = call,
                                 .input_slots = slots_of(ctx, call->input_count, call->inputs),
                                 .output_slots = slots_of(ctx, call->output_count, call->outputs)};
        if (!step->input_slots || !step->output_slots)
            return STRATA_NO_MEMORY;
    }
    model->input_slots = slots_of(ctx, model->input_count, model->inputs);
    model->output_slots = slots_of(ctx, model->output_count, model->outputs);
    return model->input_slots && model->output_slots ? STRATA_OK : STRATA_NO_MEMORY;
}

static void clear_marks(const walk *w)
{
    for (int i = 0; i < w->calls.count; i++) {
        strata__graph_call *call = w->calls.items[i];
        call->visit = call->depth = call->turn = 0;
    }
    for (int i = 0; i < w->layers.count; i++) {
        strata_layer *layer = w->layers.items[i];
        layer->visit = layer->depth = 0;
    }
}

/* A Functional's layers become sublayers here; a Sequential's were tracked when they were added. */
static strata_status take_layers(strata_model *model, const strata__list *layers)
{
    if (model->sequential)
        return STRATA_OK;
    for (int i = 0; i < layers->count; i++) {
        if (!strata__list_add(model->ctx, &model->layers, layers->items[i]))
            return STRATA_NO_MEMORY;
        STRATA_TRY(strata_layer_track(model->layer, "layers", layers->items[i]));
    }
    return STRATA_OK;
}

strata_status strata__graph_make(strata_model *model)
{
    walk w = {.model = model};
    strata_status status = meet_all(&w);
    if (status == STRATA_OK) {
        measure_depths(&w);
        sort_calls(&w.calls);
        sort_layers(&w.layers);
        status = check_names(model, &w.layers);
    }
    if (status == STRATA_OK)
        status = make_steps(model, &w.calls);
    if (status == STRATA_OK)
        status = take_layers(model, &w.layers);
    clear_marks(&w);
    strata__list_free(model->ctx, &w.calls);
    strata__list_free(model->ctx, &w.layers);
    model->layer->output_count = model->output_count;
    model->layer->built = model->ready = status == STRATA_OK;
    return status;
}

bool strata__is_step(const strata_model *model, const strata__graph_call *call)
{
    for (int i = 0; i < model->step_count; i++) {
        if (model->steps[i].call == call)
            return true;
    }
    return false;
}

int strata__node_index(const strata_model *model, const strata__graph_call *call)
{
    int index = 0;
    for (int i = 0; i < model->step_count; i++) {
        const strata__graph_call *other = model->steps[i].call;
        index += other->layer == call->layer && other->index < call->index;
    }
    return index;
}

static void free_keys(strata_context *ctx, int count, char **keys)
{
    for (int i = 0; keys && i < count; i++)
        strata__free(ctx, keys[i]);
    strata__free(ctx, keys);
}

void strata__graph_free(strata_model *model)
{
    strata_context *ctx = model->ctx;
    for (int i = 0; i < model->step_count; i++) {
        strata__free(ctx, model->steps[i].input_slots);
        strata__free(ctx, model->steps[i].output_slots);
    }
    strata__free(ctx, model->steps);
    strata__free(ctx, model->input_slots);
    strata__free(ctx, model->output_slots);
    for (int i = 0; i < model->input_count; i++)
        strata_tensor_release(model->inputs[i]);
    for (int i = 0; i < model->output_count; i++)
        strata_tensor_release(model->outputs[i]);
    free_keys(ctx, model->input_count, model->input_keys);
    free_keys(ctx, model->output_count, model->output_keys);
    strata__free(ctx, model->inputs);
    strata__free(ctx, model->outputs);
    model->steps = NULL;
    model->input_slots = model->output_slots = NULL;
    model->inputs = model->outputs = NULL;
    model->input_keys = model->output_keys = NULL;
    model->step_count = model->slot_count = model->input_count = model->output_count = 0;
}
