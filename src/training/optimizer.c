/* Optimizers: made from text, configuration, learning rate, packing of variables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/optimizer.h"

#include <math.h>
#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "training/names.h"
#include "training/optimizer_parts.h"

static const strata__class *const classes[] = {&strata__sgd, &strata__rmsprop, &strata__adam,
                                               &strata__adamw};

const strata__family strata__optimizer_family = {
    .kind = "optimizer", .classes = classes, .class_count = sizeof classes / sizeof *classes};

static const strata__names names = {
    .family = &strata__optimizer_family,
    .missing = "Adadelta|Adagrad|Adamax|Adafactor|Nadam|Ftrl|Lion|Lamb|Muon|LossScaleOptimizer|"
               "ScheduleFreeAdamW|MultiOptimizer|OptimizerMap",
    .any_case = true};

/* --- making --- */

/*
 * A schedule stands where the learning rate does: by name, or as the first positional argument. It
 * is taken out, so that the table of the class sees numbers only.
 */
static json_t *take_schedule(json_t *json)
{
    json_t *config = json_object_get(json, "config"), *arguments = json_object_get(json, "args");
    json_t *rate = json_object_get(config, "learning_rate");
    if (json_is_object(rate) || json_is_string(rate)) {
        json_incref(rate);
        json_object_del(config, "learning_rate");
        return rate;
    }
    rate = json_array_get(arguments, 0);
    if (!json_is_object(rate) && !json_is_string(rate))
        return NULL;
    json_incref(rate);
    json_array_set_new(arguments, 0, json_real(0));
    return rate;
}

static strata_status check_clips(const strata__optimizer *optimizer)
{
    const strata__optimizer_config *c = optimizer->config;
    int clips = !isnan(c->clipnorm) + !isnan(c->clipvalue) + !isnan(c->global_clipnorm);
    if (clips <= 1)
        return STRATA_OK;
    return strata__fail(optimizer->ctx, STRATA_INVALID,
                        "%s: Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. "
                        "Received: clipnorm=%g, clipvalue=%g, global_clipnorm=%g",
                        optimizer->object.class->name, c->clipnorm, c->clipvalue,
                        c->global_clipnorm);
}

static strata_status fill(strata__optimizer *optimizer, const char *text)
{
    strata_context *ctx = optimizer->ctx;
    json_t *json;
    STRATA_TRY(strata__names_parse(ctx, &names, text, &json, NULL));
    json_t *rate = take_schedule(json);
    strata_status status =
        strata__object_from_json(ctx, &strata__optimizer_family, json, &optimizer->object);
    if (status == STRATA_OK && rate)
        status = strata__schedule_from_json(ctx, rate, &optimizer->schedule);
    json_decref(rate);
    json_decref(json);
    STRATA_TRY(status);
    optimizer->config = optimizer->object.config;
    optimizer->learning_rate = (float)optimizer->config->learning_rate;
    return check_clips(optimizer);
}

strata_status strata__optimizer_new(strata_context *ctx, const char *text,
                                    strata__optimizer **optimizer)
{
    *optimizer = strata__calloc(ctx, 1, sizeof **optimizer);
    if (!*optimizer)
        return STRATA_NO_MEMORY;
    (*optimizer)->ctx = ctx;
    strata_status status = fill(*optimizer, text);
    if (status != STRATA_OK) {
        strata__optimizer_free(*optimizer);
        *optimizer = NULL;
    }
    return status;
}

void strata__optimizer_free(strata__optimizer *optimizer)
{
    if (!optimizer)
        return;
    strata_context *ctx = optimizer->ctx;
    strata__optimizer_entries_free(optimizer);
    for (int a = 0; a < 2; a++) {
        for (int k = 0; k < optimizer->kind_count; k++)
            strata__free(ctx, optimizer->kinds[k].data[a]);
        strata__free(ctx, optimizer->segments[a]);
    }
    strata__pack_free(ctx, optimizer->pack);
    for (int i = 0; i < optimizer->undecayed_count; i++)
        strata__free(ctx, optimizer->undecayed[i]);
    strata__free(ctx, optimizer->undecayed);
    strata__free(ctx, optimizer->decays);
    strata__free(ctx, optimizer->squares);
    strata__free(ctx, optimizer->clips);
    strata__schedule_free(optimizer->schedule);
    strata__object_free(ctx, &optimizer->object);
    strata__free(ctx, optimizer);
}

