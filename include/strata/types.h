/* Element types, shapes and the names of Strata's opaque objects. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TYPES_H
#define STRATA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <strata/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct strata_context strata_context;
typedef struct strata_tensor strata_tensor;
typedef struct strata_variable strata_variable;
typedef struct strata_layer strata_layer;
typedef struct strata_model strata_model;
typedef struct strata_dataset strata_dataset;

/** Most axes a tensor may have. */
#define STRATA_MAX_RANK 8

/** A dimension that is not known, as None in Keras. Also: a whole number that was not given. */
#define STRATA_NONE INT64_MIN

/** X(enumerator, Keras name, bytes an element). */
#define STRATA_DTYPE_LIST(X)                                                                       \
    X(STRATA_FLOAT32, "float32", 4)                                                                \
    X(STRATA_FLOAT64, "float64", 8)                                                                \
    X(STRATA_INT32, "int32", 4)                                                                    \
    X(STRATA_INT64, "int64", 8)                                                                    \
    X(STRATA_UINT8, "uint8", 1)                                                                    \
    X(STRATA_BOOL, "bool", 1)

typedef enum strata_dtype {
#define STRATA_DTYPE_ENUM(name, text, size) name,
    STRATA_DTYPE_LIST(STRATA_DTYPE_ENUM)
#undef STRATA_DTYPE_ENUM
} strata_dtype;

/** Keras's name of an element type, "float32". Local. */
STRATA_EXPORT const char *strata_dtype_name(strata_dtype dtype);

/** Bytes of one element. Local. */
STRATA_EXPORT size_t strata_dtype_size(strata_dtype dtype);

/** Finds an element type by its Keras name; false if there is none of that name. Local. */
STRATA_EXPORT bool strata_dtype_from_name(const char *name, strata_dtype *dtype);

/** Sizes of the axes, outermost first; data are row-major. A size may be STRATA_NONE. */
typedef struct strata_shape {
    int rank;
    int64_t dims[STRATA_MAX_RANK];
} strata_shape;

#ifdef __cplusplus
}
#endif
#endif
