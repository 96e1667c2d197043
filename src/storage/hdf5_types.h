/* Types of elements as HDF5 describes them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_HDF5_TYPES_H
#define STRATA_STORAGE_HDF5_TYPES_H

#include <hdf5.h>

#include <strata/types.h>

/* In memory; not to be closed. */
hid_t strata__hdf5_memory_type(strata_dtype dtype);

/* In our files, the way h5py has it: little-endian, bool an enumeration. To be closed. */
hid_t strata__hdf5_file_type(strata_dtype dtype);

/*
 * The element type that holds the values of an HDF5 type without loss; false for texts, references,
 * records and odd numbers. as_in_memory: the bytes in a file are those in memory.
 */
bool strata__hdf5_dtype(hid_t type, strata_dtype *dtype, bool *as_in_memory);

#endif
