/* Weights as configurations describe them: by an initializer, a regularizer and a constraint. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_WEIGHTS_H
#define STRATA_LAYERS_WEIGHTS_H

#include "layers/layer.h"

/* Rows <prefix>_initializer, <prefix>_regularizer and <prefix>_constraint. what: "the kernel". */
#define STRATA__WEIGHT_FIELDS(config, prefix, what)                                                \
    STRATA_FIELD(config, prefix##_initializer, .family = &strata__initializer_family,              \
                 .help = "of " what),                                                              \
        STRATA_FIELD(config, prefix##_regularizer, .family = &strata__regularizer_family,          \
                     .help = "of " what),                                                          \
        STRATA_FIELD(config, prefix##_constraint, .family = &strata__constraint_family,            \
                     .help = "of " what)

/* The trainable weight that members of the configuration c describe, for strata__add_weight(). The
 * shape comes last. */
#define STRATA__WEIGHT(weight_name, c, prefix, ...)                                                \
    (&(strata_weight){.name = (weight_name),                                                       \
                      .shape = __VA_ARGS__,                                                        \
                      .initializer = (c)->prefix##_initializer,                                    \
                      .regularizer = (c)->prefix##_regularizer,                                    \
                      .constraint = (c)->prefix##_constraint,                                      \
                      .trainable = 1})

#endif
