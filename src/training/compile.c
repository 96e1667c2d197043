/* compile: optimizer, losses and metrics of a model, from options or from a file's JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "training/checkpoint.h"
#include "training/history.h"
#include "training/placement.h"
#include "training/trainer.h"

/* --- C options as the JSON that files hold: one way in --- */

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *texts(const char *const *items, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count && items[i]; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

static json_t *loss_option(const strata_compile_options *options, int outputs)
{
    if (options->loss)
        return json_string(options->loss);
    json_t *list = json_array();
    bool any = false;
    for (int i = 0; i < outputs; i++) {
        json_array_append_new(list, text_or_null(options->losses[i]));
        any |= options->losses[i] != NULL;
    }
    if (any)
        return list;
    json_decref(list);
    return json_null();
}

static json_t *weights_option(const strata_compile_options *options, int outputs)
{
    bool any = false;
    for (int i = 0; i < outputs; i++)
        any |= options->loss_weights[i] != 0;
    if (!any)
        return json_null();
    json_t *list = json_array();
    for (int i = 0; i < outputs; i++)
        json_array_append_new(list, json_real(options->loss_weights[i]));
    return list;
}

static json_t *metrics_option(const char *const *flat,
                              const char *const (*by_output)[STRATA_MAX_METRICS], int outputs)
{
    if (flat[0])
        return texts(flat, STRATA_MAX_METRICS);
    json_t *list = json_array();
    bool any = false;
    for (int i = 0; i < outputs; i++) {
        json_array_append_new(list, texts(by_output[i], STRATA_MAX_METRICS));
        any |= by_output[i][0] != NULL;
    }
    if (any)
        return list;
    json_decref(list);
    return json_null();
}

static json_t *options_json(const strata_compile_options *options, int outputs)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "optimizer", text_or_null(options->optimizer), "loss",
        loss_option(options, outputs), "loss_weights", weights_option(options, outputs), "metrics",
        metrics_option(options->metrics, options->output_metrics, outputs), "weighted_metrics",
        metrics_option(options->weighted_metrics, options->output_weighted_metrics, outputs));
}

/* What the options leave open stays as the model was compiled. */
static void keep_compiled(json_t *config, const json_t *compiled)
{
    static const char *const keys[] = {
        "loss",        "loss_weights",        "metrics",    "weighted_metrics",
        "run_eagerly", "steps_per_execution", "jit_compile"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *given = json_object_get(config, keys[i]);
        if (!given || json_is_null(given))
            json_object_set(config, keys[i], json_object_get(compiled, keys[i]));
    }
}

/* --- from JSON --- */

/* Text for a parser: a string, the name of a function object, or the object itself. Owned by the
 * caller. */
static char *text_of(strata_context *ctx, const json_t *item)
{
    if (json_is_string(item))
        return strata__strdup(ctx, json_string_value(item));
    const char *class = json_string_value(json_object_get(item, "class_name"));
    const json_t *config = json_object_get(item, "config");
    if (class && strcmp(class, "function") == 0 && json_is_string(config))
        return strata__strdup(ctx, json_string_value(config));
    return strata__json_dump(ctx, item, 0);
}

/* Entry of an output: lists go by position, dictionaries by the output's name, anything else stands
 * for all outputs. */
static const json_t *entry_of(const json_t *value, int index, const char *name)
{
    if (json_is_array(value))
        return json_array_get(value, (size_t)index);
    if (json_is_object(value) && !json_object_get(value, "class_name"))
        return json_object_get(value, name);
    return value;
}

static strata_status read_loss(strata__trainer *trainer, int index, const json_t *losses,
                               const json_t *weights)
{
    strata_context *ctx = trainer->model->ctx;
    strata__target *target = &trainer->targets[index];
    const json_t *loss = entry_of(losses, index, target->name);
    const json_t *weight = entry_of(weights, index, target->name);
    target->weight = json_is_number(weight) ? json_number_value(weight) : 1;
    if (!loss || json_is_null(loss))
        return STRATA_OK;
    char *text = text_of(ctx, loss);
    strata_status status = text ? strata__loss_new(ctx, text, &target->loss) : STRATA_NO_MEMORY;
    strata__free(ctx, text);
    return status == STRATA_OK ? strata__loss_check_reduced(target->loss, target->name) : status;
}

