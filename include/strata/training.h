/* Training: compile, fit, evaluate, predict, callbacks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_H
#define STRATA_TRAINING_H

#include <strata/data.h>
#include <strata/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most metrics of an output, callbacks of a fit, and numbers in a log line. */
#define STRATA_MAX_METRICS 8
#define STRATA_MAX_CALLBACKS 16

/** Arguments of compile, in Keras notation or JSON. */
typedef struct strata_compile_options {
    const char *optimizer;                   /**< default "rmsprop" */
    const char *loss;                        /**< of every output */
    const char *losses[STRATA_MAX_COLUMNS];  /**< or one an output; NULL: none for that output */
    double loss_weights[STRATA_MAX_COLUMNS]; /**< all 0: 1 each */
    const char *metrics[STRATA_MAX_METRICS]; /**< of the only output */
    const char *weighted_metrics[STRATA_MAX_METRICS];
    const char *output_metrics[STRATA_MAX_COLUMNS][STRATA_MAX_METRICS]; /**< or of each output */
    const char *output_weighted_metrics[STRATA_MAX_COLUMNS][STRATA_MAX_METRICS];
    bool keep; /**< what is not given stays as it was compiled, the optimizer with its state */
} strata_compile_options;
#ifndef __cplusplus
#define strata_compile(model, ...)                                                                 \
    strata_compile_from(model, &(strata_compile_options){__VA_ARGS__})
#endif
/** Errors name the object, the argument and the nearest known name. Collective on the mesh. */
STRATA_EXPORT strata_status strata_compile_from(strata_model *model,
                                                const strata_compile_options *options);

/** Whether the model was compiled, by strata_compile() or before it was saved. Local. */
STRATA_EXPORT bool strata_model_compiled(const strata_model *model);

/** Numbers of an epoch or batch, by name, in Keras's order. Valid during the hook. */
typedef struct strata_logs {
    int count;
    const char *const *names;
    const double *values;
} strata_logs;

/** The value of that name, or NaN. Local. */
STRATA_EXPORT double strata_logs_get(const strata_logs *logs, const char *name);

/** Hooks of a callback; unused ones are NULL. Every rank calls them in the same order with the same
 * numbers. */
struct strata_callback {
    const char *name;
    void *state;
    void (*train_begin)(strata_callback *self, strata_model *model);
    void (*train_end)(strata_callback *self, strata_model *model, const strata_logs *logs);
    void (*epoch_begin)(strata_callback *self, strata_model *model, int epoch);
    void (*epoch_end)(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs);
    void (*train_batch_begin)(strata_callback *self, strata_model *model, int64_t batch);
    void (*train_batch_end)(strata_callback *self, strata_model *model, int64_t batch,
                            const strata_logs *logs);
    void (*test_begin)(strata_callback *self, strata_model *model);
    void (*test_end)(strata_callback *self, strata_model *model, const strata_logs *logs);
    void (*test_batch_begin)(strata_callback *self, strata_model *model, int64_t batch);
    void (*test_batch_end)(strata_callback *self, strata_model *model, int64_t batch,
                           const strata_logs *logs);
    void (*predict_begin)(strata_callback *self, strata_model *model);
    void (*predict_end)(strata_callback *self, strata_model *model);
    void (*predict_batch_begin)(strata_callback *self, strata_model *model, int64_t batch);
    void (*predict_batch_end)(strata_callback *self, strata_model *model, int64_t batch);
    /**
     * For checkpoints, both or none: what decides the future of the callback. save writes it as at
     * most `room` bytes and returns how many there are; it is called with room 0 first. Rank 0's
     * bytes count. load takes them up, on every rank, before train_begin of the fit that goes on. A
     * callback finds its bytes by its name; those of one name, in their order.
     */
    size_t (*save)(strata_callback *self, void *bytes, size_t room);
    strata_status (*load)(strata_callback *self, const void *bytes, size_t size);
    void (*destroy)(strata_callback *self); /**< frees state; called when the context ends */
    bool batch_logs; /**< train_batch_end and test_batch_end want the numbers; else logs is NULL
                        there (summing them costs a collective) */
    strata_context *ctx;
    strata_callback *next;
};

