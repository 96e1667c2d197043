/* The profile as tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/table.h"
#include "training/profile_parts.h"

enum { MOST_LATE = 4 };

static const char *const phase_names[STRATA__PROFILED] = {
    [STRATA__IN_DATA] = "data",
    [STRATA__IN_FORWARD] = "forward",
    [STRATA__IN_BACKWARD] = "backward",
    [STRATA__IN_UPDATE] = "update",
    [STRATA__IN_VALIDATION] = "validation",
    [STRATA__IN_CHECKPOINT] = "checkpoint",
    [STRATA__BETWEEN] = "between",
};

/* Seconds of all ranks in all steps → milliseconds of a rank in a step. */
typedef struct scale {
    double steps, factor;
} scale;

static scale scale_of(const strata__profile *p)
{
    uint64_t steps = p->ctx->step - p->first_step;
    double divisor = steps > 0 ? (double)steps : 1;
    return (scale){.steps = divisor, .factor = 1e3 / divisor / p->ctx->mesh->size};
}

static void add_time(strata__table *table, double milliseconds)
{
    if (milliseconds < 0.0005)
        strata__table_cell(table, "-");
    else
        strata__table_cell(table, "%.3f", milliseconds);
}

/* --- layers and phases --- */

/* Phases in which there was something to do. */
typedef struct columns {
    int count;
    strata__profiled phases[STRATA__PROFILED];
    char sides[STRATA__PROFILED + 8];
} columns;

static columns columns_of(const strata__profile *p)
{
    columns c = {.sides = "ll"};
    char *side = c.sides + 2;
    for (strata__profiled phase = 0; phase < STRATA__PROFILED; phase++) {
        double seconds = 0;
        for (int i = 0; i <= p->owners.layer_count; i++)
            seconds += p->seconds[i][phase];
        if (seconds > 0) {
            c.phases[c.count++] = phase;
            *side++ = 'r';
        }
    }
    side[0] = side[1] = 'r';
    return c;
}

static void add_row(strata__table *table, const columns *c, const scale *s, const char *name,
                    const char *class, const double *seconds, const double *exchange)
{
    double all = 0, exchanged = 0;
    strata__table_cell(table, "%s", name);
    strata__table_cell(table, "%s", class);
    for (int i = 0; i < c->count; i++) {
        add_time(table, seconds[c->phases[i]] * s->factor);
        all += seconds[c->phases[i]];
        exchanged += exchange[c->phases[i]];
    }
    add_time(table, all * s->factor);
    add_time(table, exchanged * s->factor);
}

static void add_heading(strata__table *table, const columns *c)
{
    strata__table_cell(table, "layer");
    strata__table_cell(table, "class");
    for (int i = 0; i < c->count; i++)
        strata__table_cell(table, "%s", phase_names[c->phases[i]]);
    strata__table_cell(table, "all");
    strata__table_cell(table, "exchange");
    strata__table_rule(table);
}

static void print_layers(const strata__profile *p, const scale *s, FILE *stream)
{
    columns c = columns_of(p);
    strata__table table = {.columns = c.sides, .text.ctx = p->ctx};
    int rows = p->owners.layer_count + 1;
    double seconds[STRATA__PROFILED] = {0}, exchange[STRATA__PROFILED] = {0};
    add_heading(&table, &c);
    for (int i = 0; i < rows; i++) {
        const strata_layer *layer = i + 1 < rows ? p->owners.layers[i] : NULL;
        add_row(&table, &c, s, layer ? layer->name : "(no layer)", layer ? layer->class->name : "",
                p->seconds[i], p->exchange[i]);
        for (int phase = 0; phase < STRATA__PROFILED; phase++) {
            seconds[phase] += p->seconds[i][phase];
            exchange[phase] += p->exchange[i][phase];
        }
    }
    strata__table_rule(&table);
    add_row(&table, &c, s, "all", "", seconds, exchange);
    strata__table_print(&table, stream);
}

/* --- collectives --- */

