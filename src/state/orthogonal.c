/* Random matrices with orthonormal rows or columns, by LAPACK's QR factorisation. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/orthogonal.h"

#include <limits.h>

#include "base/memory.h"

/* LAPACK's Fortran symbols: its C interface would allocate memory of its own. */
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);

/* Double precision, so that the number of threads does not show in the float32 values. */
typedef struct factors {
    int m, n;        /* m ≥ n */
    double *a;       /* (m × n), column-major */
    double *scalars; /* (n): of the Householder reflectors */
    double *signs;   /* (n): of diag(R) */
    double *work;
    int work_size;
} factors;

static strata_status factors_new(strata_context *ctx, int64_t m, int64_t n, factors *f)
{
    if (m > INT_MAX / 64 || n > INT_MAX / 64)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "Orthogonal: a matrix of %lld × %lld elements is too large for LAPACK",
                            (long long)m, (long long)n);
    *f = (factors){.m = (int)m, .n = (int)n, .work_size = (int)n * 64};
    f->a = strata__alloc(ctx, (size_t)m * (size_t)n * sizeof *f->a);
    f->scalars = strata__alloc(ctx, (size_t)n * sizeof *f->scalars);
    f->signs = strata__alloc(ctx, (size_t)n * sizeof *f->signs);
    f->work = strata__alloc(ctx, (size_t)f->work_size * sizeof *f->work);
    return f->a && f->scalars && f->signs && f->work ? STRATA_OK : STRATA_NO_MEMORY;
}

static void factors_free(strata_context *ctx, factors *f)
{
    strata__free(ctx, f->a);
    strata__free(ctx, f->scalars);
    strata__free(ctx, f->signs);
    strata__free(ctx, f->work);
}

/* Element (i, j) is number i·n + j of the sequence, whatever the storage. */
static void draw(strata__key key, factors *f)
{
    enum { CHUNK = 512 };
    float normal[CHUNK];
    int64_t total = (int64_t)f->m * f->n;
    for (int64_t first = 0; first < total; first += CHUNK) {
        int64_t count = total - first < CHUNK ? total - first : CHUNK;
        strata__random_normal(key, (uint64_t)first, count, normal);
        for (int64_t e = 0; e < count; e++)
            f->a[(first + e) % f->n * f->m + (first + e) / f->n] = normal[e];
    }
}

static bool factorise(factors *f)
{
    int info;
    dgeqrf_(&f->m, &f->n, f->a, &f->m, f->scalars, f->work, &f->work_size, &info);
    if (info != 0)
        return false;
    for (int j = 0; j < f->n; j++)
        f->signs[j] = f->a[(int64_t)j * f->m + j] < 0 ? -1 : 1;
    dorgqr_(&f->m, &f->n, &f->n, f->a, &f->m, f->scalars, f->work, &f->work_size, &info);
    return info == 0;
}

static void write_out(const factors *f, bool transposed, double gain, float *out)
{
    for (int64_t j = 0; j < f->n; j++) {
        for (int64_t i = 0; i < f->m; i++) {
            float q = (float)(gain * f->signs[j] * f->a[j * f->m + i]);
            out[transposed ? j * f->m + i : i * f->n + j] = q;
        }
    }
}

strata_status strata__orthogonal(strata_context *ctx, strata__key key, int64_t rows,
                                 int64_t columns, double gain, float *out)
{
    bool transposed = rows < columns;
    factors f;
    if (rows == 0 || columns == 0)
        return STRATA_OK;
    strata_status status =
        factors_new(ctx, transposed ? columns : rows, transposed ? rows : columns, &f);
    if (status == STRATA_OK) {
        draw(key, &f);
        if (factorise(&f))
            write_out(&f, transposed, gain, out);
        else
            status = strata__fail(
                ctx, STRATA_INTERNAL,
                "Orthogonal: LAPACK cannot factorise a matrix of %d × %d elements", f.m, f.n);
    }
    factors_free(ctx, &f);
    return status;
}
