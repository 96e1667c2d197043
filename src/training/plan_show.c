/* The plan as a table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/table.h"
#include "training/plan.h"

/* Numbers of a row: what is exchanged on each axis, then memory. */
enum { WEIGHTS = STRATA__AXES, GRADIENTS, SLOTS, ACTIVATIONS, NUMBERS };

/* "data × rows" where there are both */
enum { CELL = 256 };

/* --- how things lie --- */

static void cut_text(char *text, size_t size, int64_t whole, int parts)
{
    if (parts > 1)
        snprintf(text, size, "%lld/%d", (long long)whole, parts);
    else
        snprintf(text, size, "%lld", (long long)whole);
}

/* "784/2 × 512/4": rows and columns of the matrix, and into how many pieces they are cut. */
static void weight_text(const strata_variable *variable, char text[CELL])
{
    const strata__mesh *mesh = variable->ctx->mesh;
    int64_t first[2], count[2], global[2];
    char rows[32], columns[32];
    strata__variable_block(variable, first, count, global);
    cut_text(rows, sizeof rows, global[0], variable->placement == STRATA__MATRIX ? mesh->rows : 1);
    cut_text(columns, sizeof columns, global[1],
             variable->placement == STRATA__WHOLE ? 1 : mesh->cols);
    if (global[0] == 1)
        snprintf(text, CELL, "%s", columns);
    else
        snprintf(text, CELL, "%s × %s", rows, columns);
}

/* The largest weight of the layer stands for all. */
static void weights_text(strata_context *ctx, strata_layer *layer, char text[CELL])
{
    int count = strata_layer_weights(layer, NULL, 0);
    strata_variable **weights = strata__alloc(ctx, (size_t)count * sizeof *weights);
    const strata_variable *largest = NULL;
    int64_t most = -1;
    for (int i = 0; weights && i < strata_layer_weights(layer, weights, count); i++) {
        int64_t size = strata__product(&weights[i]->shape, 0, weights[i]->shape.rank);
        if (size > most)
            largest = weights[i];
        most = size > most ? size : most;
    }
    snprintf(text, CELL, "-");
    if (largest)
        weight_text(largest, text);
    strata__free(ctx, weights);
}

/* "(128/2, 512/4)" */
static void output_text(const strata__plan *plan, const strata__plan_row *row, char text[CELL])
{
    const strata__mesh *mesh = plan->ctx->mesh;
    size_t length = (size_t)snprintf(text, CELL, row->recorded ? "(" : "-");
    for (int i = 0; row->recorded && i < row->output.rank && length < CELL; i++) {
        bool last = i + 1 == row->output.rank;
        int parts = i == 0 && row->layout.batch ? mesh->groups[STRATA__BATCH].size
                    : last && row->layout.split ? mesh->cols
                                                : 1;
        char size[32];
        cut_text(size, sizeof size, row->output.dims[i], parts);
        length += (size_t)snprintf(text + length, CELL - length, "%s%s", size, last ? ")" : ", ");
    }
}

static const char *engine_of(const strata__plan_row *row)
{
    if (row->products[STRATA__MATMUL_PBLAS])
        return "pblas";
    if (row->products[STRATA__MATMUL_SUMMA])
        return "summa";
    return row->weights > 0 ? "local" : "-";
}

/* "summa", "summa, gathers keys" */
static void engine_text(const strata__plan_row *row, char text[CELL])
{
    const char *gathers = row->attentions[STRATA__GATHERS_ALL]    ? ", gathers heads"
                          : row->attentions[STRATA__GATHERS_KEYS] ? ", gathers keys"
                                                                  : "";
    snprintf(text, CELL, "%s%s", engine_of(row), gathers);
}

/* --- numbers --- */

static void numbers_of(const strata__plan_row *row, int64_t numbers[NUMBERS])
{
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++)
        numbers[axis] += row->traffic[axis].sent + row->traffic[axis].read;
    numbers[WEIGHTS] += row->weights;
    numbers[GRADIENTS] += row->gradients;
    numbers[SLOTS] += row->slots;
    numbers[ACTIVATIONS] += row->activations;
}

/* Of each row, then their sums, then the peak: (row_count + 2) × NUMBERS, of the rank that has
 * most. Collective on the mesh. */
static int64_t *most_numbers(const strata__plan *plan)
{
    size_t rows = (size_t)plan->row_count + 2;
    int64_t(*numbers)[NUMBERS] = strata__calloc(plan->ctx, rows, sizeof *numbers);
    if (strata__agree(plan->ctx) != STRATA_OK) {
        strata__free(plan->ctx, numbers);
        return NULL;
    }
    for (int i = 0; i < plan->row_count; i++) {
        numbers_of(&plan->rows[i], numbers[i]);
        numbers_of(&plan->rows[i], numbers[plan->row_count]);
    }
    numbers[plan->row_count + 1][ACTIVATIONS] = plan->peak;
    strata__max(plan->ctx, STRATA__WORLD, numbers, (int64_t)rows * NUMBERS, STRATA_INT64);
    return numbers[0];
}

