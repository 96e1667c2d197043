/* The seal of a checkpoint: its first bytes, with a checksum over everything that is no array. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_SEAL_H
#define STRATA_STORAGE_SEAL_H

#include "storage/bytes.h"
#include "storage/file.h"
#include "storage/image.h"

/*
 * HDF5 crashes on damaged files now and then. So its structures are summed up too, and that is
 * checked before HDF5 sees the file. The seal fills the user block in front of the HDF5 superblock,
 * all little-endian int64: "STRATACP", version of the format, bytes of the user block, bytes of the
 * file, the run that saved it (or 0), number of extents, CRC-32C; then for each array, in the order
 * of the file, offset and bytes. The checksum is taken over the user block, with 0 in its place,
 * and then over all bytes of the file that lie in no extent.
 */
typedef struct strata__extent {
    int64_t offset, bytes;
} strata__extent;

/* Bytes of the user block for so many arrays. */
int64_t strata__seal_bytes(int64_t arrays);

/*
 * Seals the image of a complete file: writes the user block, and sums up what the image has outside
 * of the arrays. Sorts `extents`. Local.
 */
strata_status strata__seal_make(strata__image *image, uint64_t run, strata__extent *extents,
                                int64_t count);

/*
 * Copies all that lies outside of the arrays from the image to the file. The sorted extents of the
 * same image. Local.
 */
strata_status strata__seal_write(const strata__image *image, const strata__extent *extents,
                                 int64_t count, const strata__new_file *file);

/* The run of what looks like a checkpoint, by its first bytes; 0 when it does not, or is of none.
 * Local. */
uint64_t strata__seal_run(const char *path);

/* Gives the run. STRATA_BAD_DATA: no checkpoint, damaged or cut. STRATA_UNSUPPORTED: a newer
 * format. Local. */
strata_status strata__seal_check(strata_context *ctx, const strata__bytes *bytes, uint64_t *run);

#endif
