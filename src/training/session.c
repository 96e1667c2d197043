/* Start and end of the library's use: options, mesh, teardown. */
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
#include "training/session.h"
#include "training/signals.h"
#include "training/trainer.h"

/* --- options --- */

/* "--mesh=…" or "--mesh …" at argv[at]: its value and how many words it took; NULL: another word,
 * or one without a value, which is left for the program to refuse. */
static const char *option_value(const char *name, int argc, char **argv, int at, int *words)
{
    size_t length = strlen(name);
    if (strncmp(argv[at], "--", 2) != 0 || strncmp(argv[at] + 2, name, length) != 0)
        return NULL;
    const char *rest = argv[at] + 2 + length;
    *words = 1;
    if (*rest == '=')
        return rest + 1;
    if (*rest != '\0' || at + 1 >= argc)
        return NULL;
    *words = 2;
    return argv[at + 1];
}

/* Text of a number is kept until strata_init() can report a mistake in it. */
static int64_t number_or_none(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    return *text && !*end && value >= 0 ? value : STRATA_NONE;
}

/* 0 means off there; in the options it means that nothing is said. */
static int64_t watchdog_seconds(const char *text)
{
    int64_t seconds = number_or_none(text);
    return seconds == 0 ? STRATA_WATCHDOG_OFF : seconds;
}

strata_options strata_options_from(int *argc, char ***argv)
{
    strata_options options = {.argc = argc, .argv = argv};
    int kept = 1;
    for (int i = 1; i < *argc;) {
        int words = 1;
        const char *value;
        if ((value = option_value("mesh", *argc, *argv, i, &words)))
            options.mesh = value;
        else if ((value = option_value("seed", *argc, *argv, i, &words)))
            options.seed = number_or_none(value);
        else if ((value = option_value("dtype-policy", *argc, *argv, i, &words)))
            options.dtype_policy = value;
        else if ((value = option_value("verbosity", *argc, *argv, i, &words)))
            options.verbosity = number_or_none(value) > 3 ? -1 : (int)number_or_none(value);
        else if (strcmp((*argv)[i], "--check-numerics") == 0)
            options.check_numerics = true;
        else if ((value = option_value("watchdog", *argc, *argv, i, &words)))
            options.watchdog = watchdog_seconds(value);
        else if ((value = option_value("check-replicas", *argc, *argv, i, &words)))
            options.check_replicas = number_or_none(value);
        else if ((value = option_value("signals", *argc, *argv, i, &words)))
            options.signals = value;
        else if ((value = option_value("max-time", *argc, *argv, i, &words)))
            options.max_time = value;
        else if (strcmp((*argv)[i], "--profile") == 0)
            options.profile = "1";
        else if (strncmp((*argv)[i], "--profile=", strlen("--profile=")) == 0)
            options.profile = (*argv)[i] + strlen("--profile=");
        else if (strcmp((*argv)[i], "--plan") == 0)
            options.plan = true;
        else
            (*argv)[kept++] = (*argv)[i];
        i += words;
    }
    if (*argc > 0) {
        *argc = kept;
        (*argv)[kept] = NULL;
    }
    return options;
}

static const char *text_option(const char *given, const char *variable)
{
    const char *text = given ? given : getenv(variable);
    return text && *text ? text : NULL;
}

static int64_t number_option(strata_context *ctx, int64_t given, const char *option,
                             const char *variable, int64_t otherwise)
{
    const char *text = getenv(variable);
    int64_t number = given ? given : text && *text ? number_or_none(text) : otherwise;
    if (number >= 0)
        return number;
    if (given)
        strata__fail(ctx, STRATA_INVALID, "option '%s' takes a whole number", option);
    else
        strata__fail(ctx, STRATA_INVALID, "%s=%s is not a whole number that is not negative",
                     variable, text);
    return otherwise;
}

/* Position of a variable's text in a list of names; 0, the default, when it is not set. */
static int choice_option(strata_context *ctx, const char *variable, int count,
                         const char *const *names)
{
    const char *text = text_option(NULL, variable);
    for (int i = 0; text && i < count; i++) {
        if (strcmp(text, names[i]) == 0)
            return i;
    }
    if (text)
        strata__fail(ctx, STRATA_INVALID, "%s=%s is none of %s, %s, %s", variable, text, names[0],
                     names[1], names[2]);
    return 0;
}

