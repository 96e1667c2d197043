/* Einsum against plain loops, and its equations. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "numbers.h"
#include "ops/einsum.h"

enum { MOST = 512 };

/* Sizes are those of the letters a, b, c, …, and of the digits 0, 1, 2, … */
typedef struct problem {
    const char *equation;
    int rank; /* of x */
    int64_t sizes[8], elided[4];
} problem;

static int64_t size_of(const problem *p, char letter)
{
    return letter < 'a' ? p->elided[letter - '0'] : p->sizes[letter - 'a'];
}

static strata_shape shape_of(const problem *p, const char *letters)
{
    strata_shape shape = {.rank = (int)strlen(letters)};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = size_of(p, letters[i]);
    return shape;
}

static int64_t count_of(const problem *p, const char *letters)
{
    strata_shape shape = shape_of(p, letters);
    return strata__product(&shape, 0, shape.rank);
}

/* --- plain loops: over all letters at once --- */

typedef struct loops {
    const problem *problem;
    strata__equation equation;
    char letters[3 * STRATA__LETTERS];
    int64_t index[3 * STRATA__LETTERS];
} loops;

static void collect(loops *l, const char *letters)
{
    for (; *letters; letters++) {
        if (!strchr(l->letters, *letters))
            l->letters[strlen(l->letters)] = *letters;
    }
}

static int64_t place(const loops *l, const char *operand)
{
    int64_t at = 0;
    for (; *operand; operand++)
        at = at * size_of(l->problem, *operand) +
             l->index[strchr(l->letters, *operand) - l->letters];
    return at;
}

/* The next values of the letters; false after the last. */
static bool advance(loops *l)
{
    for (int i = (int)strlen(l->letters) - 1; i >= 0; i--) {
        if (++l->index[i] < size_of(l->problem, l->letters[i]))
            return true;
        l->index[i] = 0;
    }
    return false;
}

/* values: x, then the kernel. */
static void einsum(const double *values, double *y, const void *user)
{
    const problem *p = user;
    loops l = {.problem = p};
    strata__equation_parse(p->equation, p->rank, &l.equation);
    const double *kernel = values + count_of(p, l.equation.x);
    collect(&l, l.equation.x);
    collect(&l, l.equation.kernel);
    memset(y, 0, (size_t)count_of(p, l.equation.y) * sizeof *y);
    if (count_of(p, l.letters) == 0)
        return;
    do
        y[place(&l, l.equation.y)] +=
            values[place(&l, l.equation.x)] * kernel[place(&l, l.equation.kernel)];
    while (advance(&l));
}

/* --- comparison --- */

static void check(strata_context *ctx, const problem *p, bool split)
{
    double values[MOST], y[MOST], upstream[MOST], gradient[MOST];
    strata__equation e;
    assert_all(strata__equation_parse(p->equation, p->rank, &e));
    int64_t x_count = count_of(p, e.x), count = x_count + count_of(p, e.kernel);
    int64_t y_count = count_of(p, e.y);
    test_values(values, count, 1);
    test_values(upstream, y_count, 2);
    einsum(values, y, p);
    test_differences(einsum, p, values, count, upstream, y_count, gradient);
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_shape x_shape = shape_of(p, e.x), kernel_shape = shape_of(p, e.kernel);
    strata_tensor *x = test_batch(ctx, &x_shape, values);
    strata_tensor *kernel = test_parameter(ctx, &kernel_shape, values + x_count);
    strata_tensor *result = strata__einsum("a layer", split ? strata__split(x) : x, kernel, &e);
    assert_all_ok(ctx);
    strata_shape y_shape = shape_of(p, e.y);
    assert_all(strata__shape_equal(&result->shape, &y_shape));
    assert_all_tensor(result, y, 1e-5);
    test_backward(result, upstream);
    assert_all_gradient(x, gradient, 1e-4);
    assert_all_gradient(kernel, gradient + x_count, 1e-4);
    strata_scope_end(ctx);
}

static const problem problems[] = {
    {"ab,bc->ac", 2, {5, 3, 4}, {0}},
    {"abc,bd->adc", 3, {5, 3, 4, 2}, {0}},
    {"abc,dc->adb", 3, {5, 3, 4, 2}, {0}},
    {"abcd,db->ac", 4, {3, 2, 4, 3}, {0}},
    {"abcd,ecf->abedf", 4, {2, 2, 3, 2, 3, 2}, {0}},
    {"ab,cd->acbd", 2, {5, 3, 2, 2}, {0}},  /* nothing is summed over */
    {"abc,bcd->abd", 3, {5, 2, 3, 4}, {0}}, /* a kernel for each b */
    {"abcd,bdce->acbe", 4, {2, 2, 3, 2, 3}, {0}},
    {"abcd,cbe->aecb", 4, {3, 2, 2, 2, 3}, {0}}, /* d is summed over by itself */
    {"abc,d->ad", 3, {4, 2, 3, 2}, {0}},
    {"ab,b->ab", 2, {5, 3}, {0}},
    {"abc,c->ab", 3, {5, 2, 3}, {0}},
    {"...b,bc->...c", 3, {0, 4, 3}, {5, 2}},
    {"...bc,cbd->...d", 4, {0, 2, 3, 2}, {3, 2}},
    {"ab...,bc->ac...", 4, {3, 2, 4}, {2, 3}},
    {"ab...,bc->acb...", 3, {3, 2, 4}, {2}},
    {"ab,bc->ac", 2, {0, 3, 4}, {0}}, /* no samples */
};