/** Registers a callback of the caller's so that the context destroys it; returns a copy that lives
 * as long. Local. */
STRATA_EXPORT strata_callback *strata_callback_new(strata_context *ctx,
                                                   const strata_callback *callback);

/**
 * Built-in callbacks in Keras notation: "EarlyStopping(monitor='val_loss', patience=3)",
 * "ModelCheckpoint('m-{epoch:02d}.keras')", "CSVLogger('log.csv')", "TerminateOnNaN", and
 * "Checkpoint('runs/digits.h5', save_freq='epoch', keep=3, on_error='stop')". The last saves a
 * checkpoint, as strata_checkpoint_save() does, after every epoch, so many batches (100) or some
 * time ('10m'). It numbers them, "runs/digits-000012-0000003000.h5" is the 12th, after 3000 steps,
 * and keeps the last ones of its run, two or more; a path that is a folder means "checkpoint.h5" in
 * it. on_error='continue' goes on with a warning when a file cannot be written, but for the last
 * one of a run that is stopped. Owned by the context. Local.
 */
STRATA_EXPORT strata_callback *strata_callback_from_text(strata_context *ctx, const char *text);

/** Learning rate of the epoch (counted from 0) from the present one. Rank 0's result holds on all
 * ranks. */
typedef double strata_learning_rate_function(int epoch, double rate, void *user);

/** Sets the learning rate at the start of each epoch and logs it as "learning_rate" at the end;
 * refused in fit with a schedule. Owned by the context. Local. */
STRATA_EXPORT strata_callback *
strata_learning_rate_scheduler(strata_context *ctx, strata_learning_rate_function *function,
                               void *user);

/** Ends training after the current batch, from a callback. Local. */
STRATA_EXPORT void strata_model_stop_training(strata_model *model);

/** Learning rate of the compiled optimizer; setting it is refused with a schedule. Local. */
STRATA_EXPORT double strata_model_learning_rate(const strata_model *model);
STRATA_EXPORT strata_status strata_model_set_learning_rate(strata_model *model, double rate);

/** What fit recorded: one value an epoch by name. Owned by the model, until the next fit. */
typedef struct strata_history {
    int epochs;
    int count;
    const char *const *names;
    const double *const *values; /**< values[i][epoch]; NaN where there is none (validation_freq) */
} strata_history;
/** Values of that name, or NULL. Local. */
STRATA_EXPORT const double *strata_history_get(const strata_history *history, const char *name);

typedef struct strata_fit_options {
    int64_t batch_size; /**< global; 0: 32 */
    int epochs;         /**< 0: 1; the final index, not a count, with initial_epoch */
    int initial_epoch;
    const char *shuffle; /**< NULL or "True": every epoch anew; "False"; "batch": whole batches */
    strata_dataset *validation_data;
    double validation_split;       /**< the last part of the data, cut before shuffling */
    int64_t validation_batch_size; /**< 0: batch_size */
    int64_t validation_steps;      /**< 0: all */
    int validation_freq;           /**< every so many epochs; 0: 1 */
    int64_t steps_per_epoch;       /**< 0: all */
    struct {
        int64_t class_id;
        double weight;
    } class_weight[64]; /**< entries up to the first with weight 0 … given by class_weight_count */
    int class_weight_count;
    strata_callback *callbacks[STRATA_MAX_CALLBACKS];
    const char *verbose; /**< "auto" (NULL), "0", "1" bar, "2" a line an epoch */
    const char *resume;  /**< checkpoint to go on from, see strata_checkpoint_load(); initial_epoch
                            is the file's then. "auto": the newest sound one of the first Checkpoint
                            callback, or a fresh start where there is none */
} strata_fit_options;
#ifndef __cplusplus
#define strata_fit(model, data, ...)                                                               \
    strata_fit_from(model, data, &(strata_fit_options){__VA_ARGS__})
#endif
/**
 * Trains. Owned by the model; NULL after an error, and when a run was saved and stopped before its
 * end (STRATA_RESTART; see "Stopping in time" in strata/context.h): the status keeps what follows
 * from running. Collective on the mesh.
 */
