/* Cosines between the rows, or the columns, of a matrix. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/gram.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>

#include "base/memory.h"

static const double epsilon = 1e-7; /* Keras's backend.epsilon() */

/* In double: G is a sum of products whose signs matter. */
typedef struct gram {
    int n, length;
    double *u;       /* (n × length): the vectors, normalised */
    double *inverse; /* (n): 1 / max(|w|, epsilon) */
    double *g;       /* (n × n): u·uᵀ with zeros on the diagonal */
} gram;

int64_t strata__vector_count(const strata__vectors *vectors)
{
    return vectors->by_columns ? vectors->columns : vectors->rows;
}

static int64_t vector_length(const strata__vectors *vectors)
{
    return vectors->by_columns ? vectors->rows : vectors->columns;
}

/* Place of element k of vector i in w. */
static int64_t place(const strata__vectors *vectors, int64_t i, int64_t k)
{
    return vectors->by_columns ? k * vectors->columns + i : i * vectors->columns + k;
}

static void normalise(const strata__vectors *vectors, const gram *gram)
{
    for (int64_t i = 0; i < gram->n; i++) {
        double squares = 0, *u = gram->u + i * gram->length;
        for (int64_t k = 0; k < gram->length; k++) {
            u[k] = vectors->w[place(vectors, i, k)];
            squares += u[k] * u[k];
        }
        gram->inverse[i] = fmin(1 / sqrt(squares), 1 / epsilon);
        for (int64_t k = 0; k < gram->length; k++)
            u[k] *= gram->inverse[i];
    }
}

static void gram_free(strata_context *ctx, gram *gram)
{
    strata__free(ctx, gram->u);
    strata__free(ctx, gram->inverse);
    strata__free(ctx, gram->g);
}

static bool gram_new(strata_context *ctx, const strata__vectors *vectors, gram *made)
{
    int64_t n = strata__vector_count(vectors), length = vector_length(vectors);
    *made = (gram){0};
    if (n > INT_MAX || length > INT_MAX) {
        strata__fail(ctx, STRATA_UNSUPPORTED,
                     "OrthogonalRegularizer: %lld vectors of %lld elements are too many for BLAS",
                     (long long)n, (long long)length);
        return false;
    }
    *made = (gram){.n = (int)n, .length = (int)length};
    made->u = strata__alloc(ctx, (size_t)(n * length) * sizeof *made->u);
    made->inverse = strata__alloc(ctx, (size_t)n * sizeof *made->inverse);
    made->g = strata__alloc(ctx, (size_t)(n * n) * sizeof *made->g);
    if (made->u && made->inverse && made->g)
        return true;
    gram_free(ctx, made);
    return false;
}

/* False: there is nothing to compute, or no memory. */
static bool gram_compute(strata_context *ctx, const strata__vectors *vectors, gram *gram)
{
    if (vectors->rows == 0 || vectors->columns == 0 || !gram_new(ctx, vectors, gram))
        return false;
    int n = gram->n, length = gram->length;
    normalise(vectors, gram);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, length, 1, gram->u, length, gram->u,
                length, 0, gram->g, n);
    for (int64_t i = 0; i < n; i++)
        gram->g[i * n + i] = 0;
    return true;
}

double strata__cosine_sum(strata_context *ctx, const strata__vectors *vectors)
{
    gram gram;
    double sum = 0;
    if (!gram_compute(ctx, vectors, &gram))
        return 0;
    for (int64_t i = 0; i < (int64_t)gram.n * gram.n; i++)
        sum += fabs(gram.g[i]);
    gram_free(ctx, &gram);
    return sum;
}

/* dw = (d − (d·u) u) / |w| for d, the gradient with respect to u; of a vector that is too short to
 * normalise, d / epsilon. */
static void back_through_norm(const strata__vectors *vectors, const gram *gram, int64_t i,
                              const double *d, double scale, float *out)
{
    const double *u = gram->u + i * gram->length;
    double along = 0;
    for (int64_t k = 0; k < gram->length && gram->inverse[i] < 1 / epsilon; k++)
        along += d[k] * u[k];
    for (int64_t k = 0; k < gram->length; k++)
        out[place(vectors, i, k)] += (float)(scale * gram->inverse[i] * (d[k] - along * u[k]));
}

/* d = 2 · sign(G) · u */
void strata__cosine_sum_gradient(strata_context *ctx, const strata__vectors *vectors, double scale,
                                 float *out)
{
    gram gram;
    if (!gram_compute(ctx, vectors, &gram))
        return;
    int n = gram.n, length = gram.length;
    double *d = strata__alloc(ctx, (size_t)n * (size_t)length * sizeof *d);
    if (d) {
        for (int64_t i = 0; i < (int64_t)n * n; i++)
            gram.g[i] = (gram.g[i] > 0) - (gram.g[i] < 0);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, length, n, 2, gram.g, n, gram.u,
                    length, 0, d, length);
        for (int64_t i = 0; i < n; i++)
            back_through_norm(vectors, &gram, i, d + i * length, scale, out);
    }
    strata__free(ctx, d);
    gram_free(ctx, &gram);
}
