/* Checked mode: signatures of collectives, compared before they begin. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/checked.h"

#include <string.h>
#include <time.h>

#include <strata/context.h>

#include "base/memory.h"
#include "base/text.h"
#include "mesh/groups.h"

enum { ERROR_LENGTH = 159 };

/* A signature on its way. All bytes are set, so that equal ones compare equal. */
typedef struct record {
    struct {
        uint64_t number; /* of the collective in its group */
        uint64_t digest;
        strata_shape shape;
        int32_t axis, dtype;
        char operation[48], variable[128], layer[48];
    } call;
    char phase[24], error[ERROR_LENGTH + 1]; /* for the reader */
} record;

struct strata__checked {
    MPI_Comm comm;
    double seconds;                /* to wait for a member */
    uint64_t called[STRATA__AXES]; /* collectives so far */
    record now;                    /* what this rank calls */
    int *ranks;                   /* [mesh size] of the members of the group at work, in the mesh */
    int *done;                    /* [2 · mesh size] scratch */
    MPI_Request *requests;        /* [2 · mesh size] */
    record *records;              /* [mesh size], by member */
    bool *came, *answered, *said; /* [mesh size], by member */
};

/* --- waiting --- */

/* Most seconds until a rank that waits answers. */
enum { PATIENCE = 1 };

/* Who wonders about this rank is told what it calls. */
static void answer(const struct strata__checked *checked)
{
    int asked;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, STRATA__TAG_QUESTION, checked->comm, &asked, &status);
    if (!asked)
        return;
    MPI_Recv(NULL, 0, MPI_BYTE, status.MPI_SOURCE, STRATA__TAG_QUESTION, checked->comm,
             MPI_STATUS_IGNORE);
    MPI_Send(&checked->now, sizeof checked->now, MPI_BYTE, status.MPI_SOURCE, STRATA__TAG_ANSWER,
             checked->comm);
}

/* Those of the requests that come to an end in time become MPI_REQUEST_NULL; true: all. */
static bool wait_for(struct strata__checked *checked, int count, MPI_Request *requests,
                     double seconds)
{
    const struct timespec pause = {.tv_nsec = 20000};
    double deadline = MPI_Wtime() + seconds;
    for (int turns = 0;; turns++) {
        int done;
        MPI_Testsome(count, requests, &done, checked->done, MPI_STATUSES_IGNORE);
        if (done == MPI_UNDEFINED)
            return true;
        if (done > 0)
            continue;
        answer(checked);
        if (MPI_Wtime() > deadline)
            return false;
        if (turns > 100)
            nanosleep(&pause, NULL);
    }
}

/* --- the report --- */

static void describe(strata__text *text, const record *r)
{
    strata__text_puts(text, r->call.operation);
    if (r->call.variable[0])
        strata__text_format(text, " of '%s'", r->call.variable);
    strata__text_puts(text, " (");
    for (int i = 0; i < r->call.shape.rank; i++)
        strata__text_format(text, i ? ", %lld" : "%lld", (long long)r->call.shape.dims[i]);
    strata__text_format(text, ") %s", strata_dtype_name((strata_dtype)r->call.dtype));
    if (r->call.digest)
        strata__text_format(text, ", values %016llx", (unsigned long long)r->call.digest);
    if (r->call.layer[0])
        strata__text_format(text, ", layer '%s'", r->call.layer);
    if (r->phase[0])
        strata__text_format(text, ", %s", r->phase);
    if (r->error[0])
        strata__text_format(text, ", after the error \"%s\"", r->error);
}

/* Members that call what `member` calls, and have come, or not come, as it has. */
static bool alike(const struct strata__checked *checked, int member, int other)
{
    const record *records = checked->records;
    if (checked->came[member] != checked->came[other] ||
        checked->answered[member] != checked->answered[other])
        return false;
    return !checked->answered[member] ||
           (memcmp(&records[member].call, &records[other].call, sizeof records->call) == 0 &&
            memcmp(records[member].error, records[other].error, sizeof records->error) == 0);
}

/* One class of members: "ranks 0, 2: sum …". */
static void report_class(struct strata__checked *checked, strata__text *text, int first, int size)
{
    int count = 0;
    for (int member = first; member < size; member++) {
        if (alike(checked, first, member)) {
            checked->said[member] = true;
            checked->done[count++] = checked->ranks[member];
        }
    }
    strata__text_puts(text, count == 1 ? "; rank " : "; ranks ");
    strata__text_numbers(text, count, checked->done);
    if (!checked->came[first])
        strata__text_format(text, " did not come in %g s", checked->seconds);
    if (checked->answered[first]) {
        strata__text_puts(text, checked->came[first] ? ": " : ", but to: ");
        describe(text, &checked->records[first]);
    } else {
        strata__text_puts(text, " and did not answer");
    }
}

