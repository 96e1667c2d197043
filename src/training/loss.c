/* Losses: values of predictions against targets, weighted, masked and reduced as in Keras. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/loss.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "ops/batch.h"
#include "tensor/tape.h"
#include "training/names.h"
#include "training/optimizer_kernels.h"
#include "training/pair.h"
#include "training/sample_weight.h"

static const strata__class *const classes[] = {
    &strata__mean_squared_error, &strata__mean_absolute_error, &strata__binary_crossentropy,
    &strata__categorical_crossentropy, &strata__sparse_categorical_crossentropy};

const strata__family strata__loss_family = {
    .kind = "loss", .classes = classes, .class_count = sizeof classes / sizeof *classes};

static const strata__names names = {
    .family = &strata__loss_family,
    .missing = "MeanAbsolutePercentageError|mean_absolute_percentage_error|mape|MAPE|"
               "MeanSquaredLogarithmicError|mean_squared_logarithmic_error|msle|MSLE|"
               "CosineSimilarity|cosine_similarity|cosine_proximity|Huber|huber|huber_loss|"
               "LogCosh|log_cosh|logcosh|Hinge|hinge|SquaredHinge|squared_hinge|"
               "CategoricalHinge|categorical_hinge|KLDivergence|kl_divergence|kld|KLD|"
               "kullback_leibler_divergence|Poisson|poisson|"
               "BinaryFocalCrossentropy|binary_focal_crossentropy|"
               "CategoricalFocalCrossentropy|categorical_focal_crossentropy|CTC|ctc|Dice|dice|"
               "Tversky|tversky|Circle|circle|CategoricalGeneralizedCrossEntropy|"
               "categorical_generalized_cross_entropy"};

/* --- making --- */

static const strata__loss_methods *methods_of(const strata__class *class)
{
    return class->methods;
}

static const strata__loss_config *config_of(const strata__loss *loss)
{
    return loss->object.config;
}

static strata__reduction reduction_of(const char *text)
{
    if (!text || strcmp(text, "none") == 0)
        return STRATA__UNREDUCED;
    if (strcmp(text, "sum") == 0)
        return STRATA__SUM;
    return strcmp(text, "mean_with_sample_weight") == 0 ? STRATA__MEAN_WITH_SAMPLE_WEIGHT
                                                        : STRATA__SUM_OVER_BATCH_SIZE;
}

static bool named_by_shape(const char *text)
{
    size_t length;
    return strata__list_find("crossentropy|ce", text, false, &length) != NULL;
}

static strata_status fill(strata__loss *loss, const char *text)
{
    strata_context *ctx = loss->ctx;
    loss->by_shape = named_by_shape(text);
    if (loss->by_shape) {
        loss->given = strata__strdup(ctx, text);
        return ctx->status;
    }
    json_t *json;
    STRATA_TRY(strata__names_parse(ctx, &names, text, &json, &loss->given));
    strata_status status = strata__object_from_json(ctx, &strata__loss_family, json, &loss->object);
    json_decref(json);
    if (status == STRATA_OK)
        loss->reduction = reduction_of(config_of(loss)->reduction);
    return status;
}

strata_status strata__loss_new(strata_context *ctx, const char *text, strata__loss **loss)
{
    *loss = strata__calloc(ctx, 1, sizeof **loss);
    if (!*loss)
        return STRATA_NO_MEMORY;
    (*loss)->ctx = ctx;
    strata_status status = fill(*loss, text);
    if (status != STRATA_OK) {
        strata__loss_free(*loss);
        *loss = NULL;
    }
    return status;
}

void strata__loss_free(strata__loss *loss)
{
    if (!loss)
        return;
    strata__object_free(loss->ctx, &loss->object);
    strata__free(loss->ctx, loss->given);
    strata__free(loss->ctx, loss);
}

const char *strata__loss_name(const strata__loss *loss)
{
    return loss->object.class ? config_of(loss)->name : loss->given;
}

json_t *strata__loss_to_json(const strata__loss *loss)
{
    if (loss->given)
        return json_string(loss->given);
    json_t *json = strata__object_to_json(loss->ctx, &loss->object);
    json_t *config = json_incref(json_object_get(json, "config"));
    json_object_set_new(json, "config", strata__keys_first(config, "name|reduction"));
    return json;
}

