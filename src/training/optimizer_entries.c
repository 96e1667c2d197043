/* The optimizer's own variables: their list in Keras's file order, reading and writing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "training/optimizer_parts.h"

/* --- the list --- */

/* "adam/dense_kernel_momentum": the slashes of the variable's path become underscores. */
static char *slot_path(const strata__optimizer *o, const char *variable, const char *slot)
{
    char *path = strata__format(o->ctx, "%s/%s_%s", o->config->name, variable, slot);
    for (char *c = path ? path + strlen(o->config->name) + 1 : NULL; c && *c; c++) {
        if (*c == '/')
            *c = '_';
    }
    return path;
}

static strata_status add(strata__optimizer *o, char *path, int kind, int variable)
{
    if (!path)
        return STRATA_NO_MEMORY;
    o->entries[o->variable_count++] = (strata__optimizer_entry){path, kind, variable};
    return STRATA_OK;
}

static strata_status add_number(strata__optimizer *o, const char *name, int number)
{
    return add(o, strata__format(o->ctx, "%s/%s", o->config->name, name), number, 0);
}

/* Kinds first … last−1 take turns, variable by variable. */
static strata_status add_group(strata__optimizer *o, int first, int last)
{
    for (int v = 0; v < o->pack->count; v++) {
        for (int k = first; k < last; k++)
            STRATA_TRY(add(o, slot_path(o, o->pack->variables[v]->path, o->kinds[k].name), k, v));
    }
    return STRATA_OK;
}

strata_status strata__optimizer_entries_make(strata__optimizer *o)
{
    size_t room = 2 + (size_t)o->kind_count * (size_t)o->pack->count;
    o->entries = strata__alloc(o->ctx, room * sizeof *o->entries);
    if (!o->entries)
        return STRATA_NO_MEMORY;
    STRATA_TRY(add_number(o, "iteration", STRATA__ENTRY_ITERATION));
    if (!o->schedule)
        STRATA_TRY(add_number(o, "learning_rate", STRATA__ENTRY_LEARNING_RATE));
    for (int first = 0, last; first < o->kind_count; first = last) {
        last = first + 1;
        while (last < o->kind_count && o->kinds[last].group == o->kinds[first].group)
            last++;
        STRATA_TRY(add_group(o, first, last));
    }
    return STRATA_OK;
}

void strata__optimizer_entries_free(strata__optimizer *o)
{
    for (int i = 0; i < o->variable_count; i++)
        strata__free(o->ctx, o->entries[i].path);
    strata__free(o->ctx, o->entries);
    o->variable_count = 0;
}

int strata__optimizer_variable_count(const strata__optimizer *o)
{
    return o->variable_count;
}

strata__optimizer_variable strata__optimizer_variable_at(const strata__optimizer *o, int index)
{
    const strata__optimizer_entry *entry = &o->entries[index];
    bool slot = entry->kind >= 0;
    return (strata__optimizer_variable){
        .path = entry->path,
        .name = entry->path + strlen(o->config->name) + 1,
        .dtype = entry->kind == STRATA__ENTRY_ITERATION ? STRATA_INT32 : STRATA_FLOAT32,
        .shape = slot ? o->pack->variables[entry->variable]->shape : STRATA_SCALAR,
        .slot = slot};
}

/* --- elements of slots --- */

/* A walk over the elements of one variable that lie in the own slice of its bucket. */
typedef struct walk {
    const strata_variable *variable;
    const strata__slice *slice;
    float *data; /* slot vector */
    strata__slot_run *each;
    void *user;
} walk;

static void cut_run(void *user, int64_t global, int64_t local, int64_t length)
{
    const walk *w = user;
    int64_t begin = w->variable->offset + local, end = begin + length;
    int64_t slice_end = w->slice->first + w->slice->count;
    int64_t first = begin > w->slice->first ? begin : w->slice->first;
    int64_t last = end < slice_end ? end : slice_end;
    if (first < last)
        w->each(w->user, global + first - begin, w->data + w->slice->slot + first - w->slice->first,
                last - first);
}

void strata__optimizer_runs(const strata__optimizer *o, int index, bool unique,
                            strata__slot_run *each, void *user)
{
    const strata__optimizer_entry *entry = &o->entries[index];
    if (entry->kind < 0)
        return;
    const strata_variable *variable = o->pack->variables[entry->variable];
    if (unique && !strata__optimizer_counts(variable))
        return;
    const strata__arena *arena = variable->arena;
    walk w = {.variable = variable,
              .slice = &arena->slices[o->pack->bucket_of[entry->variable]],
              .data = o->kinds[entry->kind].data[arena == o->pack->arenas[1]],
              .each = each,
              .user = user};
    strata__variable_runs(variable, cut_run, &w);
}

/* --- whole values --- */

static void copy_out(void *whole, int64_t global, float *elements, int64_t length)
{
    memcpy((float *)whole + global, elements, (size_t)length * sizeof(float));
}

static void copy_in(void *whole, int64_t global, float *elements, int64_t length)
{
    memcpy(elements, (const float *)whole + global, (size_t)length * sizeof(float));
}

/* Every element is one rank's own, the others add nothing. */
static void read_slot(strata__optimizer *o, int index, float *whole)
{
    strata__optimizer_variable variable = strata__optimizer_variable_at(o, index);
    int64_t count = strata__product(&variable.shape, 0, variable.shape.rank);
    memset(whole, 0, (size_t)count * sizeof *whole);
    strata__optimizer_runs(o, index, true, copy_out, whole);
    strata__sum(o->ctx, STRATA__WORLD, whole, count, STRATA_FLOAT32);
}

strata_status strata__optimizer_read(strata__optimizer *o, int index, void *data)
{
    switch (o->entries[index].kind) {
    case STRATA__ENTRY_ITERATION:
        *(int32_t *)data = (int32_t)o->iteration;
        break;
    case STRATA__ENTRY_LEARNING_RATE:
        *(float *)data = o->learning_rate;
        break;
    default:
        read_slot(o, index, data);
    }
    return o->ctx->status;
}

strata_status strata__optimizer_write(strata__optimizer *o, int index, const void *data)
{
    switch (o->entries[index].kind) {
    case STRATA__ENTRY_ITERATION:
        o->iteration = *(const int32_t *)data;
        break;
    case STRATA__ENTRY_LEARNING_RATE:
        o->learning_rate = *(const float *)data;
        break;
    default:
        strata__optimizer_runs(o, index, false, copy_in, (void *)data);
    }
    return o->ctx->status;
}

/* --- averages as values --- */

static strata_status finalize_entry(strata__optimizer *o, int index, void *whole)
{
    STRATA_TRY(strata__optimizer_read(o, index, whole));
    return strata_cross_assign(o->pack->variables[o->entries[index].variable], whole);
}

strata_status strata__optimizer_finalize(strata__optimizer *o)
{
    if (!o->pack || o->average < 0)
        return STRATA_OK;
    for (int i = 0; i < o->variable_count; i++) {
        if (o->entries[i].kind != o->average)
            continue;
        strata__optimizer_variable variable = strata__optimizer_variable_at(o, i);
        int64_t count = strata__product(&variable.shape, 0, variable.shape.rank);
        float *whole = strata__alloc(o->ctx, (size_t)count * sizeof *whole);
        strata_status status = strata__agree(o->ctx);
        if (status == STRATA_OK)
            status = finalize_entry(o, i, whole);
        strata__free(o->ctx, whole);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}
