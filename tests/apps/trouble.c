/* A small training in which one rank dies, stops or stays away at a given moment. Not a test: the
 * scripts beside it run it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <strata.h>

#include "base/context.h"
#include "base/memory.h"

static const char usage[] =
    "Usage: trouble kill|stop|away|held|memory|COMMAND RANK PHASE TIME CHECKPOINT "
    "[--mesh=…] [--watchdog=…]\n"
    "       trouble resume CHECKPOINT\n"
    "When the rank enters the phase for the TIME-th time it dies, stops, "
    "stays away for ever, is held\n"
    "by a debugger, asks for more memory than there is, or runs the "
    "command.\n";

typedef struct trouble {
    strata_context *ctx;
    const char *action, *phase;
    int times; /* until it happens */
} trouble;

/* As a debugger does: a child holds this process for four seconds. */
static void hold_for_a_while(void)
{
    pid_t parent = getpid(), child;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    child = fork();
    if (child == 0) {
        int status;
        bool held =
            ptrace(PTRACE_ATTACH, parent, NULL, NULL) == 0 && waitpid(parent, &status, 0) == parent;
        sleep(4);
        _exit(held && ptrace(PTRACE_DETACH, parent, NULL, NULL) == 0 ? 0 : 1);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0)
        fputs("no debugger may hold this process\n", stderr);
}

static void meet_trouble(void *user, strata__doing kind, const char *name, bool begins)
{
    trouble *t = user;
    if (kind != STRATA__PHASE || !begins || strcmp(name, t->phase) != 0 || --t->times != 0)
        return;
    if (strcmp(t->action, "kill") == 0)
        raise(SIGKILL);
    else if (strcmp(t->action, "stop") == 0)
        raise(SIGSTOP);
    else if (strcmp(t->action, "away") == 0)
        pause();
    else if (strcmp(t->action, "held") == 0)
        hold_for_a_while();
    else if (strcmp(t->action, "memory") == 0)
        strata__free(t->ctx, strata__alloc(t->ctx, SIZE_MAX / 8));
    else if (system(t->action) != 0)
        fprintf(stderr, "'%s' failed\n", t->action);
}

static strata_model *network(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {4});
    strata_tensor *y = strata_dense(x, .units = 8, .activation = "relu", .name = "hidden");
    y = strata_dense(y, .units = 2, .name = "last");
    strata_model *model = strata_functional(x, y);
    strata_compile(model, .optimizer = "adam", .loss = "mse");
    return model;
}

static void train(strata_context *ctx, const char *checkpoint, bool resumes)
{
    enum { SAMPLES = 24 };
    static float x[SAMPLES][4], y[SAMPLES][2];
    for (int i = 0; i < SAMPLES; i++) {
        x[i][i % 4] = 1;
        y[i][i % 2] = (float)i / SAMPLES;
    }
    strata_dataset *data =
        strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(SAMPLES, 4), STRATA_FLOAT32}},
                             .y = {{y, STRATA_SHAPE(SAMPLES, 2), STRATA_FLOAT32}});
    char saves[512];
    snprintf(saves, sizeof saves, "Checkpoint('%s', save_freq=1)", checkpoint);
    strata_fit(network(ctx), data, .batch_size = 8, .epochs = 4, .validation_split = 0.25,
               .verbose = "0", .callbacks = {strata_callback_from_text(ctx, saves)},
               .resume = resumes ? checkpoint : NULL);
}

int main(int argc, char **argv)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    bool resumes = argc == 3 && strcmp(argv[1], "resume") == 0;
    if (!resumes && argc != 6) {
        fputs(usage, stderr);
        return strata_finish(&ctx), EXIT_FAILURE;
    }
    trouble t = {.ctx = ctx, .action = argv[1]};
    if (!resumes && strata_rank(ctx) == atoi(argv[2])) {
        t.phase = argv[3];
        t.times = atoi(argv[4]);
        ctx->activity.observe = meet_trouble;
        ctx->activity.observer = &t;
    }
    printf("pid %d\n", (int)getpid());
    train(ctx, argv[resumes ? 2 : 5], resumes);
    return strata_finish(&ctx);
}
