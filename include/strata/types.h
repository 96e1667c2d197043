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
typedef struct strata_callback strata_callback;

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

/**
 * Sizes of the axes, outermost first; data are row-major. A size may be STRATA_NONE. Write
 * STRATA_SHAPE(28, 28), or plain {28, 28} in a layer's configuration: there a rank of 0 beside a
 * first size that is not 0 is counted up to the first 0.
 */
typedef struct strata_shape {
    int64_t dims[STRATA_MAX_RANK];
    int rank;
} strata_shape;

#ifndef __cplusplus
/** A shape from its sizes: STRATA_SHAPE(32, 32, 3). */
#define STRATA_SHAPE(...)                                                                          \
    ((strata_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),             \
                    .dims = {__VA_ARGS__}})

/** The shape of a scalar, and no shape at all (None). */
#define STRATA_SCALAR ((strata_shape){.rank = 0})
#define STRATA_NO_SHAPE                                                                            \
    {                                                                                              \
        .rank = -1                                                                                 \
    }
#endif

#ifdef __cplusplus
}
#endif
#endif
