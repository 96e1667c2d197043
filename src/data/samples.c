/* Which samples of an epoch make a batch, and gathering this rank's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "data/feed.h"

/* Whole batches move as they are; the short last one stays last. */
int64_t strata__feed_sample_at(const strata__feed *feed, int64_t place)
{
    int64_t size = feed->dataset->size, batch = feed->options.batch_size, whole = size / batch;
    if (feed->options.shuffle == STRATA__SHUFFLE_SAMPLES)
        return (int64_t)strata__permute(feed->key, (uint64_t)size, (uint64_t)place);
    if (feed->options.shuffle == STRATA__SHUFFLE_BATCHES && place / batch < whole)
        return (int64_t)strata__permute(feed->key, (uint64_t)whole, (uint64_t)(place / batch)) *
                   batch +
               place % batch;
    return place;
}

int64_t strata__feed_batch_size(const strata__feed *feed, int64_t step)
{
    int64_t left = feed->dataset->size - step * feed->options.batch_size;
    return left < feed->options.batch_size ? left : feed->options.batch_size;
}

void strata__feed_gather(const strata__feed *feed, int64_t step, int set)
{
    strata__piece piece =
        strata__piece_of(strata__feed_batch_size(feed, step), feed->parts, feed->part);
    int64_t first = step * feed->options.batch_size + piece.first;
    for (int64_t i = 0; i < piece.count; i++) {
        int64_t sample = strata__feed_sample_at(feed, first + i);
        for (int c = 0; c < feed->column_count; c++) {
            size_t bytes = feed->columns[c]->sample_bytes;
            memcpy(feed->buffers[set][c] + (size_t)i * bytes,
                   feed->columns[c]->data + (size_t)sample * bytes, bytes);
        }
    }
}
