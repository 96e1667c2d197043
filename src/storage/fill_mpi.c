/* The driver "mpiio" of checkpoints: collective writes of MPI-IO, meant for ROMIO. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/saving.h"

/*
 * The parts are copied to a buffer, a full one in each round, and the rounds are collective writes.
 * HDF5's collective writing would do the same at the same places; but where MPI-IO fails on one
 * rank, HDF5 leaves out collective calls that the other ranks then wait in, and here every rank
 * makes all of them whatever happens. ROMIO itself may still wait: then the time limit ends it.
 */
enum { ROUND_BYTES = 1 << 24, ROUND_PIECES = 1 << 12 };

/* Bytes of the buffer, one piece after the other in it, and where they go. */
typedef struct piece {
    int64_t offset;
    int64_t at;
    int bytes;
} piece;

/* Steps through the bytes of all parts. */
typedef struct cursor {
    const strata__saving *save;
    int64_t part; /* the next one */
    strata__runs runs;
    const char *from;
    int64_t base, size;   /* of the array: its place in the file, bytes of an element */
    int64_t offset, left; /* of the run at work */
} cursor;

static cursor cursor_of(const strata__saving *save)
{
    return (cursor){.save = save, .runs.done = true};
}

/* Goes to the next run, if this one is at its end; false after the last. */
static bool find_run(cursor *c)
{
    const strata__saving *save = c->save;
    int64_t first;
    while (c->left == 0) {
        if (strata__runs_next(&c->runs, &first)) {
            c->offset = c->base + first * c->size;
            c->left = c->runs.length * c->size;
        } else if (c->part < save->part_count) {
            const strata__part *part = &save->parts[c->part++];
            const strata__entry *entry = &save->contents->entries[part->entry];
            c->runs = strata__runs_of(&part->place, &entry->shape);
            c->from = part->data;
            c->base = save->offsets[part->entry];
            c->size = (int64_t)strata_dtype_size(entry->dtype);
        } else {
            return false;
        }
    }
    return true;
}

/* One round of this rank. */
typedef struct round_of {
    char *buffer;  /* (ROUND_BYTES); NULL: count only */
    piece *pieces; /* (ROUND_PIECES) */
    int count;
    int64_t bytes;
} round_of;

/* Takes as much as goes into a round; false: there is nothing left. */
static bool fill_round(cursor *c, round_of *r)
{
    r->count = 0;
    r->bytes = 0;
    while (r->count < ROUND_PIECES && r->bytes < ROUND_BYTES && find_run(c)) {
        int64_t room = ROUND_BYTES - r->bytes, bytes = c->left < room ? c->left : room;
        if (r->buffer) {
            memcpy(r->buffer + r->bytes, c->from, (size_t)bytes);
            r->pieces[r->count] = (piece){c->offset, r->bytes, (int)bytes};
        }
        r->count++;
        r->bytes += bytes;
        c->from += bytes;
        c->offset += bytes;
        c->left -= bytes;
    }
    return r->count > 0;
}

static int64_t count_rounds(const strata__saving *save)
{
    cursor c = cursor_of(save);
    round_of counted = {0};
    int64_t rounds = 0;
    while (fill_round(&c, &counted))
        rounds++;
    return rounds;
}

static int compare_pieces(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* --- writing --- */

typedef struct writer {
    strata_context *ctx;
    const char *path; /* for messages */
    MPI_File file;
    round_of round;
    int *lengths;     /* (ROUND_PIECES) */
    MPI_Aint *places; /* (ROUND_PIECES) */
} writer;

static void check(writer *w, int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING];
    int length;
    if (code == MPI_SUCCESS)
        return;
    MPI_Error_string(code, text, &length);
    text[strcspn(text, "\n")] = '\0';
    strata__fail(w->ctx, STRATA_IO, "cannot %s '%s' with MPI-IO: %.200s", what, w->path, text);
}

