/* Options of a context: from a program's arguments, from the environment, to settings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"

/* A whole number that is not negative; STRATA_NONE stands for a mistake until strata_init() can
 * report it. */
static int64_t number_or_none(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    return *text && !*end && value >= 0 ? value : STRATA_NONE;
}

/* --- arguments --- */

static void set_text(void *member, const char *value)
{
    *(const char **)member = value;
}

static void set_number(void *member, const char *value)
{
    *(int64_t *)member = number_or_none(value);
}

/* 0 means off there; in the options it means that nothing is said. */
static void set_watchdog(void *member, const char *value)
{
    int64_t seconds = number_or_none(value);
    *(int64_t *)member = seconds == 0 ? STRATA_WATCHDOG_OFF : seconds;
}

static void set_verbosity(void *member, const char *value)
{
    int64_t number = number_or_none(value);
    *(int *)member = number >= 0 && number < INT_MAX ? (int)number : -1;
}

static void set_flag(void *member, const char *value)
{
    (void)value;
    *(bool *)member = true;
}

static void set_profile(void *member, const char *value)
{
    *(const char **)member = value ? value : "1";
}

/* --name=value and --name value; --name alone; --name and --name=value. */
typedef enum takes { A_VALUE, NOTHING, PERHAPS_A_VALUE } takes;

typedef struct argument {
    const char *name;
    takes takes;
    size_t member; /* of strata_options */
    void (*set)(void *member, const char *value);
} argument;

static const argument arguments[] = {
    {"mesh", A_VALUE, offsetof(strata_options, mesh), set_text},
    {"seed", A_VALUE, offsetof(strata_options, seed), set_number},
    {"dtype-policy", A_VALUE, offsetof(strata_options, dtype_policy), set_text},
    {"verbosity", A_VALUE, offsetof(strata_options, verbosity), set_verbosity},
    {"watchdog", A_VALUE, offsetof(strata_options, watchdog), set_watchdog},
    {"signals", A_VALUE, offsetof(strata_options, signals), set_text},
    {"max-time", A_VALUE, offsetof(strata_options, max_time), set_text},
    {"check-replicas", A_VALUE, offsetof(strata_options, check_replicas), set_number},
    {"check-numerics", NOTHING, offsetof(strata_options, check_numerics), set_flag},
    {"plan", NOTHING, offsetof(strata_options, plan), set_flag},
    {"profile", PERHAPS_A_VALUE, offsetof(strata_options, profile), set_profile},
};

/* How many words from argv[at] on are this argument, and its value. What is not, as one without its
 * value, is left for the program to refuse. */
static int match(const argument *a, int argc, char **argv, int at, const char **value)
{
    size_t length = strlen(a->name);
    *value = NULL;
    if (strncmp(argv[at], "--", 2) != 0 || strncmp(argv[at] + 2, a->name, length) != 0)
        return 0;
    const char *rest = argv[at] + 2 + length;
    if (*rest == '=' && a->takes != NOTHING) {
        *value = rest + 1;
        return 1;
    }
    if (*rest != '\0' || (a->takes == A_VALUE && at + 1 >= argc))
        return 0;
    if (a->takes != A_VALUE)
        return 1;
    *value = argv[at + 1];
    return 2;
}

static int take(strata_options *options, int argc, char **argv, int at)
{
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        const char *value;
        int words = match(&arguments[i], argc, argv, at, &value);
        if (words > 0) {
            arguments[i].set((char *)options + arguments[i].member, value);
            return words;
        }
    }
    return 0;
}

strata_options strata_options_from(int *argc, char ***argv)
{
    strata_options options = {.argc = argc, .argv = argv};
    char **words = *argv;
    int kept = 1;
    for (int i = 1; i < *argc;) {
        int taken = take(&options, *argc, words, i);
        if (taken == 0)
            words[kept++] = words[i++];
        i += taken;
    }
    if (*argc > 0) {
        *argc = kept;
        words[kept] = NULL;
    }
    return options;
}

/* --- the environment --- */

const char *strata__text_option(const char *given, const char *variable)
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
static int choice_option(strata_context *ctx, const char *variable, const char *const names[3])
{
    const char *text = strata__text_option(NULL, variable);
    for (int i = 0; text && i < 3; i++) {
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
    const char *text = strata__text_option(NULL, variable);
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

static void read_verbosity(strata_context *ctx, int given)
{
    enum { DEFAULT = 2, MOST = 3 };
    int64_t verbosity = number_option(ctx, given, "--verbosity", "STRATA_VERBOSITY", DEFAULT);
    if (verbosity > MOST)
        strata__fail(ctx, STRATA_INVALID, "verbosity %lld is none of 1, 2, 3",
                     (long long)verbosity);
    ctx->verbosity = verbosity > 0 ? (int)verbosity - 1 : 1;
}

static void read_profile(strata_context *ctx, const char *given)
{
    const char *profile = strata__text_option(given, "STRATA_PROFILE");
    if (!profile || strcmp(profile, "0") == 0)
        return;
    ctx->settings.profiling =
        strcmp(profile, "1") == 0 ? STRATA__PROFILE_TABLE : STRATA__PROFILE_TRACE;
    ctx->profile_file = strata__strdup(ctx, profile);
}

strata_status strata__options_read(strata_context *ctx, const strata_options *o)
{
    strata__settings *s = &ctx->settings;
    const char *policy = strata__text_option(o->dtype_policy, "STRATA_DTYPE_POLICY");
    s->seed = (uint64_t)number_option(ctx, o->seed, "--seed", "STRATA_SEED", 1);
    s->gemm = (strata__gemm_library)choice_option(
        ctx, "STRATA_GEMM", (const char *const[]){"auto", "onednn", "openblas"});
    s->matmul = (strata__matmul_engine)choice_option(
        ctx, "STRATA_MATMUL", (const char *const[]){"auto", "summa", "pblas"});
    if (policy)
        strata_set_dtype_policy(ctx, policy);
    s->check_numerics = switch_option(ctx, o->check_numerics, "STRATA_CHECK_NUMERICS");
    s->check_replicas =
        number_option(ctx, o->check_replicas, "--check-replicas", "STRATA_CHECK_REPLICAS", 0);
    s->watchdog = read_watchdog(ctx, o->watchdog);
    s->node_memory = number_option(ctx, 0, NULL, "STRATA_NODE_MEMORY", 0);
    s->plans = switch_option(ctx, o->plan, "STRATA_PLAN");
    read_profile(ctx, o->profile);
    read_verbosity(ctx, o->verbosity);
    return ctx->status;
}

void strata__settings_share(strata_context *ctx)
{
    strata__broadcast(ctx, STRATA__WORLD, 0, &ctx->settings, sizeof ctx->settings);
}
