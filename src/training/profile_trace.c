/* The profile as a trace of all ranks, in the format of Chrome's traces: Perfetto opens it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "mesh/collect.h"
#include "training/profile_parts.h"

static const char *const kinds[STRATA__DOINGS] = {
    [STRATA__PHASE] = "phase", [STRATA__LAYER] = "layer", [STRATA__COLLECTIVE] = "collective"};

/* --- a rank's events --- */

/* Any bytes as a JSON string. */
static void add_string(strata__text *text, const char *bytes)
{
    json_t *json = json_string(bytes);
    if (!json)
        json = json_string_nocheck("?");
    char *string = strata__json_dump(text->ctx, json, 0);
    strata__text_puts(text, string ? string : "\"?\"");
    strata__free(text->ctx, string);
    json_decref(json);
}

/* Microseconds since rank 0 began. */
static void add_span(const strata__profile *p, const strata__span *span, double origin,
                     strata__text *text)
{
    double begin = strata__profile_time(p, span->begin) - origin;
    strata__text_puts(text, ",\n{\"name\": ");
    add_string(text, span->name);
    strata__text_format(text,
                        ", \"cat\": \"%s\", \"ph\": \"X\", \"pid\": %d, \"tid\": 0, \"ts\": %.3f, "
                        "\"dur\": %.3f, \"args\": {\"step\": %u}}",
                        kinds[span->kind], p->ctx->mesh->rank, 1e6 * begin, 1e6 * span->length,
                        (unsigned)span->step);
}

/* The process's name, then the spans that are left, in the order in which they ended. */
static char *events_of(const strata__profile *p, double origin)
{
    strata__text text = {.ctx = p->ctx};
    int rank = p->ctx->mesh->rank;
    int64_t first = p->span_count > STRATA__SPANS ? p->span_count - STRATA__SPANS : 0;
    strata__text_format(&text,
                        "%s\n{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": %d, \"args\": "
                        "{\"name\": \"rank %d\"}}",
                        rank > 0 ? "," : "", rank, rank);
    for (int64_t i = first; i < p->span_count; i++)
        add_span(p, &p->spans[i % STRATA__SPANS], origin, &text);
    return strata__text_take(&text);
}

/* --- the file --- */

static void write_block(void *user, int rank, const void *block, int64_t bytes)
{
    (void)rank;
    if (bytes > 0)
        fwrite(block, 1, (size_t)bytes, user);
}

static void write_head(const strata__profile *p, int64_t dropped)
{
    const strata__mesh *mesh = p->ctx->mesh;
    strata__text text = {.ctx = p->ctx};
    strata__text_puts(&text, "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"model\": ");
    add_string(&text, p->model);
    strata__text_format(
        &text,
        ", \"mesh\": \"data=%d,rows=%d,cols=%d\", \"note\": \"the last %d spans of a "
        "rank at most; %lld earlier ones were dropped\"},\n\"traceEvents\": [",
        mesh->data, mesh->rows, mesh->cols, STRATA__SPANS, (long long)dropped);
    char *head = strata__text_take(&text);
    fputs(head ? head : "{\"traceEvents\": [", p->file);
    strata__free(p->ctx, head);
}

static void close_file(strata__profile *p)
{
    fputs("\n]}\n", p->file);
    bool failed = ferror(p->file) != 0;
    failed |= fclose(p->file) != 0;
    p->file = NULL;
    if (failed)
        strata__warn(p->ctx, "profile '%s' could not be written: %s", p->ctx->profile_file,
                     strerror(errno));
}

void strata__profile_trace(strata__profile *p)
{
    strata_context *ctx = p->ctx;
    int64_t dropped = p->span_count > STRATA__SPANS ? p->span_count - STRATA__SPANS : 0;
    double origin = p->begun;
    strata__broadcast(ctx, STRATA__WORLD, 0, &origin, sizeof origin);
    strata__sum(ctx, STRATA__WORLD, &dropped, 1, STRATA_INT64);
    char *events = events_of(p, origin);
    if (p->file)
        write_head(p, dropped);
    strata__collect(ctx, events, events ? (int64_t)strlen(events) : 0, write_block, p->file);
    strata__free(ctx, events);
    if (p->file)
        close_file(p);
}
