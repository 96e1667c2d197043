/* Reading Keras's weight files: which object has which variables, and pieces of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/tree.h"

struct strata__weights {
    strata__tree *tree;
    char **objects; /* with at least one variable */
    int object_count;
};

/* "layers/dense/vars" of an object "layers/dense"; "vars" of the model itself. Owned by the caller.
 */
static char *vars_path(strata_context *ctx, const char *object)
{
    return strata__format(ctx, "%s%svars", object, *object ? "/" : "");
}

/* Bytes of the object's path when `path` is that of a variable, as in "layers/dense" + "/vars/" +
 * "0"; else -1. */
static int object_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash - path < 4 || strncmp(slash - 4, "vars", 4) != 0)
        return -1;
    const char *vars = slash - 4;
    if (vars == path)
        return 0;
    return vars[-1] == '/' ? (int)(vars - path) - 1 : -1;
}

static bool is_listed(const strata__weights *weights, const char *path, int length)
{
    if (weights->object_count == 0)
        return false;
    const char *last = weights->objects[weights->object_count - 1];
    return (int)strlen(last) == length && strncmp(last, path, (size_t)length) == 0;
}

/* The variables of an object stand together, since the items are sorted. */
static strata_status list_objects(strata_context *ctx, strata__weights *weights)
{
    const strata__tree *tree = weights->tree;
    weights->objects = strata__alloc(ctx, ((size_t)tree->count + 1) * sizeof *weights->objects);
    if (!weights->objects)
        return ctx->status;
    for (int i = 0; i < tree->count; i++) {
        const strata__tree_item *item = &tree->items[i];
        int length = item->is_group ? -1 : object_length(item->path);
        if (length < 0 || is_listed(weights, item->path, length))
            continue;
        char *object = strata__format(ctx, "%.*s", length, item->path);
        if (!object)
            return ctx->status;
        weights->objects[weights->object_count++] = object;
    }
    return STRATA_OK;
}

/* What one rank does by itself; the result is agreed by the caller. */
static strata__weights *open_here(strata_context *ctx, strata__bytes *bytes)
{
    strata__weights *weights = strata__calloc(ctx, 1, sizeof *weights);
    if (!weights)
        return NULL;
    if (strata__tree_open(ctx, bytes, &weights->tree) == STRATA_OK &&
        list_objects(ctx, weights) == STRATA_OK)
        return weights;
    strata__weights_close(ctx, weights);
    return NULL;
}

strata_status strata__weights_open_bytes(strata_context *ctx, strata__bytes *bytes,
                                         strata__weights **weights)
{
    *weights = open_here(ctx, bytes);
    strata__bytes_free(ctx, bytes);
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK) {
        strata__weights_close(ctx, *weights);
        *weights = NULL;
    }
    return status;
}

strata_status strata__weights_open(strata_context *ctx, const char *path, strata__weights **weights)
{
    strata__bytes bytes = {0};
    *weights = NULL;
    if (ctx->mesh->rank == 0)
        strata__bytes_open(ctx, path, &bytes);
    strata_status status = strata__bytes_share(ctx, &bytes, STRATA__COPY_LIMIT);
    if (status == STRATA_OK)
        return strata__weights_open_bytes(ctx, &bytes, weights);
    strata__bytes_free(ctx, &bytes);
    return status;
}

void strata__weights_close(strata_context *ctx, strata__weights *weights)
{
    if (!weights)
        return;
    for (int i = 0; i < weights->object_count; i++)
        strata__free(ctx, weights->objects[i]);
    strata__free(ctx, weights->objects);
    strata__tree_close(ctx, weights->tree);
    strata__free(ctx, weights);
}

const char *strata__weights_name(const strata__weights *weights)
{
    return weights->tree->bytes.name;
}

const char *strata__weights_object(const strata__weights *weights, int number)
{
    return number >= 0 && number < weights->object_count ? weights->objects[number] : NULL;
}

/* Members of the group at `path`, not those below them. */
static int count_members(const strata__tree *tree, const char *path)
{
    size_t length = strlen(path);
    int count = 0;
    for (int i = strata__tree_from(tree, path) + 1; i < tree->count; i++) {
        const char *below = tree->items[i].path;
        if (strncmp(below, path, length) != 0)
            break;
        count += below[length] == '/' && !strchr(below + length + 1, '/');
    }
    return count;
}

int strata__weights_count(strata_context *ctx, const strata__weights *weights, const char *object)
{
    char *path = vars_path(ctx, object);
    const strata__tree_item *group = path ? strata__tree_find(weights->tree, path) : NULL;
    int count = group && group->is_group ? count_members(weights->tree, path) : -1;
    strata__free(ctx, path);
    return count;
}

/* The variable's item, or NULL after an error. */
static const strata__tree_item *find_variable(strata_context *ctx, const strata__weights *weights,
                                              const char *object, int index)
{
    const char *name = strata__weights_name(weights);
    char *path = strata__format(ctx, "%s%svars/%d", object, *object ? "/" : "", index);
    if (!path)
        return NULL;
    const strata__tree_item *item = strata__tree_find(weights->tree, path);
    bool good = item && !item->is_group && item->is_number;
    if (!item)
        strata__fail(ctx, STRATA_BAD_DATA, "'%s' is missing in '%s'", path, name);
    else if (item->is_group)
        strata__fail(ctx, STRATA_BAD_DATA, "'%s' in '%s' is a group, expected a dataset", path,
                     name);
    else if (!good)
        strata__fail(ctx, STRATA_BAD_DATA,
                     "'%s' in '%s' holds elements of a type that is no number we can read", path,
                     name);
    strata__free(ctx, path);
    return good ? item : NULL;
}

strata_status strata__weights_info(strata_context *ctx, const strata__weights *weights,
                                   const char *object, int index, strata_shape *shape,
                                   strata_dtype *dtype)
{
    const strata__tree_item *item = find_variable(ctx, weights, object, index);
    if (!item)
        return ctx->status;
    *shape = item->shape;
    *dtype = item->dtype;
    return STRATA_OK;
}

strata_status strata__weights_read(strata_context *ctx, const strata__weights *weights,
                                   const char *object, int index, const int64_t *first,
                                   const int64_t *count, strata_dtype dtype, void *out)
{
    const strata__tree_item *item = find_variable(ctx, weights, object, index);
    if (!item)
        return ctx->status;
    return strata__tree_read(ctx, weights->tree, item, first, count, dtype, out);
}