static strata_status read_metric(strata__trainer *trainer, const json_t *item, int *count,
                                 strata__metric **metrics)
{
    strata_context *ctx = trainer->model->ctx;
    if (*count == STRATA_MAX_METRICS)
        return strata__fail(ctx, STRATA_UNSUPPORTED, "more than %d metrics of one output",
                            STRATA_MAX_METRICS);
    char *text = text_of(ctx, item);
    strata_status status =
        text ? strata__metric_new(ctx, text, &metrics[*count]) : STRATA_NO_MEMORY;
    strata__free(ctx, text);
    *count += status == STRATA_OK;
    return status;
}

/* A flat list belongs to the only output, or gives one metric to each of several. */
static strata_status read_metrics(strata__trainer *trainer, int index, const json_t *value,
                                  int *count, strata__metric **metrics)
{
    const strata__target *target = &trainer->targets[index];
    const json_t *list = value;
    if (!value || json_is_null(value))
        return STRATA_OK;
    bool nested = json_is_array(value) && json_is_array(json_array_get(value, 0));
    if (trainer->target_count > 1 || nested || json_is_object(value))
        list = entry_of(value, index, target->name);
    if (!list || json_is_null(list))
        return STRATA_OK;
    if (!json_is_array(list))
        return read_metric(trainer, list, count, metrics);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) STRATA_TRY(read_metric(trainer, item, count, metrics));
    return STRATA_OK;
}

/* --- names in logs --- */

static bool name_taken(const strata__trainer *trainer, const char *name)
{
    for (int i = 0; i < trainer->log_count; i++) {
        if (strcmp(trainer->logged[i]->name, name) == 0)
            return true;
    }
    return false;
}

/* "acc", with several outputs "head_acc"; a clash gets "_1", "_2", …, a clashing weighted metric
 * "weighted_" first. */
static strata_status log_metric(strata__trainer *trainer, const strata__target *target,
                                strata__metric *metric, bool weighted)
{
    strata_context *ctx = trainer->model->ctx;
    bool prefixed = target && trainer->target_count > 1;
    char *base = prefixed ? strata__format(ctx, "%s_%s", target->name, metric->name)
                          : strata__strdup(ctx, metric->name);
    if (base && weighted && name_taken(trainer, base)) {
        char *longer = prefixed ? strata__format(ctx, "%s_weighted_%s", target->name, metric->name)
                                : strata__format(ctx, "weighted_%s", metric->name);
        strata__free(ctx, base);
        base = longer;
    }
    char *name = strata__strdup(ctx, base);
    for (int number = 1; name && name_taken(trainer, name); number++) {
        strata__free(ctx, name);
        name = strata__format(ctx, "%s_%d", base, number);
    }
    strata__free(ctx, base);
    if (!name)
        return STRATA_NO_MEMORY;
    strata__free(ctx, metric->name);
    metric->name = name;
    trainer->logged[trainer->log_count++] = metric;
    return STRATA_OK;
}

static int losses_of(const strata__trainer *trainer)
{
    int count = 0;
    for (int i = 0; i < trainer->target_count; i++)
        count += trainer->targets[i].loss != NULL;
    return count;
}

