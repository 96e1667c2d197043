/* Keras's weight files, alone or in a .keras archive: reading pieces, writing whole variables. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_WEIGHTS_H
#define STRATA_STORAGE_WEIGHTS_H

#include "storage/bytes.h"

/*
 * In such a file an object at path P ("layers/dense", "" for the model itself) keeps its own
 * variables in the datasets P/vars/0, P/vars/1, …
 */
typedef struct strata__weights strata__weights;

/*
 * Opens the file and walks its structure before any data: links other than hard ones, external or
 * virtual storage, filters that HDF5 does not bring along, too many or too deep objects, sizes that
 * the file cannot hold are STRATA_BAD_DATA with the path inside the file. Small files are read on
 * rank 0 and copied, large ones opened by each rank. Collective on the mesh.
 */
strata_status strata__weights_open(strata_context *ctx, const char *path,
                                   strata__weights **weights);

/*
 * The same of bytes that every rank holds (strata__bytes_share); takes them over, also on failure.
 * Collective on the mesh.
 */
strata_status strata__weights_open_bytes(strata_context *ctx, strata__bytes *bytes,
                                         strata__weights **weights);

/* NULL is fine. Local. */
void strata__weights_close(strata_context *ctx, strata__weights *weights);

/* What messages call the file. */
const char *strata__weights_name(const strata__weights *weights);

/* Members of `object`/vars; 0 when it is empty, -1 when there is no such group. Local. */
int strata__weights_count(strata_context *ctx, const strata__weights *weights, const char *object);

/* The objects with at least one variable, sorted by path; NULL past the last. Local. */
const char *strata__weights_object(const strata__weights *weights, int number);

/*
 * Shape and the element type that holds the values (float16 is reported as float32). Missing, a
 * group, text and other types that are no numbers are STRATA_BAD_DATA with the path. Local; the
 * same on all ranks.
 */
strata_status strata__weights_info(strata_context *ctx, const strata__weights *weights,
                                   const char *object, int index, strata_shape *shape,
                                   strata_dtype *dtype);

/*
 * The block first … first+count−1 of each axis (both NULL: everything), converted to `dtype`,
 * row-major into `out`. An empty block reads nothing. Local: only some ranks may fail, so agree
 * before returning from a collective function.
 */
strata_status strata__weights_read(strata_context *ctx, const strata__weights *weights,
                                   const char *object, int index, const int64_t *first,
                                   const int64_t *count, strata_dtype dtype, void *out);

/*
 * Writing. All ranks make the same calls, rank 0 writes, one whole variable at a time; so the
 * caller collects a variable to rank 0, hands it over and forgets it. Failures are kept and agreed
 * by the last call: none of the calls between can leave one rank alone. The target appears only on
 * success.
 */
typedef struct strata__weights_writer strata__weights_writer;

/* Collective on the mesh. */
strata_status strata__weights_create(strata_context *ctx, const char *path,
                                     strata__weights_writer **writer);

/* The group `object`/vars with the attribute `name`; it may stay empty. Local. */
void strata__weights_add(strata__weights_writer *writer, const char *object, const char *name);

/* Dataset `object`/vars/`index` of an added object; `data` (row-major) counts on rank 0. Local. */
void strata__weights_write(strata__weights_writer *writer, const char *object, int index,
                           strata_dtype dtype, strata_shape shape, const void *data);

/* Puts the file in place and frees the writer, on failure too. Collective on the mesh. */
strata_status strata__weights_finish(strata_context *ctx, strata__weights_writer *writer);

/* Gives up: nothing is left. For callers that found an error of their own on all ranks. Local. */
void strata__weights_discard(strata_context *ctx, strata__weights_writer *writer);

#endif
