/* Gradients of operations against central differences. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "gradient_check.h"

#include <math.h>

#include "base/memory.h"
#include "harness.h"

enum { MOST_OPERANDS = 8 };

#define STEP (1.0 / 128)

/* An operation at work. */
typedef struct check {
    strata_context *ctx;
    test_operation *operation;
    const void *user;
    int count;
    const test_operand *operands;
} check;

static int64_t volume(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

static double weight(int64_t i)
{
    return cos(1.7 * (double)i + 0.3);
}

strata_tensor *test_tensor(strata_context *ctx, const test_operand *operand)
{
    strata_tensor *tensor =
        strata__tensor_new(ctx, STRATA_FLOAT32, &operand->shape, operand->layout);
    assert_all(tensor != NULL);
    float *data = tensor->data;
    int64_t n = strata__last(&tensor->shape), own = strata__last(&tensor->local);
    int64_t rows = strata__local_rows(tensor), first = strata__first_element(tensor);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < own; j++)
            data[i * own + j] = (float)operand->values[first + i * n + tensor->first_feature + j];
    }
    return tensor;
}

/* y, with input `moved` shifted by `shift` at element `place`. */
static strata_tensor *evaluate(const check *c, strata_tensor **inputs, int moved, int64_t place,
                               double shift)
{
    for (int i = 0; i < c->count; i++) {
        test_operand operand = c->operands[i];
        int64_t size = volume(&operand.shape);
        double values[size + 1];
        for (int64_t k = 0; k < size; k++)
            values[k] = operand.values[k] + (i == moved && k == place ? shift : 0.0);
        operand.values = values;
        inputs[i] = test_tensor(c->ctx, &operand);
    }
    if (moved < 0) {
        for (int i = 0; i < c->count; i++)
            inputs[i]->wants_gradient = !c->operands[i].constant;
    }
    return c->operation(c->user, inputs);
}

/* Σ y·u */
static double weighted_sum(const check *c, const strata_tensor *y)
{
    int64_t count = volume(&y->shape);
    float *whole = strata__alloc(c->ctx, (size_t)count * sizeof *whole);
    strata_tensor_gather(y, whole);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)whole[i] * weight(i);
    strata__free(c->ctx, whole);
    return sum;
}

static double difference(const check *c, int input, int64_t place)
{
    strata_tensor *inputs[MOST_OPERANDS];
    strata_scope_begin(c->ctx);
    double above = weighted_sum(c, evaluate(c, inputs, input, place, STEP));
    double below = weighted_sum(c, evaluate(c, inputs, input, place, -STEP));
    strata_scope_end(c->ctx);
    return (above - below) / (2 * STEP);
}

/* u as y lies. */
static strata_tensor *upstream(const strata_tensor *y)
{
    int64_t count = volume(&y->shape);
    double weights[count + 1];
    for (int64_t i = 0; i < count; i++)
        weights[i] = weight(i);
    test_operand operand = {.shape = y->shape, .layout = y->layout, .values = weights};
    return test_tensor(y->ctx, &operand);
}

/* The whole gradient: parts are summed for what is no batch. None at all counts as zero. */
static void whole_gradient(const strata_tensor *input, float *whole)
{
    strata_tensor *gradient = input->gradient;
    if (!gradient) {
        gradient = strata__tensor_like(input);
        for (int64_t i = 0; i < strata__local_count(gradient); i++)
            ((float *)gradient->data)[i] = 0;
    }
    if (!input->layout.batch)
        strata__sum(input->ctx, STRATA__BATCH, gradient->data, strata__local_count(gradient),
                    STRATA_FLOAT32);
    strata_tensor_gather(gradient, whole);
}

/* The largest |ours − difference| / (1 + |difference|) over the input's elements. */
static double worst_error(const check *c, int input, const strata_tensor *tensor)
{
    int64_t count = volume(&tensor->shape);
    float *ours = strata__alloc(c->ctx, (size_t)count * sizeof *ours);
    double worst = 0;
    whole_gradient(tensor, ours);
    for (int64_t i = 0; i < count; i++) {
        double expected = difference(c, input, i);
        double error = fabs((double)ours[i] - expected) / (1 + fabs(expected));
        if (isnan(error))
            worst = INFINITY;
        worst = error > worst ? error : worst;
    }
    strata__free(c->ctx, ours);
    return worst;
}

void test_all_gradients(strata_context *ctx, test_operation *operation, const void *user, int count,
                        const test_operand *operands, double tolerance, const char *text,
                        const char *file, int line)
{
    check c = {ctx, operation, user, count, operands};
    strata_tensor *inputs[MOST_OPERANDS];
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_tensor *y = evaluate(&c, inputs, -1, 0, 0.0);
    test_all_true(y != NULL, text, file, line);
    strata_tensor *u = upstream(y);
    strata_tape_gradient(ctx, 1, &y, &u);
    test_all_ok(ctx, file, line);
    for (int i = 0; i < count; i++) {
        if (!operands[i].constant)
            test_all_near(worst_error(&c, i, inputs[i]), 0, tolerance, text, file, line);
    }
    strata_scope_end(ctx);
}
