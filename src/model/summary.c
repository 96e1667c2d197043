/* summary: Keras's table of layers, output shapes and parameter counts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/layers/core.h>

#include "base/memory.h"
#include "base/text.h"
#include "mesh/mesh.h"
#include "model/model.h"

enum { MOST_COLUMNS = 4 };

/* The table: relative widths as Keras has them, with a column of connections where the graph is not
 * a chain. */
typedef struct table {
    FILE *stream;
    int columns;
    int widths[MOST_COLUMNS]; /* of the cells, blanks at both sides included */
} table;

/* --- text in cells --- */

static void repeat(FILE *stream, const char *what, int count)
{
    for (int i = 0; i < count; i++)
        fputs(what, stream);
}

/* Part of a cell's text that fits a line: words as long as possible; a word too long is cut with an
 * ellipsis. */
static const char *take_line(const char *text, int width, char line[256])
{
    int length = (int)strlen(text), end = 0, last = 0;
    for (int i = 0; i <= length && i <= width; i++) {
        if (i == length || text[i] == ' ' || text[i] == '\n')
            last = i;
        if (i < length && text[i] == '\n') {
            last = i;
            break;
        }
    }
    end = last;
    if (end == 0 && length > width) {
        const char *stop = strpbrk(text, " \n");
        snprintf(line, 256, "%.*s…", width - 1, text);
        return stop ? stop + 1 : text + length;
    }
    snprintf(line, 256, "%.*s", end, text);
    return text[end] ? text + end + 1 : text + end;
}

/* --- rows --- */

static void rule(const table *t, const char *left, const char *line, const char *middle,
                 const char *right)
{
    fputs(left, t->stream);
    for (int c = 0; c < t->columns; c++) {
        repeat(t->stream, line, t->widths[c]);
        fputs(c + 1 < t->columns ? middle : right, t->stream);
    }
    fputc('\n', t->stream);
}

static bool is_right_aligned(int column)
{
    return column == 2;
}

static void row(const table *t, const char *bar, const char *const *cells)
{
    const char *rest[MOST_COLUMNS];
    bool more = true;
    for (int c = 0; c < t->columns; c++)
        rest[c] = cells[c];
    while (more) {
        more = false;
        for (int c = 0; c < t->columns; c++) {
            char line[256];
            int room = t->widths[c] - 2;
            rest[c] = take_line(rest[c], room, line);
            int blank = room - strata__text_width(line);
            fprintf(t->stream, "%s ", bar);
            repeat(t->stream, " ", is_right_aligned(c) ? blank : 0);
            fputs(line, t->stream);
            repeat(t->stream, " ", is_right_aligned(c) ? 1 : blank + 1);
            more |= *rest[c] != '\0';
        }
        fprintf(t->stream, "%s\n", bar);
    }
}

/* --- what a layer's row says --- */

/* 1234567 -> "1,234,567" */
static void with_commas(int64_t number, char text[32])
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number), n = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[n++] = ',';
        text[n++] = digits[i];
    }
    text[n] = '\0';
}

static const strata__graph_call *call_in(const strata_model *model, const strata_layer *layer)
{
    for (int i = 0; i < model->step_count; i++) {
        if (model->steps[i].call->layer == layer)
            return model->steps[i].call;
    }
    return layer->calls.count ? layer->calls.items[0] : NULL;
}

/* One shape, or a list of those of several outputs. */
static char *shapes(const strata_model *model, const strata_layer *layer)
{
    char shape[STRATA__SHAPE_TEXT];
    strata__text text = {.ctx = model->ctx};
    const strata__graph_call *call = model->ready ? call_in(model, layer) : NULL;
    bool several = call && call->output_count > 1;
    for (int i = 0; call && i < call->output_count; i++)
        strata__text_format(&text, "%s%s",
                            i         ? ", "
                            : several ? "["
                                      : "",
                            strata__shape_text(&call->outputs[i]->shape, shape));
    strata__text_puts(&text, !call ? "?" : several ? "]" : "");
    return strata__text_take(&text);
}

