/* Which keys a query of attention sees: its place, padding, explicit masks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention_masks.h"

#include <math.h>
#include <string.h>

#include "base/vector.h"

typedef strata__mask_view view;

/* --- from tensors --- */

/* The shape that a mask has where nothing repeats: leading axes of q, then these. */
typedef struct wanted {
    const char *name;
    int count;
    int64_t sizes[3];
} wanted;

static strata_shape shape_wanted(const strata_tensor *q, const wanted *w)
{
    strata_shape shape = q->shape;
    shape.rank = q->shape.rank - 2;
    for (int i = 0; i < w->count; i++)
        shape.dims[shape.rank++] = w->sizes[i];
    return shape;
}

/* Sizes that are not known yet fit. */
static bool repeats_to(int64_t size, int64_t wanted)
{
    return size == wanted || size == 1 || size == STRATA_NONE || wanted == STRATA_NONE;
}

static bool fits(const char *who, const strata_tensor *q, const strata_tensor *mask,
                 const wanted *w)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    strata_shape shape = shape_wanted(q, w);
    bool good = mask->shape.rank == shape.rank && mask->dtype == STRATA_BOOL;
    for (int i = 0; good && i < shape.rank; i++)
        good = repeats_to(mask->shape.dims[i], shape.dims[i]);
    if (!good)
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: %s is %s of shape %s, it must be bool of shape %s or 1 along some axes",
                     who, w->name, strata_dtype_name(mask->dtype),
                     strata__shape_text(&mask->shape, theirs), strata__shape_text(&shape, ours));
    else if (mask->layout.batch && !q->layout.batch && mask->shape.dims[0] != 1)
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: %s is spread over the ranks, but query is whole on each of them", who,
                     w->name);
    return q->ctx->status == STRATA_OK;
}

/* A batch of one sample lies on one rank; here on all. */
static strata_tensor *on_all_ranks(strata_tensor *mask)
{
    strata_tensor *whole =
        strata__tensor_new(mask->ctx, mask->dtype, &mask->shape, (strata__layout){0});
    if (!whole)
        return NULL;
    int64_t count = strata__local_count(whole);
    memset(whole->data, 0, (size_t)count);
    memcpy(whole->data, mask->data, (size_t)strata__local_count(mask));
    strata__sum(mask->ctx, STRATA__BATCH, whole->data, count, STRATA_BOOL);
    return whole;
}

static int64_t stride_of(const strata_tensor *mask, int axis)
{
    return mask->shape.dims[axis] == 1 ? 0
                                       : strata__product(&mask->local, axis + 1, mask->local.rank);
}

static view view_of(const strata_tensor *q, const strata_tensor *mask)
{
    view v = {.data = mask->data, .axes = q->local.rank - 2};
    for (int i = 0; i < v.axes; i++) {
        v.sizes[i] = q->local.dims[i];
        v.strides[i] = stride_of(mask, i);
    }
    if (q->layout.batch && !mask->layout.batch)
        v.data += q->first_sample * v.strides[0];
    return v;
}

/* All masks of a call: (N, T, S), (T), (S), (S). */
typedef struct given {
    strata_tensor *mask;
    wanted wanted;
    bool queries;
} given;

static void list_masks(const strata_tensor *q, const strata_tensor *k, const strata__attention *o,
                       given list[STRATA__ATTENTION_MASKS])
{
    int64_t t = q->shape.dims[q->shape.rank - 2], s = k->shape.dims[k->shape.rank - 2];
    list[0] = (given){o->mask, {"attention_mask", 3, {o->heads, t, s}}, false};
    list[1] = (given){o->query_mask, {"query_mask", 1, {t}}, true};
    list[2] = (given){o->key_mask, {"key_mask", 1, {s}}, false};
    list[3] = (given){o->value_mask, {"value_mask", 1, {s}}, false};
}

bool strata__attention_masks_fit(const char *who, const strata_tensor *q, const strata_tensor *k,
                                 const strata__attention *o)
{
    given list[STRATA__ATTENTION_MASKS];
    list_masks(q, k, o, list);
    for (int i = 0; i < STRATA__ATTENTION_MASKS; i++) {
        if (list[i].mask && !fits(who, q, list[i].mask, &list[i].wanted))
            return false;
    }
    return true;
}

static bool add(const strata_tensor *q, const given *g, strata__attention_masks *masks)
{
    strata_tensor *mask = strata__whole(g->mask);
    if (mask && mask->layout.batch && mask->shape.dims[0] == 1)
        mask = on_all_ranks(mask);
    if (!mask)
        return false;
    view *v = &masks->views[masks->count];
    int last = mask->shape.rank - 1;
    *v = view_of(q, mask);
    if (g->wanted.count == 3) {
        v->head = stride_of(mask, last - 2);
        v->row = stride_of(mask, last - 1);
    }
    *(g->queries ? &v->row : &v->column) = stride_of(mask, last);
    masks->tensors[masks->count++] = mask;
    return true;
}

