/* Whose work it is: the layer of a model behind the name of a layer at work. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/owners.h"

#include <strata/layers/core.h>

#include "base/memory.h"

static size_t place_of(const strata__owners *owners, const char *name)
{
    uint64_t hash = (uint64_t)(uintptr_t)name * 0x9e3779b97f4a7c15u;
    size_t place = (size_t)(hash >> 32) & (owners->room - 1);
    while (owners->table[place].name && owners->table[place].name != name)
        place = (place + 1) & (owners->room - 1);
    return place;
}

static void count_layer(void *user, strata_layer *layer)
{
    (void)layer;
    ++*(size_t *)user;
}

typedef struct claim {
    strata__owners *owners;
    int layer;
} claim;

/* A layer that several share belongs to the first. */
static void claim_layer(void *user, strata_layer *layer)
{
    const claim *c = user;
    struct strata__owner *owner = &c->owners->table[place_of(c->owners, layer->name)];
    if (!owner->name)
        *owner = (struct strata__owner){layer->name, c->layer};
}

static strata_status take_layers(strata__owners *owners, const strata_model *model)
{
    size_t most = (size_t)model->layers.count;
    owners->layers = strata__alloc(owners->ctx, most * sizeof(strata_layer *));
    for (int i = 0; owners->layers && i < model->layers.count; i++) {
        strata_layer *layer = model->layers.items[i];
        if (layer->class != &strata_input_layer_class)
            owners->layers[owners->layer_count++] = layer;
    }
    return owners->ctx->status;
}

strata_status strata__owners_find(strata_model *model, strata__owners *owners)
{
    size_t names = 0;
    *owners = (strata__owners){.ctx = model->ctx, .room = 2};
    STRATA_TRY(take_layers(owners, model));
    for (int i = 0; i < owners->layer_count; i++)
        strata__layer_walk(owners->layers[i], count_layer, &names);
    while (owners->room < 2 * names)
        owners->room *= 2;
    owners->table = strata__calloc(owners->ctx, owners->room, sizeof *owners->table);
    if (!owners->table)
        return STRATA_NO_MEMORY;
    for (int i = 0; i < owners->layer_count; i++)
        strata__layer_walk(owners->layers[i], claim_layer, &(claim){owners, i});
    return STRATA_OK;
}

void strata__owners_free(strata__owners *owners)
{
    strata__free(owners->ctx, owners->table);
    strata__free(owners->ctx, owners->layers);
}

int strata__owner_of(const strata__owners *owners, const char *name, int otherwise)
{
    const struct strata__owner *owner = name ? &owners->table[place_of(owners, name)] : NULL;
    return owner && owner->name ? owner->layer : otherwise;
}
