/* CSVLogger: a row of numbers an epoch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "training/callback.h"
#include "training/history.h"
#include "training/trainer.h"

enum { MOST_HEADER = 1 << 20 /* bytes; what is longer was not written here */ };

typedef struct config {
    const char *filename;
    const char *separator;
    bool append;
} config;

static const config defaults = {.separator = ","};

static const strata_field fields[] = {
    STRATA_FIELD(config, filename, .required = true, .help = "file to write"),
    STRATA_FIELD(config, separator, .help = "between the columns"),
    STRATA_FIELD(config, append, .help = "keep the rows that are there"),
};

typedef struct logger {
    strata__builtin builtin;
    FILE *file;      /* on rank 0, while training */
    int key_count;   /* 0: not known before the first epoch */
    char **keys;     /* the columns after the epoch; on rank 0 */
    bool has_header; /* in the file */
    bool resumed;    /* the file goes on after the rows before this epoch: */
    int64_t epoch;
} logger;

/* --- columns --- */

static void free_keys(strata_context *ctx, logger *state)
{
    for (int i = 0; i < state->key_count; i++)
        strata__free(ctx, state->keys[i]);
    strata__free(ctx, state->keys);
    state->keys = NULL;
    state->key_count = 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static strata_status make_keys(strata_context *ctx, logger *state, int count)
{
    free_keys(ctx, state);
    state->keys = strata__calloc(ctx, (size_t)count, sizeof *state->keys);
    if (!state->keys)
        return STRATA_NO_MEMORY;
    state->key_count = count;
    return STRATA_OK;
}

/* The sorted names; where the first epoch has no validation, "val_" columns for later ones. */
static strata_status choose_keys(strata_context *ctx, logger *state, const strata_logs *logs)
{
    bool validated = false;
    for (int i = 0; i < logs->count; i++)
        validated |= strncmp(logs->names[i], "val_", 4) == 0;
    STRATA_TRY(make_keys(ctx, state, validated ? logs->count : 2 * logs->count));
    for (int i = 0; i < logs->count; i++)
        state->keys[i] = strata__strdup(ctx, logs->names[i]);
    STRATA_TRY(ctx->status);
    qsort(state->keys, (size_t)logs->count, sizeof *state->keys, by_name);
    for (int i = logs->count; i < state->key_count; i++)
        state->keys[i] = strata__format(ctx, "val_%s", state->keys[i - logs->count]);
    return ctx->status;
}

/* A field without its quotation marks; *at moves behind it and the separator, or to NULL. */
static char *next_field(strata_context *ctx, const char **at, const char *separator)
{
    strata__text field = {.ctx = ctx};
    const char *c = *at;
    size_t length = strlen(separator);
    bool quoted = false;
    for (; *c && (quoted || strncmp(c, separator, length) != 0); c++) {
        bool doubled = *c == '"' && quoted && c[1] == '"';
        if (*c == '"' && !doubled) {
            quoted = !quoted;
        } else {
            strata__text_add(&field, c, 1);
            c += doubled;
        }
    }
    *at = *c ? c + length : NULL;
    return strata__text_take(&field);
}

/* The columns of a file that is continued, whatever the first epoch brings. */
static strata_status take_keys(strata_context *ctx, logger *state, const char *header,
                               const char *separator)
{
    const char *at = header;
    int count = -1; /* without the epoch */
    for (; at; count++)
        strata__free(ctx, next_field(ctx, &at, separator));
    STRATA_TRY(make_keys(ctx, state, count));
    at = header;
    for (int i = -1; at; i++) {
        char *field = next_field(ctx, &at, separator);
        if (i < 0)
            strata__free(ctx, field);
        else
            state->keys[i] = field;
    }
    return ctx->status;
}

/* --- rows --- */

/* In quotation marks, which are doubled inside, if it must be. */
static void add_word(strata__text *row, const char *word, const char *separator)
{
    if (!strstr(word, separator) && !strpbrk(word, "\"\r\n")) {
        strata__text_puts(row, word);
        return;
    }
    strata__text_puts(row, "\"");
    for (; *word; word++)
        strata__text_format(row, *word == '"' ? "\"%c" : "%c", *word);
    strata__text_puts(row, "\"");
}

static void add_header(strata__text *text, const logger *state, const char *separator)
{
    strata__text_puts(text, "epoch");
    for (int i = 0; i < state->key_count; i++) {
        strata__text_puts(text, separator);
        add_word(text, state->keys[i], separator);
    }
    strata__text_puts(text, "\n");
}

static void add_row(strata__text *text, const logger *state, const char *separator, int epoch,
                    const strata_logs *logs)
{
    strata__text_format(text, "%d", epoch);
    for (int i = 0; i < state->key_count; i++) {
        int index = strata__logs_find(logs, state->keys[i]);
        strata__text_puts(text, separator);
        if (index < 0)
            strata__text_puts(text, "NA");
        else
            strata__text_real(text, logs->values[index]);
    }
    strata__text_puts(text, "\n");
}

/* --- the file, on rank 0 --- */

static strata_status refuse(const strata_callback *callback, const char *what)
{
    const config *c = strata__callback_config(callback);
    return strata__fail(callback->ctx, STRATA_IO, "CSVLogger: cannot %s '%s': %s", what,
                        c->filename, strerror(errno));
}

/* Where the first row of this or a later epoch begins, or a last line that was not completed. */
static long first_row_from(FILE *file, int64_t epoch)
{
    for (;;) {
        long start = ftell(file);
        long long number;
        if (fscanf(file, "%lld", &number) == 1 && number >= epoch)
            return start;
        for (int c = 0; c != '\n';) {
            c = getc(file);
            if (c == EOF)
                return start;
        }
    }
}

/* Rows that a resumed run is going to write again go away. */
static bool cut_rows(const char *filename, int64_t epoch)
{
    FILE *file = fopen(filename, "r");
    if (!file)
        return errno == ENOENT;
    long end = first_row_from(file, epoch);
    fclose(file);
    return end >= 0 && truncate(filename, end) == 0;
}

static strata_status read_header(strata_callback *callback)
{
    const config *c = strata__callback_config(callback);
    logger *state = callback->state;
    strata__text text = {.ctx = callback->ctx};
    for (int byte;
         (byte = getc(state->file)) != EOF && byte != '\n' && text.length < MOST_HEADER;) {
        if (byte != '\r')
            strata__text_add(&text, &(char){(char)byte}, 1);
    }
    state->has_header = text.length > 0;
    char *header = strata__text_take(&text);
    strata_status status = header ? STRATA_OK : STRATA_NO_MEMORY;
    if (header && state->has_header)
        status = take_keys(callback->ctx, state, header, c->separator);
    strata__free(callback->ctx, header);
    return status;
}

static strata_status open_file(strata_callback *callback)
{
    const config *c = strata__callback_config(callback);
    logger *state = callback->state;
    bool keeps = c->append || state->resumed;
    if (state->resumed && !cut_rows(c->filename, state->epoch))
        return refuse(callback, "shorten");
    state->file = fopen(c->filename, keeps ? "a+" : "w");
    state->has_header = false;
    if (!state->file || (keeps && fseek(state->file, 0, SEEK_SET) != 0))
        return refuse(callback, "open");
    if (keeps)
        STRATA_TRY(read_header(callback));
    return !keeps || fseek(state->file, 0, SEEK_END) == 0 ? STRATA_OK : refuse(callback, "open");
}

static strata_status close_file(strata_callback *callback)
{
    logger *state = callback->state;
    FILE *file = state->file;
    state->file = NULL;
    return file && fclose(file) != 0 ? refuse(callback, "write") : STRATA_OK;
}

static strata_status write_row(strata_callback *callback, int epoch, const strata_logs *logs)
{
    const config *c = strata__callback_config(callback);
    logger *state = callback->state;
    strata__text text = {.ctx = callback->ctx};
    if (!state->has_header)
        add_header(&text, state, c->separator);
    add_row(&text, state, c->separator, epoch, logs);
    char *row = strata__text_take(&text);
    if (!row)
        return STRATA_NO_MEMORY;
    bool written = fputs(row, state->file) >= 0 && fflush(state->file) == 0;
    strata__free(callback->ctx, row);
    state->has_header = true;
    return written ? STRATA_OK : refuse(callback, "write");
}

/* --- hooks --- */

static void train_begin(strata_callback *self, strata_model *model)
{
    logger *state = self->state;
    (void)model;
    close_file(self);
    free_keys(self->ctx, state);
    if (self->ctx->rank == 0)
        open_file(self);
    state->resumed = false;
    strata__agree(self->ctx);
}

static void epoch_end(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs)
{
    logger *state = self->state;
    (void)model;
    if (state->file && state->key_count == 0)
        choose_keys(self->ctx, state, logs);
    if (state->file && self->ctx->status == STRATA_OK)
        write_row(self, epoch, logs);
    strata__agree(self->ctx);
}

static void train_end(strata_callback *self, strata_model *model, const strata_logs *logs)
{
    (void)model;
    (void)logs;
    close_file(self);
    strata__agree(self->ctx);
}

/* --- class --- */

static strata_status make(strata_callback *callback)
{
    const config *c = strata__callback_config(callback);
    if (c->separator && *c->separator)
        return STRATA_OK;
    return strata__fail(callback->ctx, STRATA_INVALID, "CSVLogger: separator is empty");
}

static void free_state(strata_callback *callback)
{
    logger *state = callback->state;
    close_file(callback);
    free_keys(callback->ctx, state);
}

/* What it needs to go on stands in its file. */
static json_t *save(strata_callback *callback)
{
    (void)callback;
    return json_object();
}

static strata_status restore(strata_callback *callback, strata_model *model, const json_t *saved)
{
    logger *state = callback->state;
    (void)saved;
    state->resumed = true;
    state->epoch = model->trainer->epoch;
    return STRATA_OK;
}

const strata__class strata__csv_logger = {
    .name = "CSVLogger",
    .module = "keras.callbacks",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .methods = &(const strata__callback_methods){
        .state_size = sizeof(logger),
        .hooks = {.train_begin = train_begin, .epoch_end = epoch_end, .train_end = train_end},
        .make = make,
        .free = free_state,
        .save = save,
        .restore = restore}};
