/* The tape: recording ops and walking back through them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/tape.h"

#include <string.h>

#include "base/memory.h"
#include "tensor/numerics.h"

strata_status strata__tape_begin(strata_context *ctx, strata__complete *complete, void *user)
{
    if (ctx->tape)
        return strata__fail(
            ctx, STRATA_INVALID,
            "a tape is recording already; end it with strata_tape_gradient() first");
    strata__tape *tape = strata__alloc(ctx, sizeof *tape);
    if (!tape)
        return STRATA_NO_MEMORY;
    *tape = (strata__tape){.scope = ctx->scope, .complete = complete, .user = user};
    ctx->tape = tape;
    return STRATA_OK;
}

strata_status strata_tape_begin(strata_context *ctx)
{
    if (!ctx->scope)
        return strata__fail(ctx, STRATA_INVALID,
                            "strata_tape_begin() outside a scope; call strata_scope_begin() first");
    return strata__tape_begin(ctx, NULL, NULL);
}

void strata_tape_watch(strata_tensor *tensor)
{
    if (tensor)
        tensor->wants_gradient = tensor->watched = true;
}

strata_tensor *strata_tensor_gradient(const strata_tensor *tensor)
{
    return tensor ? tensor->gradient : NULL;
}

static bool any_wants(int count, strata_tensor *const *tensors)
{
    for (int i = 0; i < count; i++) {
        if (strata__wants(tensors[i]))
            return true;
    }
    return false;
}

/* The first use of a variable in a tape forgets the gradient that an earlier tape left on it. */
static void count_use(strata_tensor *value)
{
    if (value->uses++ > 0 || value->sink)
        return;
    strata_tensor_release(value->gradient);
    value->gradient = NULL;
}

strata__node *strata__record(strata_context *ctx, const char *op,
                             strata__gradient_function *gradient, int input_count,
                             strata_tensor *const *inputs, int output_count,
                             strata_tensor *const *outputs, size_t saved_size)
{
    if (!ctx->tape || !outputs[0] || outputs[0]->symbolic || !any_wants(input_count, inputs))
        return NULL;
    size_t head = sizeof(strata__node) + (size_t)input_count * sizeof *inputs;
    head = (head + STRATA__ALIGNMENT - 1) & ~(size_t)(STRATA__ALIGNMENT - 1);
    strata__node *node = strata__calloc(ctx, 1, head + saved_size);
    if (!node)
        return NULL;
    node->previous = ctx->tape->last;
    node->op = op;
    node->layer = strata__doing_now(&ctx->activity, STRATA__LAYER);
    node->precision = ctx->precision;
    node->gradient = gradient;
    node->input_count = input_count;
    node->output_count = output_count;
    node->inputs = (strata_tensor **)(void *)(node + 1);
    node->saved = saved_size ? (char *)node + head : NULL;
    for (int i = 0; i < input_count; i++) {
        node->inputs[i] = strata__tensor_share(inputs[i]);
        if (inputs[i] && inputs[i]->variable)
            count_use(inputs[i]);
    }
    for (int i = 0; i < output_count; i++) {
        node->outputs[i] = strata__tensor_share(outputs[i]);
        outputs[i]->wants_gradient = true;
    }
    ctx->tape->last = node;
    return node;
}

/* --- gradients of single tensors --- */

float *strata__gradient_into(strata_tensor *input, float *beta)
{
    if (!strata__wants(input))
        return NULL;
    if (input->sink) {
        *beta = input->sink_filled ? 1.0f : 0.0f;
        input->sink_filled = true;
        return input->sink;
    }
    *beta = 1.0f;
    if (!input->gradient) {
        *beta = 0.0f;
        strata_tensor *gradient = strata__tensor_like(input);
        input->gradient = gradient ? strata_tensor_keep(gradient) : NULL;
    } else if (input->gradient->buffer->references > 1) {
        strata_tensor *own = strata__tensor_like(input);
        if (own) {
            memcpy(own->data, input->gradient->data,
                   (size_t)strata__local_count(input) * sizeof(float));
            strata_tensor_release(input->gradient);
            input->gradient = strata_tensor_keep(own);
        }
    }
    return input->gradient ? input->gradient->data : NULL;
}

