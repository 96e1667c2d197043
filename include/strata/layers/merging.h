/* Merging layers: Add, Multiply, Concatenate. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_MERGING_H
#define STRATA_LAYERS_MERGING_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * They take a list: strata_add(STRATA_LIST(a, b)). Where ranks differ, axes of size 1 are inserted
 * after the batch; sizes broadcast. Masks of the inputs are combined.
 */

/** Σ of the inputs, element by element. */
typedef struct strata_add_config {
    STRATA_LAYER_COMMON
} strata_add_config;
#define strata_add_defaults STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_add_class;
#define strata_add(list, ...) STRATA_APPLY_LIST(add, list, ##__VA_ARGS__)

/** Product of the inputs, element by element. */
typedef struct strata_multiply_config {
    STRATA_LAYER_COMMON
} strata_multiply_config;
#define strata_multiply_defaults STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_multiply_class;
#define strata_multiply(list, ...) STRATA_APPLY_LIST(multiply, list, ##__VA_ARGS__)

/** The inputs one after the other along an axis, which must not be the batch axis. */
typedef struct strata_concatenate_config {
    int64_t axis;
    STRATA_LAYER_COMMON
} strata_concatenate_config;
#define strata_concatenate_defaults .axis = -1, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_concatenate_class;
#define strata_concatenate(list, ...) STRATA_APPLY_LIST(concatenate, list, ##__VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
