/* oneDNN in the context: engine, stream, and primitives cached by what they compute. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/onednn.h"

#include <string.h>

#include "base/memory.h"

/* More than the shapes of a deep network; a bound for inputs of ever new lengths. */
#define CACHED_PRIMITIVES 512

typedef struct operand {
    int argument;
    bool result;
    dnnl_memory_t plain;  /* the caller's memory */
    dnnl_memory_t picked; /* in scratch memory, in the primitive's layout; NULL: the same layout */
    dnnl_primitive_t reorder; /* between the two */
    size_t offset;            /* of `picked` in scratch memory */
} operand;

struct strata__primitive {
    strata__primitive *next;
    strata__primitive_key key;
    dnnl_primitive_t primitive;
    int count;
    operand operands[STRATA__OPERANDS];
    dnnl_memory_t scratchpad; /* NULL: none needed */
    size_t scratchpad_offset;
    size_t scratch_bytes; /* of scratchpad and converted operands together */
};

struct strata__onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attributes; /* scratchpads are ours */
    dnnl_primitive_attr_t with_relu;
    int count;
    strata__primitive *primitives; /* last used first */
    void *scratch;                 /* of whichever primitive runs */
    size_t scratch_bytes;
};

/* Passes a failure of oneDNN up. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        dnnl_status_t status_ = (call);                                                            \
        if (status_ != dnnl_success)                                                               \
            return status_;                                                                        \
    } while (0)

static const char *status_text(dnnl_status_t status)
{
    switch (status) {
    case dnnl_out_of_memory:
        return "out of memory";
    case dnnl_invalid_arguments:
        return "invalid arguments";
    case dnnl_unimplemented:
        return "not implemented for these sizes";
    default:
        return "runtime error";
    }
}

static bool succeeded(strata_context *ctx, dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return true;
    strata__fail(ctx, status == dnnl_out_of_memory ? STRATA_NO_MEMORY : STRATA_INTERNAL,
                 "oneDNN: %s: %s", what, status_text(status));
    return false;
}

/* --- engine --- */