strata_status strata__loss_check_reduced(const strata__loss *loss, const char *output)
{
    if (loss->reduction != STRATA__UNREDUCED)
        return STRATA_OK;
    return strata__fail(loss->ctx, STRATA_INVALID,
                        "the loss %s of output '%s' has reduction \"none\": training needs one "
                        "number, take \"sum_over_batch_size\" or \"sum\"",
                        strata__loss_name(loss), output);
}

static strata_status resolve(strata__loss *loss, const strata_tensor *y_true,
                             const strata_tensor *y_pred)
{
    strata_context *ctx = loss->ctx;
    if (loss->object.class)
        return STRATA_OK;
    const strata__class *class = strata__by_shape(
        &y_true->shape, &y_pred->shape, &strata__binary_crossentropy,
        &strata__sparse_categorical_crossentropy, &strata__categorical_crossentropy);
    return strata__object_parse(ctx, &strata__loss_family, class->name, &loss->object);
}

/* --- raw values --- */

/* One computation: what goes in and what comes out. Rows are the local elements of `values`. */
typedef struct computation {
    strata__pair pair;
    bool logits;
    strata_tensor *values; /* float32 */
    strata_tensor *slopes; /* as the prediction; NULL: nobody wants a gradient */
    strata_tensor *valid;  /* bool as values: not ignored; NULL: all are */
} computation;

static strata_tensor *mark_valid(const computation *c, int64_t ignored, const int64_t *labels)
{
    strata_tensor *valid = strata__tensor_shaped(c->values, STRATA_BOOL, &c->values->shape);
    if (!valid)
        return NULL;
    bool *marks = valid->data;
    int64_t rows = strata__local_count(c->values);
    for (int64_t i = 0; i < rows; i++)
        marks[i] = labels[i] != ignored;
    return valid;
}

/* An ignored row counts nothing. */
static void clear_ignored(const computation *c, int64_t rows)
{
    const bool *valid = c->valid->data;
    float *values = c->values->data, *slopes = c->slopes ? c->slopes->data : NULL;
    int64_t n = c->pair.own.count;
    for (int64_t i = 0; i < rows; i++) {
        if (valid[i])
            continue;
        values[i] = 0;
        if (slopes)
            memset(slopes + i * n, 0, (size_t)n * sizeof *slopes);
    }
}

/* Class numbers of the rows, in memory to free. */
static int64_t *read_labels(const strata__loss_config *config, computation *c)
{
    int64_t rows = strata__local_count(c->values);
    int64_t *labels = strata__scratch(c->values->ctx, rows, sizeof *labels);
    strata__labels(c->pair.truth, labels);
    if (config->ignore_class != STRATA_NONE)
        c->valid = mark_valid(c, config->ignore_class, labels);
    strata__labels_check(config->name, c->pair.truth, c->pair.n, config->ignore_class, rows,
                         labels);
    return labels;
}

static void compute_rows(const strata__class *class, const strata__loss_config *config,
                         computation *c)
{
    strata_context *ctx = c->values->ctx;
    int64_t count = strata__local_count(c->values);
    int64_t *labels = methods_of(class)->sparse ? read_labels(config, c) : NULL;
    strata__loss_rows rows = {
        .rows = count,
        .n = c->pair.own.count,
        .all = c->pair.n,
        .first = c->pair.own.first,
        .prediction = c->pair.prediction->data,
        .truth = labels ? NULL : c->pair.truth->data,
        .labels = labels,
        .logits = c->logits,
        .label_smoothing = config->label_smoothing,
        .sums = strata__scratch(ctx, STRATA__LOSS_SUMS * count, sizeof *rows.sums),
        .values = c->values->data,
        .slopes = c->slopes ? c->slopes->data : NULL};
    strata__stage stages[STRATA__LOSS_STAGES];
    int stage_count = methods_of(class)->plan(&rows, stages);
    strata__in_stages(ctx, &(strata__staged){.rows = count,
                                             .n = rows.n,
                                             .split = c->pair.prediction->layout.split,
                                             .count = stage_count,
                                             .stages = stages,
                                             .user = &rows});
    if (c->valid)
        clear_ignored(c, count);
    strata__free(ctx, rows.sums);
    strata__free(ctx, labels);
}

/* The logits that made the prediction, where the loss has a stable form of them. */
static strata_tensor *remembered(const strata__class *class, const strata__loss_config *config,
                                 const strata_tensor *y_pred)
{
    const char *function = methods_of(class)->logits_function;
    bool last = config->axis == -1 || config->axis == y_pred->shape.rank - 1;
    if (config->from_logits || !function || !y_pred->logits || !last)
        return NULL;
    return strcmp(y_pred->logits_function, function) == 0 ? y_pred->logits : NULL;
}

