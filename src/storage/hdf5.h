/* HDF5 files over our own bytes: a driver, and quiet calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_HDF5_H
#define STRATA_STORAGE_HDF5_H

#include <hdf5.h>

#include "storage/bytes.h"
#include "storage/file.h"
#include "storage/image.h"

/*
 * Settings that HDF5 keeps for the whole process: its printing of errors, and the loading of filter
 * plugins from a path in the environment. Both are off between quiet and loud, and then as they
 * were; but after an error the printing stays off, since HDF5 leaks on damaged files and would tell
 * so at the end of the process.
 */
typedef struct strata__hdf5_settings {
    H5E_auto2_t print;
    void *print_data;
    unsigned plugins;
} strata__hdf5_settings;

strata__hdf5_settings strata__hdf5_quiet(void);
void strata__hdf5_loud(const strata_context *ctx, const strata__hdf5_settings *before);

/* An open file and the driver under it, which must outlive the file. */
typedef struct strata__hdf5 {
    hid_t file, driver; /* negative: none */
} strata__hdf5;

#define STRATA__HDF5_NONE ((strata__hdf5){H5I_INVALID_HID, H5I_INVALID_HID})

/*
 * Opens the run of bytes, which must outlive the file, for reading. Whatever the file says, nothing
 * outside of the run is read. Local.
 */
strata_status strata__hdf5_open(strata_context *ctx, const strata__bytes *bytes,
                                strata__hdf5 *hdf5);

/*
 * Starts an HDF5 file (superblock 0, oldest formats) in a new, empty file. Failed writes are kept
 * in ctx and HDF5 is told that they worked: the file will be discarded, while a file that HDF5
 * cannot close would crash the end of the process. Local.
 */
strata_status strata__hdf5_create(strata_context *ctx, const strata__new_file *file,
                                  strata__hdf5 *hdf5);

typedef struct strata__hdf5_space {
    int64_t user_block;              /* bytes in front that are not HDF5's: 0, or 512 · 2^n */
    int64_t aligned_from, alignment; /* objects of so many bytes or more begin at multiples */
} strata__hdf5_space;

/* The same in memory. Local. */
strata_status strata__hdf5_create_image(strata__image *image, const strata__hdf5_space *space,
                                        strata__hdf5 *hdf5);

/* Closes what is open; false when HDF5 could not. Local. */
bool strata__hdf5_close(strata__hdf5 *hdf5);

#endif