STRATA_EXPORT const strata_history *strata_fit_from(strata_model *model, strata_dataset *data,
                                                    const strata_fit_options *options);

typedef struct strata_evaluate_options {
    int64_t batch_size; /**< 0: 32 */
    int64_t steps;      /**< 0: all */
    const char *verbose;
    strata_callback *callbacks[STRATA_MAX_CALLBACKS];
} strata_evaluate_options;
#ifndef __cplusplus
#define strata_evaluate(model, data, ...)                                                          \
    strata_evaluate_from(model, data, &(strata_evaluate_options){__VA_ARGS__})
#endif
/** Loss and metrics over the data; owned by the model until the next call; NULL after an error.
 * Collective on the mesh. */
STRATA_EXPORT const strata_logs *strata_evaluate_from(strata_model *model, strata_dataset *data,
                                                      const strata_evaluate_options *options);

typedef struct strata_predict_options {
    int64_t batch_size; /**< 0: 32 */
    int64_t steps;
    const char *verbose;
    strata_callback *callbacks[STRATA_MAX_CALLBACKS];
} strata_predict_options;
#ifndef __cplusplus
#define strata_predict(model, data, outputs, ...)                                                  \
    strata_predict_from(model, data, outputs, &(strata_predict_options){__VA_ARGS__})
#endif
/**
 * Outputs for all samples, in order: outputs[i] points to room for samples × shape of output i
 * (float32) on rank 0, is NULL on the others. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_predict_from(strata_model *model, strata_dataset *data,
                                                float *const *outputs,
                                                const strata_predict_options *options);

/** One step on the whole of `data` as one batch; metrics are not reset. Owned by the model.
 * Collective on the mesh. */
STRATA_EXPORT const strata_logs *strata_train_on_batch(strata_model *model, strata_dataset *data);
STRATA_EXPORT const strata_logs *strata_test_on_batch(strata_model *model, strata_dataset *data);

/**
 * One HDF5 file with everything that decides the future of a run: weights and the replicas' own
 * copies of ON_READ ones, optimizer slots, counters, seed and random draws, data cursor, sums of
 * metrics, history, what callbacks remember. The old file stays until the new one is complete. For
 * a compiled model; in a callback (one that comes after those whose state is to be the new one), or
 * outside of fit. A custom layer's ON_READ weight without aggregation is refused. STRATA_IO: it
 * could not be written, read back and synced; nothing is left of it, and the run may go on.
 * Collective on the mesh.
 *
 * From the environment of rank 0, for all checkpoints: STRATA_CHECKPOINT_DRIVER is "pwrite", the
 * default, with which every rank writes its own part, or "mpiio", where MPI-IO collects the parts
 * first: for file systems that like few writers. A save that takes longer than
 * STRATA_CHECKPOINT_DEADLINE, "1800" seconds by default, "10m", "1:30:00" or "none", ends the job
 * with the exit code of STRATA_IO: of a disk that does not answer, and of MPI-IO after an error on
 * one rank, some ranks never come back. Earlier checkpoints are whole then too.
 */
STRATA_EXPORT strata_status strata_checkpoint_save(strata_model *model, const char *path);

/**
 * Into a model of the same architecture, compiled with the same optimizer, on any mesh. `path` is a
 * file, or the name of a series that a Checkpoint callback has saved: its newest sound one, whereby
 * a damaged one is reported in a line and passed over. The context's seed becomes the file's, and
 * the next fit goes on at the epoch and batch where the file stands: on the same mesh to the same
 * bits, on another one with the same weights and the same totals of metrics. Within an epoch that
 * fit needs the same number of samples, batch_size, steps_per_epoch, shuffle and metrics, or is
 * refused with STRATA_INVALID; between epochs they may change. Errors: STRATA_NO_INPUT,
 * STRATA_BAD_DATA that names the array which is damaged or differs, or another optimizer,
 * STRATA_UNSUPPORTED for a newer format. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_checkpoint_load(strata_model *model, const char *path);

#ifdef __cplusplus
}
#endif
#endif
