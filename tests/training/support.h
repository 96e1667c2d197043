/* What the tests of the training room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_TRAINING_SUPPORT_H
#define STRATA_TESTS_TRAINING_SUPPORT_H

#include "sessions.h"

/* Whether a tensor, gathered from all ranks, agrees with a golden dataset. Collective on the mesh.
 */
bool tensor_agrees(const strata_tensor *tensor, const golden *group, const char *path,
                   const char *what);

/* Whether a number agrees with a golden scalar. */
bool number_agrees(double number, const golden *group, const char *path, const char *what);

/* The configuration of a case as text; free() it. */
char *config_text(const golden *group);

/* Whether the JSON that a class prints is the golden configuration. Steals `json`. */
bool config_agrees(json_t *json, const golden *group, const char *what);

/* Whether the error is that the class is not there yet; it is cleared then. */
bool is_unsupported(strata_context *ctx);

/*
 * Runs all cases of "training/<file>" on every layout of the ranks: `run` gets a fresh context with
 * a mesh as `user`. All must pass or be unsupported, and at least `least` must pass.
 */
void run_golden(const char *file, golden_case *run, int least);

/*
 * Every name that Keras understands (the attribute `strings` of "training/<file>") is understood,
 * or refused as not there yet: `make` makes an object of that name and frees it.
 */
void check_strings(const char *file, strata_status (*make)(strata_context *ctx, const char *name));

#endif
