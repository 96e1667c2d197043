/* bfloat16: rounding, and products of rounded matrices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "harness.h"
#include "ops/gemm.h"
#include "ops/half.h"

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The nearest number with 8 bits of mantissa, by arithmetic instead of bits. */
static double rounded(double value)
{
    int exponent;
    if (value == 0 || !isfinite(value))
        return value;
    double fraction = frexp(value, &exponent);
    return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

/* A number that takes more than 8 bits, different for each i. */
static float number(int64_t i)
{
    return (float)sin(1.0 + (double)i * 0.7) * (float)(1 + i % 7);
}

static void test_rounding(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {{0x3f800000, 0x3f80},
                                        {0x3f808000, 0x3f80} /* a tie goes to the even one */,
                                        {0x3f818000, 0x3f82},
                                        {0x3f808001, 0x3f81},
                                        {0xbf808001, 0xbf81},
                                        {0x7f7fffff, 0x7f80} /* beyond the largest */,
                                        {0x7f800000, 0x7f80},
                                        {0xff800000, 0xff80},
                                        {0x00000000, 0x0000},
                                        {0x80000000, 0x8000},
                                        {0x7f800001, 0x7fc0} /* NaN stays NaN */,
                                        {0xffffffff, 0xffff}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        float value = from_bits(cases[i][0]), back;
        uint16_t half;
        strata__half_from(&value, 1, 1, 1, &half);
        strata__half_round(&value, 1, 1, 1, &back);
        uint32_t bits;
        memcpy(&bits, &back, sizeof bits);
        assert_all_int_equal(half, cases[i][1]);
        assert_all_int_equal(bits, (long long)cases[i][1] << 16);
    }
    for (int i = 0; i < 1000; i++) {
        float value = number(i), back;
        strata__half_round(&value, 1, 1, 1, &back);
        assert_all_near(back, rounded(value), 0);
    }
}

/* Rows of a wider matrix. */
static void test_strided_rows(void **state)
{
    (void)state;
    float x[3 * 5], y[3 * 2];
    for (int i = 0; i < 15; i++)
        x[i] = number(i);
    strata__half_round(x, 3, 2, 5, y);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 2; j++)
            assert_all_near(y[i * 2 + j], rounded(x[i * 5 + j]), 0);
    }
}

typedef struct product {
    bool transpose_a, transpose_b;
    int64_t m, n, k, padding; /* of every leading dimension */
    float beta;
} product;

static double element(const float *x, bool transposed, int64_t ld, int64_t i, int64_t j)
{
    return rounded(transposed ? x[j * ld + i] : x[i * ld + j]);
}

static void check_product(strata_context *ctx, const product *p)
{
    int64_t lda = (p->transpose_a ? p->m : p->k) + p->padding;
    int64_t ldb = (p->transpose_b ? p->k : p->n) + p->padding, ldc = p->n + p->padding;
    static float a[4096], b[4096], c[4096], before[4096];
    for (int64_t i = 0; i < 4096; i++) {
        a[i] = number(i);
        b[i] = number(i + 11);
        c[i] = before[i] = number(i + 5);
    }
    strata__gemm(ctx, p->transpose_a, p->transpose_b, p->m, p->n, p->k, a, lda, b, ldb, p->beta, c,
                 ldc);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double sum = p->beta == 0 ? 0 : p->beta * before[i * ldc + j];
            for (int64_t l = 0; l < p->k; l++)
                sum +=
                    element(a, p->transpose_a, lda, i, l) * element(b, p->transpose_b, ldb, l, j);
            assert_all_near(c[i * ldc + j], sum, 1e-4);
        }
    }
}

/* Both ways of multiplying, whatever this processor prefers. */
static void test_products(void **state)
{
    (void)state;
    static const strata__gemm_library ways[] = {STRATA__GEMM_OPENBLAS, STRATA__GEMM_ONEDNN};
    strata_context *ctx = test_context(test_mesh(0));
    ctx->precision = STRATA__MIXED_BFLOAT16;
    for (size_t way = 0; way < TEST_COUNT(ways); way++) {
        ctx->settings.gemm = ways[way];
        for (int form = 0; form < 4; form++) {
            product p = {form & 1, form & 2, 7, 5, 9, 0, 0};
            check_product(ctx, &p);
            p = (product){form & 1, form & 2, 17, 33, 20, 3, 1};
            check_product(ctx, &p);
            p = (product){form & 1, form & 2, 4, 6, 0, 0, 0};
            check_product(ctx, &p);
        }
    }
    assert_all_ok(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_strided_rows),
        cmocka_unit_test(test_products),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
