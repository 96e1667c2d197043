/* Matrix products of one thread by AVX-512. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm_avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "base/memory.h"
#include "mesh/mesh.h"

/*
 * K. Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), with what
 * a training step needs: its operands come from memory, not from the cache.
 *
 * A tile of c, TALL × WIDE, is held in 28 vectors; a term adds the products of two vectors of b and
 * TALL elements of a. The tiles of a strip of TALL rows follow each other along b, which lies
 * packed in the second-level cache as panels (terms × WIDE); the strip of a stays in the
 * first-level cache. The first strip forms its tiles from b itself and packs it on the way. A
 * transposed a has its elements of one row far apart, and is packed in strips (terms × STRIDE).
 * While a tile is at work, what is needed next is fetched a line at a time into the second-level
 * cache: the next panel of b in the first strip, then the rows of the next strip of a and c, or,
 * where a is transposed, the next terms of a and b.
 */
#define AVX512 __attribute__((target("avx512f")))

enum {
    LANES = 16,
    WIDE = 2 * LANES,
    TALL = 14,
    STRIDE = 16,        /* of packed strips, whose terms are cache lines then */
    DEPTH = 256,        /* most terms at a time: a strip is 14 KiB */
    PACKED = 1 << 18,   /* most elements of packed b: half of a second-level cache */
    ROWS_PACKED = 2044, /* most rows of packed a */
    SMALL = 1 << 14,    /* packed b of this many elements lies on the stack */
    SMALL_ROWS = 128,   /* and is packed only if it must be */
    NEAR_COLUMNS = 128, /* columns of a this close need no packing */
    AHEAD = 16,         /* terms: b is fetched so early into the first-level cache */
    PACE = 8            /* terms from one line that is fetched for later to the next */
};

/* --- a tile --- */

/* Three streams of lines that are fetched for later, c's two lines wide: how far the next lines
 * are, and after how many terms they are fetched. */
typedef struct soon {
    const float *a, *b, *c;
    int64_t step, c_step;
    int64_t pace;
} soon;

typedef struct tile {
    int64_t terms;
    const float *a; /* element (i, l) at a[i · a_stride + l], transposed at a[i + l · a_stride] */
    int64_t a_stride;
    const float *b; /* (terms × WIDE) */
    int64_t b_stride;
    float *packed; /* where b goes */
    soon soon;
    float beta;
    float *c;
    int64_t c_stride;
    const float *bias;  /* (WIDE) */
    __mmask16 lanes[2]; /* columns that c and the bias have */
} tile;

/* c = beta·c + the sums. */
static inline __attribute__((always_inline)) AVX512 void store_tile(const tile *t, const int rows,
                                                                    __m512 (*sums)[2])
{
    float *c = t->c;
    __m512 beta = _mm512_set1_ps(t->beta);
    _Pragma("GCC unroll 14") for (int i = 0; i < rows; i++, c += t->c_stride)
    {
        if (t->beta != 0.0f) {
            __m512 left = _mm512_maskz_loadu_ps(t->lanes[0], c);
            __m512 right = _mm512_maskz_loadu_ps(t->lanes[1], c + LANES);
            sums[i][0] = _mm512_fmadd_ps(beta, left, sums[i][0]);
            sums[i][1] = _mm512_fmadd_ps(beta, right, sums[i][1]);
        }
        _mm512_mask_storeu_ps(c, t->lanes[0], sums[i][0]);
        _mm512_mask_storeu_ps(c + LANES, t->lanes[1], sums[i][1]);
    }
}