static dnnl_status_t make_attributes(struct strata__onednn *onednn)
{
    TRY(dnnl_primitive_attr_create(&onednn->attributes));
    TRY(dnnl_primitive_attr_set_scratchpad_mode(onednn->attributes, dnnl_scratchpad_mode_user));
    TRY(dnnl_primitive_attr_clone(&onednn->with_relu, onednn->attributes));
    dnnl_post_ops_t relu;
    TRY(dnnl_post_ops_create(&relu));
    dnnl_status_t status = dnnl_post_ops_append_eltwise(relu, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(onednn->with_relu, relu);
    dnnl_post_ops_destroy(relu);
    return status;
}

static dnnl_status_t make_engine(struct strata__onednn *onednn)
{
    TRY(dnnl_engine_create(&onednn->engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&onednn->stream, onednn->engine, dnnl_stream_default_flags));
    return make_attributes(onednn);
}

static void primitive_free(strata_context *ctx, strata__primitive *primitive)
{
    for (int i = 0; i < primitive->count; i++) {
        dnnl_memory_destroy(primitive->operands[i].plain);
        dnnl_memory_destroy(primitive->operands[i].picked);
        dnnl_primitive_destroy(primitive->operands[i].reorder);
    }
    dnnl_memory_destroy(primitive->scratchpad);
    dnnl_primitive_destroy(primitive->primitive);
    strata__free(ctx, primitive);
}

static void onednn_free(strata_context *ctx)
{
    struct strata__onednn *onednn = ctx->onednn;
    while (onednn->primitives) {
        strata__primitive *first = onednn->primitives;
        onednn->primitives = first->next;
        primitive_free(ctx, first);
    }
    dnnl_primitive_attr_destroy(onednn->with_relu);
    dnnl_primitive_attr_destroy(onednn->attributes);
    dnnl_stream_destroy(onednn->stream);
    dnnl_engine_destroy(onednn->engine);
    strata__free(ctx, onednn->scratch);
    strata__free(ctx, onednn);
    ctx->onednn = NULL;
    ctx->onednn_free = NULL;
}

static struct strata__onednn *onednn_of(strata_context *ctx)
{
    if (ctx->onednn)
        return ctx->onednn;
    ctx->onednn = strata__calloc(ctx, 1, sizeof *ctx->onednn);
    if (!ctx->onednn)
        return NULL;
    ctx->onednn_free = onednn_free;
    if (!succeeded(ctx, make_engine(ctx->onednn), "cannot make an engine"))
        onednn_free(ctx);
    return ctx->onednn;
}

/* --- making primitives --- */

dnnl_memory_desc_t strata__channels_last(int64_t rank, int64_t batch, int64_t channels,
                                         const int64_t *axes)
{
    static const dnnl_format_tag_t tags[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
    dnnl_dims_t dims = {batch, channels};
    for (int64_t i = 0; i < rank; i++)
        dims[2 + i] = axes[i];
    dnnl_memory_desc_t layout;
    dnnl_memory_desc_init_by_tag(&layout, (int)rank + 2, dims, dnnl_f32, tags[rank - 1]);
    return layout;
}

/* Takes a place in the scratch memory. */
static size_t reserve(strata__primitive *primitive, const dnnl_memory_desc_t *layout)
{
    size_t offset = primitive->scratch_bytes;
    size_t bytes = dnnl_memory_desc_get_size(layout);
    primitive->scratch_bytes +=
        (bytes + STRATA__ALIGNMENT - 1) / STRATA__ALIGNMENT * STRATA__ALIGNMENT;
    return offset;
}

static dnnl_status_t make_reorder(dnnl_engine_t engine, const dnnl_memory_desc_t *from,
                                  const dnnl_memory_desc_t *to, dnnl_primitive_t *reorder)
{
    dnnl_primitive_desc_t descriptor;
    TRY(dnnl_reorder_primitive_desc_create(&descriptor, from, engine, to, engine, NULL));
    dnnl_status_t status = dnnl_primitive_create(reorder, descriptor);
    dnnl_primitive_desc_destroy(descriptor);
    return status;
}

static dnnl_status_t make_operand(dnnl_engine_t engine, const_dnnl_primitive_desc_t descriptor,
                                  const strata__operand *given, strata__primitive *primitive)
{
    operand *made = &primitive->operands[primitive->count++];
    made->argument = given->argument;
    made->result = given->result;
    TRY(dnnl_memory_create(&made->plain, &given->layout, engine, DNNL_MEMORY_NONE));
    const dnnl_memory_desc_t *picked =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_exec_arg_md, given->argument);
    if (dnnl_memory_desc_equal(&given->layout, picked))
        return dnnl_success;
    made->offset = reserve(primitive, picked);
    TRY(dnnl_memory_create(&made->picked, picked, engine, DNNL_MEMORY_NONE));
    return given->result ? make_reorder(engine, picked, &given->layout, &made->reorder)
                         : make_reorder(engine, &given->layout, picked, &made->reorder);
}

static dnnl_status_t make_parts(dnnl_engine_t engine, const strata__primitive_plan *plan,
                                strata__primitive *primitive)
{
    TRY(dnnl_primitive_create(&primitive->primitive, plan->descriptor));
    for (int i = 0; i < plan->count; i++)
        TRY(make_operand(engine, plan->descriptor, &plan->operands[i], primitive));
    const dnnl_memory_desc_t *scratchpad =
        dnnl_primitive_desc_query_md(plan->descriptor, dnnl_query_scratchpad_md, 0);
    if (dnnl_memory_desc_get_size(scratchpad) == 0)
        return dnnl_success;
    primitive->scratchpad_offset = reserve(primitive, scratchpad);
    return dnnl_memory_create(&primitive->scratchpad, scratchpad, engine, DNNL_MEMORY_NONE);
}

static dnnl_status_t make_primitive(const struct strata__onednn *onednn,
                                    strata__primitive_make *make, strata__primitive *primitive)
{
    strata__primitive_plan plan = {0};
    TRY(make(onednn->engine, &primitive->key,
             primitive->key.relu ? onednn->with_relu : onednn->attributes, &plan));
    dnnl_status_t status = make_parts(onednn->engine, &plan, primitive);
    dnnl_primitive_desc_destroy(plan.descriptor);
    return status;
}

/* --- the cache --- */

/* Takes the primitive of that key out of the list. */
static strata__primitive *take(struct strata__onednn *onednn, const strata__primitive_key *key)
{
    for (strata__primitive **at = &onednn->primitives; *at; at = &(*at)->next) {
        strata__primitive *found = *at;
        if (memcmp(&found->key, key, sizeof *key) == 0) {
            *at = found->next;
            return found;
        }
    }
    return NULL;
}

static void drop_last(strata_context *ctx)
{
    strata__primitive **at = &ctx->onednn->primitives;
    while ((*at)->next)
        at = &(*at)->next;
    primitive_free(ctx, *at);
    *at = NULL;
    ctx->onednn->count--;
}

static bool scratch_for(strata_context *ctx, size_t bytes)
{
    struct strata__onednn *onednn = ctx->onednn;
    if (bytes <= onednn->scratch_bytes)
        return true;
    strata__free(ctx, onednn->scratch);
    onednn->scratch = strata__alloc(ctx, bytes);
    onednn->scratch_bytes = onednn->scratch ? bytes : 0;
    return onednn->scratch != NULL;
}

static strata__primitive *add(strata_context *ctx, const strata__primitive_key *key,
                              strata__primitive_make *make)
{
    strata__primitive *primitive = strata__calloc(ctx, 1, sizeof *primitive);
    if (!primitive)
        return NULL;
    primitive->key = *key;
    if (!succeeded(ctx, make_primitive(ctx->onednn, make, primitive), "cannot make a primitive") ||
        !scratch_for(ctx, primitive->scratch_bytes)) {
        primitive_free(ctx, primitive);
        return NULL;
    }
    if (ctx->onednn->count == CACHED_PRIMITIVES)
        drop_last(ctx);
    ctx->onednn->count++;
    return primitive;
}

strata__primitive *strata__primitive_for(strata_context *ctx, const strata__primitive_key *key,
                                         strata__primitive_make *make)
{
    struct strata__onednn *onednn = onednn_of(ctx);
    if (!onednn)
        return NULL;
    strata__primitive *primitive = take(onednn, key);
    if (!primitive)
        primitive = add(ctx, key, make);
    if (!primitive)
        return NULL;
    primitive->next = onednn->primitives;
    onednn->primitives = primitive;
    return primitive;
}

size_t strata__primitive_bytes(const strata__primitive *primitive, int operand)
{
    const dnnl_memory_desc_t *layout;
    dnnl_memory_get_memory_desc(primitive->operands[operand].plain, &layout);
    return dnnl_memory_desc_get_size(layout);
}

/* --- running --- */

static dnnl_status_t convert(dnnl_stream_t stream, const operand *operand)
{
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_FROM, operand->result ? operand->picked : operand->plain},
        {DNNL_ARG_TO, operand->result ? operand->plain : operand->picked}};
    return dnnl_primitive_execute(operand->reorder, stream, 2, arguments);
}