json_t *strata__optimizer_to_json(const strata__optimizer *optimizer)
{
    json_t *json = strata__object_to_json(optimizer->ctx, &optimizer->object);
    json_t *config = json_incref(json_object_get(json, "config"));
    json_object_set_new(config, "learning_rate",
                        optimizer->schedule ? strata__schedule_to_json(optimizer->schedule)
                                            : json_real(optimizer->learning_rate));
    config = strata__keys_first(
        config, "name|learning_rate|weight_decay|clipnorm|global_clipnorm|clipvalue|use_ema|"
                "ema_momentum|ema_overwrite_frequency|loss_scale_factor|"
                "gradient_accumulation_steps");
    json_object_set_new(json, "config", config);
    return json;
}

/* --- numbers --- */

double strata__optimizer_loss_scale(const strata__optimizer *optimizer)
{
    double factor = optimizer->config->loss_scale_factor;
    return isnan(factor) ? 1 : factor;
}

double strata__optimizer_learning_rate(const strata__optimizer *optimizer)
{
    return optimizer->schedule
               ? (float)strata__schedule_rate(optimizer->schedule, optimizer->iteration)
               : optimizer->learning_rate;
}

strata_status strata__optimizer_set_learning_rate(strata__optimizer *optimizer, double rate)
{
    if (optimizer->schedule)
        return strata__fail(optimizer->ctx, STRATA_INVALID,
                            "This optimizer was created with the learning rate schedule %s: its "
                            "learning rate is not settable",
                            optimizer->schedule->object.class->name);
    optimizer->learning_rate = (float)rate;
    return STRATA_OK;
}

/* --- weight decay --- */

strata_status strata__optimizer_exclude(strata__optimizer *optimizer, const char *pattern)
{
    strata_context *ctx = optimizer->ctx;
    if (optimizer->pack)
        return strata__fail(ctx, STRATA_INVALID,
                            "`exclude_from_weight_decay()` can only be configured before the "
                            "optimizer is built (pattern '%s')",
                            pattern);
    size_t count = (size_t)optimizer->undecayed_count + 1;
    char **list = strata__realloc(ctx, optimizer->undecayed, count * sizeof *list);
    if (!list)
        return STRATA_NO_MEMORY;
    optimizer->undecayed = list;
    list[optimizer->undecayed_count] = strata__strdup(ctx, pattern);
    if (!list[optimizer->undecayed_count])
        return STRATA_NO_MEMORY;
    optimizer->undecayed_count++;
    return STRATA_OK;
}

static strata_status mark_undecayed(strata__optimizer *optimizer, const char *pattern)
{
    regex_t compiled;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return strata__fail(optimizer->ctx, STRATA_INVALID,
                            "exclude_from_weight_decay: '%s' is not a regular expression", pattern);
    for (int i = 0; i < optimizer->pack->count; i++) {
        const char *path = optimizer->pack->variables[i]->path;
        if (strcmp(path, pattern) == 0 || regexec(&compiled, path, 0, NULL, 0) == 0)
            optimizer->decays[i] = false;
    }
    regfree(&compiled);
    return STRATA_OK;
}

static strata_status choose_decays(strata__optimizer *optimizer)
{
    for (int i = 0; i < optimizer->pack->count; i++)
        optimizer->decays[i] = true;
    for (int i = 0; i < optimizer->undecayed_count; i++)
        STRATA_TRY(mark_undecayed(optimizer, optimizer->undecayed[i]));
    return STRATA_OK;
}

/* --- building --- */

