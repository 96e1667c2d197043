/* Collectives on an axis: reductions, broadcast and barrier. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "mesh/collective.h"
#include "mesh/exchange.h"
#include "mesh/traffic.h"

/*
 * Up to this many bytes every member adds up everybody's buffer. Beyond, each adds up its own piece
 * and shows the result, which costs one more turn but keeps the work of a member independent of
 * their number. What does not fit a buffer goes through MPI: measured on two ranks it is as fast
 * then, and where ranks are more than cores every turn can cost a time slice.
 */
enum { SHORT_BYTES = 4096 };

/* Elements in one MPI call: what fits an int. */
enum { MPI_CHUNK = 1 << 28 };

static MPI_Datatype mpi_type(strata_dtype dtype)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        return MPI_FLOAT;
    case STRATA_FLOAT64:
        return MPI_DOUBLE;
    case STRATA_INT32:
        return MPI_INT32_T;
    case STRATA_INT64:
        return MPI_INT64_T;
    case STRATA_UINT8:
    case STRATA_BOOL:
        return MPI_UINT8_T;
    }
    return MPI_DATATYPE_NULL;
}

/* Members of one node in the order of their ranks, so that all get the same bits. One turn, at most
 * one buffer. */
static void reduce_short(strata__group *group, char *values, int count, size_t element,
                         MPI_Datatype type, MPI_Op op)
{
    size_t bytes = (size_t)count * element;
    memcpy(strata__exchange_own(group->exchange), values, bytes);
    strata__exchange_turn(group->exchange);
    memcpy(values, strata__exchange_of(group->exchange, 0), bytes);
    for (int member = 1; member < group->size; member++)
        MPI_Reduce_local(strata__exchange_of(group->exchange, member), values, count, type, op);
}

/*
 * Reduces piece `own` of all members' values in the order of the ranks into `result`. The own
 * values need not have been shown.
 */
static void reduce_piece(const strata__group *group, const char *values, strata__piece own,
                         size_t element, MPI_Datatype type, MPI_Op op, char *result)
{
    size_t first = (size_t)own.first * element;
    for (int member = 0; member < group->size; member++) {
        const char *source =
            member == group->rank ? values : strata__exchange_of(group->exchange, member);
        if (member == 0)
            memcpy(result, source + first, (size_t)own.count * element);
        else
            MPI_Reduce_local(source + first, result, (int)own.count, type, op);
    }
}

/* Shows the others their pieces, reduces the own one, and shows that. Two turns, at most one
 * buffer. */
static void reduce_long(strata__group *group, char *values, int count, size_t element,
                        MPI_Datatype type, MPI_Op op)
{
    strata__exchange *exchange = group->exchange;
    strata__piece own = strata__piece_of(count, group->size, group->rank);
    size_t first = (size_t)own.first * element;
    size_t end = first + (size_t)own.count * element, bytes = (size_t)count * element;
    char *shown = strata__exchange_own(exchange);
    memcpy(shown, values, first);
    memcpy(shown + end, values + end, bytes - end);
    strata__exchange_turn(exchange);
    reduce_piece(group, values, own, element, type, op, strata__exchange_own(exchange));
    strata__exchange_turn(exchange);
    for (int member = 0; member < group->size; member++) {
        strata__piece piece = strata__piece_of(count, group->size, member);
        memcpy(values + (size_t)piece.first * element, strata__exchange_of(exchange, member),
               (size_t)piece.count * element);
    }
}

/* Elements of the next of several MPI calls. */
static int next_step(int64_t count)
{
    return (int)(count < MPI_CHUNK ? count : MPI_CHUNK);
}

static void reduce_far(strata_context *ctx, strata__axis axis, char *values, int64_t count,
                       MPI_Datatype type, MPI_Op op)
{
    int element;
    MPI_Type_size(type, &element);
    while (count > 0) {
        int step = next_step(count);
        MPI_Allreduce(MPI_IN_PLACE, values, step, type, op, ctx->mesh->groups[axis].comm);
        strata__traffic_sent(ctx, axis, (int64_t)step * element);
        values += (size_t)step * element;
        count -= step;
    }
}

