/* Which column of a dataset is which input and output of a model. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "training/trainer.h"

typedef struct side {
    strata_context *ctx;
    const char *kind; /* "x", "y" or "sample_weight" */
    const char *model;
    int column_count;
    const strata__column *columns;
    int slot_count; /* inputs or outputs */
    strata_tensor *const *slots;
} side;

static const char *slot_name(const side *s, int slot)
{
    return strata_tensor_layer(s->slots[slot])->name;
}

static int column_named(const side *s, const char *name)
{
    for (int i = 0; i < s->column_count; i++) {
        if (s->columns[i].name && strcmp(s->columns[i].name, name) == 0)
            return i;
    }
    return -1;
}

static strata_status check_names(const side *s)
{
    for (int i = 0; i < s->column_count; i++) {
        bool found = !s->columns[i].name;
        for (int slot = 0; slot < s->slot_count && !found; slot++)
            found = strcmp(s->columns[i].name, slot_name(s, slot)) == 0;
        if (!found)
            return strata__fail(s->ctx, STRATA_INVALID,
                                "model '%s' has no %s named '%s'; the first is '%s'", s->model,
                                s->kind[0] == 'x' ? "input" : "output", s->columns[i].name,
                                slot_name(s, 0));
    }
    return STRATA_OK;
}

/* By name where columns have names, else by position. */
static strata_status match(const side *s, bool required, int map[STRATA_MAX_COLUMNS])
{
    STRATA_TRY(check_names(s));
    if (s->slot_count > STRATA_MAX_COLUMNS)
        return strata__fail(s->ctx, STRATA_UNSUPPORTED,
                            "model '%s' has %d %s columns; at most %d are supported", s->model,
                            s->slot_count, s->kind, STRATA_MAX_COLUMNS);
    for (int slot = 0; slot < s->slot_count; slot++) {
        int column = column_named(s, slot_name(s, slot));
        if (column < 0 && slot < s->column_count && !s->columns[slot].name)
            column = slot;
        if (column < 0 && required)
            return strata__fail(s->ctx, STRATA_INVALID,
                                "model '%s' needs %s for '%s', and the dataset has %d %s", s->model,
                                s->kind, slot_name(s, slot), s->column_count,
                                s->column_count == 1 ? "column" : "columns");
        map[slot] = column;
    }
    if (required && s->column_count > s->slot_count)
        return strata__fail(s->ctx, STRATA_INVALID,
                            "the dataset has %d %s columns, model '%s' takes %d", s->column_count,
                            s->kind, s->model, s->slot_count);
    return STRATA_OK;
}

/* (batch, sample…) against the input's shape; a trailing axis of 1 may be missing or too many. */
static strata_status check_input(const strata_model *model, int slot, const strata__column *column)
{
    const strata_shape *wanted = &model->inputs[slot]->shape;
    strata_shape given = {.rank = column->sample.rank + 1, .dims = {STRATA_NONE}};
    for (int i = 0; i < column->sample.rank && i + 1 < STRATA_MAX_RANK; i++)
        given.dims[i + 1] = column->sample.dims[i];
    int rank = given.rank;
    if (rank == wanted->rank + 1 && strata__last(&given) == 1)
        rank--;
    bool fits = rank == wanted->rank || (rank + 1 == wanted->rank && strata__last(wanted) == 1);
    for (int i = 1; fits && i < rank; i++)
        fits = wanted->dims[i] == STRATA_NONE || wanted->dims[i] == given.dims[i];
    if (fits)
        return STRATA_OK;
    char expected[STRATA__SHAPE_TEXT], found[STRATA__SHAPE_TEXT];
    return strata__fail(model->ctx, STRATA_INVALID,
                        "Input %d of model '%s' ('%s') is incompatible with the data: expected "
                        "shape=%s, found shape=%s",
                        slot, model->layer->name, strata_tensor_layer(model->inputs[slot])->name,
                        strata__shape_text(wanted, expected), strata__shape_text(&given, found));
}

strata_status strata__bind(strata_model *model, const strata_dataset *data, bool targets,
                           strata__binding *binding)
{
    strata_context *ctx = model->ctx;
    const char *name = model->layer->name;
    for (int i = 0; i < STRATA_MAX_COLUMNS; i++)
        binding->x[i] = binding->y[i] = binding->weights[i] = -1;
    side x = {ctx, "x", name, data->x_count, data->x, model->input_count, model->inputs};
    STRATA_TRY(match(&x, true, binding->x));
    for (int i = 0; i < model->input_count; i++)
        STRATA_TRY(check_input(model, i, &data->x[binding->x[i]]));
    if (!targets)
        return STRATA_OK;
    side y = {ctx, "y", name, data->y_count, data->y, model->output_count, model->outputs};
    STRATA_TRY(match(&y, data->y_count > 0, binding->y));
    side weights = {ctx,           "sample_weight",     name,          data->weight_count,
                    data->weights, model->output_count, model->outputs};
    STRATA_TRY(match(&weights, false, binding->weights));
    if (data->weight_count == 1 && !data->weights[0].name) {
        for (int i = 0; i < model->output_count; i++)
            binding->weights[i] = 0;
    }
    return STRATA_OK;
}
