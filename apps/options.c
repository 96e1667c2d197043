/* Command line of a subcommand: one table that parses, checks and explains its options. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 32, MOST_FILES = STRATA_MAX_COLUMNS };

static const option common[] = {
    {"mesh", "AXES", OPTION_LIBRARY, 0, 0, false,
     "how the ranks are laid out: data=2,rows=1,cols=2\n(all to data; or STRATA_MESH)"},
    {"seed", "N", OPTION_LIBRARY, 0, 0, false,
     "of sample order, dropout and new weights (1; or STRATA_SEED)"},
    {"dtype-policy", "POLICY", OPTION_LIBRARY, 0, 0, false,
     "of layers that name none: float32 or mixed_bfloat16\n(float32; or STRATA_DTYPE_POLICY)"},
    {"verbosity", "1|2|3", OPTION_LIBRARY, 0, 0, false,
     "errors only, warnings too (2), or information too"},
    {"watchdog", "SECONDS", OPTION_LIBRARY, 0, 0, false,
     "end the job when no rank makes progress for so long\n(600; 0: never; or STRATA_WATCHDOG)"},
    {"signals", "LIST", OPTION_LIBRARY, 0, 0, false,
     "that save and stop a training with checkpoints, or none\n(USR1,TERM; or STRATA_SIGNALS)"},
    {"max-time", "TIME", OPTION_LIBRARY, 0, 0, false,
     "after which it must have stopped so, as 3600 or 1:30:00\n(the Slurm job's; or "
     "STRATA_MAX_TIME)"},
    {"check-numerics", NULL, OPTION_LIBRARY, 0, 0, false,
     "end at the first NaN or infinity and name its place (or STRATA_CHECK_NUMERICS=1)"},
    {"check-replicas", "N", OPTION_LIBRARY, 0, 0, false,
     "compare the ranks' copies of the weights every N training steps\n(0: never; or "
     "STRATA_CHECK_REPLICAS)"},
    {"help", NULL, OPTION_FLAG, offsetof(arguments, help), 0, false, "print this and end"},
    {"version", NULL, OPTION_FLAG, offsetof(arguments, version), 0, false,
     "print the version and end"},
};
const option_table common_options = {common, sizeof common / sizeof *common};

/* --- finding --- */

static const option *option_at(const command *command, int index)
{
    int own = command->own.count;
    if (index < own)
        return &command->own.options[index];
    return index - own < common_options.count ? &common_options.options[index - own] : NULL;
}

static const option *find(const command *command, const char *name, size_t length)
{
    const option *row;
    for (int i = 0; (row = option_at(command, i)); i++) {
        if (strncmp(row->name, name, length) == 0 && row->name[length] == '\0')
            return row;
    }
    return NULL;
}

static void refuse_unknown(strata_context *ctx, const command *command, const char *name,
                           size_t length)
{
    const char *names[MOST_OPTIONS];
    char word[64];
    int count = 0;
    for (const option *row; count < MOST_OPTIONS && (row = option_at(command, count)); count++)
        names[count] = row->name;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    const char *near = strata_nearest_name(word, names, count);
    strata_fail(ctx, STRATA_INVALID, "strata %s has no option '--%s'; %s%s%s strata %s --help",
                command->name, word, near ? "did you mean '--" : "see", near ? near : "",
                near ? "'? See" : "", command->name);
}

/* --- values --- */

static bool parse_whole(const char *text, int64_t least, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return *text && !*end && errno == 0 && *value >= least && *value <= INT32_MAX;
}

static void store_whole(strata_context *ctx, const option *row, const char *text, int64_t *member)
{
    int64_t least = row->kind == OPTION_COUNT;
    if (!parse_whole(text, least, member))
        strata_fail(ctx, STRATA_INVALID, "option '--%s' takes a whole number from %d, not '%s'",
                    row->name, (int)least, text);
}

static void store_real(strata_context *ctx, const option *row, const char *text, double *member)
{
    char *end;
    *member = strtod(text, &end);
    if (!*text || *end)
        strata_fail(ctx, STRATA_INVALID, "option '--%s' takes a number, not '%s'", row->name, text);
}