static dnnl_status_t convert_all(dnnl_stream_t stream, const strata__primitive *primitive,
                                 bool results)
{
    for (int i = 0; i < primitive->count; i++) {
        const operand *operand = &primitive->operands[i];
        if (operand->reorder && operand->result == results)
            TRY(convert(stream, operand));
    }
    return dnnl_success;
}

/* Points the memory objects at the caller's memory and at the scratch memory of this moment. */
static dnnl_status_t place(const strata__primitive *primitive, char *scratch, void *const *data)
{
    for (int i = 0; i < primitive->count; i++) {
        const operand *operand = &primitive->operands[i];
        TRY(dnnl_memory_set_data_handle(operand->plain, data[i]));
        if (operand->picked)
            TRY(dnnl_memory_set_data_handle(operand->picked, scratch + operand->offset));
    }
    if (primitive->scratchpad)
        TRY(dnnl_memory_set_data_handle(primitive->scratchpad,
                                        scratch + primitive->scratchpad_offset));
    return dnnl_success;
}

static dnnl_status_t run(struct strata__onednn *onednn, const strata__primitive *primitive,
                         void *const *data)
{
    TRY(place(primitive, onednn->scratch, data));
    TRY(convert_all(onednn->stream, primitive, false));
    dnnl_exec_arg_t arguments[STRATA__OPERANDS + 1];
    int count = 0;
    for (; count < primitive->count; count++) {
        const operand *operand = &primitive->operands[count];
        arguments[count] = (dnnl_exec_arg_t){operand->argument,
                                             operand->picked ? operand->picked : operand->plain};
    }
    if (primitive->scratchpad)
        arguments[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, primitive->scratchpad};
    TRY(dnnl_primitive_execute(primitive->primitive, onednn->stream, count, arguments));
    TRY(convert_all(onednn->stream, primitive, true));
    return dnnl_stream_wait(onednn->stream);
}

void strata__primitive_run(strata_context *ctx, strata__primitive *primitive, void *const *data)
{
    succeeded(ctx, run(ctx->onednn, primitive, data), "cannot run a primitive");
}
