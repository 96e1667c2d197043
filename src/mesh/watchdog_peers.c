/* Whom a watchdog knows: the ranks of the mesh, those who share a board, and where the others
 * listen. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/watchdog_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

int strata__islands(const strata_context *ctx, const strata__board *board)
{
    return board->memory->shared ? ctx->mesh->groups[STRATA__WORLD].nodes : ctx->mesh->size;
}

static uint64_t own_pid_namespace(void)
{
    struct stat found;
    return stat("/proc/self/ns/pid", &found) == 0 ? (uint64_t)found.st_ino : 0;
}

static strata__peer own_peer(const strata_context *ctx, const strata__board *board,
                             const strata__endpoint *endpoint)
{
    const strata__group *world = &ctx->mesh->groups[STRATA__WORLD];
    strata__peer peer = {.island = ctx->mesh->rank,
                         .pid = (int32_t)getpid(),
                         .pid_namespace = own_pid_namespace(),
                         .endpoint = *endpoint};
    if (board->memory->shared && world->node_size > 1)
        MPI_Bcast(&peer.island, 1, MPI_INT32_T, 0, world->node);
    return peer;
}

/* Without randomness the key is 0 for all: then anybody in the network may write on the board,
 * which can do no more than make a table wrong. */
static void share_key(const strata_context *ctx, uint64_t key[2])
{
    if (ctx->mesh->rank == 0 && getrandom(key, 2 * sizeof *key, GRND_NONBLOCK) < 0)
        key[0] = key[1] = 0;
    MPI_Bcast(key, 2, MPI_UINT64_T, 0, ctx->mesh->comm);
}

/* Counts the members of each island, then puts them in its place. index_of: [ranks] scratch, by
 * lowest rank. */
static void sort_by_island(strata__peers *peers, int *index_of)
{
    int *starts = peers->starts;
    peers->islands = 0;
    for (int r = 0; r < peers->ranks; r++) {
        if (peers->all[r].island == r) {
            index_of[r] = peers->islands++;
            starts[index_of[r]] = 0;
        }
        starts[index_of[peers->all[r].island]]++;
    }
    int place = 0;
    for (int i = 0; i < peers->islands; i++) {
        int count = starts[i];
        starts[i] = place;
        place += count;
    }
    for (int r = 0; r < peers->ranks; r++)
        peers->members[starts[index_of[peers->all[r].island]]++] = r;
    for (int i = peers->islands; i > 0; i--)
        starts[i] = starts[i - 1];
    starts[0] = 0;
    peers->own = index_of[peers->all[peers->rank].island];
}

strata_status strata__peers_new(strata_context *ctx, const strata__board *board,
                                const strata__endpoint *own, strata__peers *peers)
{
    size_t ranks = (size_t)ctx->mesh->size;
    *peers = (strata__peers){.ranks = ctx->mesh->size, .rank = ctx->mesh->rank};
    peers->all = strata__alloc(ctx, ranks * sizeof *peers->all);
    peers->members = strata__alloc(ctx, (3 * ranks + 1) * sizeof *peers->members);
    STRATA_TRY(strata__agree(ctx));
    peers->starts = peers->members + ranks;
    strata__peer self = own_peer(ctx, board, own);
    MPI_Allgather(&self, (int)sizeof self, MPI_BYTE, peers->all, (int)sizeof self, MPI_BYTE,
                  ctx->mesh->comm);
    share_key(ctx, peers->key);
    sort_by_island(peers, peers->starts + ranks + 1);
    return STRATA_OK;
}

void strata__peers_free(strata_context *ctx, strata__peers *peers)
{
    strata__free(ctx, peers->all);
    strata__free(ctx, peers->members);
}

/* The letter stands behind the name of the program, which may hold anything but ends with the last
 * parenthesis. */
char strata__process_state(const strata__peers *peers, int rank)
{
    char path[32], text[512];
    if (peers->all[rank].pid_namespace != peers->all[peers->rank].pid_namespace)
        return '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)peers->all[rank].pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? 'X' : '?';
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return errno == ESRCH ? 'X' : '?';
    text[length] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] ? end[2] : '?';
}