float *strata__gradient_to_add(strata_tensor *input)
{
    float beta, *into = strata__gradient_into(input, &beta);
    if (into && beta == 0.0f)
        memset(into, 0, (size_t)strata__local_count(input) * sizeof *into);
    return into;
}

static void accumulate(float *into, float beta, const float *from, int64_t count)
{
    if (beta == 0.0f) {
        memcpy(into, from, (size_t)count * sizeof *into);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        into[i] += from[i];
}

void strata__gradient_give(strata_tensor *input, strata_tensor *gradient)
{
    if (!strata__wants(input) || !gradient)
        return;
    if (!input->sink && !input->gradient) {
        /* A view: the arriving gradient keeps its own life, the memory is shared until somebody
         * adds to it. */
        strata_tensor *view = strata__tensor_view(gradient, &input->shape);
        input->gradient = view ? strata_tensor_keep(view) : NULL;
        return;
    }
    float beta;
    float *into = strata__gradient_into(input, &beta);
    if (into)
        accumulate(into, beta, gradient->data, strata__local_count(input));
}

/* --- the walk --- */

static strata_status seed(strata_tensor *target, strata_tensor *upstream)
{
    if (upstream) {
        strata_tensor *piece = strata__tensor_piece(upstream, target);
        if (!piece)
            return target->ctx->status;
        strata__gradient_give(target, piece);
        strata_tensor_release(piece);
        return STRATA_OK;
    }
    float beta;
    float *ones = strata__gradient_into(target, &beta);
    int64_t count = strata__local_count(target);
    for (int64_t i = 0; ones && i < count; i++)
        ones[i] = (beta == 0.0f ? 0.0f : ones[i]) + 1.0f;
    return STRATA_OK;
}

static bool has_gradient(const strata__node *node)
{
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i]->gradient)
            return true;
    }
    return false;
}

static void count_down_variables(strata__tape *tape, strata__node *node)
{
    for (int i = 0; i < node->input_count; i++) {
        strata_tensor *input = node->inputs[i];
        if (input && input->variable && --input->uses == 0 && tape->complete)
            tape->complete(tape->user, input->variable);
    }
}

static void drop_gradient(strata_tensor *tensor)
{
    strata_tensor_release(tensor->gradient);
    tensor->gradient = NULL;
}

static void drop_gradients(strata__node *node)
{
    for (int i = 0; i < node->output_count; i++) {
        if (!node->outputs[i]->watched)
            drop_gradient(node->outputs[i]);
    }
}

/* What an earlier recording left. */
static void drop_old_gradients(strata__tape *tape)
{
    for (strata__node *node = tape->last; node; node = node->previous) {
        for (int i = 0; i < node->output_count; i++)
            drop_gradient(node->outputs[i]);
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i])
                drop_gradient(node->inputs[i]);
        }
    }
}

/* What has arrived at the node's inputs. Gradients of variables are looked at when they are
 * complete. */
static void look_at_gradients(strata_context *ctx, const strata__node *node)
{
    for (int i = 0; ctx->settings.check_numerics && i < node->input_count; i++) {
        const strata_tensor *input = node->inputs[i];
        if (strata__wants(input) && !input->variable && input->gradient)
            strata__look(input, input->gradient->data, &input->shape, node->layer,
                         "gradient of input %d of '%s'", i, node->op);
    }
}

/* Gradient functions may work in place where nobody else holds the arriving gradient: whoever
 * watches does. */