/* Bytes of the others' buffers that a member reads to reduce `count` elements; see reduce_long. */
static int64_t bytes_read(const strata__group *group, int64_t count, int64_t element)
{
    int64_t own = strata__piece_of(count, group->size, group->rank).count;
    if (count * element <= SHORT_BYTES)
        return (group->size - 1) * count * element;
    return ((group->size - 1) * own + count - own) * element;
}

static void reduce(strata_context *ctx, strata__collective what, strata__axis axis, void *values,
                   int64_t count, strata_dtype dtype)
{
    strata__group *group = &ctx->mesh->groups[axis];
    MPI_Datatype type = mpi_type(dtype);
    size_t element = strata_dtype_size(dtype);
    int64_t bytes = count * (int64_t)element;
    MPI_Op op = what == STRATA__MIN                           ? MPI_MIN
                : what == STRATA__MAX || dtype == STRATA_BOOL ? MPI_MAX
                                                              : MPI_SUM;
    strata__collective_check(ctx, what, axis, count, dtype);
    if (group->size == 1 || count == 0)
        return;
    const char *outer = strata__collective_begin(ctx, what, axis);
    if (!strata__exchange_reaches_all(group) || bytes > STRATA__EXCHANGE_BYTES) {
        reduce_far(ctx, axis, values, count, type, op);
    } else {
        strata__traffic_read(ctx, axis, bytes_read(group, count, (int64_t)element));
        if (bytes > SHORT_BYTES)
            reduce_long(group, values, (int)count, element, type, op);
        else
            reduce_short(group, values, (int)count, element, type, op);
    }
    strata__collective_end(ctx, outer);
}

void strata__sum(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                 strata_dtype dtype)
{
    reduce(ctx, STRATA__SUM, axis, values, count, dtype);
}

void strata__max(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                 strata_dtype dtype)
{
    reduce(ctx, STRATA__MAX, axis, values, count, dtype);
}

void strata__min(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                 strata_dtype dtype)
{
    reduce(ctx, STRATA__MIN, axis, values, count, dtype);
}

static void broadcast_near(strata_context *ctx, strata__axis axis, int root, void *data,
                           size_t bytes)
{
    strata__group *group = &ctx->mesh->groups[axis];
    if (group->rank == root)
        memcpy(strata__exchange_own(group->exchange), data, bytes);
    strata__exchange_turn(group->exchange);
    if (group->rank == root)
        return;
    memcpy(data, strata__exchange_of(group->exchange, root), bytes);
    strata__traffic_read(ctx, axis, (int64_t)bytes);
}

static void broadcast_far(strata_context *ctx, strata__axis axis, int root, char *data,
                          int64_t bytes)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    while (bytes > 0) {
        int step = next_step(bytes);
        MPI_Bcast(data, step, MPI_BYTE, root, group->comm);
        strata__traffic_sent(ctx, axis, group->rank == root ? step : 0);
        data += step;
        bytes -= step;
    }
}

void strata__broadcast(strata_context *ctx, strata__axis axis, int root, void *data, int64_t bytes)
{
    strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__BROADCAST, axis, bytes, STRATA_UINT8);
    if (group->size == 1 || bytes == 0)
        return;
    const char *outer = strata__collective_begin(ctx, STRATA__BROADCAST, axis);
    if (strata__exchange_reaches_all(group) && bytes <= STRATA__EXCHANGE_BYTES)
        broadcast_near(ctx, axis, root, data, (size_t)bytes);
    else
        broadcast_far(ctx, axis, root, data, bytes);
    strata__collective_end(ctx, outer);
}

void strata__barrier(strata_context *ctx, strata__axis axis)
{
    strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__BARRIER, axis, 0, STRATA_UINT8);
    if (group->size == 1)
        return;
    const char *outer = strata__collective_begin(ctx, STRATA__BARRIER, axis);
    if (strata__exchange_reaches_all(group))
        strata__exchange_turn(group->exchange);
    else
        MPI_Barrier(group->comm);
    strata__collective_end(ctx, outer);
}

void strata__node_barrier(strata_context *ctx, strata__axis axis)
{
    strata__group *group = &ctx->mesh->groups[axis];
    const char *outer = strata__collective_begin(ctx, STRATA__BARRIER, axis);
    if (group->exchange)
        strata__exchange_turn(group->exchange);
    else if (group->node != MPI_COMM_NULL && group->node_size > 1)
        MPI_Barrier(group->node);
    strata__collective_end(ctx, outer);
}
