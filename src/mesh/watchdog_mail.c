/* How boards get from node to node: small UDP packets between watchdogs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/watchdog_mail.h"

#include <ctype.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Taken in at a time. */
enum { MOST_PACKETS = 4096 };

static size_t packet_bytes(int count)
{
    return offsetof(strata__packet, records) + (size_t)count * sizeof(strata__record);
}

/* --- addresses --- */

static void add_address(strata__endpoint *own, const struct ifaddrs *found)
{
    struct sockaddr_in address, mask;
    memcpy(&address, found->ifa_addr, sizeof address);
    memcpy(&mask, found->ifa_netmask, sizeof mask);
    own->addresses[own->count] = address.sin_addr.s_addr;
    own->masks[own->count++] = mask.sin_addr.s_addr;
}

/* Interfaces that are up and lead out of the machine. */
static void find_addresses(strata__endpoint *own)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0)
        return;
    for (const struct ifaddrs *at = list; at && own->count < STRATA__MOST_ADDRESSES;
         at = at->ifa_next) {
        if (at->ifa_addr && at->ifa_netmask && at->ifa_addr->sa_family == AF_INET &&
            (at->ifa_flags & IFF_UP) && !(at->ifa_flags & IFF_LOOPBACK))
            add_address(own, at);
    }
    freeifaddrs(list);
}

int strata__mail_open(strata__endpoint *own)
{
    *own = (strata__endpoint){0};
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return -1;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof name;
    if (bind(made, (struct sockaddr *)&name, sizeof name) != 0 ||
        getsockname(made, (struct sockaddr *)&name, &length) != 0) {
        close(made);
        return -1;
    }
    own->port = name.sin_port;
    find_addresses(own);
    return made;
}

static bool has_address(const strata__endpoint *endpoint, uint32_t address)
{
    for (int i = 0; i < endpoint->count; i++) {
        if (endpoint->addresses[i] == address)
            return true;
    }
    return false;
}

/* Islands of one machine: all their addresses are the same. */
static bool is_same_machine(const strata__endpoint *a, const strata__endpoint *b)
{
    return a->count == b->count &&
           memcmp(a->addresses, b->addresses, (size_t)a->count * sizeof *a->addresses) == 0;
}

static bool reaches(const strata__endpoint *own, uint32_t address)
{
    for (int i = 0; i < own->count; i++) {
        if (((own->addresses[i] ^ address) & own->masks[i]) == 0)
            return true;
    }
    return false;
}

/*
 * An address of the peer in a network that both are in, else its first. What this machine has too,
 * as bridges of containers, does not lead to the peer.
 */
static uint32_t address_of(const strata__endpoint *own, const strata__endpoint *peer)
{
    if (is_same_machine(own, peer))
        return htonl(INADDR_LOOPBACK);
    uint32_t address = 0;
    for (int i = peer->count - 1; i >= 0; i--) {
        uint32_t other = peer->addresses[i];
        if (!has_address(own, other) && (reaches(own, other) || !reaches(own, address)))
            address = other;
    }
    return address;
}

/* --- sending --- */

static void send_to(int socket, const strata__peers *peers, int rank, const strata__packet *mail)
{
    const strata__endpoint *own = &peers->all[peers->rank].endpoint;
    const strata__endpoint *peer = &peers->all[rank].endpoint;
    struct sockaddr_in target = {
        .sin_family = AF_INET, .sin_port = peer->port, .sin_addr.s_addr = address_of(own, peer)};
    if (peer->port && target.sin_addr.s_addr)
        sendto(socket, mail, packet_bytes(mail->count), 0, (struct sockaddr *)&target,
               sizeof target);
}

static void send_to_islands(int socket, const strata__peers *peers, const strata__packet *mail,
                            uint64_t tick)
{
    int others = peers->islands - 1;
    int sends = others < STRATA__MAIL_PER_TICK ? others : STRATA__MAIL_PER_TICK;
    for (int i = 0; i < sends; i++) {
        uint64_t turn = tick * (uint64_t)sends + (uint64_t)i;
        int island = (int)((uint64_t)peers->own + 1 + turn % (uint64_t)others) % peers->islands;
        int first = peers->starts[island], members = peers->starts[island + 1] - first;
        uint64_t round = turn / (uint64_t)others;
        send_to(socket, peers, peers->members[first + (int)(round % (uint64_t)members)], mail);
    }
}

void strata__mail_send(int socket, const strata__peers *peers, const strata__board *board,
                       uint64_t tick)
{
    strata__packet mail = {.key = {peers->key[0], peers->key[1]}, .sender = peers->rank};
    for (int i = peers->starts[peers->own]; i < peers->starts[peers->own + 1]; i++) {
        if (strata__board_load(board, peers->members[i], &mail.records[mail.count]))
            mail.count++;
        bool last = i + 1 == peers->starts[peers->own + 1];
        if (mail.count == STRATA__PACKET_RECORDS || (last && mail.count > 0)) {
            send_to_islands(socket, peers, &mail, tick);
            mail.count = 0;
        }
    }
}

/* --- receiving --- */

static bool is_genuine(const strata__peers *peers, const strata__packet *mail, size_t bytes,
                       uint32_t address)
{
    if (bytes < packet_bytes(1) || mail->key[0] != peers->key[0] || mail->key[1] != peers->key[1] ||
        mail->count < 1 || mail->count > STRATA__PACKET_RECORDS ||
        bytes != packet_bytes(mail->count) || mail->sender < 0 || mail->sender >= peers->ranks ||
        strata__is_near(peers, mail->sender))
        return false;
    const strata__endpoint *own = &peers->all[peers->rank].endpoint;
    const strata__endpoint *sender = &peers->all[mail->sender].endpoint;
    return has_address(sender, address) ||
           (is_same_machine(own, sender) && address == htonl(INADDR_LOOPBACK));
}

static void clean(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c))
            *c = '?';
    }
}

static void accept_record(const strata__peers *peers, strata__board *board, int sender,
                          strata__record *record)
{
    strata__record known;
    if (record->rank < 0 || record->rank >= peers->ranks ||
        peers->all[record->rank].island != peers->all[sender].island)
        return;
    clean(record->phase, sizeof record->phase);
    clean(record->layer, sizeof record->layer);
    clean(record->collective, sizeof record->collective);
    if (!strata__board_load(board, record->rank, &known) || known.heartbeat < record->heartbeat ||
        (known.heartbeat == record->heartbeat && known.state != record->state))
        strata__board_store(board, record);
}

void strata__mail_receive(int socket, const strata__peers *peers, strata__board *board)
{
    for (int i = 0; i < MOST_PACKETS; i++) {
        strata__packet mail;
        struct sockaddr_in from = {0};
        socklen_t length = sizeof from;
        ssize_t bytes =
            recvfrom(socket, &mail, sizeof mail, MSG_TRUNC, (struct sockaddr *)&from, &length);
        if (bytes < 0)
            return;
        if (!is_genuine(peers, &mail, (size_t)bytes, from.sin_addr.s_addr))
            continue;
        for (int r = 0; r < mail.count; r++)
            accept_record(peers, board, mail.sender, &mail.records[r]);
    }
}
