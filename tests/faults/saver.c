/* Goes on with a series of checkpoints, with a fault on the way. Not a test: sweep.sh runs it and
 * looks at what is left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "faults/faults.h"
#include "mesh/mesh.h"
#include "mesh/process.h"
#include "storage/rotation.h"

/* One array, all elements the step. */
enum { ELEMENTS = 100000 };

typedef struct state {
    strata_context *ctx;
    float *values;
    strata__shard shard;
    strata__entry entry;
    strata__contents contents;
} state;

static void say(const state *s, const char *what, int64_t step)
{
    if (s->ctx->mesh->rank != 0)
        return;
    printf("%s %lld\n", what, (long long)step);
    fflush(stdout);
}

static strata_status make(state *s)
{
    strata_context *ctx = s->ctx;
    strata__piece piece = strata__piece_of(ELEMENTS, ctx->mesh->size, ctx->mesh->rank);
    s->values = strata__alloc(ctx, ELEMENTS * sizeof *s->values);
    s->shard = (strata__shard){
        .writes = true, .first = {piece.first}, .count = {piece.count}, .data = s->values};
    s->entry = (strata__entry){"weights/x", STRATA_FLOAT32, STRATA_SHAPE(ELEMENTS), &s->shard, 1};
    s->contents = (strata__contents){.entries = &s->entry, .count = 1, .document = "{}"};
    return strata__agree(ctx);
}

/* All elements of this rank are alike, and of all ranks. Collective. */
static strata_status check(state *s)
{
    float ends[2] = {s->values[0], -s->values[0]};
    for (int64_t i = 1; i < s->shard.count[0]; i++) {
        ends[0] = s->values[i] > ends[0] ? s->values[i] : ends[0];
        ends[1] = -s->values[i] > ends[1] ? -s->values[i] : ends[1];
    }
    strata__max(s->ctx, STRATA__WORLD, ends, 2, STRATA_FLOAT32);
    if (ends[0] != -ends[1])
        strata__fail(s->ctx, STRATA_INTERNAL, "a checkpoint with values of two steps was loaded");
    return strata__agree(s->ctx);
}

/* The newest there is; step 0 when there is none. */
static strata_status load(state *s, const char *base, strata__origin *origin)
{
    strata__checkpoint *checkpoint;
    bool any;
    s->values[0] = 0;
    STRATA_TRY(strata__rotation_any(s->ctx, base, &any));
    if (!any)
        return STRATA_OK;
    STRATA_TRY(strata__rotation_load(s->ctx, base, &checkpoint, origin));
    strata_status status = strata__checkpoint_read(s->ctx, checkpoint, &s->entry, 1);
    strata__checkpoint_close(s->ctx, checkpoint);
    return status == STRATA_OK ? check(s) : status;
}

static strata_status save_steps(state *s, const char *base, const strata__origin *origin,
                                int64_t first, int64_t last)
{
    strata__rotation *rotation;
    STRATA_TRY(strata__rotation_new(s->ctx, base, 2, origin, &rotation));
    for (int64_t step = first; step <= last && s->ctx->status == STRATA_OK; step++) {
        for (int i = 0; i < ELEMENTS; i++)
            s->values[i] = (float)step;
        if (strata__rotation_save(rotation, step, &s->contents) == STRATA_OK)
            say(s, "saved", step);
    }
    strata__rotation_free(s->ctx, rotation);
    return s->ctx->status;
}

static strata_status go_on(state *s, const char *base, int64_t steps)
{
    strata__origin origin = {0};
    STRATA_TRY(make(s));
    STRATA_TRY(load(s, base, &origin));
    int64_t found = (int64_t)s->values[0];
    say(s, "found", found);
    if (!fault_set_from_environment(s->ctx->mesh->rank))
        strata__fail(s->ctx, STRATA_INVALID, "STRATA_FAULT makes no sense");
    STRATA_TRY(strata__agree(s->ctx));
    strata_status status =
        steps > 0 ? save_steps(s, base, &origin, found + 1, found + steps) : STRATA_OK;
    if (fault_count() > 0)
        printf("calls %ld\n", fault_count());
    fault_set(NULL);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("Usage: saver BASE STEPS\n", stderr);
        return EXIT_FAILURE;
    }
    strata__mpi_start();
    state s = {.ctx = strata__context_new()};
    if (!s.ctx || strata__mesh_new(s.ctx, MPI_COMM_WORLD, NULL) != STRATA_OK)
        return EXIT_FAILURE;
    strata_status status = go_on(&s, argv[1], atoll(argv[2]));
    if (status != STRATA_OK && s.ctx->mesh->rank == 0)
        fprintf(stderr, "saver: %s\n", s.ctx->message);
    strata__free(s.ctx, s.values);
    strata__mesh_free(s.ctx);
    strata__context_free(s.ctx);
    strata__mpi_stop();
    return strata_status_exit_code(status);
}
