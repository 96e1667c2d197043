/* HDF5 files from strangers: the structure is walked and checked before any data are read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    MAX_DEPTH = 64,
    MAX_ITEMS = 100000,
    MAX_NAME = 255,
    MAX_RATIO = 1000, /* deflate reaches 1032 */
};

/* A chunk is unpacked whole. */
static const int64_t max_chunk_bytes = (int64_t)256 << 20;

typedef struct walk {
    strata_context *ctx;
    strata__tree *tree;
    const char *path; /* of the group being listed, "" for the root */
    int depth;
} walk;

static strata_status refuse(const walk *at, const char *path, const char *why)
{
    return strata__fail(at->ctx, STRATA_BAD_DATA, "'%s' in '%s' is refused: %s", path,
                        at->tree->bytes.name, why);
}

static const char *check_filters(hid_t creation)
{
    int count = H5Pget_nfilters(creation);
    for (int i = 0; i < count; i++) {
        unsigned flags;
        size_t values = 0;
        H5Z_filter_t filter =
            H5Pget_filter2(creation, (unsigned)i, &flags, &values, NULL, 0, NULL, NULL);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
            filter != H5Z_FILTER_FLETCHER32)
            return "it is packed with a filter other than deflate, shuffle and Fletcher32";
    }
    return count < 0 ? "its filters cannot be read" : NULL;
}

static const char *check_chunks(hid_t creation, int64_t element, int64_t declared, int64_t stored)
{
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Pget_chunk(creation, H5S_MAX_RANK, dims);
    int64_t bytes = element;
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX || __builtin_mul_overflow(bytes, (int64_t)dims[i], &bytes) ||
            bytes > max_chunk_bytes)
            return "its chunks are larger than 256 MiB";
    }
    if (rank < 1)
        return "its chunks cannot be read";
    return declared / MAX_RATIO > stored ? "it declares over 1000 times the bytes that it stores"
                                         : NULL;
}

/* Whether the bytes declared by type and shape can be there; `offset` of a run that can be read
 * without HDF5, or -1. */
static const char *check_storage(const walk *at, hid_t dataset, hid_t creation, int64_t element,
                                 int64_t declared, int64_t *offset)
{
    int64_t stored = (int64_t)H5Dget_storage_size(dataset);
    *offset = -1;
    if (declared == 0)
        return NULL;
    switch (H5Pget_layout(creation)) {
    case H5D_COMPACT:
        return stored < declared ? "it declares more bytes than it stores" : NULL;
    case H5D_CONTIGUOUS:
        *offset = (int64_t)H5Dget_offset(dataset);
        return stored < declared || *offset < 0 || declared > at->tree->bytes.size ||
                       *offset > at->tree->bytes.size - declared
                   ? "it declares more bytes than the file holds"
                   : NULL;
    case H5D_CHUNKED:
        return stored > at->tree->bytes.size ? "it declares more bytes than the file holds"
                                             : check_chunks(creation, element, declared, stored);
    default:
        return "its storage is in other files";
    }
}

/* Sizes of the axes, and the product with the element's bytes. */
static const char *check_shape(hid_t dataset, int64_t element, strata_shape *shape,
                               int64_t *declared)
{
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[H5S_MAX_RANK] = {0};
    H5S_class_t class = H5Sget_simple_extent_type(space);
    int rank = class == H5S_SIMPLE || class == H5S_SCALAR
                   ? H5Sget_simple_extent_dims(space, dims, NULL)
                   : -1;
    H5Sclose(space);
    if (rank < 0)
        return "it has no shape";
    if (rank > STRATA_MAX_RANK)
        return "it has more than 8 axes";
    shape->rank = rank;
    *declared = element;
    bool overflow = false;
    for (int i = 0; i < rank; i++) {
        shape->dims[i] = (int64_t)dims[i];
        overflow |=
            dims[i] > INT64_MAX || __builtin_mul_overflow(*declared, shape->dims[i], declared);
    }
    return overflow ? "it declares more bytes than the file holds" : NULL;
}

