/* The last checkpoints of a run: saved side by side, the newest sound one found again. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_ROTATION_H
#define STRATA_STORAGE_ROTATION_H

#include "storage/checkpoint.h"

/* What a run goes on from. Zeroed: from nothing. */
typedef struct strata__origin {
    uint64_t run;   /* the number that all checkpoints of one run have in common */
    int64_t number; /* of the file in its series; 0: it is in none */
} strata__origin;

/*
 * Opens the newest sound checkpoint of the series that `base` names (storage/series.h), or `base`
 * itself when that is a file. One that is damaged is reported in a line, with the array and the
 * rank that found it, and the one before it is tried. STRATA_NO_INPUT: there is none.
 * STRATA_BAD_DATA: none is sound. One of a newer format is an error at once: the one before it
 * would silently lose what was learnt. Collective on the mesh.
 */
strata_status strata__rotation_load(strata_context *ctx, const char *base,
                                    strata__checkpoint **checkpoint, strata__origin *origin);

/* Whether there is anything to load: files of the series, or `base` as a file. Collective on the
 * mesh. */
strata_status strata__rotation_any(strata_context *ctx, const char *base, bool *any);

typedef struct strata__rotation strata__rotation;

/*
 * Begins to save a run under `base`, of which the last `keep` (2 or more) files are kept. A folder
 * that is missing is made, and it is an error now when no file can be made in it.
 *
 * Of files with such names only those are ever removed that carry the number of this run; they
 * leave, oldest first, after a newer one was committed. Files newer than the one that the run goes
 * on from are its abandoned future, or damaged: they leave before all others. Temporary files that
 * an earlier process of this job or machine left behind are removed now. Collective on the mesh.
 */
strata_status strata__rotation_new(strata_context *ctx, const char *base, int keep,
                                   const strata__origin *origin, strata__rotation **rotation);

/* As strata__checkpoint_save(), as the next file of the series. Collective on the mesh. */
strata_status strata__rotation_save(strata__rotation *rotation, int64_t step,
                                    const strata__contents *contents);

/* The newest file that this process has saved, or NULL; on rank 0, NULL elsewhere. Local. */
const char *strata__rotation_newest(const strata__rotation *rotation);

void strata__rotation_free(strata_context *ctx, strata__rotation *rotation); /* NULL is fine */

#endif
