/* Agreed assertions: the condition is reduced over all ranks before anyone fails. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "assertions.h"

#include <math.h>
#include <string.h>

#include "harness.h"

/* Fails on all ranks, with the lowest failing rank's words, unless `good` holds everywhere. */
__attribute__((format(printf, 4, 5))) static void agree(bool good, const char *file, int line,
                                                        const char *format, ...)
{
    int mine = good ? test_ranks() : test_rank();
    int first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, test_comm());
    if (first == test_ranks())
        return;
    char message[STRATA__MESSAGE_SIZE] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    MPI_Bcast(message, sizeof message, MPI_CHAR, first, test_comm());
    print_error("rank %d of %d: %s\n", first, test_ranks(), message);
    _fail(file, line);
}

void test_all_true(bool condition, const char *text, const char *file, int line)
{
    agree(condition, file, line, "not true: %s", text);
}

void test_all_int_equal(long long a, long long b, const char *text, const char *file, int line)
{
    agree(a == b, file, line, "%s: %lld, expected %lld", text, a, b);
}

void test_all_string_equal(const char *a, const char *b, const char *text, const char *file,
                           int line)
{
    bool equal = a && b ? strcmp(a, b) == 0 : a == b;
    agree(equal, file, line, "%s: \"%s\", expected \"%s\"", text, a ? a : "(null)",
          b ? b : "(null)");
}

/* Infinities of one sign are near each other, NaN is near nothing. */
static bool near(double a, double b, double tolerance)
{
    return a == b || fabs(a - b) <= tolerance;
}

void test_all_near(double a, double b, double tolerance, const char *text, const char *file,
                   int line)
{
    agree(near(a, b, tolerance), file, line, "%s: %.9g, expected %.9g ± %.3g", text, a, b,
          tolerance);
}

void test_all_floats_near(const float *a, const float *b, int64_t count, double tolerance,
                          const char *text, const char *file, int line)
{
    int64_t i = 0;
    while (i < count && near(a[i], b[i], tolerance))
        i++;
    bool good = i == count;
    agree(good, file, line, "%s[%lld]: %.9g, expected %.9g ± %.3g", text, (long long)i,
          good ? 0 : a[i], good ? 0 : b[i], tolerance);
}

void test_all_ok(const strata_context *ctx, const char *file, int line)
{
    agree(ctx->status == STRATA_OK, file, line, "error in the context: %s: %s",
          strata_status_text(ctx->status), ctx->message);
}

void test_all_error(strata_context *ctx, strata_status status, const char *words, const char *file,
                    int line)
{
    agree(ctx->status == status && strstr(ctx->message, words), file, line,
          "error in the context: \"%s: %s\", expected \"%s: … %s …\"",
          strata_status_text(ctx->status), ctx->message, strata_status_text(status), words);
    ctx->status = STRATA_OK;
    ctx->message[0] = '\0';
}