/* Layout and filters come first: the shape of a virtual dataset lies in other files. */
static const char *check_dataset(const walk *at, hid_t dataset, strata__tree_item *item)
{
    hid_t creation = H5Dget_create_plist(dataset), type = H5Dget_type(dataset);
    int64_t element = (int64_t)H5Tget_size(type), declared = 0;
    const char *why = element > 0 ? NULL : "its type cannot be read";
    if (!why && (H5Pget_layout(creation) == H5D_VIRTUAL || H5Pget_external_count(creation) != 0))
        why = "its storage is in other files";
    if (!why)
        why = check_filters(creation);
    if (!why)
        why = check_shape(dataset, element, &item->shape, &declared);
    if (!why)
        why = check_storage(at, dataset, creation, element, declared, &item->offset);
    if (!why) {
        bool as_in_memory = false;
        item->is_number = strata__hdf5_dtype(type, &item->dtype, &as_in_memory);
        if (!as_in_memory)
            item->offset = -1;
    }
    H5Tclose(type);
    H5Pclose(creation);
    return why;
}

static strata__tree_item *new_item(const walk *at, const char *path)
{
    strata__tree *tree = at->tree;
    if (tree->count == tree->capacity) {
        int capacity = tree->capacity ? 2 * tree->capacity : 64;
        strata__tree_item *items =
            strata__realloc(at->ctx, tree->items, (size_t)capacity * sizeof *items);
        if (!items)
            return NULL;
        tree->items = items;
        tree->capacity = capacity;
    }
    strata__tree_item *item = &tree->items[tree->count];
    *item = (strata__tree_item){.path = strata__strdup(at->ctx, path), .offset = -1};
    if (!item->path)
        return NULL;
    tree->count++;
    return item;
}

static strata_status walk_group(const walk *at, hid_t group);

static strata_status walk_object(const walk *at, hid_t object)
{
    if (at->tree->count >= MAX_ITEMS)
        return refuse(at, at->path, "the file has more than 100000 objects");
    strata__tree_item *item = new_item(at, at->path);
    if (!item)
        return at->ctx->status;
    H5I_type_t kind = H5Iget_type(object);
    if (kind == H5I_GROUP) {
        item->is_group = true;
        return walk_group(at, object);
    }
    const char *why = kind == H5I_DATASET ? check_dataset(at, object, item)
                                          : "it is neither a group nor a dataset";
    return why ? refuse(at, at->path, why) : STRATA_OK;
}

bool strata__tree_is_name(const char *name, size_t length)
{
    if (length == 0 || length > MAX_NAME ||
        (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'))))
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || name[i] == '/')
            return false;
    }
    return true;
}

static strata_status walk_link(const walk *at, hid_t group, const char *name,
                               const H5L_info_t *link)
{
    if (!strata__tree_is_name(name, strlen(name)))
        return refuse(at, at->path,
                      "a name in it is empty, too long, or has characters that no name has");
    char *path = strata__format(at->ctx, "%s%s%s", at->path, *at->path ? "/" : "", name);
    if (!path)
        return at->ctx->status;
    walk below = {.ctx = at->ctx, .tree = at->tree, .path = path, .depth = at->depth + 1};
    hid_t object = H5I_INVALID_HID;
    if (link->type != H5L_TYPE_HARD)
        refuse(at, path, "it is a link to another place");
    else if (below.depth > MAX_DEPTH)
        refuse(at, path, "it lies more than 64 levels deep");
    else if ((object = H5Oopen(group, name, H5P_DEFAULT)) < 0)
        refuse(at, path, "it is damaged");
    else
        walk_object(&below, object);
    if (object >= 0)
        H5Oclose(object);
    strata__free(at->ctx, path);
    return at->ctx->status;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *link, void *data)
{
    return walk_link(data, group, name, link) == STRATA_OK ? 0 : -1;
}

static strata_status walk_group(const walk *at, hid_t group)
{
    walk here = *at; /* HDF5 hands its own pointer on, which is not const */
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, visit_link, &here) < 0)
        refuse(at, *at->path ? at->path : "/", "its list of members is damaged");
    return at->ctx->status;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const strata__tree_item *)a)->path, ((const strata__tree_item *)b)->path);
}

