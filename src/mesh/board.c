/* The board: what each rank was last seen doing, in memory that the ranks of a node share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/board.h"

#include <string.h>

#include "mesh/flag.h"

enum { WORDS = sizeof(strata__record) / sizeof(uint64_t) };

_Static_assert(sizeof(strata__record) == 128, "records go over the network without padding");

/*
 * Writers take no lock, since one may be stopped or killed while it holds it: a record that two of
 * them mixed does not fit its seal, and the next one repairs it.
 */
typedef struct strata__board_slot {
    _Alignas(STRATA__CACHE_LINE) _Atomic uint64_t words[WORDS];
    _Atomic uint64_t seal;
} slot;

/* FNV-1a over words. Never that of a slot nobody has written. */
static uint64_t seal_of(const uint64_t words[WORDS])
{
    uint64_t hash = 0xcbf29ce484222325;
    for (int i = 0; i < WORDS; i++)
        hash = (hash ^ words[i]) * 0x100000001b3;
    return hash | 1;
}

strata_status strata__board_new(strata_context *ctx, strata__board *board)
{
    char *memory = NULL;
    STRATA_TRY(strata__shared_once(ctx, STRATA__WORLD, (size_t)ctx->mesh->size * sizeof(slot),
                                   &board->memory, &memory));
    board->slots = (slot *)(void *)memory;
    return STRATA_OK;
}

void strata__board_free(strata_context *ctx, strata__board *board)
{
    strata__shared_free(ctx, board->memory);
    *board = (strata__board){0};
}

void strata__board_store(strata__board *board, const strata__record *record)
{
    slot *at = &board->slots[record->rank];
    uint64_t words[WORDS];
    memcpy(words, record, sizeof words);
    for (int i = 0; i < WORDS; i++)
        atomic_store_explicit(&at->words[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&at->seal, seal_of(words), memory_order_relaxed);
}

bool strata__board_load(const strata__board *board, int rank, strata__record *record)
{
    slot *at = &board->slots[rank];
    uint64_t words[WORDS];
    for (int i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&at->words[i], memory_order_relaxed);
    if (atomic_load_explicit(&at->seal, memory_order_relaxed) != seal_of(words))
        return false;
    memcpy(record, words, sizeof words);
    return true;
}

static void copy_name(const strata__activity *activity, strata__doing kind, char *text, size_t size)
{
    const char *name = strata__doing_now(activity, kind);
    strncpy(text, name ? name : "", size - 1);
}

strata__record strata__record_of(const strata__activity *activity, int rank, uint64_t heartbeat)
{
    strata__record record = {.heartbeat = heartbeat, .rank = rank, .state = 'R'};
    record.changes = atomic_load_explicit(&activity->changes, memory_order_acquire);
    record.step = atomic_load_explicit(&activity->step, memory_order_relaxed);
    copy_name(activity, STRATA__PHASE, record.phase, sizeof record.phase);
    copy_name(activity, STRATA__LAYER, record.layer, sizeof record.layer);
    copy_name(activity, STRATA__COLLECTIVE, record.collective, sizeof record.collective);
    return record;
}