bool strata__attention_masks_make(const strata_tensor *q, const strata_tensor *k,
                                  const strata__attention *o, strata__attention_masks *masks)
{
    given list[STRATA__ATTENTION_MASKS];
    list_masks(q, k, o, list);
    *masks = (strata__attention_masks){.t = q->shape.dims[q->shape.rank - 2],
                                       .s = k->shape.dims[k->shape.rank - 2],
                                       .causal = o->causal,
                                       .window = o->window,
                                       .blind = o->blind};
    for (int i = 0; i < STRATA__ATTENTION_MASKS; i++) {
        if (list[i].mask && !add(q, &list[i], masks))
            return false;
    }
    return true;
}

/* --- a head --- */

static const unsigned char *at(const view *v, int64_t sequence, int64_t head)
{
    int64_t offset = head * v->head;
    for (int i = v->axes - 1; i >= 0; i--) {
        offset += sequence % v->sizes[i] * v->strides[i];
        sequence /= v->sizes[i];
    }
    return v->data + offset;
}

/* Without the keys at both ends that the mask hides from the query. */
static strata__keys trim(strata__keys keys, const view *v, const unsigned char *data, int64_t query)
{
    const unsigned char *row = data + query * v->row;
    if (!v->column)
        return row[0] ? keys : (strata__keys){0, 0};
    while (keys.first < keys.end && !row[keys.first])
        keys.first++;
    while (keys.first < keys.end && !row[keys.end - 1])
        keys.end--;
    return keys;
}

strata__head_masks strata__head_masks_of(const strata__attention_masks *masks, int64_t sequence,
                                         int64_t head)
{
    strata__head_masks own = {.all = masks, .keys = {0, masks->s}};
    for (int i = 0; i < masks->count; i++) {
        own.data[i] = at(&masks->views[i], sequence, head);
        if (masks->views[i].row == 0)
            own.keys = trim(own.keys, &masks->views[i], own.data[i], 0);
    }
    return own;
}

/* Keys that the query may see by its place. */
static strata__keys near(const strata__attention_masks *m, int64_t query)
{
    strata__keys keys = {0, m->causal && query + 1 < m->s ? query + 1 : m->s};
    if (m->window > 0 && m->window < m->t + m->s) { /* else it hides nothing, and may overflow */
        int64_t end = query + m->window, first = query - m->window + 1;
        keys.first = first > 0 ? first : 0;
        keys.end = end < keys.end ? end : keys.end;
    }
    return keys;
}

static strata__keys common(strata__keys a, strata__keys b)
{
    return (strata__keys){a.first > b.first ? a.first : b.first, a.end < b.end ? a.end : b.end};
}

/* Trimmed by all masks until none takes more. */
static strata__keys trim_all(const strata__head_masks *masks, int64_t query, strata__keys keys)
{
    const strata__attention_masks *all = masks->all;
    for (int steady = 0, i = 0; steady < all->count && keys.first < keys.end;
         i = (i + 1) % all->count) {
        strata__keys before = keys;
        keys = trim(keys, &all->views[i], masks->data[i], query);
        steady = keys.first == before.first && keys.end == before.end ? steady + 1 : 0;
    }
    return keys;
}

strata__sight strata__sight_of(const strata__head_masks *masks, int64_t query)
{
    const strata__attention_masks *all = masks->all;
    strata__sight sight = {.masked = all->count > 0};
    sight.keys = trim_all(masks, query, common(near(all, query), masks->keys));
    if (sight.keys.first >= sight.keys.end)
        sight = (strata__sight){.blind = true,
                                .keys = {0, all->blind == STRATA__BLIND_ZERO ? 0 : all->s}};
    return sight;
}

STRATA__SIMD static void hide(float *row, const unsigned char *mask, int64_t count)
{
#pragma omp simd
    for (int64_t j = 0; j < count; j++)
        row[j] = mask[j] ? row[j] : -INFINITY;
}

/* A mask that is the same for all keys hides none from a query that sees any. */
void strata__hide_keys(const strata__head_masks *masks, int64_t query, strata__keys keys,
                       int64_t key, float *row)
{
    for (int i = 0; i < masks->all->count; i++) {
        const view *v = &masks->all->views[i];
        if (v->column)
            hide(row + keys.first - key, masks->data[i] + query * v->row + keys.first,
                 keys.end - keys.first);
    }
}