/* --- the table --- */

/* Axes on which something is exchanged, after the fixed columns and before memory. */
typedef struct columns {
    int axis_count;
    strata__axis axes[STRATA__AXES];
    char sides[STRATA__AXES + 16];
} columns;

static columns columns_of(const int64_t *totals)
{
    static const strata__axis order[] = {STRATA__DATA,  STRATA__ROWS, STRATA__COLS,
                                         STRATA__BATCH, STRATA__GRID, STRATA__WORLD};
    columns c = {.sides = "lllll"};
    char *side = c.sides + strlen(c.sides);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (totals[order[i]] > 0) {
            c.axes[c.axis_count++] = order[i];
            *side++ = 'r';
        }
    }
    memcpy(side, "rrrr", sizeof "rrrr");
    return c;
}

static void add_number(strata__table *table, int64_t bytes)
{
    char text[32];
    strata__table_cell(table, "%s", bytes > 0 ? strata__bytes_text(bytes, text) : "-");
}

static void add_numbers(strata__table *table, const columns *c, const int64_t *numbers)
{
    for (int i = 0; i < c->axis_count; i++)
        add_number(table, numbers[c->axes[i]]);
    for (int i = WEIGHTS; i < NUMBERS; i++)
        add_number(table, numbers[i]);
}

static void add_heading(const strata__plan *plan, strata__table *table, const columns *c)
{
    static const char *const left[] = {"layer", "class", "largest weight", "output", "engine"};
    static const char *const right[] = {"weights", "gradients", "slots", "activations"};
    for (int i = 0; i < 5; i++)
        strata__table_cell(table, "%s", left[i]);
    for (int i = 0; i < c->axis_count; i++)
        strata__table_cell(table, "%s", strata__axis_name(plan->ctx->mesh, c->axes[i]));
    for (int i = 0; i < 4; i++)
        strata__table_cell(table, "%s", right[i]);
    strata__table_rule(table);
}

static void add_layer(const strata__plan *plan, int index, strata__table *table)
{
    strata_layer *layer = plan->owners.layers[index];
    const strata__plan_row *row = &plan->rows[index];
    char weights[CELL], output[CELL], engine[CELL];
    weights_text(plan->ctx, layer, weights);
    output_text(plan, row, output);
    engine_text(row, engine);
    strata__table_cell(table, "%s", layer->name);
    strata__table_cell(table, "%s", layer->class->name);
    strata__table_cell(table, "%s", weights);
    strata__table_cell(table, "%s", output);
    strata__table_cell(table, "%s", engine);
}

static void add_words(strata__table *table, const char *what)
{
    strata__table_cell(table, "%s", what);
    for (int i = 1; i < 5; i++)
        strata__table_cell(table, "%s", "");
}

static void print(const strata__plan *plan, const int64_t *numbers, FILE *stream)
{
    const strata__mesh *mesh = plan->ctx->mesh;
    const int64_t *totals = numbers + plan->row_count * NUMBERS;
    columns c = columns_of(totals);
    strata__table table = {.columns = c.sides, .text.ctx = plan->ctx};
    char peak[32];
    add_heading(plan, &table, &c);
    for (int i = 0; i < plan->row_count - 1; i++) {
        add_layer(plan, i, &table);
        add_numbers(&table, &c, numbers + i * NUMBERS);
    }
    add_words(&table, "(losses)");
    add_numbers(&table, &c, totals - NUMBERS);
    strata__table_rule(&table);
    add_words(&table, "a rank, at most");
    add_numbers(&table, &c, totals);
    fprintf(stream,
            "Plan of \"%s\" on data=%d,rows=%d,cols=%d, batch %lld: bytes a rank exchanges in a "
            "step by axis, then memory\n",
            plan->model, mesh->data, mesh->rows, mesh->cols, (long long)plan->batch);
    strata__table_print(&table, stream);
    fprintf(stream, "Activations with their gradients take at most %s at a time.\n",
            strata__bytes_text(totals[NUMBERS + ACTIVATIONS], peak));
    fflush(stream);
}

void strata__plan_show(const strata__plan *plan, FILE *stream)
{
    int64_t *numbers = most_numbers(plan);
    if (numbers && plan->ctx->mesh->rank == 0)
        print(plan, numbers, stream);
    strata__free(plan->ctx, numbers);
}