/* "add[0][0], multi_head…[0][0]": where the inputs of all calls come from; "-" for inputs. */
static char *connections(const strata_model *model, const strata_layer *layer)
{
    strata__text text = {.ctx = model->ctx};
    for (int i = 0; i < layer->calls.count; i++) {
        const strata__graph_call *call = layer->calls.items[i];
        for (int k = 0; k < call->input_count && strata__is_step(model, call); k++) {
            const strata__graph_call *maker = call->inputs[k]->origin;
            strata__text_format(&text, "%s%s[%d][%d]", text.length ? ", " : "", maker->layer->name,
                                strata__node_index(model, maker), call->inputs[k]->origin_index);
        }
    }
    if (text.length == 0)
        strata__text_puts(&text, "-");
    return strata__text_take(&text);
}

static int64_t count_of(strata_layer *layer, bool trainable_only)
{
    int count = trainable_only ? strata_layer_trainable_weights(layer, NULL, 0)
                               : strata_layer_weights(layer, NULL, 0);
    strata_variable **weights = strata__alloc(layer->ctx, (size_t)count * sizeof *weights);
    int64_t total = 0;
    if (!weights)
        return 0;
    if (trainable_only)
        strata_layer_trainable_weights(layer, weights, count);
    else
        strata_layer_weights(layer, weights, count);
    for (int i = 0; i < count; i++)
        total += strata__product(&weights[i]->shape, 0, weights[i]->shape.rank);
    strata__free(layer->ctx, weights);
    return total;
}

static void layer_row(const table *t, const strata_model *model, strata_layer *layer)
{
    char name[256], count[32];
    snprintf(name, sizeof name, "%s (%s)", layer->name, strata__python_name(layer));
    with_commas(count_of(layer, false), count);
    if (!layer->built)
        snprintf(count, sizeof count, "0 (unbuilt)");
    char *shape = shapes(model, layer), *from = connections(model, layer);
    row(t, "│", (const char *const[]){name, shape ? shape : "", count, from ? from : ""});
    strata__free(model->ctx, shape);
    strata__free(model->ctx, from);
}

static bool is_chain(const strata_model *model)
{
    if (model->sequential)
        return true;
    for (int i = 0; i < model->step_count; i++) {
        const strata__graph_call *call = model->steps[i].call;
        if (call->input_count > 1 || strata__node_index(model, call) > 0)
            return false;
    }
    return model->input_count == 1 && model->output_count == 1 &&
           model->step_count + 1 == model->layers.count;
}

/* Keras's shares of a line, and what it then takes off each column for the bars between them. */
static table make_table(const strata_model *model, FILE *stream, int line_length)
{
    static const double chain[] = {0.45, 0.80, 1.0}, graph[] = {0.31, 0.56, 0.74, 1.0};
    static const int off_chain[] = {1, 2, 1}, off_graph[] = {1, 1, 2, 1};
    table t = {.stream = stream, .columns = is_chain(model) ? 3 : 4};
    int width = line_length > 40 ? line_length : 80, done = 0;
    for (int c = 0; c < t.columns; c++) {
        int end = (int)((t.columns == 3 ? chain[c] : graph[c]) * width);
        t.widths[c] = end - done - (t.columns == 3 ? off_chain[c] : off_graph[c]);
        done = end;
    }
    return t;
}

static void total_line(FILE *stream, const char *what, int64_t count)
{
    char number[32], bytes[32];
    with_commas(count, number);
    fprintf(stream, " %s: %s (%s)\n", what, number,
            strata__bytes_text(count * (int64_t)sizeof(float), bytes));
}

void strata_model_summary(strata_model *model, FILE *stream, int line_length)
{
    if (!model || model->ctx->mesh->rank != 0)
        return;
    table t = make_table(model, stream, line_length);
    fprintf(stream, "Model: \"%s\"\n", model->layer->name);
    rule(&t, "┏", "━", "┳", "┓");
    row(&t, "┃", (const char *const[]){"Layer (type)", "Output Shape", "Param #", "Connected to"});
    rule(&t, "┡", "━", "╇", "┩");
    for (int i = 0; i < model->layers.count; i++) {
        if (i > 0)
            rule(&t, "├", "─", "┼", "┤");
        layer_row(&t, model, model->layers.items[i]);
    }
    rule(&t, "└", "─", "┴", "┘");
    int64_t all = count_of(model->layer, false), trainable = count_of(model->layer, true);
    total_line(stream, "Total params", all);
    total_line(stream, "Trainable params", trainable);
    total_line(stream, "Non-trainable params", all - trainable);
}