/* Inlined for each number of rows, so that the sums are registers. */
static inline __attribute__((always_inline)) AVX512 void
form_tile(const tile *t, const int rows, const bool transposed, const bool packs)
{
    __m512 sums[TALL][2];
    sums[0][0] = _mm512_maskz_loadu_ps(t->lanes[0], t->bias);
    sums[0][1] = _mm512_maskz_loadu_ps(t->lanes[1], t->bias + LANES);
    _Pragma("GCC unroll 14") for (int i = 1; i < rows; i++)
    {
        sums[i][0] = sums[0][0];
        sums[i][1] = sums[0][1];
    }
    int64_t a_stride = t->a_stride, b_stride = t->b_stride;
    /* Rows 0, 3, 6, 9 and 12: the others are one and two strides away, as an address can say. */
    const float *a0 = t->a, *a3 = a0 + 3 * a_stride, *a6 = a3 + 3 * a_stride,
                *a9 = a6 + 3 * a_stride, *a12 = a9 + 3 * a_stride;
    const float *b = t->b;
    float *packed = t->packed;
    soon soon = t->soon;
    for (int64_t left = t->terms; left > 0; left -= soon.pace) {
        _mm_prefetch(soon.a, _MM_HINT_T1);
        _mm_prefetch(soon.b, _MM_HINT_T1);
        _mm_prefetch(soon.c, _MM_HINT_T1);
        _mm_prefetch(soon.c + LANES, _MM_HINT_T1);
        soon.a += soon.step;
        soon.b += soon.step;
        soon.c += soon.c_step;
        for (int64_t n = left < soon.pace ? left : soon.pace; n > 0; n--) {
            __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + LANES);
            _mm_prefetch(b + AHEAD * b_stride, _MM_HINT_T0);
            _mm_prefetch(b + AHEAD * b_stride + LANES, _MM_HINT_T0);
            if (packs) {
                _mm512_storeu_ps(packed, b0);
                _mm512_storeu_ps(packed + LANES, b1);
                packed += WIDE;
            }
            b += b_stride;
            _Pragma("GCC unroll 14") for (int i = 0; i < rows; i++)
            {
                const float *row = i < 3 ? a0 : i < 6 ? a3 : i < 9 ? a6 : i < 12 ? a9 : a12;
                __m512 x = _mm512_set1_ps(transposed ? a0[i] : row[i % 3 * a_stride]);
                sums[i][0] = _mm512_fmadd_ps(x, b0, sums[i][0]);
                sums[i][1] = _mm512_fmadd_ps(x, b1, sums[i][1]);
            }
            a0 += transposed ? a_stride : 1;
            a3++, a6++, a9++, a12++;
            /* Else the compiler makes them 14 pointers, more than there are registers. */
            if (!transposed)
                __asm__("" : "+r"(a0), "+r"(a3), "+r"(a6), "+r"(a9), "+r"(a12));
        }
    }
    /* Nothing below is loaded above, where all vectors are taken. */
    __asm__ volatile("" : "+r"(t) : : "memory");
    store_tile(t, rows, sums);
}

#define FOR_ROWS(of)                                                                               \
    of(1) of(2) of(3) of(4) of(5) of(6) of(7) of(8) of(9) of(10) of(11) of(12) of(13) of(14)
#define TILES(n)                                                                                   \
    static AVX512 void rows_##n(const tile *t)                                                     \
    {                                                                                              \
        form_tile(t, n, false, false);                                                             \
    }                                                                                              \
    static AVX512 void columns_##n(const tile *t)                                                  \
    {                                                                                              \
        form_tile(t, n, true, false);                                                              \
    }
FOR_ROWS(TILES)

static AVX512 void rows_and_pack(const tile *t)
{
    form_tile(t, TALL, false, true);
}

static AVX512 void columns_and_pack(const tile *t)
{
    form_tile(t, TALL, true, true);
}

typedef void form(const tile *t);

#define ROWS(n) rows_##n,
#define COLUMNS(n) columns_##n,
static form *const by_rows[] = {NULL, FOR_ROWS(ROWS)};
static form *const by_columns[] = {NULL, FOR_ROWS(COLUMNS)};

/* --- packing --- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static __mmask16 first_lanes(int64_t n)
{
    return n >= LANES ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0;
}

/* (terms × columns) of b in rows → (terms × WIDE), zeros beyond. */
static AVX512 void pack_rows(const float *b, int64_t ldb, int64_t terms, int64_t columns,
                             float *panel)
{
    __mmask16 left = first_lanes(columns), right = first_lanes(columns - LANES);
    for (int64_t l = 0; l < terms; l++, b += ldb, panel += WIDE) {
        _mm_prefetch(b + AHEAD * ldb, _MM_HINT_T0);
        _mm_prefetch(b + AHEAD * ldb + LANES, _MM_HINT_T0);
        _mm512_storeu_ps(panel, _mm512_maskz_loadu_ps(left, b));
        _mm512_storeu_ps(panel + LANES, _mm512_maskz_loadu_ps(right, b + LANES));
    }
}

