/* Rows of attention scores: softmax and its gradient, on whole vectors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention_kernels.h"

#include <math.h>
#include <string.h>

#include "base/vector.h"
#include "ops/math.h"

enum { LANES = STRATA__LANES };

/* eˣ without the smallest numbers, which are slow: beside a largest term of 1 they are nothing. */
static inline float exponential(float x)
{
    return x < -87.0f ? 0.0f : strata__exp(x);
}

static inline __attribute__((always_inline)) float largest(const float *x, int64_t n, float scale,
                                                           float most)
{
    float lanes[LANES];
    for (int l = 0; l < LANES; l++)
        lanes[l] = most;
    for (int64_t j = 0; j < n; j += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float value = x[j + l] * scale;
            lanes[l] = value > lanes[l] ? value : lanes[l];
        }
    }
    for (int l = 0; l < LANES; l++)
        most = lanes[l] > most ? lanes[l] : most;
    return most;
}

/* A part that is hidden altogether leaves zeros and nothing else. */
STRATA__SIMD float strata__softmax_part(float *x, int64_t n, float scale, float *most, float *sum)
{
    float lanes[LANES] = {0}, top = largest(x, n, scale, *most), total = 0.0f;
    if (top == -INFINITY) {
        memset(x, 0, (size_t)n * sizeof *x);
        return 1.0f;
    }
    for (int64_t j = 0; j < n; j += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            x[j + l] = exponential(x[j + l] * scale - top);
            lanes[l] += x[j + l];
        }
    }
    for (int l = 0; l < LANES; l++)
        total += lanes[l];
    float factor = exponential(*most - top);
    *sum = *sum * factor + total;
    *most = top;
    return factor;
}

STRATA__SIMD void strata__softmax_again(float *x, int64_t n, float scale, strata__softmax_row row)
{
    for (int64_t j = 0; j < n; j += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++)
            x[j + l] = exponential(x[j + l] * scale - row.most) * row.inverse;
    }
}

STRATA__SIMD void strata__softmax_slopes(const float *p, float *slopes, int64_t n, double mean,
                                         float scale)
{
    float high = (float)mean, low = (float)(mean - high);
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        slopes[j] = p[j] * (slopes[j] - high - low) * scale;
}

STRATA__SIMD void strata__scale_row(float *x, int64_t n, float factor)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] *= factor;
}

STRATA__SIMD void strata__multiply_rows(float *x, const float *factors, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] *= factors[j];
}

STRATA__SIMD void strata__add_row(float *x, const float *y, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] += y[j];
}

STRATA__SIMD void strata__keep_factors(float *draws, int64_t n, float rate)
{
    float factor = rate < 1.0f ? 1.0f / (1.0f - rate) : 0.0f;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        draws[j] = draws[j] >= rate ? factor : 0.0f;
}

STRATA__SIMD float strata__dot_row(const float *a, const float *b, int64_t n)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

STRATA__SIMD double strata__weighted_mean(const float *p, const float *x, int64_t n)
{
    double sum = 0.0, total = 0.0;
#pragma omp simd reduction(+ : sum, total)
    for (int64_t j = 0; j < n; j++) {
        sum += (double)p[j] * x[j];
        total += p[j];
    }
    return total > 0.0 ? sum / total : 0.0;
}

/* tanh and its slope from m = e^(−2·|x|) − 1: −m/(2 + m) and 4·(1 + m)/(2 + m)², without loss where
 * the slope is small. */
typedef struct bend {
    float value, slope;
} bend;

static inline bend tanh_of(float x)
{
    float m = strata__expm1(x < 0.0f ? 2.0f * x : -2.0f * x), n = 2.0f + m;
    return (bend){strata__with_sign(m / n, x), 4.0f * (1.0f + m) / (n * n)};
}

STRATA__SIMD void strata__additive_row(const float *q, float scale, const float *k, int64_t stride,
                                       const float *weights, int64_t h, float *x, int64_t count)
{
    for (int64_t j = 0; j < count; j++) {
        const float *key = k + j * stride;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < h; c++)
            sum += weights[c] * tanh_of(scale * q[c] + key[c]).value;
        x[j] = sum;
    }
}

/* With t = tanh(scale·q + k): dt = slope·weights·(1 − t²) goes to k, and scaled to q. */
STRATA__SIMD void strata__additive_slopes(const float *q, float scale, const float *k,
                                          int64_t stride, const float *weights, int64_t h,
                                          const float *slopes, int64_t count,
                                          strata__additive_targets targets)
{
    for (int64_t j = 0; j < count; j++) {
        const float *key = k + j * stride;
        float *dk = targets.dk + j * stride;
#pragma omp simd
        for (int64_t c = 0; c < h; c++) {
            bend t = tanh_of(scale * q[c] + key[c]);
            float slope = slopes[j] * weights[c] * t.slope;
            targets.dq[c] += scale * slope;
            dk[c] += slope;
            targets.dweights[c] += slopes[j] * t.value;
        }
    }
}