/* Keras's order: loss, metrics output by output, then the outputs' losses. */
static strata_status arrange_logs(strata__trainer *trainer)
{
    strata_context *ctx = trainer->model->ctx;
    size_t most = 1 + (size_t)trainer->target_count * (2 * STRATA_MAX_METRICS + 1);
    trainer->logged = strata__calloc(ctx, most, sizeof *trainer->logged);
    if (!trainer->logged)
        return STRATA_NO_MEMORY;
    STRATA_TRY(strata__metric_new_mean(ctx, "loss", &trainer->tracker));
    trainer->logged[trainer->log_count++] = trainer->tracker;
    for (int i = 0; i < trainer->target_count; i++) {
        strata__target *target = &trainer->targets[i];
        for (int m = 0; m < target->metric_count; m++)
            STRATA_TRY(log_metric(trainer, target, target->metrics[m], false));
    }
    for (int i = 0; i < trainer->target_count; i++) {
        strata__target *target = &trainer->targets[i];
        for (int m = 0; m < target->weighted_count; m++)
            STRATA_TRY(log_metric(trainer, target, target->weighted[m], true));
    }
    for (int i = 0; i < trainer->target_count && losses_of(trainer) > 1; i++) {
        strata__target *target = &trainer->targets[i];
        if (!target->loss)
            continue;
        STRATA_TRY(strata__metric_new_mean(ctx, "loss", &target->tracker));
        STRATA_TRY(log_metric(trainer, target, target->tracker, false));
    }
    return STRATA_OK;
}

/* --- as Keras writes it --- */

static bool is_dictionary(const json_t *given)
{
    return json_is_object(given) && !json_object_get(given, "class_name");
}

/* What was given for the outputs by name is written by name: Keras does not take lists for
 * dictionaries of outputs. */
static void put_entry(json_t *entries, const strata__target *target, json_t *entry)
{
    if (json_is_object(entries))
        json_object_set_new(entries, target->name, entry);
    else
        json_array_append_new(entries, entry);
}

/* One for all outputs stays one. */
static json_t *losses_json(const strata__trainer *trainer, const json_t *given)
{
    bool one = json_is_string(given) || json_object_get(given, "class_name");
    if (one && trainer->targets[0].loss)
        return strata__loss_to_json(trainer->targets[0].loss);
    json_t *losses = is_dictionary(given) ? json_object() : json_array();
    for (int i = 0; i < trainer->target_count; i++) {
        const strata__target *target = &trainer->targets[i];
        put_entry(losses, target, target->loss ? strata__loss_to_json(target->loss) : json_null());
    }
    return losses;
}

static json_t *metrics_json(const strata__trainer *trainer, const json_t *given, bool weighted)
{
    json_t *outputs = is_dictionary(given) ? json_object() : json_array();
    bool any = false;
    for (int i = 0; i < trainer->target_count; i++) {
        const strata__target *target = &trainer->targets[i];
        int count = weighted ? target->weighted_count : target->metric_count;
        json_t *list = json_array();
        for (int m = 0; m < count; m++)
            json_array_append_new(
                list, strata__metric_to_json(weighted ? target->weighted[m] : target->metrics[m]));
        put_entry(outputs, target, list);
        any |= count > 0;
    }
    bool alone = trainer->target_count == 1 && json_is_array(outputs);
    json_t *result = !any    ? json_null()
                     : alone ? json_incref(json_array_get(outputs, 0))
                             : json_incref(outputs);
    json_decref(outputs);
    return result;
}

/* What Keras is told about how to compute stays as it was; it changes nothing here. */
static json_t *kept_or(const json_t *given, const char *key, json_t *otherwise)
{
    const json_t *value = json_object_get(given, key);
    if (!value)
        return otherwise;
    json_decref(otherwise);
    return json_deep_copy(value);
}

static json_t *config_json(const strata__trainer *trainer, const json_t *given)
{
    const json_t *losses = json_object_get(given, "loss"),
                 *metrics = json_object_get(given, "metrics");
    const json_t *weighted = json_object_get(given, "weighted_metrics");
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "optimizer",
                     strata__optimizer_to_json(trainer->optimizer), "loss",
                     losses_of(trainer) ? losses_json(trainer, losses) : json_null(),
                     "loss_weights", kept_or(given, "loss_weights", json_null()), "metrics",
                     metrics_json(trainer, metrics, false), "weighted_metrics",
                     metrics_json(trainer, weighted, true), "run_eagerly",
                     kept_or(given, "run_eagerly", json_false()), "steps_per_execution",
                     kept_or(given, "steps_per_execution", json_integer(1)), "jit_compile",
                     kept_or(given, "jit_compile", json_string("auto")));
}