strata_status strata__tree_open(strata_context *ctx, strata__bytes *bytes, strata__tree **tree)
{
    strata__tree *opened = strata__calloc(ctx, 1, sizeof *opened);
    *tree = NULL;
    if (!opened) {
        strata__bytes_free(ctx, bytes);
        return ctx->status;
    }
    opened->bytes = *bytes;
    *bytes = (strata__bytes){0};
    strata__hdf5_settings before = strata__hdf5_quiet();
    strata_status status = strata__hdf5_open(ctx, &opened->bytes, &opened->hdf5);
    if (status == STRATA_OK)
        status = walk_group(&(walk){.ctx = ctx, .tree = opened, .path = ""}, opened->hdf5.file);
    strata__hdf5_loud(ctx, &before);
    if (status != STRATA_OK) {
        strata__tree_close(ctx, opened);
        return status;
    }
    if (opened->count > 0)
        qsort(opened->items, (size_t)opened->count, sizeof *opened->items, compare_items);
    *tree = opened;
    return STRATA_OK;
}

void strata__tree_close(strata_context *ctx, strata__tree *tree)
{
    if (!tree)
        return;
    strata__hdf5_settings before = strata__hdf5_quiet();
    strata__hdf5_close(&tree->hdf5);
    strata__hdf5_loud(ctx, &before);
    for (int i = 0; i < tree->count; i++)
        strata__free(ctx, tree->items[i].path);
    strata__free(ctx, tree->items);
    strata__bytes_free(ctx, &tree->bytes);
    strata__free(ctx, tree);
}

int strata__tree_from(const strata__tree *tree, const char *path)
{
    int low = 0, high = tree->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(tree->items[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const strata__tree_item *strata__tree_find(const strata__tree *tree, const char *path)
{
    int at = strata__tree_from(tree, path);
    return at < tree->count && strcmp(tree->items[at].path, path) == 0 ? &tree->items[at] : NULL;
}

/* Selects the block in the file; its number of elements, or -1 where it does not lie inside of the
 * array. */
static int64_t select_block(hid_t space, const strata__tree_item *item, const int64_t *first,
                            const int64_t *count)
{
    hsize_t start[STRATA_MAX_RANK], size[STRATA_MAX_RANK];
    int64_t elements = 1;
    for (int i = 0; i < item->shape.rank; i++) {
        int64_t dim = item->shape.dims[i], from = first ? first[i] : 0,
                number = count ? count[i] : dim;
        if (from < 0 || number < 0 || from > dim || number > dim - from)
            return -1;
        start[i] = (hsize_t)from;
        size[i] = (hsize_t)number;
        elements *= number;
    }
    if (elements > 0 && item->shape.rank > 0 &&
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0)
        return -1;
    return elements;
}

/* A byte that is not 0 is true, whatever it was before. */
static void make_boolean(uint8_t *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = values[i] != 0;
}

static strata_status read_dataset(strata_context *ctx, const strata__tree *tree,
                                  const strata__tree_item *item, hid_t dataset,
                                  const int64_t *first, const int64_t *count, strata_dtype dtype,
                                  void *out)
{
    hid_t space = H5Dget_space(dataset);
    int64_t elements = select_block(space, item, first, count);
    strata_status status = STRATA_OK;
    if (elements < 0) {
        status = strata__fail(ctx, STRATA_INVALID, "a block of '%s' in '%s' reaches out of it",
                              item->path, tree->bytes.name);
    } else if (elements > 0) {
        hid_t memory = H5Screate_simple(1, &(hsize_t){(hsize_t)elements}, NULL);
        if (H5Dread(dataset, strata__hdf5_memory_type(dtype), memory, space, H5P_DEFAULT, out) < 0)
            status = strata__fail(ctx, STRATA_BAD_DATA, "the data of '%s' in '%s' are damaged",
                                  item->path, tree->bytes.name);
        else if (dtype == STRATA_BOOL)
            make_boolean(out, elements);
        H5Sclose(memory);
    }
    H5Sclose(space);
    return status;
}

strata_status strata__tree_read(strata_context *ctx, const strata__tree *tree,
                                const strata__tree_item *item, const int64_t *first,
                                const int64_t *count, strata_dtype dtype, void *out)
{
    strata__hdf5_settings before = strata__hdf5_quiet();
    hid_t dataset = H5Dopen2(tree->hdf5.file, item->path, H5P_DEFAULT);
    strata_status status = dataset < 0
                               ? strata__fail(ctx, STRATA_BAD_DATA, "cannot open '%s' in '%s'",
                                              item->path, tree->bytes.name)
                               : read_dataset(ctx, tree, item, dataset, first, count, dtype, out);
    if (dataset >= 0)
        H5Dclose(dataset);
    strata__hdf5_loud(ctx, &before);
    return status;
}