static strata_status add_kind(strata__optimizer *optimizer, const char *name, int group, int *index)
{
    strata__slot_kind *kind = &optimizer->kinds[optimizer->kind_count];
    *kind = (strata__slot_kind){.name = name, .group = group};
    *index = optimizer->kind_count++;
    for (int a = 0; a < 2; a++) {
        const strata__arena *arena = optimizer->pack->arenas[a];
        if (arena)
            kind->data[a] =
                strata__calloc(optimizer->ctx, (size_t)arena->slot_count, sizeof(float));
        if (arena && !kind->data[a])
            return STRATA_NO_MEMORY;
    }
    return STRATA_OK;
}

static bool uses_slot(const strata__optimizer *optimizer, int slot)
{
    const strata__slot *s = &strata__optimizer_methods_of(optimizer)->slots[slot];
    return !s->used || s->used(optimizer->config);
}

int strata__optimizer_slot_count(const strata__optimizer *optimizer)
{
    const strata__optimizer_config *c = optimizer->config;
    int count = c->use_ema + (c->gradient_accumulation_steps != STRATA_NONE);
    for (int s = 0; s < strata__optimizer_methods_of(optimizer)->slot_count; s++)
        count += uses_slot(optimizer, s);
    return count;
}

/* In the order of files; the groups of the class come after those two. */
static strata_status make_slots(strata__optimizer *optimizer)
{
    const strata__optimizer_config *c = optimizer->config;
    const strata__optimizer_methods *methods = strata__optimizer_methods_of(optimizer);
    optimizer->average = optimizer->accumulator = -1;
    if (c->use_ema)
        STRATA_TRY(add_kind(optimizer, "average", -2, &optimizer->average));
    if (c->gradient_accumulation_steps != STRATA_NONE)
        STRATA_TRY(add_kind(optimizer, "gradient_accumulator", -1, &optimizer->accumulator));
    for (int s = 0; s < methods->slot_count; s++) {
        const strata__slot *slot = &methods->slots[s];
        optimizer->slots[s] = -1;
        if (uses_slot(optimizer, s))
            STRATA_TRY(add_kind(optimizer, slot->name, slot->group, &optimizer->slots[s]));
    }
    return STRATA_OK;
}

/* Buckets are laid out from the last variable to the first, so this order is ascending. */
static strata_status make_segments(strata__optimizer *optimizer)
{
    const strata__pack *pack = optimizer->pack;
    for (int a = 0; a < 2; a++) {
        optimizer->segments[a] =
            strata__alloc(optimizer->ctx, (size_t)pack->count * sizeof(strata__segment));
        if (!optimizer->segments[a])
            return STRATA_NO_MEMORY;
    }
    for (int i = pack->count - 1; i >= 0; i--) {
        const strata_variable *variable = pack->variables[i];
        int a = variable->arena == pack->arenas[1];
        optimizer->segments[a][optimizer->segment_count[a]++] =
            (strata__segment){variable->offset, variable->count, i};
    }
    return STRATA_OK;
}

static strata_status make_room(strata__optimizer *optimizer)
{
    strata_context *ctx = optimizer->ctx;
    size_t count = (size_t)optimizer->pack->count;
    optimizer->decays = strata__alloc(ctx, count * sizeof *optimizer->decays);
    if (strata__optimizer_clips_by_norm(optimizer)) {
        optimizer->squares = strata__alloc(ctx, count * sizeof *optimizer->squares);
        optimizer->clips = strata__alloc(ctx, count * sizeof *optimizer->clips);
    }
    if (ctx->status != STRATA_OK)
        return ctx->status;
    STRATA_TRY(choose_decays(optimizer));
    STRATA_TRY(make_slots(optimizer));
    STRATA_TRY(make_segments(optimizer));
    return strata__optimizer_entries_make(optimizer);
}

strata_status strata__optimizer_build(strata__optimizer *optimizer, int count,
                                      strata_variable *const *variables)
{
    strata_context *ctx = optimizer->ctx;
    if (optimizer->pack)
        return strata__fail(ctx, STRATA_INTERNAL, "the optimizer %s is built twice",
                            optimizer->config->name);
    STRATA_TRY(strata__pack_new(ctx, count, variables, &optimizer->pack));
    make_room(optimizer);
    return strata__agree(ctx);
}