static void store_word(strata_context *ctx, const option *row, const char *text, words *member)
{
    int count = 0;
    while (member->items[count])
        count++;
    if (count == row->most)
        strata_fail(ctx, STRATA_INVALID, "option '--%s' is given more than %d times", row->name,
                    row->most);
    else
        member->items[count] = text;
}

static void store(strata_context *ctx, const option *row, const char *text, arguments *given)
{
    void *member = (char *)given + row->offset;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)member = true;
        break;
    case OPTION_TEXT:
        *(const char **)member = text;
        break;
    case OPTION_WORDS:
        store_word(ctx, row, text, member);
        break;
    case OPTION_COUNT:
    case OPTION_INDEX:
        store_whole(ctx, row, text, member);
        break;
    case OPTION_REAL:
        store_real(ctx, row, text, member);
        break;
    case OPTION_LIBRARY:
        break;
    }
}

/* --- parsing --- */

/* "--name value" or "--name=value" at argv[0]; how many words it took. */
static int parse_option(strata_context *ctx, const command *command, char **argv, arguments *given)
{
    const char *name = argv[0] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const option *row = find(command, name, length);
    bool flag = row && !row->word;
    const char *value = equals ? equals + 1 : flag ? NULL : argv[1];
    if (!row)
        refuse_unknown(ctx, command, name, length);
    else if (flag && equals)
        strata_fail(ctx, STRATA_INVALID, "option '--%s' takes no value", row->name);
    else if (!flag && !value)
        strata_fail(ctx, STRATA_INVALID, "option '--%s' needs a value: --%s %s", row->name,
                    row->name, row->word);
    else
        store(ctx, row, value, given);
    return value && !equals ? 2 : 1;
}

static bool is_empty(const option *row, const arguments *given)
{
    return !((const words *)((const char *)given + row->offset))->items[0];
}

static void check_complete(strata_context *ctx, const command *command, const arguments *given)
{
    if (!given->model)
        strata_fail(ctx, STRATA_INVALID, "strata %s needs a model: strata %s MODEL.keras ...",
                    command->name, command->name);
    for (int i = 0; i < command->own.count; i++) {
        const option *row = &command->own.options[i];
        if (row->required && is_empty(row, given))
            strata_fail(ctx, STRATA_INVALID,
                        "strata %s needs option '--%s %s'; see strata %s --help", command->name,
                        row->name, row->word, command->name);
    }
}

void options_parse(strata_context *ctx, const command *command, int argc, char **argv,
                   arguments *given)
{
    for (int i = 0; i < argc && strata_error(ctx) == STRATA_OK;) {
        bool option = strncmp(argv[i], "--", 2) == 0;
        if (!option && given->model)
            strata_fail(ctx, STRATA_INVALID, "strata %s takes one model, and '%s' is a second word",
                        command->name, argv[i]);
        else if (!option)
            given->model = argv[i];
        i += option ? parse_option(ctx, command, argv + i, given) : 1;
    }
    if (!given->help && !given->version)
        check_complete(ctx, command, given);
}

void options_files(const words *from, const char **files)
{
    memcpy(files, from->items, MOST_FILES * sizeof *files);
}

/* --- help --- */

static void print_row(const option *row, FILE *stream)
{
    enum { COLUMN = 28 };
    const char *second = strchr(row->help, '\n');
    int first = second ? (int)(second - row->help) : (int)strlen(row->help);
    const char *gap = row->word && row->word[0] != '[' ? " " : "";
    int width = fprintf(stream, "  --%s%s%s", row->name, gap, row->word ? row->word : "");
    fprintf(stream, "%*s%.*s\n", width < COLUMN ? COLUMN - width : 1, "", first, row->help);
    if (second)
        fprintf(stream, "%*s%s\n", COLUMN, "", second + 1);
}

void options_print(const command *command, FILE *stream)
{
    const option *row;
    fprintf(stream, "Usage: mpirun -n RANKS strata %s MODEL.keras", command->name);
    for (int i = 0; i < command->own.count; i++) {
        row = &command->own.options[i];
        if (row->required)
            fprintf(stream, " --%s %s", row->name, row->word);
    }
    fprintf(stream, " [OPTION]...\n%s\n\n", command->summary);
    for (int i = 0; (row = option_at(command, i)); i++)
        print_row(row, stream);
}