/* 16 × 16 or less: pairs of rows are interleaved by element, by two, by four and by eight. */
static inline __attribute__((always_inline)) AVX512 void
transpose(const float *from, int64_t stride, const int64_t rows, const int64_t columns, float *to)
{
    __m512 x[16], y[16];
    __mmask16 lanes = first_lanes(columns);
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) x[i] =
        i < rows ? _mm512_maskz_loadu_ps(lanes, from + i * stride) : _mm512_setzero_ps();
    _Pragma("GCC unroll 8") for (int i = 0; i < 16; i += 2)
    {
        y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 16; i += 4)
    {
        __m512d even[2] = {_mm512_castps_pd(y[i]), _mm512_castps_pd(y[i + 2])};
        __m512d odd[2] = {_mm512_castps_pd(y[i + 1]), _mm512_castps_pd(y[i + 3])};
        x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(even[0], even[1]));
        x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(even[0], even[1]));
        x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(odd[0], odd[1]));
        x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(odd[0], odd[1]));
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)
    {
        y[i] = _mm512_shuffle_f32x4(x[i], x[4 + i], 0x88);
        y[4 + i] = _mm512_shuffle_f32x4(x[i], x[4 + i], 0xdd);
        y[8 + i] = _mm512_shuffle_f32x4(x[8 + i], x[12 + i], 0x88);
        y[12 + i] = _mm512_shuffle_f32x4(x[8 + i], x[12 + i], 0xdd);
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)
    {
        x[i] = _mm512_shuffle_f32x4(y[i], y[8 + i], 0x88);
        x[8 + i] = _mm512_shuffle_f32x4(y[i], y[8 + i], 0xdd);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++)
    {
        if (i < columns)
            _mm512_storeu_ps(to + i * WIDE, x[i]);
    }
}

/* (columns × terms) of b, transposed → (terms × WIDE), zeros beyond. */
static AVX512 void pack_columns(const float *b, int64_t ldb, int64_t terms, int64_t columns,
                                float *panel)
{
    for (int64_t l = 0; l < terms; l += LANES, b += LANES, panel += LANES * WIDE) {
        for (int64_t j = 0; j < WIDE; j += LANES) {
            if (columns - j >= LANES && terms - l >= LANES)
                transpose(b + j * ldb, ldb, LANES, LANES, panel + j);
            else
                transpose(b + j * ldb, ldb, columns - j, terms - l, panel + j);
        }
    }
}

/* (terms × rows) of a transposed a → strips (terms × STRIDE), `stride` apart. */
static AVX512 void pack_strips(const float *a, int64_t lda, int64_t terms, int64_t rows,
                               int64_t height, float *strips, int64_t stride)
{
    for (int64_t l = 0; l < terms; l++, a += lda, strips += STRIDE) {
        float *to = strips;
        int64_t i = 0;
        for (; i + LANES <= rows; i += height, to += stride) {
            _mm_prefetch(a + 4 * lda + i, _MM_HINT_T0);
            _mm512_store_ps(to, _mm512_loadu_ps(a + i));
        }
        for (; i < rows; i += height, to += stride)
            _mm512_store_ps(to, _mm512_maskz_loadu_ps(first_lanes(rows - i), a + i));
    }
}

/* sums (WIDE) += Σ of the terms of a panel: of four at a time in float, of those in double. */
static AVX512 void add_sums(const float *panel, int64_t stride, int64_t terms,
                            const __mmask16 lanes[2], double *sums)
{
    for (int half = 0; half < 2; half++, panel += LANES, sums += LANES) {
        __mmask16 there = lanes[half];
        __m512d low = _mm512_maskz_loadu_pd((__mmask8)there, sums);
        __m512d high = _mm512_maskz_loadu_pd((__mmask8)(there >> 8), sums + 8);
        for (int64_t l = 0; l < terms; l += 4) {
            const float *b = panel + l * stride;
            __m512 x[4];
            _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) x[i] =
                _mm512_maskz_loadu_ps(l + i < terms ? there : 0, b + i * stride);
            __m512 sum = _mm512_add_ps(_mm512_add_ps(x[0], x[1]), _mm512_add_ps(x[2], x[3]));
            __m256d upper = _mm512_extractf64x4_pd(_mm512_castps_pd(sum), 1);
            low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(sum)));
            high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm256_castpd_ps(upper)));
        }
        _mm512_mask_storeu_pd(sums, (__mmask8)there, low);
        _mm512_mask_storeu_pd(sums + 8, (__mmask8)(there >> 8), high);
    }
}

/* --- a product --- */