/* Members are known by what they sent, or answered. */
__attribute__((noreturn)) static void report(strata_context *ctx, int size)
{
    struct strata__checked *checked = ctx->mesh->checked;
    strata__text text = {.ctx = ctx};
    bool late = false;
    memset(checked->said, 0, (size_t)size * sizeof *checked->said);
    for (int member = 0; member < size; member++)
        late |= !checked->came[member];
    strata__text_format(&text, "collective %llu does not begin: the ranks of the group %s",
                        (unsigned long long)checked->now.call.number,
                        late ? "do not all come" : "do not call the same");
    for (int member = 0; member < size; member++) {
        if (!checked->said[member])
            report_class(checked, &text, member, size);
    }
    char *message = strata__text_take(&text);
    strata_error_clear(ctx);
    strata__fail(ctx, STRATA_DIVERGED, "%s", message ? message : "collectives do not match");
    strata__abort(ctx, "checking collectives");
}

/* What the members that have not come call instead. */
static void ask(struct strata__checked *checked, int size)
{
    int count = 0;
    for (int member = 0; member < size; member++) {
        if (checked->came[member])
            continue;
        MPI_Isend(NULL, 0, MPI_BYTE, checked->ranks[member], STRATA__TAG_QUESTION, checked->comm,
                  &checked->requests[size + count]);
        MPI_Irecv(&checked->records[member], sizeof(record), MPI_BYTE, checked->ranks[member],
                  STRATA__TAG_ANSWER, checked->comm, &checked->requests[count]);
        count++;
    }
    wait_for(checked, count, checked->requests, PATIENCE);
    for (int member = 0, i = 0; member < size; member++)
        checked->answered[member] =
            checked->came[member] || checked->requests[i++] == MPI_REQUEST_NULL;
}

/* --- a collective --- */

/* The end of a text that is too long says more than its beginning. */
static void keep_end(char *to, size_t size, const char *from)
{
    size_t length = from ? strlen(from) : 0, skipped = length < size ? 0 : length - size + 1;
    if (length > 0)
        memcpy(to, from + skipped, length - skipped);
}

static void sign(strata_context *ctx, strata__axis axis, const strata__signature *signature)
{
    struct strata__checked *checked = ctx->mesh->checked;
    record *now = &checked->now;
    memset(now, 0, sizeof *now);
    now->call.number = ++checked->called[axis];
    now->call.digest = signature->digest;
    now->call.axis = (int32_t)axis;
    now->call.dtype = (int32_t)signature->dtype;
    now->call.shape.rank = signature->shape.rank;
    for (int i = 0; i < signature->shape.rank; i++)
        now->call.shape.dims[i] = signature->shape.dims[i];
    keep_end(now->call.operation, sizeof now->call.operation, signature->operation);
    keep_end(now->call.variable, sizeof now->call.variable, signature->variable);
    keep_end(now->call.layer, sizeof now->call.layer,
             strata__doing_now(&ctx->activity, STRATA__LAYER));
    keep_end(now->phase, sizeof now->phase, strata__doing_now(&ctx->activity, STRATA__PHASE));
    if (ctx->status != STRATA_OK)
        snprintf(now->error, sizeof now->error, "%.*s", ERROR_LENGTH, ctx->message);
    else if (ctx->deferred_status != STRATA_OK)
        snprintf(now->error, sizeof now->error, "%.*s", ERROR_LENGTH, ctx->deferred_message);
}

/* Mesh ranks of the members. */
static void find_members(const strata__mesh *mesh, const strata__group *group)
{
    MPI_Group own, all;
    struct strata__checked *checked = mesh->checked;
    for (int member = 0; member < group->size; member++)
        checked->done[member] = member;
    MPI_Comm_group(group->comm, &own);
    MPI_Comm_group(mesh->comm, &all);
    MPI_Group_translate_ranks(own, group->size, checked->done, all, checked->ranks);
    MPI_Group_free(&all);
    MPI_Group_free(&own);
}

/* The first member: all signatures are there and equal, or the job ends. */
static void collect(strata_context *ctx, strata__axis axis, int size)
{
    struct strata__checked *checked = ctx->mesh->checked;
    record *records = checked->records;
    records[0] = checked->now;
    checked->came[0] = checked->answered[0] = true;
    for (int member = 1; member < size; member++)
        MPI_Irecv(&records[member], sizeof(record), MPI_BYTE, checked->ranks[member],
                  STRATA__TAG_SIGNATURE + (int)axis, checked->comm, &checked->requests[member]);
    bool all = wait_for(checked, size - 1, checked->requests + 1, checked->seconds), equal = true;
    for (int member = 1; member < size; member++) {
        checked->came[member] = checked->answered[member] =
            checked->requests[member] == MPI_REQUEST_NULL;
        equal = equal && (!checked->came[member] || memcmp(&records[member].call, &records[0].call,
                                                           sizeof records->call) == 0);
    }
    if (all && equal)
        return;
    for (int member = 1; member < size; member++) {
        if (!checked->came[member])
            MPI_Cancel(&checked->requests[member]);
    }
    ask(checked, size);
    report(ctx, size);
}

