/* Initial values of variables: each rank makes its own elements by their global numbers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/initial.h"

#include "base/memory.h"
#include "state/elements.h"
#include "state/initializer.h"

typedef struct filling {
    strata_variable *variable;
    const strata__initializer_methods *methods;
    const void *config;
    strata__key key;
} filling;

static void fill_floats(void *user, int64_t global, int64_t local, int64_t length)
{
    const filling *f = user;
    float *piece = f->variable->value->data;
    f->methods->fill(f->config, f->key, &f->variable->shape, global, length, piece + local);
}

static void fill_converted(void *user, int64_t global, int64_t local, int64_t length)
{
    enum { CHUNK = 512 };
    const filling *f = user;
    strata_dtype dtype = f->variable->dtype;
    float made[CHUNK];
    for (int64_t done = 0; done < length; done += CHUNK) {
        int64_t count = length - done < CHUNK ? length - done : CHUNK;
        char *piece =
            (char *)f->variable->value->data + (size_t)(local + done) * strata_dtype_size(dtype);
        f->methods->fill(f->config, f->key, &f->variable->shape, global + done, count, made);
        strata__elements_from_floats(dtype, piece, made, count);
    }
}

/* Rank 0 makes the whole for all, so that processors of different kinds cannot make different
 * copies. */
static strata_status fill_whole(const filling *f)
{
    strata_variable *variable = f->variable;
    strata_context *ctx = variable->ctx;
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    float *whole = strata__alloc(ctx, (size_t)count * sizeof *whole);
    if (whole && ctx->mesh->rank == 0)
        f->methods->whole(ctx, f->config, f->key, &variable->shape, whole);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        strata__broadcast(ctx, STRATA__WORLD, 0, whole, count * (int64_t)sizeof *whole);
        if (variable->dtype == STRATA_FLOAT32)
            strata__variable_cut(variable, whole, variable->value->data);
        else
            strata__elements_from_floats(variable->dtype, variable->value->data, whole, count);
    }
    strata__free(ctx, whole);
    return status;
}

static strata_status fill(const filling *f)
{
    strata_variable *variable = f->variable;
    if (f->methods->whole)
        return fill_whole(f);
    if (f->methods->value)
        strata__elements_set(variable->dtype, variable->value->data, variable->count,
                             f->methods->value(f->config));
    else
        strata__variable_runs(
            variable, variable->dtype == STRATA_FLOAT32 ? fill_floats : fill_converted, (void *)f);
    return STRATA_OK;
}

static strata_status parse(strata_variable *variable, const char *initializer,
                           strata__object *object)
{
    strata_context *ctx = variable->ctx;
    if (!initializer)
        initializer = strata__dtype_is_real(variable->dtype) ? "glorot_uniform" : "zeros";
    STRATA_TRY(strata__object_parse(ctx, &strata__initializer_family, initializer, object));
    if (!object->class)
        return strata__fail(ctx, STRATA_INVALID,
                            "variable '%s': the initializer is None; leave it out for the default",
                            variable->path);
    const strata__initializer_methods *methods = object->class->methods;
    return methods->check ? methods->check(ctx, object->config, &variable->shape, variable->path)
                          : STRATA_OK;
}

strata_status strata__variable_initialize(strata_variable *variable, const char *initializer,
                                          uint64_t seed)
{
    strata_context *ctx = variable->ctx;
    strata__object object = {0};
    if (ctx->status == STRATA_OK)
        parse(variable, initializer, &object);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        filling f = {.variable = variable,
                     .methods = object.class->methods,
                     .config = object.config,
                     .key = {.seed = seed, .stream = strata__stream(variable->path, 0)}};
        status = fill(&f);
    }
    strata__object_free(ctx, &object);
    return status;
}
