/* Unit tests under mpirun: agreed assertions, contexts that must end empty, one voice. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_HARNESS_H
#define STRATA_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/context.h"

/*
 * A test program is a list of cmocka tests:
 *
 *     int main(int argc, char **argv)
 *     {
 *         const struct CMUnitTest tests[] = {cmocka_unit_test(test_this),
 * cmocka_unit_test(test_that)}; return test_main(argc, argv, tests, TEST_COUNT(tests));
 *     }
 *
 * tests/run.sh starts it at 1, 2, 3 and 4 ranks, or at those that a line of its source names:
 * "ranks: 1 2" in a comment. Rank 0 speaks. Another rank is heard only when it alone fails. With an
 * argument, only tests are run whose names contain it.
 */
#define TEST_COUNT(array) (sizeof(array) / sizeof *(array))
int test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count);

int test_rank(void);
int test_ranks(void);

/*
 * The index-th way to lay the ranks out, "data=2,rows=1,cols=2"; NULL after the last. data=ranks
 * comes first. Valid until the next call.
 */
const char *test_mesh(int index);

/*
 * A context with a mesh over all ranks (collective), and one without a mesh for the base room. The
 * harness takes them down after the test, which fails when blocks of memory are left.
 */
strata_context *test_context(const char *mesh);
strata_context *test_context_without_mesh(void);

/* Has the harness take down a context that was made another way; `mesh_free` is called first, if
 * not NULL. */
void test_adopt(strata_context *ctx, void (*mesh_free)(strata_context *));

/* `name` in a fresh directory that all ranks share and that goes away with the program. Collective.
 * Valid until the next call. */
const char *test_path(const char *name);

/* A file under $STRATA_GOLDEN, "training/losses.h5". Valid until the next call. */
const char *test_golden(const char *name);

/*
 * Agreed assertions: collective, so that when one rank fails all do, and nobody waits for ever.
 * Values of the lowest failing rank are printed. Plain cmocka assertions are for what all ranks see
 * alike.
 */
#define assert_all(condition) test_all_true(condition, #condition, __FILE__, __LINE__)
#define assert_all_int_equal(a, b) test_all_int_equal(a, b, #a, __FILE__, __LINE__)
#define assert_all_string_equal(a, b) test_all_string_equal(a, b, #a, __FILE__, __LINE__)
#define assert_all_near(a, b, tolerance) test_all_near(a, b, tolerance, #a, __FILE__, __LINE__)
/* Element-wise on float arrays of `count`, which may differ from rank to rank and be 0. */
#define assert_all_floats_near(a, b, count, tolerance)                                             \
    test_all_floats_near(a, b, count, tolerance, #a, __FILE__, __LINE__)
/* No error in the context. */
#define assert_all_ok(ctx) test_all_ok(ctx, __FILE__, __LINE__)
/* This error, its message with these words in it, on every rank; clears it. */
#define assert_all_error(ctx, status, words) test_all_error(ctx, status, words, __FILE__, __LINE__)

void test_all_true(bool condition, const char *text, const char *file, int line);
void test_all_int_equal(long long a, long long b, const char *text, const char *file, int line);
void test_all_string_equal(const char *a, const char *b, const char *text, const char *file,
                           int line);
void test_all_near(double a, double b, double tolerance, const char *text, const char *file,
                   int line);
void test_all_floats_near(const float *a, const float *b, int64_t count, double tolerance,
                          const char *text, const char *file, int line);
void test_all_ok(const strata_context *ctx, const char *file, int line);
void test_all_error(strata_context *ctx, strata_status status, const char *words, const char *file,
                    int line);

#endif
