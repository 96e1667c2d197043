/* The program strata: trains, evaluates and runs Keras models over MPI ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "options.h"

static const command *const commands[] = {&train_command, &evaluate_command, &predict_command};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_overview(FILE *stream)
{
    fputs("Usage: mpirun -n RANKS strata COMMAND MODEL.keras [OPTION]...\n"
          "Works with Keras models on all ranks of an MPI job.\n\n",
          stream);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nstrata COMMAND --help lists the options of a command; strata --version prints the "
          "version.\n",
          stream);
}

static void print_version(FILE *stream)
{
    fputs("strata " PACKAGE_VERSION "\n", stream);
}

static const command *find_command(strata_context *ctx, const char *name)
{
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, names[i]) == 0)
            return commands[i];
    }
    const char *near = strata_nearest_name(name, names, COMMANDS);
    strata_fail(ctx, STRATA_INVALID, "unknown command '%s'; %s%s%s strata --help", name,
                near ? "did you mean '" : "see", near ? near : "", near ? "'? See" : "");
    return NULL;
}

static void run_command(strata_context *ctx, int argc, char **argv)
{
    arguments given = {0};
    bool prints = strata_rank(ctx) == 0;
    const command *command = find_command(ctx, argv[0]);
    if (!command)
        return;
    options_parse(ctx, command, argc - 1, argv + 1, &given);
    if (strata_error(ctx) != STRATA_OK)
        return;
    if (given.help && prints)
        options_print(command, stdout);
    else if (given.version && prints)
        print_version(stdout);
    if (!given.help && !given.version)
        command->run(ctx, &given);
}

static void run(strata_context *ctx, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool prints = strata_rank(ctx) == 0;
    if (!*word) {
        strata_fail(ctx, STRATA_INVALID,
                    "no command is given: train, evaluate or predict; see strata --help");
    } else if (strcmp(word, "--help") == 0) {
        if (prints)
            print_overview(stdout);
    } else if (strcmp(word, "--version") == 0) {
        if (prints)
            print_version(stdout);
    } else {
        run_command(ctx, argc - 1, argv + 1);
    }
}

int main(int argc, char **argv)
{
    strata_options options = strata_options_from(&argc, &argv);
    if (!options.signals && !getenv("STRATA_SIGNALS"))
        options.signals = "USR1,TERM";
    strata_context *ctx = strata_init(MPI_COMM_WORLD, options);
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    if (strata_error(ctx) == STRATA_OK)
        run(ctx, argc, argv);
    return strata_finish(&ctx);
}
