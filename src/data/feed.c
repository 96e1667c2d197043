/* The feed: batches of a dataset, gathered in an order that no mesh changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/feed.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/process.h"
#include "tensor/numerics.h"

/* --- order --- */

const char *strata__shuffle_name(strata__shuffle shuffle)
{
    static const char *const names[] = {[STRATA__IN_ORDER] = "False",
                                        [STRATA__SHUFFLE_SAMPLES] = "True",
                                        [STRATA__SHUFFLE_BATCHES] = "batch"};
    return names[shuffle];
}

/* Whole batches move as they are; the short last one stays last. */
int64_t strata__feed_sample_at(const strata__feed *feed, int64_t place)
{
    int64_t size = feed->dataset->size, batch = feed->options.batch_size, whole = size / batch;
    if (feed->options.shuffle == STRATA__SHUFFLE_SAMPLES)
        return (int64_t)strata__permute(feed->key, (uint64_t)size, (uint64_t)place);
    if (feed->options.shuffle == STRATA__SHUFFLE_BATCHES && place / batch < whole)
        return (int64_t)strata__permute(feed->key, (uint64_t)whole, (uint64_t)(place / batch)) * batch + place % batch;
    return place;
}

int64_t strata__feed_batch_size(const strata__feed *feed, int64_t step)
{
    int64_t left = feed->dataset->size - step * feed->options.batch_size;
    return left < feed->options.batch_size ? left : feed->options.batch_size;
}

void strata__feed_gather(const strata__feed *feed, int64_t step, int set)
{
    strata__piece piece = strata__piece_of(strata__feed_batch_size(feed, step), feed->parts, feed->part);
    int64_t first = step * feed->options.batch_size + piece.first;
    for (int64_t i = 0; i < piece.count; i++) {
        int64_t sample = strata__feed_sample_at(feed, first + i);
        for (int c = 0; c < feed->column_count; c++) {
            size_t bytes = feed->columns[c]->sample_bytes;
            memcpy(feed->buffers[set][c] + (size_t)i * bytes, feed->columns[c]->data + (size_t)sample * bytes, bytes);
        }
    }
}

/* --- making --- */

static void take_columns(strata__feed *feed, int count, const strata__column *columns)
{
    for (int i = 0; i < count; i++)
        feed->columns[feed->column_count++] = &columns[i];
}

static strata_status make_buffers(strata__feed *feed)
{
    int64_t most = strata__piece_of(feed->options.batch_size, feed->parts, 0).count;
    for (int set = 0; set < 2; set++) {
        for (int c = 0; c < feed->column_count; c++) {
            feed->buffers[set][c] = strata__alloc(feed->ctx, (size_t)most * feed->columns[c]->sample_bytes);
            if (!feed->buffers[set][c])
                return STRATA_NO_MEMORY;
        }
    }
    return STRATA_OK;
}

strata_status strata__feed_new(strata_dataset *dataset, const strata__feed_options *options, strata__feed **made)
{
    strata_context *ctx = dataset->ctx;
    *made = NULL;
    if (options->batch_size < 1)
        return strata__fail(ctx, STRATA_INVALID, "batch_size=%lld is not positive", (long long)options->batch_size);
    strata__feed *feed = strata__calloc(ctx, 1, sizeof *feed);
    if (!feed)
        return STRATA_NO_MEMORY;
    *feed = (strata__feed){.ctx = ctx, .dataset = dataset, .options = *options};
    if (feed->options.batch_size > dataset->size)
        feed->options.batch_size = dataset->size;
    const strata__group *group = &ctx->mesh->groups[STRATA__BATCH];
    feed->parts = group->size;
    feed->part = group->rank;
    take_columns(feed, dataset->x_count, dataset->x);
    take_columns(feed, dataset->y_count, dataset->y);
    take_columns(feed, dataset->weight_count, dataset->weights);
    int64_t all = (dataset->size + feed->options.batch_size - 1) / feed->options.batch_size;
    feed->steps = options->steps > 0 && options->steps < all ? options->steps : all;
    /* Samples in order lie side by side and need no gathering. */
    feed->gathers = dataset->firsts || options->shuffle != STRATA__IN_ORDER;
    if ((feed->gathers && make_buffers(feed) != STRATA_OK) || (dataset->firsts && strata__travel_new(feed) != STRATA_OK)) {
        strata__feed_free(feed);
        return STRATA_NO_MEMORY;
    }
    if (feed->gathers && options->prefetch && !feed->travel && strata__mpi_allows_threads())
        strata__prefetch_start(feed);
    *made = feed;
    return STRATA_OK;
}