/* "0" and "1". */
static bool switch_option(strata_context *ctx, bool given, const char *variable)
{
    const char *text = text_option(NULL, variable);
    if (text && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        strata__fail(ctx, STRATA_INVALID, "%s=%s is neither 0 nor 1", variable, text);
    return given || (text && strcmp(text, "1") == 0);
}

/* A program that started MPI itself, as simulations do, is not ended unasked. */
static int64_t read_watchdog(strata_context *ctx, int64_t given)
{
    enum { DEFAULT_SECONDS = 600, MOST_SECONDS = 1000000000 };
    if (given == STRATA_WATCHDOG_OFF)
        return 0;
    int64_t seconds = number_option(ctx, given, "--watchdog", "STRATA_WATCHDOG",
                                    ctx->owns_mpi ? DEFAULT_SECONDS : 0);
    return seconds < MOST_SECONDS ? seconds : MOST_SECONDS;
}

static void read_engines(strata_context *ctx)
{
    ctx->gemm = (strata__gemm_library)choice_option(
        ctx, "STRATA_GEMM", 3, (const char *const[]){"auto", "onednn", "openblas"});
    ctx->matmul = (strata__matmul_engine)choice_option(
        ctx, "STRATA_MATMUL", 3, (const char *const[]){"auto", "summa", "pblas"});
}

/* What a fit is to tell about itself, and what a node may hold. */
static void read_reports(strata_context *ctx, const strata_options *options)
{
    const char *profile = text_option(options->profile, "STRATA_PROFILE");
    ctx->plans = switch_option(ctx, options->plan, "STRATA_PLAN");
    ctx->node_memory = number_option(ctx, 0, NULL, "STRATA_NODE_MEMORY", 0);
    if (!profile || strcmp(profile, "0") == 0)
        return;
    ctx->profiling = strcmp(profile, "1") == 0 ? STRATA__PROFILE_TABLE : STRATA__PROFILE_TRACE;
    ctx->profile_file = strata__strdup(ctx, profile);
}

static void read_policy(strata_context *ctx, const char *given)
{
    const char *name = text_option(given, "STRATA_DTYPE_POLICY");
    if (name)
        strata_set_dtype_policy(ctx, name);
}

/* --- start --- */

/* What must not differ between ranks is rank 0's; what one rank could not read is everybody's
 * error. */
static void share_settings(strata_context *ctx, int64_t *watchdog)
{
    struct {
        uint64_t seed;
        strata__gemm_library gemm;
        strata__matmul_engine matmul;
        strata__precision policy;
        int64_t check_replicas, watchdog, node_memory;
        bool check_numerics, plans;
        strata__profiling profiling;
    } settings = {ctx->seed,           ctx->gemm,     ctx->matmul,      ctx->policy,
                  ctx->check_replicas, *watchdog,     ctx->node_memory, ctx->numerics.checks,
                  ctx->plans,          ctx->profiling};
    strata__broadcast(ctx, STRATA__WORLD, 0, &settings, sizeof settings);
    ctx->seed = settings.seed;
    ctx->gemm = settings.gemm;
    ctx->matmul = settings.matmul;
    ctx->policy = settings.policy;
    ctx->check_replicas = settings.check_replicas;
    ctx->node_memory = settings.node_memory;
    ctx->plans = settings.plans;
    ctx->profiling = settings.profiling;
    *watchdog = settings.watchdog;
    ctx->numerics.checks = settings.check_numerics;
    strata__agree(ctx);
}

strata_context *strata_init(MPI_Comm comm, strata_options options)
{
    strata_context *ctx = strata__context_new();
    if (!ctx)
        return NULL;
    strata__signals_start(ctx, text_option(options.signals, "STRATA_SIGNALS"));
    strata__deadline_start(ctx, text_option(options.max_time, "STRATA_MAX_TIME"));
    ctx->owns_mpi = strata__mpi_start();
    ctx->compiler = &strata__trainer_compiler;
    ctx->seed = (uint64_t)number_option(ctx, options.seed, "--seed", "STRATA_SEED", 1);
    ctx->check_replicas =
        number_option(ctx, options.check_replicas, "--check-replicas", "STRATA_CHECK_REPLICAS", 0);
    read_engines(ctx);
    read_policy(ctx, options.dtype_policy);
    read_reports(ctx, &options);
    int64_t verbosity = number_option(ctx, options.verbosity, "--verbosity", "STRATA_VERBOSITY", 2);
    ctx->verbosity = verbosity > 0 ? (int)verbosity - 1 : 1;
    int64_t watchdog = read_watchdog(ctx, options.watchdog);
    ctx->numerics.checks = switch_option(ctx, options.check_numerics, "STRATA_CHECK_NUMERICS");
    strata_status early = ctx->status;
    char message[STRATA__MESSAGE_SIZE];
    memcpy(message, ctx->message, sizeof message);
    ctx->status = STRATA_OK;
    bool meshed =
        strata__mesh_new(ctx, comm, text_option(options.mesh, "STRATA_MESH")) == STRATA_OK;
    if (early != STRATA_OK)
        strata__fail(ctx, early, "%s", message);
    if (meshed)
        share_settings(ctx, &watchdog);
    if (meshed && ctx->status == STRATA_OK)
        strata__watchdog_start(ctx, watchdog);
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
    if (strata__precision_find(policy, &ctx->policy))
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
