/* Tests of the watchdog's parts: boards, what they accept from the network, and the table. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 */
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "variants.h"
#include "mesh/process.h"
#include "mesh/watchdog.h"
#include "mesh/watchdog_mail.h"
#include "mesh/watchdog_table.h"

/* --- the board --- */

static void check_board(strata_context *ctx, const variant *variant)
{
    const strata__group *world = &ctx->mesh->groups[STRATA__WORLD];
    strata__board board = {0};
    strata__record seen;
    strata__board_new(ctx, &board);
    assert_all_ok(ctx);
    bool empty = !strata__board_load(&board, ctx->rank, &seen);
    strata__node_barrier(ctx, STRATA__WORLD);
    const char *outer = strata__begin(&ctx->activity, STRATA__LAYER, "a_layer");
    strata__record own = strata__record_of(&ctx->activity, ctx->rank, 5);
    strata__end(&ctx->activity, STRATA__LAYER, outer);
    strata__board_store(&board, &own);
    strata__node_barrier(ctx, STRATA__WORLD);
    int visible = 0;
    for (int r = 0; r < ctx->mesh->size; r++)
        visible += strata__board_load(&board, r, &seen) && seen.rank == r && seen.heartbeat == 5 &&
                   strcmp(seen.layer, "a_layer") == 0;
    assert_all(empty);
    assert_all_int_equal(visible, variant->share ? world->node_size : 1);
    assert_all_int_equal(strata__islands(ctx, &board), variant->share ? world->nodes : world->size);
    strata__board_free(ctx, &board);
}

static void test_board_shows_the_ranks_of_a_node(void **state)
{
    (void)state;
    for_each_mesh(check_board);
}

static void check_peers(strata_context *ctx, const variant *variant)
{
    (void)variant;
    strata__board board = {0};
    strata__peers peers;
    strata__endpoint nowhere = {0};
    strata__board_new(ctx, &board);
    strata__peers_new(ctx, &board, &nowhere, &peers);
    assert_all_ok(ctx);
    int seen = 0;
    bool together = true, alive = true;
    for (int i = 0; i < peers.islands; i++) {
        int first = peers.members[peers.starts[i]];
        for (int m = peers.starts[i]; m < peers.starts[i + 1]; m++) {
            together &= peers.all[peers.members[m]].island == first;
            seen++;
        }
    }
    for (int r = 0; r < peers.ranks; r++)
        alive &= strchr("RSD", strata__process_state(&peers, r)) != NULL;
    assert_all(together);
    assert_all(alive);
    assert_all_int_equal(seen, peers.ranks);
    assert_all_int_equal(peers.islands, strata__islands(ctx, &board));
    strata__peers_free(ctx, &peers);
    strata__board_free(ctx, &board);
}

static void test_peers_are_sorted_by_island(void **state)
{
    (void)state;
    for_each_mesh(check_peers);
}

/* --- mail --- */

/* Each rank an island of its own. */
typedef struct post {
    strata_context *ctx;
    strata__board board;
    strata__peers peers;
    int socket;
} post;

static post post_open(void)
{
    post p = {0};
    strata__endpoint own;
    setenv("STRATA_SHARED", "0", 1);
    p.ctx = test_context(NULL);
    unsetenv("STRATA_SHARED");
    strata__board_new(p.ctx, &p.board);
    p.socket = strata__mail_open(&own);
    strata__peers_new(p.ctx, &p.board, &own, &p.peers);
    assert_all_ok(p.ctx);
    assert_all(p.socket >= 0);
    return p;
}

static void post_close(post *p)
{
    close(p->socket);
    strata__peers_free(p->ctx, &p->peers);
    strata__board_free(p->ctx, &p->board);
}

/* Until the rank's record has this heartbeat; false after ten seconds. */
static bool await(post *p, int rank, uint64_t heartbeat, strata__record *record)
{
    for (int i = 0; i < 100; i++) {
        struct pollfd file = {.fd = p->socket, .events = POLLIN};
        poll(&file, 1, 100);
        strata__mail_receive(p->socket, &p->peers, &p->board);
        if (strata__board_load(&p->board, rank, record) && record->heartbeat >= heartbeat)
            return true;
    }
    return false;
}

static strata__record record_of(int rank, uint64_t heartbeat)
{
    strata__activity activity = {.now = {"data"}, .changes = heartbeat};
    return strata__record_of(&activity, rank, heartbeat);
}

