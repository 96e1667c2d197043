/* Samples on their way from the ranks that have them to the ranks that work on them, a batch at a
 * time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "data/feed.h"
#include "mesh/route.h"

/*
 * Every rank knows which sample stands at which place and on which rank it lies, so each finds out
 * by itself what it sends and what it gets.
 */
struct strata__travel {
    int64_t *samples; /* [batch_size]: at the places of the batch */
    int *owners;      /* [batch_size]: their ranks */
    int *counts;      /* of the route */
    int *taken; /* [ranks]: of the samples that have arrived from a rank, those that stand at their
                   places */
    char *departing; /* own samples, in the order of the ranks that get them */
    char *arrived;   /* in the order of the ranks that they come from */
};

static size_t largest_sample(const strata__feed *feed)
{
    size_t most = 0;
    for (int c = 0; c < feed->column_count; c++)
        most = feed->columns[c]->sample_bytes > most ? feed->columns[c]->sample_bytes : most;
    return most;
}

strata_status strata__travel_new(strata__feed *feed)
{
    strata_context *ctx = feed->ctx;
    const int64_t *own = feed->dataset->firsts + ctx->mesh->rank;
    int64_t batch = feed->options.batch_size, have = own[1] - own[0];
    size_t most = largest_sample(feed), ranks = (size_t)ctx->mesh->size;
    struct strata__travel *t = feed->travel = strata__calloc(ctx, 1, sizeof *t);
    if (!t)
        return STRATA_NO_MEMORY;
    t->samples = strata__alloc(ctx, (size_t)batch * sizeof *t->samples);
    t->owners = strata__alloc(ctx, (size_t)batch * sizeof *t->owners);
    t->counts =
        strata__alloc(ctx, (size_t)strata__route_room(ctx, STRATA__WORLD) * sizeof *t->counts);
    t->taken = strata__alloc(ctx, ranks * sizeof *t->taken);
    t->departing =
        strata__alloc(ctx, (size_t)(have < batch ? have : batch) * (size_t)ctx->mesh->cols * most);
    t->arrived = strata__alloc(ctx, (size_t)strata__piece_of(batch, feed->parts, 0).count * most);
    return ctx->status;
}

void strata__travel_free(strata__feed *feed)
{
    strata_context *ctx = feed->ctx;
    struct strata__travel *t = feed->travel;
    if (!t)
        return;
    strata__free(ctx, t->samples);
    strata__free(ctx, t->owners);
    strata__free(ctx, t->counts);
    strata__free(ctx, t->taken);
    strata__free(ctx, t->departing);
    strata__free(ctx, t->arrived);
    strata__free(ctx, t);
    feed->travel = NULL;
}

/* The rank on which a sample lies: the last one that begins at or before it. */
static int owner_of(const strata__feed *feed, int64_t sample)
{
    int low = 0, high = feed->ctx->mesh->size;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (feed->dataset->firsts[middle] <= sample)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void find_samples(const strata__feed *feed, int64_t step)
{
    struct strata__travel *t = feed->travel;
    for (int64_t i = 0; i < strata__feed_batch_size(feed, step); i++) {
        t->samples[i] = strata__feed_sample_at(feed, step * feed->options.batch_size + i);
        t->owners[i] = owner_of(feed, t->samples[i]);
    }
}

/* Own samples of the part of the batch that goes to one rank, of one column; NULL: only counts
 * them. */
static int depart(const strata__feed *feed, strata__piece part, const strata__column *column,
                  char *to)
{
    const struct strata__travel *t = feed->travel;
    int rank = feed->ctx->mesh->rank, count = 0;
    for (int64_t i = part.first; i < part.first + part.count; i++) {
        if (t->owners[i] != rank)
            continue;
        if (column)
            memcpy(to + (size_t)count * column->sample_bytes,
                   column->data +
                       (size_t)(t->samples[i] - feed->dataset->firsts[rank]) * column->sample_bytes,
                   column->sample_bytes);
        count++;
    }
    return count;
}

/* Each part of a batch goes to all ranks of a row of the mesh, which follow each other. */
static void depart_all(const strata__feed *feed, int64_t step, const strata__column *column,
                       char *to, int *counts)
{
    int64_t size = strata__feed_batch_size(feed, step);
    int cols = feed->ctx->mesh->cols;
    for (int rank = 0; rank < feed->ctx->mesh->size; rank++) {
        int count = depart(feed, strata__piece_of(size, feed->parts, rank / cols), column, to);
        if (column)
            to += (size_t)count * column->sample_bytes;
        else
            counts[rank] = count;
    }
}

/* From the order of the ranks to that of the places. */
static void arrange(const strata__feed *feed, const strata__route *route, strata__piece part,
                    size_t bytes, char *to)
{
    struct strata__travel *t = feed->travel;
    int ranks = feed->ctx->mesh->size;
    const int *begins = route->counts + 3 * ranks;
    memset(t->taken, 0, (size_t)ranks * sizeof *t->taken);
    for (int64_t i = 0; i < part.count; i++) {
        int owner = t->owners[part.first + i];
        size_t place = (size_t)(begins[owner] + t->taken[owner]++);
        memcpy(to + (size_t)i * bytes, t->arrived + place * bytes, bytes);
    }
}

void strata__travel_gather(strata__feed *feed, int64_t step, int set)
{
    struct strata__travel *t = feed->travel;
    strata__route route;
    strata__piece part =
        strata__piece_of(strata__feed_batch_size(feed, step), feed->parts, feed->part);
    find_samples(feed, step);
    depart_all(feed, step, NULL, NULL, t->counts);
    strata__route_plan(feed->ctx, STRATA__WORLD, t->counts, &route);
    for (int c = 0; c < feed->column_count; c++) {
        const strata__column *column = feed->columns[c];
        depart_all(feed, step, column, t->departing, NULL);
        strata__route_send(&route, t->departing, t->arrived, (int64_t)column->sample_bytes);
        arrange(feed, &route, part, column->sample_bytes, feed->buffers[set][c]);
    }
}
