/* File names with numbers in them, as Python's str.format makes them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PATH_TEMPLATE_H
#define STRATA_TRAINING_PATH_TEMPLATE_H

#include <strata/training.h>

/*
 * "m-{epoch:02d}-{val_loss:.4f}.keras": `epoch` and `batch` count from 1, every other name is one
 * of the logs; format [0][width][.precision][d|e|E|f|F|g|G]; {{ and }} are braces.
 */
typedef struct strata__path_numbers {
    int epoch;
    int64_t batch; /* 0: there is none */
    const strata_logs *logs;
} strata__path_numbers;

/* The finished path, owned by the caller; NULL after an error that starts with `owner`. Local. */
char *strata__path_format(strata_context *ctx, const char *owner, const char *path_template,
                          const strata__path_numbers *numbers);

/* STRATA_INVALID: the braces or formats are wrong. *uses_logs: a name besides epoch and batch. */
strata_status strata__path_check(strata_context *ctx, const char *owner, const char *path_template,
                                 bool *uses_logs);

#endif