/* --- the trainer --- */

static void target_free(strata_context *ctx, strata__target *target)
{
    (void)ctx;
    strata__loss_free(target->loss);
    strata__metric_free(target->tracker);
    for (int i = 0; i < target->metric_count; i++)
        strata__metric_free(target->metrics[i]);
    for (int i = 0; i < target->weighted_count; i++)
        strata__metric_free(target->weighted[i]);
}

static void trainer_free(strata_model *model)
{
    strata__trainer *trainer = model->trainer;
    strata_context *ctx = model->ctx;
    if (!trainer)
        return;
    model->trainer = NULL;
    strata__optimizer_free(trainer->optimizer);
    for (int i = 0; trainer->targets && i < trainer->target_count; i++)
        target_free(ctx, &trainer->targets[i]);
    strata__metric_free(trainer->tracker);
    strata__history_free(ctx, trainer->history);
    strata__free(ctx, trainer->targets);
    strata__free(ctx, trainer->logged);
    strata__log_room_free(trainer);
    json_decref(trainer->config);
    strata__resume_free(ctx, trainer->resume);
    strata__free(ctx, trainer);
}

static strata_status read_optimizer(strata__trainer *trainer, const json_t *config)
{
    strata_context *ctx = trainer->model->ctx;
    const json_t *optimizer = json_object_get(config, "optimizer");
    char *text = optimizer && !json_is_null(optimizer) ? text_of(ctx, optimizer)
                                                       : strata__strdup(ctx, "rmsprop");
    strata_status status =
        text ? strata__optimizer_new(ctx, text, &trainer->optimizer) : STRATA_NO_MEMORY;
    strata__free(ctx, text);
    return status;
}

/* trainer->optimizer is made here unless one was kept. */
static strata_status fill(strata__trainer *trainer, const json_t *config)
{
    strata_model *model = trainer->model;
    trainer->targets =
        strata__calloc(model->ctx, (size_t)model->output_count, sizeof *trainer->targets);
    if (!trainer->targets)
        return STRATA_NO_MEMORY;
    trainer->target_count = model->output_count;
    if (!trainer->optimizer)
        STRATA_TRY(read_optimizer(trainer, config));
    for (int i = 0; i < model->output_count; i++) {
        strata__target *target = &trainer->targets[i];
        target->name = model->output_keys ? model->output_keys[i]
                                          : strata_tensor_layer(model->outputs[i])->name;
        STRATA_TRY(read_loss(trainer, i, json_object_get(config, "loss"),
                             json_object_get(config, "loss_weights")));
        STRATA_TRY(read_metrics(trainer, i, json_object_get(config, "metrics"),
                                &target->metric_count, target->metrics));
        STRATA_TRY(read_metrics(trainer, i, json_object_get(config, "weighted_metrics"),
                                &target->weighted_count, target->weighted));
    }
    STRATA_TRY(arrange_logs(trainer));
    trainer->config = config_json(trainer, config);
    return model->ctx->status;
}

/* `keep`: the optimizer of the last compile stays, with its state. */
static strata_status compile_again(strata_model *model, const json_t *config, bool keep)
{
    strata_context *ctx = model->ctx;
    STRATA_TRY(strata__model_ready(model));
    strata__trainer *trainer = strata__calloc(ctx, 1, sizeof *trainer);
    if (strata__agree(ctx) != STRATA_OK) {
        strata__free(ctx, trainer);
        return ctx->status;
    }
    trainer->model = model;
    if (keep && model->trainer) {
        trainer->optimizer = model->trainer->optimizer;
        model->trainer->optimizer = NULL;
    }
    trainer_free(model);
    model->trainer = trainer;
    fill(trainer, config);
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK)
        trainer_free(model);
    return status;
}

static strata_status compile_json(strata_model *model, const json_t *config)
{
    return compile_again(model, config, false);
}