static strata_status compute(strata_context *ctx, const strata__class *class,
                             const strata__loss_config *config, strata_tensor *y_true,
                             strata_tensor *y_pred, computation *c)
{
    strata_tensor *logits = remembered(class, config, y_pred);
    c->logits = config->from_logits || logits;
    strata_tensor *given = logits ? logits : y_pred;
    STRATA_TRY((methods_of(class)->sparse ? strata__pair_sparse : strata__pair_dense)(
        config->name, y_true, given, config->axis, true, &c->pair));
    if (c->pair.scalar && methods_of(class)->classes)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: predictions have one axis, the batch; an axis of classes is needed", config->name);
    strata_tensor *prediction = c->pair.prediction;
    c->values = strata__pair_values(&c->pair, STRATA_FLOAT32);
    if (ctx->tape && strata__wants(prediction))
        c->slopes = strata__tensor_like(prediction);
    if (!c->values)
        return STRATA_NO_MEMORY;
    compute_rows(class, config, c);
    return STRATA_OK;
}

strata_tensor *strata__loss_raw_values(strata_context *ctx, const strata__class *class,
                                       const strata__loss_config *config, strata_tensor *y_true,
                                       strata_tensor *y_pred)
{
    computation c = {0};
    strata__tape *paused = strata__tape_pause(ctx);
    strata_status status = compute(ctx, class, config, y_true, y_pred, &c);
    strata__tape_resume(ctx, paused);
    return status == STRATA_OK ? c.values : NULL;
}

/* --- weights and reduction --- */

/* What multiplies each value: scale · weights[i] (or 1). */
typedef struct factors {
    strata_tensor *weights; /* float32 as values; NULL: 1 */
    float *rows;
    double scale;
} factors;

static strata_status multiply_in(const strata_tensor *weight, const computation *c,
                                 const char *what, factors *f)
{
    bool first = !f->weights;
    strata_tensor *spread = strata__tensor_like(c->values);
    if (!spread)
        return STRATA_NO_MEMORY;
    STRATA_TRY(strata__spread_weights(weight, c->values, what, spread->data));
    const float *factor = spread->data;
    if (first) {
        f->weights = spread;
        f->rows = spread->data;
        return STRATA_OK;
    }
    int64_t rows = strata__local_count(c->values);
    for (int64_t i = 0; i < rows; i++)
        f->rows[i] *= factor[i];
    return STRATA_OK;
}

/* Σ over the rows of the whole batch. */
static double total_of(const computation *c, const float *rows)
{
    double sum = strata__batch_dot_part(rows, NULL, strata__local_count(c->values));
    if (c->values->layout.batch)
        strata__batch_total(c->values->ctx, &sum, 1);
    return sum;
}

/* What the weights are repeated by to reach the values: Keras sums them before. */
static double repeats(const strata_tensor *weight, const computation *c)
{
    const strata_shape *values = &c->values->shape;
    double all = (double)strata__product(values, 0, values->rank);
    double own = (double)strata__product(&weight->shape, 0, weight->shape.rank);
    bool broadcast = weight->shape.rank == values->rank || weight->shape.rank == 0;
    return broadcast && own > 0 ? all / own : 1;
}

static double inverse(double denominator)
{
    return denominator == 0 ? 0 : 1 / denominator;
}

static strata_status masked(const strata_tensor *mask, const computation *c, factors *f)
{
    if (mask)
        STRATA_TRY(multiply_in(mask, c, "the mask", f));
    if (c->valid)
        STRATA_TRY(multiply_in(c->valid, c, "ignore_class", f));
    return STRATA_OK;
}

/*
 * number = count of values. sum_over_batch_size: w·m·number/Σm, over number;
 * mean_with_sample_weight: w·m over Σ w·m; sum and none: w·m.
 */