static void lead(strata_context *ctx, strata__axis axis, int size)
{
    struct strata__checked *checked = ctx->mesh->checked;
    collect(ctx, axis, size);
    for (int member = 1; member < size; member++)
        MPI_Isend(NULL, 0, MPI_BYTE, checked->ranks[member], STRATA__TAG_WORD + (int)axis,
                  checked->comm, &checked->requests[member]);
    MPI_Waitall(size - 1, checked->requests + 1, MPI_STATUSES_IGNORE);
}

/* The first member does not give the word: whether it is this one that ends the job, being the
 * first that is here. */
static bool ends(struct strata__checked *checked, int own, int size)
{
    const record *records = checked->records;
    for (int member = 0; member < size; member++)
        checked->came[member] = member == own;
    checked->records[own] = checked->now;
    ask(checked, size);
    for (int member = 0; member < size; member++)
        checked->came[member] =
            checked->answered[member] &&
            memcmp(&records[member].call, &checked->now.call, sizeof records->call) == 0;
    return !memchr(checked->came, true, (size_t)own);
}

static void follow(strata_context *ctx, strata__axis axis, int own, int size)
{
    struct strata__checked *checked = ctx->mesh->checked;
    MPI_Request requests[2];
    MPI_Irecv(NULL, 0, MPI_BYTE, checked->ranks[0], STRATA__TAG_WORD + (int)axis, checked->comm,
              &requests[0]);
    MPI_Isend(&checked->now, sizeof checked->now, MPI_BYTE, checked->ranks[0],
              STRATA__TAG_SIGNATURE + (int)axis, checked->comm, &requests[1]);
    while (!wait_for(checked, 2, requests, checked->seconds)) {
        if (ends(checked, own, size))
            report(ctx, size);
    }
}

/* The first axis with the same members: they may call it by either name. */
static strata__axis first_axis(const strata__mesh *mesh, strata__axis axis)
{
    strata__axis first = 0;
    while (mesh->groups[first].comm != mesh->groups[axis].comm)
        first++;
    return first;
}

void strata__checked_compare(strata_context *ctx, strata__axis axis,
                             const strata__signature *signature)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    if (group->size == 1)
        return;
    const char *outer = strata__begin(&ctx->activity, STRATA__COLLECTIVE, signature->operation);
    axis = first_axis(ctx->mesh, axis);
    sign(ctx, axis, signature);
    find_members(ctx->mesh, group);
    if (group->rank == 0)
        lead(ctx, axis, group->size);
    else
        follow(ctx, axis, group->rank, group->size);
    strata__end(&ctx->activity, STRATA__COLLECTIVE, outer);
}

/* --- beginning and end --- */

static void release(strata_context *ctx, struct strata__checked *checked)
{
    strata__free(ctx, checked->ranks);
    strata__free(ctx, checked->done);
    strata__free(ctx, checked->requests);
    strata__free(ctx, checked->records);
    strata__free(ctx, checked->came);
    strata__free(ctx, checked);
}

static struct strata__checked *allocate(strata_context *ctx, int seconds)
{
    size_t size = (size_t)ctx->mesh->size;
    struct strata__checked *checked = strata__calloc(ctx, 1, sizeof *checked);
    if (!checked)
        return NULL;
    checked->seconds = seconds;
    checked->ranks = strata__calloc(ctx, size, sizeof *checked->ranks);
    checked->done = strata__calloc(ctx, 2 * size, sizeof *checked->done);
    checked->requests = strata__calloc(ctx, 2 * size, sizeof(MPI_Request));
    checked->records = strata__calloc(ctx, size, sizeof *checked->records);
    checked->came = strata__calloc(ctx, 3 * size, sizeof *checked->came);
    checked->answered = checked->came + size;
    checked->said = checked->answered + size;
    return checked;
}

strata_status strata__checked_new(strata_context *ctx, int seconds)
{
    struct strata__checked *checked = allocate(ctx, seconds);
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK) {
        if (checked)
            release(ctx, checked);
        return status;
    }
    MPI_Comm_dup(ctx->mesh->comm, &checked->comm);
    strata__communicator_adopt(checked->comm, "strata checks");
    ctx->mesh->checked = checked;
    return STRATA_OK;
}

void strata__checked_free(strata_context *ctx)
{
    struct strata__checked *checked = ctx->mesh->checked;
    if (!checked)
        return;
    ctx->mesh->checked = NULL;
    MPI_Comm_free(&checked->comm);
    release(ctx, checked);
}
