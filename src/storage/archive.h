/* .keras archives: zip files of metadata.json, config.json and model.weights.h5. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_ARCHIVE_H
#define STRATA_STORAGE_ARCHIVE_H

#include "storage/weights.h"

typedef struct strata__archive {
    char *config;   /* text of config.json, zero-terminated */
    char *metadata; /* text of metadata.json, or NULL: the archive has none */
    int64_t config_size, metadata_size;
    strata__bytes weights; /* of model.weights.h5; strata__weights_open_bytes() takes them */
} strata__archive;

/*
 * Reads an archive on rank 0 and shares it. Refused with one line (STRATA_BAD_DATA, or
 * STRATA_NO_INPUT where there is no file): no zip, too many members, names that repeat or leave the
 * archive, encryption, methods other than stored and deflate, a member 100 times its packed size, a
 * wrong checksum, a missing config.json or model.weights.h5. Members that nobody asked for are
 * passed over. Collective on the mesh.
 */
strata_status strata__archive_open(strata_context *ctx, const char *path, strata__archive *archive);
void strata__archive_close(strata_context *ctx, strata__archive *archive); /* Local. */

/*
 * Ends a strata__weights_create() whose path is that of a .keras archive: packs the weights with
 * the two texts (used on rank 0 only) as Keras does, and puts the archive in place. Frees the
 * writer, on failure too. Collective on the mesh.
 */
strata_status strata__archive_finish(strata_context *ctx, strata__weights_writer *writer,
                                     const char *metadata, const char *config);

#endif