/* How a product is cut. */
typedef struct cut {
    int64_t depth;            /* terms at a time */
    int64_t rows;             /* of c whose a is packed together; all of them if it is not */
    int64_t height;           /* of a strip */
    bool in_place;            /* b is not packed */
    bool strips;              /* a is */
    int64_t panels;           /* of b: so many tiles has a strip */
    int64_t ahead_a, ahead_b; /* elements that a tile fetches of the next terms of both; tiles of
                               * the first strip fetch none */
} cut;

static int64_t pieces(int64_t count, int64_t most)
{
    return (count + most - 1) / most;
}

/* About as long as each other, and no longer than `most`. */
static int64_t even_piece(int64_t count, int64_t most)
{
    return pieces(count, pieces(count, most));
}

static cut cut_of(const strata__gemm_call *g)
{
    cut c;
    bool small = g->m <= SMALL_ROWS && g->k * g->n <= SMALL;
    c.depth = even_piece(g->k, DEPTH);
    c.height = even_piece(g->m, TALL);
    c.in_place = small && !g->transpose_b && g->n % WIDE == 0;
    c.strips = g->transpose_a && g->lda > NEAR_COLUMNS;
    c.rows = c.strips ? smaller(g->m, ROWS_PACKED / c.height * c.height) : g->m;
    c.panels = pieces(g->n, WIDE);
    int64_t tiles = (pieces(g->m, c.height) - 1) * c.panels;
    c.ahead_a = g->lda == g->m && tiles ? c.depth * g->m / tiles : 0;
    c.ahead_b = g->ldb == g->n && tiles ? c.depth * g->n / tiles : 0;
    return c;
}

/* Of the b of `depth` terms. */
static int64_t panels_size(const cut *c)
{
    return c->in_place ? 0 : c->depth * c->panels * WIDE;
}

/* A little more, so that strips are not apart by a multiple of what maps to the same cache lines.
 */
static int64_t strip_size(const cut *c)
{
    return c->depth * STRIDE + LANES;
}

static int64_t strips_size(const cut *c)
{
    return c->strips ? pieces(c->rows, c->height) * strip_size(c) : 0;
}

/* A strip of c: where it is, and what it is formed from. */
typedef struct strip {
    int64_t row, rows;
    int64_t tile; /* number of its first one */
    int64_t term, terms;
    const float *a; /* packed or not */
    float *panels;
} strip;

/* Element (term, column) of op(b). */
static const float *b_at(const strata__gemm_call *g, int64_t term, int64_t column)
{
    return g->transpose_b ? g->b + column * g->ldb + term : g->b + term * g->ldb + column;
}

/* The panel of b from this column on, two lines a term: in two columns of lines, or in two halves
 * of rows if they follow each other. */
static soon next_panel(const strata__gemm_call *g, const strip *s, int64_t column)
{
    const float *b = b_at(g, s->term, column);
    int64_t half = g->transpose_b ? WIDE / 2 * g->ldb : LANES;
    return (soon){b, b + half, b, g->transpose_b ? LANES : g->ldb, 0, 1};
}

/* What a tile of the first strip fetches, the next panel unless it is there; what another one does:
 * rows of the next strip of c, and two of a or a share of the next terms of a and b. */
static soon soon_of(const strata__gemm_call *g, const cut *c, const strip *s, int64_t column)
{
    int64_t n = column / WIDE, next_row = s->row + c->height + 2 * n;
    int64_t next_term = s->term + c->depth;
    bool there = c->in_place || (g->transpose_a && s->term > 0) || column + WIDE >= g->n;
    if (s->row == 0 && !there && (!g->transpose_b || g->ldb == s->terms))
        return next_panel(g, s, column + WIDE);
    soon soon = {s->a, s->a, g->c + (s->row + s->rows) * g->ldc + column, 0, g->ldc, PACE};
    if (!g->transpose_a && 2 * n + 1 < c->height && next_row + 1 < g->m) {
        soon.a = s->a + (c->height + 2 * n) * g->lda;
        soon.b = soon.a + g->lda;
        soon.step = PACE;
    } else if (g->transpose_a && s->row > 0 && next_term < g->k) {
        int64_t share = s->tile - c->panels + n;
        soon.a = g->a + next_term * g->lda + share * c->ahead_a;
        soon.b = g->b + next_term * g->ldb + share * c->ahead_b;
        soon.step = LANES;
    }
    return soon;
}

static const float no_bias[WIDE];