static void add_collective(strata__table *table, const strata__profile *p, const scale *s,
                           const char *name, const strata__waits *w)
{
    strata__table_cell(table, "%s", name);
    strata__table_cell(table, "%.1f", w->count / s->steps / p->ctx->mesh->size);
    add_time(table, w->seconds * s->factor);
    add_time(table, w->waited * s->factor);
    if (w->waited > 0)
        strata__table_cell(table, "rank %d: %.0f %%", w->latest, 100 * w->caused / w->waited);
    else
        strata__table_cell(table, "-");
}

static void print_collectives(const strata__profile *p, const scale *s,
                              strata__waits waits[STRATA__COLLECTIVES][STRATA__AXES], FILE *stream)
{
    strata__table table = {.columns = "lrrrl", .text.ctx = p->ctx};
    static const char *const heading[] = {"collective", "a step", "time", "waited", "most for"};
    for (int i = 0; i < 5; i++)
        strata__table_cell(&table, "%s", heading[i]);
    strata__table_rule(&table);
    for (strata__collective what = 0; what < STRATA__COLLECTIVES; what++) {
        for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
            if (waits[what][axis].count > 0)
                add_collective(&table, p, s, strata__collective_name(what, axis),
                               &waits[what][axis]);
        }
    }
    fputc('\n', stream);
    strata__table_print(&table, stream);
}

/* --- who was late --- */

/* The rank with the largest number that is left, or −1; its number is taken away. */
static int take_largest(double *numbers, int count, double *number)
{
    int largest = -1;
    *number = 0;
    for (int i = 0; i < count; i++) {
        if (numbers[i] > *number) {
            largest = i;
            *number = numbers[i];
        }
    }
    if (largest >= 0)
        numbers[largest] = 0;
    return largest;
}

static void print_late(const strata__profile *p, const scale *s, double *caused, FILE *stream)
{
    double all = 0, seconds;
    for (int rank = 0; rank < p->ctx->mesh->size; rank++)
        all += caused[rank];
    if (all <= 0)
        return;
    fprintf(stream, "\nWaiting for those who came last took %.3f ms a step:", all * s->factor);
    for (int i = 0; i < MOST_LATE; i++) {
        int rank = take_largest(caused, p->ctx->mesh->size, &seconds);
        if (rank >= 0)
            fprintf(stream, "%s rank %d %.0f %%", i ? "," : "", rank, 100 * seconds / all);
    }
    fputs(".\n", stream);
}

static void print(const strata__profile *p, strata__waits waits[STRATA__COLLECTIVES][STRATA__AXES],
                  double *caused, FILE *stream)
{
    const strata__mesh *mesh = p->ctx->mesh;
    scale s = scale_of(p);
    fprintf(stream,
            "Profile of \"%s\" on data=%d,rows=%d,cols=%d: %.0f steps in %.2f s; milliseconds of a "
            "step, mean of the ranks\n",
            p->model, mesh->data, mesh->rows, mesh->cols, s.steps, p->ended - p->begun);
    print_layers(p, &s, stream);
    if (mesh->size > 1) {
        print_collectives(p, &s, waits, stream);
        print_late(p, &s, caused, stream);
    }
    fflush(stream);
}

void strata__profile_show(strata__profile *p)
{
    strata_context *ctx = p->ctx;
    strata__waits waits[STRATA__COLLECTIVES][STRATA__AXES];
    int64_t numbers = (int64_t)(p->owners.layer_count + 1) * STRATA__PROFILED;
    double *caused = strata__scratch(ctx, ctx->mesh->size, sizeof *caused);
    strata__profile_waits(p, waits, caused);
    strata__sum(ctx, STRATA__WORLD, p->seconds, numbers, STRATA_FLOAT64);
    strata__sum(ctx, STRATA__WORLD, p->exchange, numbers, STRATA_FLOAT64);
    if (ctx->mesh->rank == 0)
        print(p, waits, caused, stdout);
    strata__free(ctx, caused);
}
