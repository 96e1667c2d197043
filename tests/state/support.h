/* What the tests of the state room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_STATE_SUPPORT_H
#define STRATA_TESTS_STATE_SUPPORT_H

#include "harness.h"

#include "state/initializer.h"
#include "state/variable.h"

/* A float32 variable "weight" of an owner named "layer", trainable, or what the further members
 * say. */
#define WEIGHT(ctx, ...)                                                                           \
    strata__variable_new(ctx, &(strata__variable_spec){.name = "weight",                           \
                                                       .path = "layer",                            \
                                                       .dtype = STRATA_FLOAT32,                    \
                                                       .trainable = true,                          \
                                                       __VA_ARGS__})

int64_t element_count(const strata_shape *shape);

/* The whole value in new memory: free() it. Collective on the mesh. */
float *read_floats(strata_variable *variable);

/* Placements that a variable of that rank can have, and how many they are. */
int placements_of(int rank, strata__placement placements[3]);

/* "constraint MaxNorm" as `object`; the harness reports errors of parsing. */
void parse_object(strata_context *ctx, const strata__family *family, const char *text,
                  strata__object *object);

/* Shape from {"shape": [2, 3]}. */
strata_shape shape_of_json(const json_t *list);

#endif