static void test_mail_reaches_every_island(void **state)
{
    (void)state;
    post p = post_open();
    int ranks = test_ranks(), arrived = 0;
    strata__record own = record_of(test_rank(), 3), seen;
    strata__board_store(&p.board, &own);
    strata__barrier(p.ctx, STRATA__WORLD);
    if (ranks > 1)
        strata__mail_send(p.socket, &p.peers, &p.board, 3);
    for (int r = 0; r < ranks; r++)
        arrived += r == test_rank() ||
                   (await(&p, r, 3, &seen) && seen.changes == 3 && strcmp(seen.phase, "data") == 0);
    assert_all_int_equal(arrived, ranks);
    post_close(&p);
}

static void send_packet(const post *p, int rank, const strata__packet *packet, size_t bytes)
{
    struct sockaddr_in target = {.sin_family = AF_INET,
                                 .sin_port = p->peers.all[rank].endpoint.port,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sendto(p->socket, packet, bytes, 0, (struct sockaddr *)&target, sizeof target);
}

/* Rank 0 forges packets with the last heartbeat there is; had one been taken, the true one after
 * them would be too old. */
static void send_forged(const post *p)
{
    enum { FULL = offsetof(strata__packet, records) + sizeof(strata__record) };
    strata__packet good = {.key = {p->peers.key[0], p->peers.key[1]}, .sender = 0, .count = 1};
    good.records[0] = record_of(0, UINT64_MAX);
    strata__packet wrong = good;
    wrong.key[1] ^= 1;
    send_packet(p, 1, &wrong, FULL);
    send_packet(p, 1, &good, FULL - 1);
    send_packet(p, 1, &good, FULL + sizeof(strata__record));
    send_packet(p, 1, &good, 0);
    struct {
        strata__packet packet;
        strata__record more;
    } long_one = {.packet = good};
    long_one.packet.count = STRATA__PACKET_RECORDS + 1;
    for (int i = 0; i < STRATA__PACKET_RECORDS; i++)
        long_one.packet.records[i] = good.records[0];
    send_packet(p, 1, &long_one.packet, sizeof long_one);
    for (int i = 0; i < 4; i++) {
        wrong = good;
        wrong.count = (int32_t[]){0, -1, STRATA__PACKET_RECORDS + 1, INT32_MAX}[i];
        send_packet(p, 1, &wrong, sizeof wrong);
        wrong = good;
        wrong.sender = (int32_t[]){-1, test_ranks(), 1, INT32_MIN}[i]; /* 1: the receiver itself */
        send_packet(p, 1, &wrong, FULL);
        wrong = good;
        wrong.records[0].rank = (int32_t[]){-1, test_ranks(), 1, INT32_MAX}[i];
        send_packet(p, 1, &wrong, FULL);
    }
    strata__packet last = good;
    last.records[0] = record_of(0, 7);
    memset(last.records[0].phase, 'x', sizeof last.records[0].phase);
    last.records[0].layer[0] = '\033';
    last.records[1] = record_of(0, 6); /* comes late */
    last.count = 2;
    send_packet(p, 1, &last, FULL + sizeof(strata__record));
}

static void test_mail_from_strangers_is_not_read(void **state)
{
    (void)state;
    if (test_ranks() == 1)
        skip();
    post p = post_open();
    strata__record seen = {0}, own = record_of(test_rank(), 2), kept = {0};
    strata__board_store(&p.board, &own);
    strata__barrier(p.ctx, STRATA__WORLD);
    if (test_rank() == 0)
        send_forged(&p);
    bool arrived = test_rank() != 1 || await(&p, 0, 7, &seen);
    strata__board_load(&p.board, test_rank(), &kept);
    assert_all(arrived);
    assert_all_int_equal(kept.heartbeat, 2);
    assert_all(test_rank() != 1 || seen.heartbeat == 7);
    assert_all(test_rank() != 1 || strlen(seen.phase) == sizeof seen.phase - 1);
    assert_all(test_rank() != 1 || seen.layer[0] == '?');
    post_close(&p);
}

/* --- the table --- */

enum { RANKS = 6 };

static void set_view(strata__view *view, int rank, const char *phase, const char *collective)
{
    *view =
        (strata__view){.record = record_of(rank, 9), .heard = 60000, .moved = 20000, .near = true};
    view->record.step = 12;
    snprintf(view->record.phase, sizeof view->record.phase, "%s", phase);
    snprintf(view->record.collective, sizeof view->record.collective, "%s", collective);
}

/* All in one collective but for what the tests change; printed at a clock of 62 s. */
static void set_views(strata__view views[RANKS])
{
    for (int r = 0; r < RANKS; r++)
        set_view(&views[r], r, "update", "sum on data × rows");
}

static const char *table_of(const strata__view views[RANKS])
{
    static char text[8192];
    assert_true(strata__watchdog_table_size(RANKS) <= sizeof text);
    size_t length = strata__watchdog_table(views, RANKS, 62000, 42000, text, sizeof text);
    assert_int_equal(length, strlen(text));
    return text;
}

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("no '%s' in:\n%s", words, text);
}