static void test_einsum_is_what_loops_compute(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        for (size_t i = 0; i < TEST_COUNT(problems); i++) {
            check(ctx, &problems[i], false);
            check(ctx, &problems[i], true);
        }
    }
}

static void test_shapes_are_inferred(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double values[32] = {0};
    char text[STRATA__SHAPE_TEXT];
    strata__equation e;
    strata_scope_begin(ctx);
    strata_tensor *x =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(STRATA_NONE, STRATA_NONE, 3, 2),
                           (strata__layout){.batch = true});
    strata_tensor *kernel = test_parameter(ctx, &STRATA_SHAPE(3, 4), values);
    strata__equation_parse("abcd,ce->aeb", 4, &e);
    const strata_tensor *y = strata__einsum("a layer", x, kernel, &e);
    assert_all_string_equal(strata__shape_text(&y->shape, text), "(None, 4, None)");
    assert_all(y->symbolic);
    strata_scope_end(ctx);
}

static void test_sizes_must_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double values[32] = {0};
    strata__equation e;
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(4, 3), values);
    strata_tensor *kernel = test_parameter(ctx, &STRATA_SHAPE(2, 5), values);
    strata__equation_parse("ab,bc->ac", 2, &e);
    assert_all(!strata__einsum("a layer", x, kernel, &e));
    assert_all_error(ctx, STRATA_INVALID,
                     "a layer: einsum of ab,bc->ac: sizes do not fit in shapes (4, 3) and (2, 5)");
    assert_all(!strata__einsum("a layer", NULL, kernel, &e));
    assert_all(!strata__einsum("a layer", strata_ops_cast(x, STRATA_INT32), kernel, &e));
    assert_all_error(ctx, STRATA_INVALID, "int32");
    strata_scope_end(ctx);
}

/* --- equations --- */

static void test_equations_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rank;
        const char *x, *kernel, *y;
    } cases[] = {
        {"abc,cd->abd", 3, "abc", "cd", "abd"},       {"abc,cd->abd", 2, "abc", "cd", "abd"},
        {"...x,xy->...y", 4, "012x", "xy", "012y"},   {"...Xx,xy->...Xy", 2, "Xx", "xy", "Xy"},
        {"ab...,bc->ac...", 4, "ab01", "bc", "ac01"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__equation e;
        assert_all(strata__equation_parse(cases[i].text, cases[i].rank, &e));
        assert_all_string_equal(e.x, cases[i].x);
        assert_all_string_equal(e.kernel, cases[i].kernel);
        assert_all_string_equal(e.y, cases[i].y);
    }
}

static void test_other_texts_are_no_equations(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "ab,bc",
        "ab,bc>ac",
        "ab,bc->",
        ",bc->ac",
        "ab,->ab",
        "ab,bc->ac ",
        "ab, bc->ac",
        "ab,bc->a1",
        "ab,bc,cd->ad",
        "ab,bc->ac.",
        "...ab,bc->ac",
        "ab,bc->...ac",
        "ab...,bc->...ac",
        "a...b,bc->a...c",
        "a...,ab->b...",
        "ab,...bc->ac",
        "...ab...,bc->...ac...",
        "abcdefghi,ij->abcdefghj",
    };
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        strata__equation e;
        assert_all(!strata__equation_parse(texts[i], 2, &e));
    }
    strata__equation e;
    assert_all(!strata__equation_parse("...abcd,d->...abc", 9, &e));
}

static void test_products_are_recognized(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rank, columns;
    } cases[] = {
        {"ab,bc->ac", 2, 1},       {"abc,cde->abde", 3, 2},   {"abcd,cde->abe", 4, 1},
        {"abc,bcd->ad", 3, 1},     {"...x,xyz->...yz", 5, 2}, {"ab...,bc->ac...", 2, 1},
        {"ab...,bc->ac...", 3, 0}, {"abc,bd->adc", 3, 0},     {"abc,dc->abd", 3, 0},
        {"abc,cde->abed", 3, 0},   {"abcd,dce->abe", 4, 0},   {"ab,b->a", 2, 0},
        {"ab,cd->abcd", 2, 0},     {"abc,bcd->abd", 3, 0},    {"abc,cd->ad", 3, 0},
        {"abc,cd->bad", 3, 0},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__equation e;
        assert_all(strata__equation_parse(cases[i].text, cases[i].rank, &e));
        assert_all_int_equal(strata__equation_columns(&e), cases[i].columns);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_einsum_is_what_loops_compute),
        cmocka_unit_test(test_shapes_are_inferred),
        cmocka_unit_test(test_sizes_must_fit),
        cmocka_unit_test(test_equations_are_parsed),
        cmocka_unit_test(test_other_texts_are_no_equations),
        cmocka_unit_test(test_products_are_recognized),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