static void run_node(strata_context *ctx, strata__node *node)
{
    strata_tensor *held[STRATA__NODE_TENSORS] = {0};
    for (int i = 0; i < node->output_count; i++) {
        strata_tensor *output = node->outputs[i];
        if (output->watched && output->gradient)
            held[i] = strata__tensor_view(output->gradient, &output->gradient->shape);
    }
    const char *outer = strata__begin(&ctx->activity, STRATA__LAYER, node->layer);
    strata__precision precision = ctx->precision;
    ctx->precision = node->precision;
    node->gradient(ctx, node);
    ctx->precision = precision;
    look_at_gradients(ctx, node);
    strata__end(&ctx->activity, STRATA__LAYER, outer);
    for (int i = 0; i < node->output_count; i++)
        strata_tensor_release(held[i]);
}

strata_status strata__tape_backward(strata_context *ctx, int count, strata_tensor *const *targets,
                                    strata_tensor *const *upstream)
{
    strata__tape *tape = ctx->tape;
    ctx->tape = NULL; /* gradients of gradients are not recorded */
    drop_old_gradients(tape);
    for (int i = 0; i < count && ctx->status == STRATA_OK; i++) {
        if (targets[i] && targets[i]->wants_gradient)
            seed(targets[i], upstream ? upstream[i] : NULL);
    }
    for (strata__node *node = tape->last; node; node = node->previous) {
        if (has_gradient(node) && ctx->status == STRATA_OK)
            run_node(ctx, node);
        drop_gradients(node);
        count_down_variables(tape, node);
    }
    ctx->tape = tape;
    return ctx->status;
}

/* A recording that was given up leaves variables that wait for nodes which never run. */
static void node_free(strata_context *ctx, strata__node *node)
{
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i])
            node->inputs[i]->uses = 0;
        strata_tensor_release(node->inputs[i]);
    }
    for (int i = 0; i < node->output_count; i++)
        strata_tensor_release(node->outputs[i]);
    strata__free(ctx, node);
}

void strata__tape_free(strata_context *ctx)
{
    strata__tape *tape = ctx->tape;
    if (!tape)
        return;
    while (tape->last) {
        strata__node *previous = tape->last->previous;
        node_free(ctx, tape->last);
        tape->last = previous;
    }
    strata__free(ctx, tape);
    ctx->tape = NULL;
}

/* A rank's gradient of a whole tensor is its part of it: what is the same on all ranks counts once.
 */
static strata_tensor *share_of(const strata_tensor *target, strata_tensor *upstream)
{
    int parts = target->ctx->mesh->groups[STRATA__BATCH].size;
    if (target->layout.batch || target->part || target->divides_gradient || parts == 1)
        return strata__tensor_share(upstream);
    strata_tensor *given = upstream ? strata__tensor_piece(upstream, target) : NULL;
    strata_tensor *share = strata__tensor_like(target);
    for (int64_t i = 0; share && (given || !upstream) && i < strata__local_count(target); i++)
        ((float *)share->data)[i] = (given ? ((const float *)given->data)[i] : 1) / (float)parts;
    strata_tensor_release(given);
    return share ? strata_tensor_keep(share) : NULL;
}

strata_status strata_tape_gradient(strata_context *ctx, int count, strata_tensor *const *targets,
                                   strata_tensor *const *upstream)
{
    if (!ctx->tape)
        return strata__fail(
            ctx, STRATA_INVALID,
            "strata_tape_gradient() without a tape; call strata_tape_begin() first");
    strata_tensor **shares = strata__calloc(ctx, (size_t)count, sizeof *shares);
    if (!shares)
        return STRATA_NO_MEMORY;
    for (int i = 0; i < count; i++)
        shares[i] = targets[i] ? share_of(targets[i], upstream ? upstream[i] : NULL) : NULL;
    strata_status status = strata__tape_backward(ctx, count, targets, shares);
    for (int i = 0; i < count; i++)
        strata_tensor_release(shares[i]);
    strata__free(ctx, shares);
    strata__tape_free(ctx);
    return status;
}

strata__tape *strata__tape_pause(strata_context *ctx)
{
    strata__tape *tape = ctx->tape;
    ctx->tape = NULL;
    return tape;
}

void strata__tape_resume(strata_context *ctx, strata__tape *paused)
{
    ctx->tape = paused;
}
