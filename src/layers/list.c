/* Growing lists of pointers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "layers/layer.h"

bool strata__list_add(strata_context *ctx, strata__list *list, void *item)
{
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 8;
        void **items = strata__realloc(ctx, list->items, (size_t)room * sizeof *items);
        if (!items)
            return false;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return true;
}

void strata__list_free(strata_context *ctx, strata__list *list)
{
    strata__free(ctx, list->items);
    *list = (strata__list){0};
}
