/* A heat equation on all ranks, and a surrogate of it that some of them train while it runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata.h>

/*
 * The field u lies in blocks on a grid of processes. Every so many steps the trainers, half of the
 * ranks, learn from their own blocks how a value changes until the next time: from the differences
 * to its eight neighbours. The simulation owns MPI and does not depend on the training: with it,
 * without it, and when it fails, the field is the same to the last bit.
 */

static const char usage[] =
    "Usage: mpirun in_situ [--size=N] [--steps=N] [--every=N] [--no-training] [--fail=STEP]\n"
    "                      [--mesh=data=D,rows=R,cols=C] [--seed=N] [--verbosity=1..3]\n"
    "--fail spoils the data of the training after that step, so that the training fails.\n";

enum { NEIGHBOURS = 8, BATCH = 256 };
static const double scale = 50; /* of differences and changes, so that they are about 1 */

typedef struct arguments {
    int size, steps, every, fail;
    int no_training, help;
} arguments;

/* --- the simulation --- */

/* Own rows × cols values with a border of one, which holds the neighbours' edges. */
typedef struct block {
    MPI_Comm grid;
    int size; /* of the whole field */
    int rows, cols, first_row, first_col;
    double *now, *next;
} block;

static size_t at(const block *b, int row, int col)
{
    return (size_t)(row + 1) * (size_t)(b->cols + 2) + (size_t)(col + 1);
}

static size_t room(const block *b)
{
    return (size_t)(b->rows + 2) * (size_t)(b->cols + 2);
}

/* Two hot spots on a cold plate. */
static double start_value(double y, double x)
{
    double a = (y - 0.3) * (y - 0.3) + (x - 0.35) * (x - 0.35);
    double b = (y - 0.7) * (y - 0.7) + (x - 0.6) * (x - 0.6);
    return exp(-60 * a) + 0.7 * exp(-90 * b);
}

static int block_open(block *b, int size)
{
    int ranks, rank, dims[2] = {0}, position[2];
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Dims_create(ranks, 2, dims);
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims, (int[]){0, 0}, 0, &b->grid);
    MPI_Comm_rank(b->grid, &rank);
    MPI_Cart_coords(b->grid, rank, 2, position);
    b->size = size;
    b->first_row = size * position[0] / dims[0];
    b->first_col = size * position[1] / dims[1];
    b->rows = size * (position[0] + 1) / dims[0] - b->first_row;
    b->cols = size * (position[1] + 1) / dims[1] - b->first_col;
    b->now = calloc(room(b), sizeof *b->now);
    b->next = calloc(room(b), sizeof *b->next);
    for (int i = 0; b->now && i < b->rows; i++) {
        for (int j = 0; j < b->cols; j++)
            b->now[at(b, i, j)] =
                start_value((b->first_row + i + 0.5) / size, (b->first_col + j + 0.5) / size);
    }
    return b->now && b->next;
}

static void block_close(block *b)
{
    free(b->now);
    free(b->next);
    MPI_Comm_free(&b->grid);
}

