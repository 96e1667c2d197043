/* The feed: batches of a dataset, gathered in an order that no mesh changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/feed.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/process.h"
#include "tensor/numerics.h"

const char *strata__shuffle_name(strata__shuffle shuffle)
{
    static const char *const names[] = {[STRATA__IN_ORDER] = "False",
                                        [STRATA__SHUFFLE_SAMPLES] = "True",
                                        [STRATA__SHUFFLE_BATCHES] = "batch"};
    return names[shuffle];
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
            feed->buffers[set][c] =
                strata__alloc(feed->ctx, (size_t)most * feed->columns[c]->sample_bytes);
            if (!feed->buffers[set][c])
                return STRATA_NO_MEMORY;
        }
    }
    return STRATA_OK;
}

/* Samples in order lie side by side and need no gathering. */
static void lay_out(strata__feed *feed)
{
    const strata_dataset *dataset = feed->dataset;
    const strata__group *group = &feed->ctx->mesh->groups[STRATA__BATCH];
    int64_t batch =
        feed->options.batch_size < dataset->size ? feed->options.batch_size : dataset->size;
    int64_t all = (dataset->size + batch - 1) / batch, wanted = feed->options.steps;
    feed->options.batch_size = batch;
    feed->steps = wanted > 0 && wanted < all ? wanted : all;
    feed->parts = group->size;
    feed->part = group->rank;
    feed->gathers = dataset->firsts || feed->options.shuffle != STRATA__IN_ORDER;
    take_columns(feed, dataset->x_count, dataset->x);
    take_columns(feed, dataset->y_count, dataset->y);
    take_columns(feed, dataset->weight_count, dataset->weights);
}

static strata_status make_ways(strata__feed *feed)
{
    if (!feed->gathers)
        return STRATA_OK;
    STRATA_TRY(make_buffers(feed));
    if (feed->dataset->firsts)
        return strata__travel_new(feed);
    if (feed->options.prefetch && strata__mpi_allows_threads())
        strata__prefetch_start(feed);
    return STRATA_OK;
}

strata_status strata__feed_new(strata_dataset *dataset, const strata__feed_options *options,
                               strata__feed **made)
{
    strata_context *ctx = dataset->ctx;
    *made = NULL;
    if (options->batch_size < 1)
        return strata__fail(ctx, STRATA_INVALID, "batch_size=%lld is not positive",
                            (long long)options->batch_size);
    strata__feed *feed = strata__calloc(ctx, 1, sizeof *feed);
    if (!feed)
        return STRATA_NO_MEMORY;
    *feed = (strata__feed){.ctx = ctx, .dataset = dataset, .options = *options};
    lay_out(feed);
    if (make_ways(feed) != STRATA_OK) {
        strata__feed_free(feed);
        return STRATA_NO_MEMORY;
    }
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
    feed->key = (strata__key){.seed = feed->options.seed,
                              .stream = strata__stream("sample order", (uint64_t)epoch)};
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
    strata__piece piece =
        strata__piece_of(strata__feed_batch_size(feed, step), feed->parts, feed->part);
    return feed->columns[column]->data +
           (size_t)(first + piece.first) * feed->columns[column]->sample_bytes;
}

static strata_tensor *as_tensor(const strata__feed *feed, int64_t step, int column)
{
    const strata__column *c = feed->columns[column];
    strata_shape shape = {.rank = c->sample.rank + 1,
                          .dims = {strata__feed_batch_size(feed, step)}};
    for (int i = 0; i < c->sample.rank; i++)
        shape.dims[i + 1] = c->sample.dims[i];
    return strata__tensor_borrow(feed->ctx, c->dtype, &shape, (strata__layout){.batch = true},
                                 (void *)(uintptr_t)samples(feed, step, column));
}

/* A number that is not finite is told with its sample, since the batch may be shuffled. */
static strata_tensor *look_at_data(const strata__feed *feed, int64_t step, int column,
                                   strata_tensor *tensor)
{
    if (!tensor || !feed->ctx->settings.check_numerics)
        return tensor;
    int64_t at = strata__find_not_finite(tensor, tensor->data), sample = -1;
    if (at >= 0)
        sample = strata__feed_sample_at(
            feed, step * feed->options.batch_size + tensor->first_sample +
                      at / strata__product(&tensor->local, 1, tensor->local.rank));
    strata__look(tensor, tensor->data, &tensor->shape, NULL, "array %d of the data, sample %lld,",
                 column, (long long)sample);
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
