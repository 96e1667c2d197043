/* Command line of a subcommand: one table that parses, checks and explains its options. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_APPS_OPTIONS_H
#define STRATA_APPS_OPTIONS_H

#include <strata.h>

/* Words of an option that may be repeated; NULL ends them. */
typedef struct words {
    const char *items[STRATA_MAX_CALLBACKS + 1];
} words;

/* What the user wrote; an option that was not given leaves NULL or 0. */
typedef struct arguments {
    const char *model;
    words x, y, sample_weight, validation_x, validation_y, output;
    words loss, metrics, callback;
    const char *optimizer, *shuffle, *verbose, *resume, *checkpoint, *save_freq;
    int64_t epochs, initial_epoch, batch_size;
    double validation_split;
    bool help, version;
} arguments;

typedef enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_WORDS,   /* words */
    OPTION_COUNT,   /* int64_t from 1 */
    OPTION_INDEX,   /* int64_t from 0 */
    OPTION_REAL,    /* double */
    OPTION_LIBRARY, /* taken out by strata_options_from() before */
} option_kind;

typedef struct option {
    const char *name; /* without the dashes */
    const char *word; /* for the value, in the help; NULL: it takes none; "[=FILE]": it may */
    option_kind kind;
    size_t offset; /* in arguments */
    int most;      /* of words */
    bool required;
    const char *help; /* one or two lines, separated by a newline */
} option;

typedef struct option_table {
    const option *options;
    int count;
} option_table;

typedef struct command {
    const char *name;
    const char *summary;
    option_table own;
    void (*run)(strata_context *ctx, const arguments *given);
} command;

extern const command train_command, evaluate_command, predict_command;

/* Options that every command takes. */
extern const option_table common_options;

/* The words after the command's name. Errors go to the context and are the same on every rank. */
void options_parse(strata_context *ctx, const command *command, int argc, char **argv,
                   arguments *given);

/* What --help prints. */
void options_print(const command *command, FILE *stream);

/* A file in the way strata_file_dataset_from() wants them: as many as fit are copied. */
void options_files(const words *from, const char **files);

#endif
