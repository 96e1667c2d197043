/* Signals that ask a run to stop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum { USR1, TERM, COUNT };
static const int numbers[COUNT] = {[USR1] = SIGUSR1, [TERM] = SIGTERM};

struct strata__signals {
    bool wanted[COUNT], taken[COUNT];
    struct sigaction before[COUNT]; /* of those that are taken */
};

/* Signals come to a process, and a handler gets no argument of ours: so this much is the process's,
 * and one context at a time has it. */
static atomic_flag in_use = ATOMIC_FLAG_INIT;
static volatile sig_atomic_t came[COUNT];

static void note_usr1(int signal)
{
    (void)signal;
    came[USR1] = 1;
}

static void note_term(int signal)
{
    (void)signal;
    came[TERM] = 1;
}

/* System calls that it interrupts go on: libraries need not know of it. */
static void take(struct strata__signals *signals, int which)
{
    struct sigaction action = {.sa_handler = which == USR1 ? note_usr1 : note_term,
                               .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (signals->wanted[which] && !signals->taken[which])
        signals->taken[which] = sigaction(numbers[which], &action, &signals->before[which]) == 0;
}

static void give_back(struct strata__signals *signals, int which)
{
    if (signals->taken[which])
        sigaction(numbers[which], &signals->before[which], NULL);
    signals->taken[which] = false;
}

static strata_status read_names(strata_context *ctx, const char *text, bool wanted[COUNT])
{
    static const char *const names[COUNT] = {[USR1] = "USR1", [TERM] = "TERM"};
    if (strcmp(text, "none") == 0)
        return STRATA_OK;
    for (const char *name = text;; name++) {
        size_t length = strcspn(name, ",");
        int which = 0;
        while (which < COUNT &&
               (strlen(names[which]) != length || strncmp(name, names[which], length) != 0))
            which++;
        if (which == COUNT)
            return strata__fail(ctx, STRATA_INVALID,
                                "signals='%.100s' is neither none nor a list of USR1 and TERM",
                                text);
        wanted[which] = true;
        name += length;
        if (!*name)
            return STRATA_OK;
    }
}

strata_status strata__signals_start(strata_context *ctx, const char *text)
{
    bool wanted[COUNT] = {false};
    if (text)
        STRATA_TRY(read_names(ctx, text, wanted));
    if (!wanted[USR1] && !wanted[TERM])
        return STRATA_OK;
    struct strata__signals *signals = strata__calloc(ctx, 1, sizeof *signals);
    if (!signals)
        return STRATA_NO_MEMORY;
    if (atomic_flag_test_and_set(&in_use)) {
        strata__free(ctx, signals);
        return strata__fail(ctx, STRATA_INVALID,
                            "signals='%s': another context of this process takes signals", text);
    }
    memcpy(signals->wanted, wanted, sizeof wanted);
    came[USR1] = came[TERM] = 0;
    ctx->signals = signals;
    take(signals, USR1);
    return STRATA_OK;
}

void strata__signals_stop(strata_context *ctx)
{
    if (!ctx->signals)
        return;
    for (int which = 0; which < COUNT; which++)
        give_back(ctx->signals, which);
    strata__free(ctx, ctx->signals);
    ctx->signals = NULL;
    atomic_flag_clear(&in_use);
}

void strata__signals_begin_run(strata_context *ctx)
{
    if (ctx->signals)
        take(ctx->signals, TERM);
}

void strata__signals_end_run(strata_context *ctx)
{
    if (ctx->signals)
        give_back(ctx->signals, TERM);
}

bool strata__signals_came(const strata_context *ctx, int signal)
{
    return ctx->signals && came[signal == SIGUSR1 ? USR1 : TERM];
}
