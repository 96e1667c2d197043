/* Field tables: how a class of layers, initializers, optimizers … describes its configuration. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_CONFIG_H
#define STRATA_CONFIG_H

#include <strata/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Type of a configuration member; found from the member itself by STRATA_FIELD(). */
typedef enum strata_field_type {
    STRATA_FIELD_BOOL,   /**< bool */
    STRATA_FIELD_INT,    /**< int64_t; STRATA_NONE is null */
    STRATA_FIELD_REAL,   /**< double; NaN is null */
    STRATA_FIELD_TEXT,   /**< const char *; NULL is null */
    STRATA_FIELD_INTS,   /**< int64_t[n]: one number stands for all; 0 repeats the entry before */
    STRATA_FIELD_SHAPE,  /**< strata_shape: rank -1 is null, a STRATA_NONE entry is null */
    STRATA_FIELD_HANDLE, /**< a pointer that no file holds: a function, user data; skipped in JSON
                          */
    STRATA_FIELD_TENSOR /**< strata_tensor *: an argument of a call; the graph holds it, not JSON */
} strata_field_type;

struct strata__family;

/** One member of a configuration struct. The default is read from the class's `defaults` object. */
typedef struct strata_field {
    const char *name; /**< the Keras argument */
    size_t offset, size;
    strata_field_type type;
    bool required;
    double min, max;                   /**< for numbers; both 0: any; max below min: no upper bound.
                                            INFINITY says "no bound" beside a 0 */
    bool exclusive_min, exclusive_max; /**< the bound itself is refused */
    const char *choices;               /**< for text: "valid|same"; compared without case */
    const struct strata__family *family; /**< for text that names an object: initializer, … */
    bool json; /**< for text: holds JSON of any kind, "-1" or "[1, 2]"; files have the value itself
                */
    bool repeat;       /**< for ints: 0 is not a value, it repeats the entry before */
    int64_t fill;      /**< for ints with `repeat`: the value when all entries are 0 */
    bool fill_is_none; /**< for ints with `repeat`: all entries 0 is null (strides = pool_size) */
    bool or_number;    /**< for shapes: files may have one number for a list of it */
    bool one_number;   /**< for reals: Keras takes a list too, which is refused as not supported */
    const char *list;  /**< for tensors: Keras's argument that is a list of such members */
    bool omit_default; /**< not written by get_config while it has its default value */
    const char *help;
} strata_field;

#ifndef __cplusplus
#define STRATA_FIELD_TYPE(config, member)                                                          \
    _Generic(&((config *)0)->member,                                                               \
        bool *: STRATA_FIELD_BOOL,                                                                 \
        int64_t *: STRATA_FIELD_INT,                                                               \
        double *: STRATA_FIELD_REAL,                                                               \
        const char **: STRATA_FIELD_TEXT,                                                          \
        int64_t(*)[1]: STRATA_FIELD_INTS,                                                          \
        int64_t(*)[2]: STRATA_FIELD_INTS,                                                          \
        int64_t(*)[3]: STRATA_FIELD_INTS,                                                          \
        strata_shape *: STRATA_FIELD_SHAPE,                                                        \
        strata_tensor **: STRATA_FIELD_TENSOR,                                                     \
        default: STRATA_FIELD_HANDLE)

/** A row of a field table: STRATA_FIELD(my_config, units, .required = true, .min = 1, .help = "…").
 */
#define STRATA_FIELD(config, member, ...)                                                          \
    {                                                                                              \
        .name = #member, .offset = offsetof(config, member),                                       \
        .size = sizeof(((config *)0)->member), .type = STRATA_FIELD_TYPE(config, member),          \
        __VA_ARGS__                                                                                \
    }

/** Members of a class that is configured by a struct: its type, one with the defaults, and its
 * table. */
#define STRATA_CLASS_CONFIG(config, default_config, table)                                         \
    .config_size = sizeof(config), .defaults = &(default_config), .fields = (table),               \
    .field_count = sizeof(table) / sizeof *(table)
#endif

#ifdef __cplusplus
}
#endif
#endif