static void form_strip(const strata__gemm_call *g, const cut *c, const strip *s)
{
    bool first_of_panels = s->row == 0 && !c->in_place;
    for (int64_t column = 0; column < g->n; column += WIDE) {
        int64_t columns = smaller(WIDE, g->n - column);
        bool packs = first_of_panels && !g->transpose_b && s->rows == TALL && columns == WIDE;
        bool packed = !c->in_place && !packs;
        const float *b = b_at(g, s->term, column);
        float *panel = c->in_place ? NULL : s->panels + column * s->terms;
        if (first_of_panels && packed)
            (g->transpose_b ? pack_columns : pack_rows)(b, g->ldb, s->terms, columns, panel);
        tile t = {.terms = s->terms,
                  .a = s->a,
                  .a_stride = c->strips ? STRIDE : g->lda,
                  .b = packed ? panel : b,
                  .b_stride = packed ? WIDE : g->ldb,
                  .packed = panel,
                  .soon = soon_of(g, c, s, column),
                  .beta = s->term ? 1.0f : g->beta,
                  .c = g->c + s->row * g->ldc + column,
                  .c_stride = g->ldc,
                  .bias = g->bias && s->term == 0 ? g->bias + column : no_bias,
                  .lanes = {first_lanes(columns), first_lanes(columns - LANES)}};
        if (packs)
            (g->transpose_a ? columns_and_pack : rows_and_pack)(&t);
        else
            (g->transpose_a ? by_columns : by_rows)[s->rows](&t);
        if (s->row == 0 && g->b_sums)
            add_sums(panel ? panel : b, panel ? WIDE : g->ldb, s->terms, t.lanes,
                     g->b_sums + column);
    }
}

/* c gets the terms from `term` on. */
static void add_terms(const strata__gemm_call *g, const cut *c, int64_t term, float *panels,
                      float *strips)
{
    strip s = {.term = term, .terms = smaller(c->depth, g->k - term), .panels = panels};
    for (; s.row < g->m; s.row += s.rows, s.tile += c->panels) {
        s.rows = smaller(c->height, g->m - s.row);
        s.a = g->transpose_a ? g->a + term * g->lda + s.row : g->a + s.row * g->lda + term;
        if (c->strips && s.row % c->rows == 0)
            pack_strips(s.a, g->lda, s.terms, smaller(c->rows, g->m - s.row), c->height, strips,
                        strip_size(c));
        if (c->strips)
            s.a = strips + s.row % c->rows / c->height * strip_size(c);
        form_strip(g, c, &s);
        if (g->finish && term + s.terms == g->k)
            g->finish(g->user, s.row, s.rows);
    }
}

static void form_product(const strata__gemm_call *g, const cut *c, float *panels, float *strips)
{
    for (int64_t term = 0; term < g->k; term += c->depth)
        add_terms(g, c, term, panels, strips);
}

static bool needs_memory(const cut *c)
{
    return panels_size(c) > SMALL || c->strips;
}

void strata__gemm_avx512(strata_context *ctx, const strata__gemm_call *g)
{
    cut c = cut_of(g);
    if (!needs_memory(&c)) {
        _Alignas(64) float panels[SMALL];
        form_product(g, &c, panels, NULL);
        return;
    }
    float *memory = strata__scratch(ctx, panels_size(&c) + strips_size(&c), sizeof *memory);
    form_product(g, &c, memory, memory + panels_size(&c));
    strata__free(ctx, memory);
}

bool strata__gemm_avx512_needs_memory(const strata__gemm_call *g)
{
    cut c = cut_of(g);
    return needs_memory(&c);
}

bool strata__gemm_avx512_suits(const strata__gemm_call *g)
{
    /* Empty columns of the last panel, packing for few rows, and a b that must be packed in parts
     * cost more than oneDNN does. */
    int64_t width = pieces(g->n, WIDE) * WIDE;
    bool enough = g->m >= SMALL_ROWS || g->k * g->n <= SMALL;
    return enough && g->m >= 2 * TALL && g->k >= WIDE && g->n >= WIDE &&
           8 * (width - g->n) <= g->n && smaller(g->k, DEPTH) * width <= PACKED &&
           __builtin_cpu_supports("avx512f");
}

#else

bool strata__gemm_avx512_suits(const strata__gemm_call *g)
{
    (void)g;
    return false;
}

void strata__gemm_avx512(strata_context *ctx, const strata__gemm_call *g)
{
    (void)ctx;
    (void)g;
}

bool strata__gemm_avx512_needs_memory(const strata__gemm_call *g)
{
    (void)g;
    return false;
}

#endif
