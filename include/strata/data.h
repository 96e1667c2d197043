/* Datasets: samples from memory and files, the same for every rank. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_DATA_H
#define STRATA_DATA_H

#include <strata/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most inputs or outputs of a dataset or model in these option structs. */
#define STRATA_MAX_COLUMNS 8

/** Samples in memory: axis 0 counts them. The memory is borrowed and must outlive the dataset.
 * Equal on every rank. */
typedef struct strata_array {
    const void *data; /**< row-major */
    strata_shape shape;
    strata_dtype dtype;
    const char *name; /**< of the model's input or output; NULL: by position */
} strata_array;

/** What strata_array_dataset() takes; unused entries have data NULL. */
typedef struct strata_array_options {
    strata_array x[STRATA_MAX_COLUMNS];
    strata_array y[STRATA_MAX_COLUMNS];
    strata_array sample_weight[STRATA_MAX_COLUMNS]; /**< one for all outputs, or one an output */
} strata_array_options;
#ifndef __cplusplus
/** strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(n, 784), STRATA_FLOAT32}}, .y = {…}). */
#define strata_array_dataset(ctx, ...)                                                             \
    strata_array_dataset_from(ctx, &(strata_array_options){__VA_ARGS__})
#endif
/** Owned by the context. NULL after an error: different sample counts, unknown types. Local. */
STRATA_EXPORT strata_dataset *strata_array_dataset_from(strata_context *ctx,
                                                        const strata_array_options *options);

#ifndef __cplusplus
#define strata_local_dataset(ctx, ...)                                                             \
    strata_local_dataset_from(ctx, &(strata_array_options){__VA_ARGS__})
#endif
/**
 * Samples that stay where they were made, as in a simulation: each rank passes its own, any number
 * of them; an entry is used when its shape has a rank, and data may be NULL with 0 samples. The
 * dataset is all of them in the order of the ranks, and gives the batches that one array of all of
 * them would give; samples travel between ranks batch by batch. The memory is borrowed, and read
 * when a batch is made: between two calls of fit, evaluate or train_on_batch it may hold new
 * values. Owned by the context. NULL after an error: no samples at all, or arrays that differ
 * between ranks in type, name or shape of a sample. Collective on the mesh.
 */
STRATA_EXPORT strata_dataset *strata_local_dataset_from(strata_context *ctx,
                                                        const strata_array_options *options);

/** Files: IDX (.gz or not) or NPY, told apart by their first bytes. "name=file" binds to a model's
 * input or output. */
typedef struct strata_file_options {
    const char *x[STRATA_MAX_COLUMNS];
    const char *y[STRATA_MAX_COLUMNS];
    const char *sample_weight[STRATA_MAX_COLUMNS];
} strata_file_options;
#ifndef __cplusplus
#define strata_file_dataset(ctx, ...)                                                              \
    strata_file_dataset_from(ctx, &(strata_file_options){__VA_ARGS__})
#endif
/**
 * Reads on one rank of each node into memory that the node shares. Owned by the context. Errors:
 * STRATA_NO_INPUT, STRATA_BAD_DATA with file, what was expected and found. Collective on the mesh.
 */
STRATA_EXPORT strata_dataset *strata_file_dataset_from(strata_context *ctx,
                                                       const strata_file_options *options);

/** Images and labels in IDX files, as MNIST and Fashion-MNIST have them: file names, or names
 * within `folder`. */
typedef struct strata_idx_options {
    const char *folder;
    const char *images, *labels;
} strata_idx_options;
#ifndef __cplusplus
#define strata_idx_dataset(ctx, ...)                                                               \
    strata_idx_dataset_from(ctx, &(strata_idx_options){__VA_ARGS__})
#endif
STRATA_EXPORT strata_dataset *strata_idx_dataset_from(strata_context *ctx,
                                                      const strata_idx_options *options);

/** Samples first … first+count−1 of another dataset (validation_split, small trials); shares its
 * memory. Local. */
STRATA_EXPORT strata_dataset *strata_dataset_slice(strata_dataset *dataset, int64_t first,
                                                   int64_t count);

/** Number of samples. Local. */
STRATA_EXPORT int64_t strata_dataset_size(const strata_dataset *dataset);

/** Gives back the memory before strata_finish() does. NULL is fine. Collective on the mesh. */
STRATA_EXPORT void strata_dataset_free(strata_dataset *dataset);

/**
 * Writes an .npy file, which NumPy opens: `data`, row-major, of that type and shape; rank 0's
 * counts, on the others it may be NULL. The old file stays until the new one is complete.
 * Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_npy_write(strata_context *ctx, const char *path,
                                             strata_dtype dtype, strata_shape shape,
                                             const void *data);

/** Fails now where a file of that name could not be made later, after hours of work. Leaves nothing
 * behind. Collective on the mesh. */
STRATA_EXPORT strata_status strata_output_check(strata_context *ctx, const char *path);

#ifdef __cplusplus
}
#endif
#endif
