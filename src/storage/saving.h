/* A checkpoint on its way to a file: what each rank writes, where it lies, how it gets there. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_SAVING_H
#define STRATA_STORAGE_SAVING_H

#include "storage/file.h"
#include "storage/image.h"
#include "storage/shard.h"

/* A part of an array that this rank writes. Its checksum is known when it is written. */
typedef struct strata__part {
    int entry;
    strata__place place;
    const void *data;
} strata__part;

/*
 * Start with {.ctx, .contents, .file.fd = -1, .image.ctx}. Steps that only one rank can fail leave
 * their error in ctx to the caller's agreement.
 */
typedef struct strata__saving {
    strata_context *ctx;
    const strata__contents *contents;
    int64_t *positions;            /* (count) of each entry among the sorted names */
    int64_t *offsets;              /* (count + 1) in the file, of each entry and of
                                      /shards */
    strata__part *parts;           /* (part_count), at least one byte each */
    int64_t part_count, all_parts; /* of this rank; of all ranks */
    int32_t *counts;               /* (2 · ranks) parts of each rank; before it */
    strata__image image;           /* on rank 0: all but the arrays */
    strata__new_file file;         /* on other ranks only the descriptor and names */
} strata__saving;

/* Lists what this rank writes and numbers the entries. Local. */
strata_status strata__parts_list(strata__saving *save);

/* Every element of every array has one writer, as far as numbers tell. Agrees. Collective. */
strata_status strata__parts_check_cover(strata__saving *save);

/* How many parts there are. Agrees. Collective. */
strata_status strata__parts_count(strata__saving *save);

/* The places of all parts, in the order of the ranks, to rank 0: `all` (all_parts) there. Agrees
 * first. Collective. */
strata_status strata__parts_gather(strata__saving *save, strata__place *all);

/* Makes the image of the file, and with it the offsets; on rank 0 alone. Local. */
strata_status strata__layout_make(strata__saving *save);

/* Writes the rows of all ranks, in the order of the ranks, into the image. Local, rank 0. */
strata_status strata__layout_set_places(strata__saving *save, const strata__place *places);

/* Seals the image, copies it to the file and checks what the file then holds. Local, rank 0. */
strata_status strata__layout_write(strata__saving *save);

/*
 * A driver puts all parts at their places and computes their checksums. When it returns, a
 * descriptor of the file is open on every rank that has no error, and what it reads is what was
 * written. May be collective: all ranks call it.
 */
typedef void strata__fill(strata__saving *save);
strata__fill strata__fill_by_pwrite, strata__fill_by_mpi;

/* Computes the checksum of a part from memory. Local. */
void strata__part_sum(const strata__saving *save, strata__part *part);

/* Reads this rank's parts from the file; STRATA_IO when one differs from what was written. Local.
 */
strata_status strata__parts_compare(const strata__saving *save);

/* Opens the new file on a rank that has not. Local. */
strata_status strata__saving_open(strata__saving *save);

#endif
