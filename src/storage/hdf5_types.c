/* Types of elements as HDF5 describes them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/hdf5_types.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "our files hold elements as memory does");

hid_t strata__hdf5_memory_type(strata_dtype dtype)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        return H5T_NATIVE_FLOAT;
    case STRATA_FLOAT64:
        return H5T_NATIVE_DOUBLE;
    case STRATA_INT32:
        return H5T_NATIVE_INT32;
    case STRATA_INT64:
        return H5T_NATIVE_INT64;
    case STRATA_UINT8:
    case STRATA_BOOL:
        return H5T_NATIVE_UINT8;
    }
    return H5I_INVALID_HID;
}

hid_t strata__hdf5_file_type(strata_dtype dtype)
{
    if (dtype != STRATA_BOOL)
        return H5Tcopy(strata__hdf5_memory_type(dtype));
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(type, "FALSE", &(char){0});
    H5Tenum_insert(type, "TRUE", &(char){1});
    return type;
}

/* IEEE half precision, for which HDF5 1.10 has no name: 1 sign, 5 exponent and 10 mantissa bits. */
static bool is_half(hid_t type)
{
    size_t sign, exponent, exponent_size, mantissa, mantissa_size;
    return H5Tget_size(type) == 2 &&
           H5Tget_fields(type, &sign, &exponent, &exponent_size, &mantissa, &mantissa_size) >= 0 &&
           sign == 15 && exponent == 10 && exponent_size == 5 && mantissa == 0 &&
           mantissa_size == 10 && H5Tget_ebias(type) == 15;
}

static bool is_standard_float(hid_t type, strata_dtype *dtype)
{
    if (H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0) {
        *dtype = STRATA_FLOAT64;
        return true;
    }
    *dtype = STRATA_FLOAT32;
    return H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0 ||
           is_half(type);
}

static bool is_standard_integer(hid_t type, strata_dtype *dtype)
{
    size_t size = H5Tget_size(type);
    bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
    if ((size != 1 && size != 2 && size != 4 && size != 8) || H5Tget_offset(type) != 0 ||
        H5Tget_precision(type) != 8 * size)
        return false;
    if (size == 1 && !is_signed)
        *dtype = STRATA_UINT8;
    else
        *dtype = size < 4 || (size == 4 && is_signed) ? STRATA_INT32 : STRATA_INT64;
    return true;
}

/* h5py's bool: an enumeration of FALSE and TRUE over one byte. */
static bool is_boolean(hid_t type)
{
    char names[2][8] = {"", ""};
    for (int value = 0; value < 2; value++) {
        if (H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2 ||
            H5Tenum_nameof(type, &(char){(char)value}, names[value], sizeof names[value]) < 0)
            return false;
    }
    return strcmp(names[0], "FALSE") == 0 && strcmp(names[1], "TRUE") == 0;
}

static bool find_dtype(hid_t type, strata_dtype *dtype)
{
    switch (H5Tget_class(type)) {
    case H5T_FLOAT:
        return is_standard_float(type, dtype);
    case H5T_INTEGER:
        return is_standard_integer(type, dtype);
    case H5T_ENUM:
        *dtype = STRATA_BOOL;
        return is_boolean(type);
    default:
        return false;
    }
}

/* Whether the elements lie in the file as they do in memory. */
static bool is_as_in_memory(hid_t type, strata_dtype dtype)
{
    hid_t ours = strata__hdf5_file_type(dtype);
    bool equal = H5Tequal(type, ours) > 0;
    H5Tclose(ours);
    return equal;
}

bool strata__hdf5_dtype(hid_t type, strata_dtype *dtype, bool *as_in_memory)
{
    bool found = find_dtype(type, dtype);
    *as_in_memory = found && is_as_in_memory(type, *dtype);
    return found;
}