static void test_table_names_those_who_are_outside(void **state)
{
    (void)state;
    strata__view views[RANKS];
    set_views(views);
    set_view(&views[2], 2, "backward", "");
    set_view(&views[3], 3, "backward", "");
    set_view(&views[5], 5, "backward", "max on all ranks");
    const char *text = table_of(views);
    assert_has(text, "no rank has made progress for 42 s\n");
    assert_has(text, "  0-1               12     42 s  update ");
    assert_has(text, "  2-3               12     42 s  backward ");
    assert_has(
        text,
        "waited for: ranks 2-3 (in no collective); most others are in 'sum on data × rows'\n");
}

static void test_table_names_those_who_are_elsewhere(void **state)
{
    (void)state;
    strata__view views[RANKS];
    set_views(views);
    set_view(&views[0], 0, "update", "max on all ranks");
    views[4].record.step = 11;
    assert_has(table_of(views),
               "waited for: rank 0 (in 'max on all ranks'), rank 4 (in 'sum on data × rows'); ");
}

static void test_table_names_those_who_are_silent(void **state)
{
    (void)state;
    strata__view views[RANKS];
    set_views(views);
    set_view(&views[0], 0, "data", ""); /* a weaker reason */
    views[1].silent = views[2].silent = views[3].silent = views[4].silent = views[5].silent = true;
    views[1].record.state = 'T';
    views[2].record.state = 'Z';
    views[3].near = false;
    views[4].record.heartbeat = 0;
    assert_has(
        table_of(views),
        "waited for: rank 1 (stopped by a signal), rank 2 (dead), rank 3 (last heard 2 s ago), "
        "rank 4 (never heard), rank 5 (silent for 2 s)\n");
}

static void test_table_without_anybody_to_name(void **state)
{
    (void)state;
    strata__view views[RANKS];
    set_views(views);
    assert_has(table_of(views), "\n  0-5 ");
    assert_has(table_of(views), "all ranks are in the same collective");
    for (int r = 0; r < RANKS; r++)
        set_view(&views[r], r, "forward", "");
    assert_has(table_of(views), "no rank waits for another");
}

static void test_table_stays_within_its_page(void **state)
{
    (void)state;
    strata__view views[RANKS];
    set_views(views);
    for (int r = 0; r < RANKS; r += 2)
        set_view(&views[r], r, "a phase of 15 b", "a collective of more than thirty bytes!");
    char text[512];
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, 'x', sizeof text);
        size_t length = strata__watchdog_table(views, RANKS, 62000, 42000, text, size);
        assert_true(length < size && text[length] == '\0' && text[size] == 'x');
    }
}

/* --- the whole --- */

static void check_start(strata_context *ctx, const variant *variant)
{
    (void)variant;
    strata__watchdog_start(ctx, 3600);
    assert_all_ok(ctx);
    assert_all((ctx->watchdog != NULL) == strata__mpi_allows_threads());
    strata__watchdog_stop(ctx);
    assert_all(ctx->watchdog == NULL);
    strata__watchdog_start(ctx, 0);
    assert_all(ctx->watchdog == NULL);
}

static void test_watchdog_starts_and_stops(void **state)
{
    (void)state;
    for_each_mesh(check_start);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_board_shows_the_ranks_of_a_node),
        cmocka_unit_test(test_peers_are_sorted_by_island),
        cmocka_unit_test(test_mail_reaches_every_island),
        cmocka_unit_test(test_mail_from_strangers_is_not_read),
        cmocka_unit_test(test_table_names_those_who_are_outside),
        cmocka_unit_test(test_table_names_those_who_are_elsewhere),
        cmocka_unit_test(test_table_names_those_who_are_silent),
        cmocka_unit_test(test_table_without_anybody_to_name),
        cmocka_unit_test(test_table_stays_within_its_page),
        cmocka_unit_test(test_watchdog_starts_and_stops),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