/* Both types have the pieces in the order of the file; only so may a file's be. */
static void make_types(writer *w, MPI_Datatype *memory, MPI_Datatype *file)
{
    const round_of *r = &w->round;
    qsort(r->pieces, (size_t)r->count, sizeof *r->pieces, compare_pieces);
    for (int i = 0; i < r->count; i++) {
        w->lengths[i] = r->pieces[i].bytes;
        w->places[i] = (MPI_Aint)r->pieces[i].at;
    }
    MPI_Type_create_hindexed(r->count, w->lengths, w->places, MPI_BYTE, memory);
    for (int i = 0; i < r->count; i++)
        w->places[i] = (MPI_Aint)r->pieces[i].offset;
    MPI_Type_create_hindexed(r->count, w->lengths, w->places, MPI_BYTE, file);
    MPI_Type_commit(memory);
    MPI_Type_commit(file);
}

/* Collective; a rank may have nothing left. */
static void write_round(writer *w)
{
    MPI_Datatype memory = MPI_BYTE, file = MPI_BYTE;
    int some = w->round.count > 0;
    if (some)
        make_types(w, &memory, &file);
    check(w, MPI_File_set_view(w->file, 0, MPI_BYTE, file, "native", MPI_INFO_NULL), "view");
    check(w, MPI_File_write_all(w->file, w->round.buffer, some, memory, MPI_STATUS_IGNORE),
          "write");
    if (some) {
        MPI_Type_free(&memory);
        MPI_Type_free(&file);
    }
}

/* Whatever fails, every rank goes through all rounds. Collective. */
static void write_rounds(writer *w, const strata__saving *save)
{
    cursor c = cursor_of(save);
    int64_t rounds = count_rounds(save);
    strata__max(w->ctx, STRATA__WORLD, &rounds, 1, STRATA_INT64);
    for (int64_t i = 0; i < rounds; i++) {
        fill_round(&c, &w->round);
        write_round(w);
        strata__goes_on(&w->ctx->activity);
    }
}

/* Agrees. Collective. */
static strata_status make_room(writer *w)
{
    w->round.buffer = strata__alloc(w->ctx, ROUND_BYTES);
    w->round.pieces = strata__alloc(w->ctx, ROUND_PIECES * sizeof *w->round.pieces);
    w->lengths = strata__alloc(w->ctx, ROUND_PIECES * sizeof *w->lengths);
    w->places = strata__alloc(w->ctx, ROUND_PIECES * sizeof *w->places);
    return strata__agree(w->ctx);
}

/*
 * One rank writes for several, and reads first what its range has between the pieces, so the file
 * is open for both. Of several that did so nearby ("data sieving") each would write the others' old
 * bytes. Leaves its errors to the agreement of the caller. Collective.
 */
static void write_all(writer *w, const strata__saving *save)
{
    MPI_Info hints;
    MPI_Info_create(&hints);
    MPI_Info_set(hints, "romio_cb_write", "enable");
    MPI_Info_set(hints, "romio_ds_write", "disable");
    check(w,
          MPI_File_open(w->ctx->mesh->comm, save->file.temporary, MPI_MODE_RDWR, hints, &w->file),
          "open");
    MPI_Info_free(&hints);
    if (strata__agree(w->ctx) != STRATA_OK)
        return;
    write_rounds(w, save);
    check(w, MPI_File_close(&w->file), "close");
}

/* Rank 0's descriptor is older than what others have written, which matters on a network file
 * system. The lock goes with the descriptor. Local. */
static void reopen(strata__saving *save)
{
    if (save->file.fd >= 0)
        close(save->file.fd);
    save->file.fd = -1;
    if (strata__saving_open(save) == STRATA_OK && save->ctx->mesh->rank == 0)
        flock(save->file.fd, LOCK_EX | LOCK_NB);
}

void strata__fill_by_mpi(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    const char *outer = strata__begin(&ctx->activity, STRATA__COLLECTIVE, "collective writes");
    writer w = {.ctx = ctx, .path = save->file.path, .file = MPI_FILE_NULL};
    for (int64_t i = 0; i < save->part_count; i++)
        strata__part_sum(save, &save->parts[i]);
    if (make_room(&w) == STRATA_OK)
        write_all(&w, save);
    strata__free(ctx, w.round.buffer);
    strata__free(ctx, w.round.pieces);
    strata__free(ctx, w.lengths);
    strata__free(ctx, w.places);
    if (strata__agree(ctx) == STRATA_OK)
        reopen(save);
    strata__end(&ctx->activity, STRATA__COLLECTIVE, outer);
}