static strata_status weigh(strata__reduction reduction, const strata_tensor *mask,
                           const strata_tensor *sample_weight, const computation *c, factors *f)
{
    const strata_shape *shape = &c->values->shape;
    double number = (double)strata__product(shape, 0, shape->rank);
    bool plain = reduction == STRATA__SUM_OVER_BATCH_SIZE || c->pair.scalar;
    f->scale = plain ? inverse(number) : 1;
    STRATA_TRY(masked(mask, c, f));
    bool has_mask = f->weights;
    if (has_mask && plain)
        f->scale = inverse(total_of(c, f->rows));
    if (sample_weight)
        STRATA_TRY(multiply_in(sample_weight, c, "sample_weight", f));
    if (reduction != STRATA__MEAN_WITH_SAMPLE_WEIGHT)
        return STRATA_OK;
    double sum = f->weights ? total_of(c, f->rows) : number;
    if (sample_weight && !has_mask)
        sum /= repeats(sample_weight, c);
    f->scale = inverse(sum);
    return STRATA_OK;
}

/* --- the operation: y_pred → scale · Σ weights·values, or the weighted values --- */

typedef struct saved {
    strata_tensor *slopes, *weights;
    double scale;
    int64_t n;
} saved;

/* d out / d prediction = upstream · scale · weight · slope; made in place, nobody else has the
 * slopes. */
static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    const strata_tensor *arrived = strata__gradient_at(node, 0);
    if (!arrived)
        return;
    const float *upstream = arrived->data, *weights = s->weights ? s->weights->data : NULL;
    bool reduced = arrived->shape.rank == 0;
    float *slopes = s->slopes->data;
    int64_t rows = s->n ? strata__local_count(s->slopes) / s->n : 0;
    for (int64_t i = 0; i < rows; i++) {
        double factor = s->scale * upstream[reduced ? 0 : i] * (weights ? weights[i] : 1);
        strata__scale(s->n, slopes + i * s->n, (float)factor);
    }
    strata__gradient_give(node->inputs[0], s->slopes);
}

static strata_tensor *record(const computation *c, const factors *f, strata_tensor *result)
{
    strata_tensor *prediction = c->pair.prediction;
    if (!result || !c->slopes)
        return result;
    strata__node *node =
        strata__record(result->ctx, "loss", gradient, 1, &prediction, 1, &result, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){c->slopes, f->weights, f->scale, c->pair.own.count};
    return result;
}

static strata_status prepare(strata__loss *loss, strata__reduction reduction, strata_tensor *y_true,
                             strata_tensor *y_pred, strata_tensor *sample_weight, computation *c,
                             factors *f)
{
    STRATA_TRY(resolve(loss, y_true, y_pred));
    STRATA_TRY(compute(loss->ctx, loss->object.class, config_of(loss), y_true, y_pred, c));
    return weigh(reduction, y_pred->mask, sample_weight, c, f);
}

/* Whole tensors are the same on every rank of the batch axis: each has its share of the one sum. */
static double share_of(const computation *c)
{
    const strata__mesh *mesh = c->values->ctx->mesh;
    return c->values->layout.batch ? 1 : 1.0 / mesh->groups[STRATA__BATCH].size;
}

strata_tensor *strata__loss_call(strata__loss *loss, strata_tensor *y_true, strata_tensor *y_pred,
                                 strata_tensor *sample_weight, double *part)
{
    computation c = {0};
    factors f = {0};
    if (!loss || !y_true || !y_pred)
        return NULL;
    if (prepare(loss, loss->reduction, y_true, y_pred, sample_weight, &c, &f) != STRATA_OK)
        return NULL;
    strata_tensor *result =
        strata__tensor_new(loss->ctx, STRATA_FLOAT32, &STRATA_SCALAR, (strata__layout){0});
    if (!result)
        return NULL;
    f.scale *= share_of(&c);
    double sum =
        f.scale * strata__batch_dot_part(c.values->data, f.rows, strata__local_count(c.values));
    result->part = true;
    *(float *)result->data = (float)sum;
    if (part)
        *part = sum;
    return record(&c, &f, result);
}

strata_tensor *strata__loss_values(strata__loss *loss, strata_tensor *y_true, strata_tensor *y_pred,
                                   strata_tensor *sample_weight)
{
    computation c = {0};
    factors f = {0};
    if (!loss || !y_true || !y_pred)
        return NULL;
    if (prepare(loss, STRATA__UNREDUCED, y_true, y_pred, sample_weight, &c, &f) != STRATA_OK)
        return NULL;
    float *values = c.values->data;
    int64_t rows = strata__local_count(c.values);
    for (int64_t i = 0; i < rows; i++)
        values[i] *= (float)f.scale * (f.rows ? f.rows[i] : 1);
    return record(&c, &f, c.values);
}
