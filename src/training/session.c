/* Start and end of the library's use: mesh, watchdog, teardown. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <strata/context.h>

#include "base/json.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "mesh/mesh.h"
#include "mesh/process.h"
#include "mesh/watchdog.h"
#include "model/model.h"
#include "tensor/numerics.h"
#include "training/callback.h"
#include "training/deadline.h"
#include "training/options.h"
#include "training/session.h"
#include "training/signals.h"
#include "training/trainer.h"

/* --- start --- */

/* What one rank alone may have found wrong so far must not keep it from making the mesh, on which
 * all agree. */
static bool make_mesh(strata_context *ctx, MPI_Comm comm, const char *text)
{
    strata_status early = ctx->status;
    char message[STRATA__MESSAGE_SIZE];
    memcpy(message, ctx->message, sizeof message);
    ctx->status = STRATA_OK;
    bool meshed = strata__mesh_new(ctx, comm, text) == STRATA_OK;
    if (early != STRATA_OK)
        strata__fail(ctx, early, "%s", message);
    return meshed;
}

strata_context *strata_init(MPI_Comm comm, strata_options options)
{
    strata_context *ctx = strata__context_new();
    if (!ctx)
        return NULL;
    strata__signals_start(ctx, strata__text_option(options.signals, "STRATA_SIGNALS"));
    strata__deadline_start(ctx, strata__text_option(options.max_time, "STRATA_MAX_TIME"));
    ctx->owns_mpi = strata__mpi_start();
    ctx->compiler = &strata__trainer_compiler;
    strata__options_read(ctx, &options);
    if (!make_mesh(ctx, comm, strata__text_option(options.mesh, "STRATA_MESH")))
        return ctx;
    strata__settings_share(ctx);
    if (strata__agree(ctx) == STRATA_OK)
        strata__watchdog_start(ctx, ctx->settings.watchdog);
    return ctx;
}

/* --- end --- */

static void print_error(const strata_context *ctx)
{
    if (ctx->status == STRATA_OK || ctx->rank != 0)
        return;
    if (ctx->status == STRATA_RESTART) {
        fprintf(stderr, "strata: %s\n", ctx->message);
        return;
    }
    if (ctx->error_rank > 0)
        fprintf(stderr, "strata: error on rank %d: %s\n", ctx->error_rank, ctx->message);
    else
        fprintf(stderr, "strata: error: %s\n", ctx->message);
}

void strata__session_close(strata_context *ctx)
{
    strata__watchdog_stop(ctx);
    strata__signals_stop(ctx);
    strata__deadline_free(ctx);
    while (ctx->scope)
        strata_scope_end(ctx);
    strata__tape_free(ctx);
    strata__callbacks_free(ctx);
    strata__models_free(ctx);
    strata__layers_free(ctx);
    strata__functions_free(ctx);
    strata__datasets_free(ctx);
    strata__mesh_free(ctx);
    strata__free(ctx, ctx->profile_file);
    ctx->profile_file = NULL;
}

/*
 * Launchers end a job when the first process returns something else than 0, and those that are
 * still on their way out then spoil the exit code of the whole (srun -K makes 143 of it). So rank
 * 0, which has 75 to return, is the last to leave.
 */
static void let_others_leave(int rank)
{
    if (rank == 0)
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

int strata_finish(strata_context **handle)
{
    strata_context *ctx = handle ? *handle : NULL;
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    *handle = NULL;
    if (ctx->mesh)
        strata_agree(ctx);
    print_error(ctx);
    bool owns_mpi = ctx->owns_mpi, restart = ctx->status == STRATA_RESTART;
    int rank = ctx->rank;
    int code = restart && rank > 0 ? EXIT_SUCCESS : strata_status_exit_code(ctx->status);
    strata__session_close(ctx);
    int64_t left = strata__context_free(ctx);
    if (left > 0 && rank == 0 && getenv("STRATA_CHECK_LEAKS"))
        fprintf(stderr, "strata: %lld blocks of memory were not given back\n", (long long)left);
    if (owns_mpi)
        strata__mpi_stop();
    if (owns_mpi && restart)
        let_others_leave(rank);
    return code;
}

/* --- what a context is --- */

strata_status strata_set_dtype_policy(strata_context *ctx, const char *policy)
{
    if (strata__precision_find(policy, &ctx->settings.policy))
        return STRATA_OK;
    return strata__fail(ctx, STRATA_UNSUPPORTED,
                        "dtype policy '%s' is not supported; use 'float32' or 'mixed_bfloat16'",
                        policy);
}

strata_status strata_agree(strata_context *ctx)
{
    if (ctx->mesh && strata__agree_on(ctx, STRATA__WORLD) == STRATA_OK)
        strata__looks_settle(ctx);
    return strata__agree(ctx);
}

const char *strata_nearest_name(const char *name, const char *const *names, int count)
{
    return strata__nearest(name, names, count);
}

int strata_rank(const strata_context *ctx)
{
    return ctx->rank;
}

int strata_size(const strata_context *ctx)
{
    return ctx->mesh ? ctx->mesh->size : 1;
}

strata_memory_use strata_memory(const strata_context *ctx)
{
    return (strata_memory_use){.live_bytes = ctx->memory.live_bytes,
                               .peak_bytes = ctx->memory.peak_bytes,
                               .system_bytes = ctx->memory.system_bytes,
                               .system_allocations = ctx->memory.system_allocations};
}