void strata__feed_free(strata__feed *feed)
{
    if (!feed)
        return;
    if (feed->worker)
        strata__prefetch_stop(feed);
    strata__travel_free(feed);
    for (int set = 0; set < 2; set++) {
        for (int c = 0; c < feed->column_count; c++)
            strata__free(feed->ctx, feed->buffers[set][c]);
    }
    strata__free(feed->ctx, feed);
}

int64_t strata__feed_steps(const strata__feed *feed)
{
    return feed->steps;
}

/* --- batches --- */

void strata__feed_start(strata__feed *feed, int64_t epoch, int64_t first_step)
{
    if (feed->worker)
        strata__prefetch_wait(feed);
    feed->key = (strata__key){.seed = feed->options.seed, .stream = strata__stream("sample order", (uint64_t)epoch)};
    feed->next = first_step;
    if (feed->worker && feed->next < feed->steps)
        strata__prefetch_request(feed, feed->next, (int)(feed->next & 1));
}

/* This rank's samples of the step: gathered, or where they lie. */
static const char *samples(const strata__feed *feed, int64_t step, int column)
{
    if (feed->gathers)
        return feed->buffers[step & 1][column];
    int64_t first = step * feed->options.batch_size;
    strata__piece piece = strata__piece_of(strata__feed_batch_size(feed, step), feed->parts, feed->part);
    return feed->columns[column]->data + (size_t)(first + piece.first) * feed->columns[column]->sample_bytes;
}

static strata_tensor *as_tensor(const strata__feed *feed, int64_t step, int column)
{
    const strata__column *c = feed->columns[column];
    strata_shape shape = {.rank = c->sample.rank + 1, .dims = {strata__feed_batch_size(feed, step)}};
    for (int i = 0; i < c->sample.rank; i++)
        shape.dims[i + 1] = c->sample.dims[i];
    return strata__tensor_borrow(feed->ctx, c->dtype, &shape, (strata__layout){.batch = true},
                                 (void *)(uintptr_t)samples(feed, step, column));
}

/* A number that is not finite is told with its sample, since the batch may be shuffled. */
static strata_tensor *look_at_data(const strata__feed *feed, int64_t step, int column, strata_tensor *tensor)
{
    if (!tensor || !feed->ctx->numerics.checks)
        return tensor;
    int64_t at = strata__find_not_finite(tensor, tensor->data), sample = -1;
    if (at >= 0)
        sample = strata__feed_sample_at(feed, step * feed->options.batch_size + tensor->first_sample +
                                     at / strata__product(&tensor->local, 1, tensor->local.rank));
    strata__look(tensor, tensor->data, &tensor->shape, NULL, "array %d of the data, sample %lld,", column,
                 (long long)sample);
    return tensor;
}

static strata_tensor *next_tensor(const strata__feed *feed, int64_t step, int *column)
{
    strata_tensor *tensor = as_tensor(feed, step, *column);
    return look_at_data(feed, step, (*column)++, tensor);
}

static void gather_ahead(strata__feed *feed, int64_t step)
{
    if (!feed->gathers)
        return;
    if (feed->travel) {
        strata__travel_gather(feed, step, (int)(step & 1));
        return;
    }
    if (!feed->worker) {
        strata__feed_gather(feed, step, (int)(step & 1));
        return;
    }
    strata__prefetch_wait(feed);
    if (step + 1 < feed->steps)
        strata__prefetch_request(feed, step + 1, (int)((step + 1) & 1));
}

bool strata__feed_next(strata__feed *feed, strata__batch *batch)
{
    int64_t step = feed->next;
    if (step >= feed->steps)
        return false;
    feed->next++;
    gather_ahead(feed, step);
    *batch = (strata__batch){.step = step, .size = strata__feed_batch_size(feed, step)};
    int column = 0;
    for (int i = 0; i < feed->dataset->x_count; i++)
        batch->x[i] = next_tensor(feed, step, &column);
    for (int i = 0; i < feed->dataset->y_count; i++)
        batch->y[i] = next_tensor(feed, step, &column);
    for (int i = 0; i < feed->dataset->weight_count; i++)
        batch->weights[i] = next_tensor(feed, step, &column);
    return true;
}