strata_status strata_compile_from(strata_model *model, const strata_compile_options *options)
{
    if (!model)
        return STRATA_INVALID;
    STRATA_TRY(strata__agree(model->ctx));
    STRATA_TRY(strata__model_ready(model));
    json_t *config = options_json(options, model->output_count);
    if (options->keep && model->trainer)
        keep_compiled(config, model->trainer->config);
    strata_status status = config
                               ? compile_again(model, config, options->keep && !options->optimizer)
                               : STRATA_NO_MEMORY;
    json_decref(config);
    return status;
}

bool strata_model_compiled(const strata_model *model)
{
    return model->trainer != NULL;
}

strata__trainer *strata__trainer_of(strata_model *model, const char *what)
{
    if (!model || model->ctx->status != STRATA_OK)
        return NULL;
    if (!model->trainer)
        strata__fail(model->ctx, STRATA_INVALID,
                     "You must call `compile()` before calling `%s()` (model '%s').", what,
                     model->layer->name);
    return model->trainer;
}

strata_status strata__trainer_ready(strata__trainer *trainer)
{
    strata_context *ctx = trainer->model->ctx;
    STRATA_TRY(strata__agree(ctx));
    if (trainer->optimizer->pack)
        return STRATA_OK;
    int count = strata_layer_trainable_weights(trainer->model->layer, NULL, 0);
    if (count == 0)
        return strata__fail(ctx, STRATA_INVALID, "model '%s' has no trainable weights",
                            trainer->model->layer->name);
    strata_variable **weights = strata__alloc(ctx, (size_t)count * sizeof *weights);
    if (weights)
        strata_layer_trainable_weights(trainer->model->layer, weights, count);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK)
        status = strata__placement_check(trainer, count, weights);
    if (status == STRATA_OK)
        status = strata__optimizer_build(trainer->optimizer, count, weights);
    strata__free(ctx, weights);
    return status;
}

strata__trainer *strata__trainer_meet(strata_model *model, const char *what)
{
    if (!model || strata__agree(model->ctx) != STRATA_OK)
        return NULL;
    return strata__trainer_of(model, what);
}

double strata_model_learning_rate(const strata_model *model)
{
    return model && model->trainer ? strata__optimizer_learning_rate(model->trainer->optimizer) : 0;
}

strata_status strata_model_set_learning_rate(strata_model *model, double rate)
{
    strata__trainer *trainer = strata__trainer_of(model, "set_learning_rate");
    return trainer ? strata__optimizer_set_learning_rate(trainer->optimizer, rate) : STRATA_INVALID;
}

void strata_model_stop_training(strata_model *model)
{
    if (model && model->trainer)
        model->trainer->stop = true;
}

/* --- what saving and loading need --- */

static json_t *compiled_json(strata_model *model)
{
    return model->trainer ? json_deep_copy(model->trainer->config) : NULL;
}

static int variable_count(strata_model *model)
{
    return model->trainer && model->trainer->optimizer->pack
               ? strata__optimizer_variable_count(model->trainer->optimizer)
               : 0;
}

static strata_status variable_describe(strata_model *model, int index, const char **path,
                                       strata_dtype *dtype, strata_shape *shape)
{
    strata__optimizer_variable variable =
        strata__optimizer_variable_at(model->trainer->optimizer, index);
    *path = variable.path;
    *dtype = variable.dtype;
    *shape = variable.shape;
    return STRATA_OK;
}

static strata_status variable_read(strata_model *model, int index, void *data)
{
    return strata__optimizer_read(model->trainer->optimizer, index, data);
}

static strata_status variable_write(strata_model *model, int index, const void *data)
{
    return strata__optimizer_write(model->trainer->optimizer, index, data);
}

static strata_status optimizer_build(strata_model *model)
{
    return strata__trainer_ready(model->trainer);
}

const strata__compiler strata__trainer_compiler = {
    .to_json = compiled_json,
    .from_json = compile_json,
    .build = optimizer_build,
    .variable_count = variable_count,
    .variable_describe = variable_describe,
    .variable_read = variable_read,
    .variable_write = variable_write,
    .free = trainer_free,
};
