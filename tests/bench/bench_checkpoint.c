/* Times the saving of a checkpoint beside plain pwrite and fsync of the same bytes; prints rows on
 * rank 0. The files go to the directory that the argument names, by default the working one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "mesh/process.h"
#include "storage/checkpoint.h"

enum { REPEATS = 5, ARRAYS = 16, EDGE = 4096, MIB = 1 << 20 };

/* 16 arrays of 4096 × 4096 floats, 1 GiB, of which each rank holds a part. */
typedef struct load {
    strata_context *ctx;
    const char *path;
    int64_t bytes; /* of this rank */
    char *data;    /* (bytes) */
    char names[ARRAYS][32];
    strata__shard shards[ARRAYS];
    strata__entry entries[ARRAYS];
} load;

/* The part of array `index`: a run, as of optimizer slots, or a block, as of sharded kernels. */
static strata__shard part(const load *l, int index, bool flat)
{
    const strata__mesh *mesh = l->ctx->mesh;
    int64_t elements = l->bytes / ARRAYS / (int64_t)sizeof(float);
    strata__shard shard = {
        .flat = flat, .writes = true, .data = l->data + index * (l->bytes / ARRAYS)};
    if (flat) {
        shard.first[0] = mesh->rank * elements;
        shard.count[0] = elements;
        return shard;
    }
    int columns = mesh->size % 2 == 0 ? 2 : 1, rows = mesh->size / columns;
    strata__piece row = strata__piece_of(EDGE, rows, mesh->rank / columns);
    strata__piece column = strata__piece_of(EDGE, columns, mesh->rank % columns);
    shard.first[0] = row.first, shard.count[0] = row.count;
    shard.first[1] = column.first, shard.count[1] = column.count;
    return shard;
}

static void list_parts(load *l, bool flat)
{
    for (int i = 0; i < ARRAYS; i++) {
        snprintf(l->names[i], sizeof l->names[i], "weights/dense_%d/kernel", i);
        l->shards[i] = part(l, i, flat);
        l->entries[i] = (strata__entry){l->names[i], STRATA_FLOAT32, STRATA_SHAPE(EDGE, EDGE),
                                        &l->shards[i], 1};
    }
}

/* Seconds that the slowest rank takes. The old file is gone and the disk at rest before. */
static double timed(load *l, bool (*write_file)(load *l), bool *good)
{
    strata_context *ctx = l->ctx;
    strata__barrier(ctx, STRATA__WORLD);
    if (ctx->mesh->rank == 0) {
        unlink(l->path);
        sync();
    }
    strata__barrier(ctx, STRATA__WORLD);
    double begin = MPI_Wtime();
    *good &= write_file(l);
    strata__barrier(ctx, STRATA__WORLD);
    return MPI_Wtime() - begin;
}

/* Each rank a quarter of one file. */
static bool write_plainly(load *l)
{
    int64_t offset = l->ctx->mesh->rank * l->bytes;
    int fd = open(l->path, O_WRONLY | O_CREAT, 0600);
    bool good = fd >= 0;
    for (int64_t done = 0; done < l->bytes && good;) {
        int64_t rest = l->bytes - done, most = 64 * MIB;
        ssize_t written =
            pwrite(fd, l->data + done, (size_t)(rest < most ? rest : most), offset + done);
        good = written > 0;
        done += written;
    }
    good = good && fsync(fd) == 0;
    return close(fd) == 0 && good;
}

static bool write_checkpoint(load *l)
{
    strata__contents contents = {.entries = l->entries, .count = ARRAYS, .document = "{}"};
    return strata__checkpoint_save(l->ctx, l->path, &contents) == STRATA_OK;
}

static bool compare(load *l, const char *what, bool flat)
{
    double ours = 1e9, theirs = 1e9;
    bool good = true;
    list_parts(l, flat);
    for (int i = 0; i < REPEATS; i++) {
        double plain = timed(l, write_plainly, &good), own = timed(l, write_checkpoint, &good);
        ours = own < ours ? own : ours;
        theirs = plain < theirs ? plain : theirs;
    }
    double megabytes = 1e-6 * (double)(l->bytes * l->ctx->mesh->size);
    if (l->ctx->mesh->rank == 0 && good)
        printf("checkpoint write, 1 GiB, %d ranks, %s, MB/s\t%.0f\t%.0f\tpwrite and fsync\t%.2f\n",
               l->ctx->mesh->size, what, megabytes / ours, megabytes / theirs, theirs / ours);
    return good;
}

static bool run(strata_context *ctx, const char *directory)
{
    load l = {.ctx = ctx, .bytes = (int64_t)ARRAYS * EDGE * EDGE * 4 / ctx->mesh->size};
    char *path = strata__format(ctx, "%s/bench_checkpoint.h5", directory);
    l.path = path;
    l.data = strata__alloc(ctx, (size_t)l.bytes);
    bool good = strata__agree(ctx) == STRATA_OK;
    for (int64_t i = 0; i < l.bytes && good; i += (int64_t)sizeof(int64_t))
        memcpy(l.data + i, &(int64_t){i * 0x9e3779b97f4a7c15 + ctx->mesh->rank}, sizeof(int64_t));
    good = good && compare(&l, "runs", true) && compare(&l, "blocks", false);
    if (!good)
        fprintf(stderr, "rank %d: %s\n", ctx->mesh->rank, ctx->message);
    if (path && ctx->mesh->rank == 0)
        unlink(path);
    strata__free(ctx, l.data);
    strata__free(ctx, path);
    return good;
}

int main(int argc, char **argv)
{
    strata__mpi_start();
    strata_context *ctx = strata__context_new();
    bool good = ctx && strata__mesh_new(ctx, MPI_COMM_WORLD, NULL) == STRATA_OK &&
                run(ctx, argc > 1 ? argv[1] : ".");
    if (ctx)
        strata__mesh_free(ctx);
    strata__context_free(ctx);
    strata__mpi_stop();
    return good ? 0 : 1;
}