/* Edges go to the neighbours; beyond the plate it is cold. */
static void exchange(const block *b)
{
    MPI_Datatype row, column;
    int up, down, left, right;
    double *u = b->now;
    MPI_Type_contiguous(b->cols + 2, MPI_DOUBLE, &row);
    MPI_Type_vector(b->rows + 2, 1, b->cols + 2, MPI_DOUBLE, &column);
    MPI_Type_commit(&row);
    MPI_Type_commit(&column);
    MPI_Cart_shift(b->grid, 0, 1, &up, &down);
    MPI_Cart_shift(b->grid, 1, 1, &left, &right);
    /* Columns with the rows that have just come: so the corners arrive too. */
    MPI_Sendrecv(&u[at(b, 0, -1)], 1, row, up, 0, &u[at(b, b->rows, -1)], 1, row, down, 0, b->grid,
                 MPI_STATUS_IGNORE);
    MPI_Sendrecv(&u[at(b, b->rows - 1, -1)], 1, row, down, 0, &u[at(b, -1, -1)], 1, row, up, 0,
                 b->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(&u[at(b, -1, 0)], 1, column, left, 0, &u[at(b, -1, b->cols)], 1, column, right, 0,
                 b->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(&u[at(b, -1, b->cols - 1)], 1, column, right, 0, &u[at(b, -1, -1)], 1, column,
                 left, 0, b->grid, MPI_STATUS_IGNORE);
    MPI_Type_free(&row);
    MPI_Type_free(&column);
}

/* u ← u + Δt·α/h² · (u of the four neighbours − 4u), with Δt·α/h² = 0.2. */
static void step(block *b)
{
    const double *u = b->now;
    for (int i = 0; i < b->rows; i++) {
        for (int j = 0; j < b->cols; j++)
            b->next[at(b, i, j)] = u[at(b, i, j)] + 0.2 * (u[at(b, i - 1, j)] + u[at(b, i + 1, j)] +
                                                           u[at(b, i, j - 1)] + u[at(b, i, j + 1)] -
                                                           4 * u[at(b, i, j)]);
    }
    double *done = b->now;
    b->now = b->next;
    b->next = done;
}

/* The same for every way to cut the field: each value, with its place, adds its share. */
static uint64_t fingerprint(const block *b)
{
    uint64_t own = 0, all = 0;
    for (int i = 0; i < b->rows; i++) {
        for (int j = 0; j < b->cols; j++) {
            uint64_t bits, place = (uint64_t)(b->first_row + i) * (uint64_t)b->size +
                                   (uint64_t)(b->first_col + j);
            memcpy(&bits, &b->now[at(b, i, j)], sizeof bits);
            bits = (bits ^ (place * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9;
            own += bits ^ (bits >> 31);
        }
    }
    MPI_Reduce(&own, &all, 1, MPI_UINT64_T, MPI_SUM, 0, b->grid);
    return all;
}

/* --- the surrogate --- */

/* What a trainer has besides its block. */
typedef struct surrogate {
    strata_context *ctx; /* NULL: no trainer, or no longer */
    MPI_Comm trainers;
    strata_model *model;
    strata_dataset *samples;
    int64_t count;
    float (*x)[NEIGHBOURS]; /* differences to the neighbours, when the last inputs were taken */
    float *y;               /* change since then */
    double *before;         /* (rows, cols): the values then */
} surrogate;

static strata_model *network(strata_context *ctx)
{
    strata_tensor *input = strata_input(ctx, .shape = {NEIGHBOURS});
    strata_tensor *x = strata_dense(input, .units = 32, .activation = "tanh");
    x = strata_dense(x, .units = 1);
    strata_model *model = strata_functional(input, x, .name = "surrogate");
    strata_compile(model, .optimizer = "Adam(learning_rate=0.01)", .loss = "mse");
    return model;
}

/* Every trainer's samples stay where they are. Collective on the trainers. */
static void prepare(surrogate *s)
{
    s->x = calloc((size_t)s->count, sizeof *s->x);
    s->y = calloc((size_t)s->count, sizeof *s->y);
    s->before = calloc((size_t)s->count, sizeof *s->before);
    if (!s->x || !s->y || !s->before)
        strata_fail(s->ctx, STRATA_NO_MEMORY, "no memory for %lld samples", (long long)s->count);
    if (strata_agree(s->ctx) != STRATA_OK)
        return;
    s->model = network(s->ctx);
    s->samples = strata_local_dataset(
        s->ctx, .x = {{s->x, STRATA_SHAPE(s->count, NEIGHBOURS), STRATA_FLOAT32}},
        .y = {{s->y, STRATA_SHAPE(s->count, 1), STRATA_FLOAT32}});
}

/* Training is over, well or with an error, which strata_finish() prints. Collective on the
 * trainers. */
static void surrogate_close(surrogate *s)
{
    if (!s->ctx)
        return;
    strata_finish(&s->ctx);
    MPI_Comm_free(&s->trainers);
    free(s->x);
    free(s->y);
    free(s->before);
}

static void give_up_on_error(surrogate *s, int step)
{
    if (strata_error(s->ctx) == STRATA_OK)
        return;
    if (strata_rank(s->ctx) == 0)
        printf("training ends at step %d; the simulation goes on\n", step);
    surrogate_close(s);
}

/* Ranks with even numbers become trainers. Collective on the grid. */
static void surrogate_open(surrogate *s, const block *b, strata_options options)
{
    int rank;
    *s = (surrogate){.count = (int64_t)b->rows * b->cols};
    MPI_Comm_rank(b->grid, &rank);
    MPI_Comm_split(b->grid, rank % 2 == 0 ? 0 : MPI_UNDEFINED, rank, &s->trainers);
    if (s->trainers == MPI_COMM_NULL)
        return;
    options.check_numerics = true;
    s->ctx = strata_init(s->trainers, options);
    if (!s->ctx)
        return;
    prepare(s);
    give_up_on_error(s, 0);
}

/* Needs the borders. */
static void take_inputs(surrogate *s, const block *b)
{
    static const int around[NEIGHBOURS][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1},
                                              {0, 1},   {1, -1}, {1, 0},  {1, 1}};
    for (int64_t i = 0; i < s->count; i++) {
        int row = (int)(i / b->cols), col = (int)(i % b->cols);
        double centre = b->now[at(b, row, col)];
        for (int n = 0; n < NEIGHBOURS; n++)
            s->x[i][n] =
                (float)(scale * (b->now[at(b, row + around[n][0], col + around[n][1])] - centre));
        s->before[i] = centre;
    }
}

/* Returns the mean square over all trainers: the error of one who says that nothing changes. */
static double take_changes(surrogate *s, const block *b)
{
    double sum = 0;
    for (int64_t i = 0; i < s->count; i++) {
        double change =
            scale * (b->now[at(b, (int)(i / b->cols), (int)(i % b->cols))] - s->before[i]);
        s->y[i] = (float)change;
        sum += change * change;
    }
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, s->trainers);
    return sum / (double)strata_dataset_size(s->samples);
}

/* First tries what it knows on the new samples, then learns from them. Collective on the trainers.
 */
static void learn(surrogate *s, const block *b, int step, bool fails)
{
    double naive = take_changes(s, b);
    if (fails && strata_rank(s->ctx) == strata_size(s->ctx) - 1)
        s->x[s->count / 2][0] = NAN;
    const strata_logs *tried =
        strata_evaluate(s->model, s->samples, .batch_size = BATCH, .verbose = "0");
    double error = tried ? strata_logs_get(tried, "loss") : NAN;
    strata_fit(s->model, s->samples, .batch_size = BATCH, .verbose = "0");
    if (strata_error(s->ctx) == STRATA_OK && strata_rank(s->ctx) == 0)
        printf("step %d: the surrogate's error is %.2g of the naive one\n", step, error / naive);
    give_up_on_error(s, step);
}

/* --- the whole --- */

static void run(block *b, surrogate *s, const arguments *a)
{
    for (int n = 0; n < a->steps; n++) {
        exchange(b);
        if (s->ctx && n % a->every == 0) {
            if (n > 0)
                learn(s, b, n, a->fail > 0 && n >= a->fail);
            if (s->ctx)
                take_inputs(s, b);
        }
        step(b);
    }
}

static int simulate(const arguments *a, strata_options options)
{
    block b = {0};
    surrogate s = {0};
    int rank;
    if (!block_open(&b, a->size))
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    if (!a->no_training)
        surrogate_open(&s, &b, options);
    run(&b, &s, a);
    surrogate_close(&s);
    uint64_t print = fingerprint(&b);
    MPI_Comm_rank(b.grid, &rank);
    if (rank == 0)
        printf("the field after %d steps: %016llx\n", a->steps, (unsigned long long)print);
    block_close(&b);
    return EXIT_SUCCESS;
}

/* --- arguments --- */

/* "--size=64": the number from 1 to 100000 goes to `value`. */
static bool parse_number(const char *argument, const char *option, int *value)
{
    size_t length = strlen(option);
    if (strncmp(argument, option, length) != 0 || argument[length] != '=')
        return false;
    char *end;
    long number = strtol(argument + length + 1, &end, 10);
    *value = (int)number;
    return *end == '\0' && number >= 1 && number <= 100000;
}

static bool parse(int argc, char **argv, arguments *a)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-training") == 0)
            a->no_training = 1;
        else if (strcmp(argv[i], "--help") == 0)
            a->help = 1;
        else if (!parse_number(argv[i], "--size", &a->size) &&
                 !parse_number(argv[i], "--steps", &a->steps) &&
                 !parse_number(argv[i], "--every", &a->every) &&
                 !parse_number(argv[i], "--fail", &a->fail))
            return false;
    }
    return true;
}

/* MPI_Init, not MPI_Init_thread: a simulation that knows of one thread only. */
int main(int argc, char **argv)
{
    int rank, code = EXIT_FAILURE;
    arguments a = {.size = 96, .steps = 300, .every = 20};
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    strata_options options = strata_options_from(&argc, &argv);
    bool right = parse(argc, argv, &a);
    if (right && !a.help)
        code = simulate(&a, options);
    else if (rank == 0)
        fputs(usage, right ? stdout : stderr);
    MPI_Finalize();
    return a.help && right ? EXIT_SUCCESS : code;
}
