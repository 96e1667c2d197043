/* The profile: where the time of a fit goes, by layer, phase and collective, and who was late. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PROFILE_H
#define STRATA_TRAINING_PROFILE_H

#include <strata/model.h>

/*
 * Option --profile: between begin and end all that is announced in ctx->activity is timed. The end
 * prints a table on rank 0's standard output and, where a file was named, writes the spans of all
 * ranks there, in the format of Chrome's traces. Without the option both do nothing, and nothing is
 * timed.
 */
typedef struct strata__profile strata__profile;

/* What is between has the same course on all ranks, unless `failed`: then nothing is shown.
 * Collective on the mesh. */
strata_status strata__profile_begin(strata_model *model, strata__profile **profile);
void strata__profile_end(strata__profile *profile, bool failed);

#endif
