/* Calls collectives that do not match, in a way that its argument names; test_checked.sh reads the
 * report. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <strata.h>

#include "mesh/mesh.h"
#include "state/variable.h"

/* A rank of the mesh that does something else than the others. */
enum { ODD_ONE = 1 };

static strata_variable *make(strata_context *ctx, const char *name, strata_shape shape,
                             strata_dtype dtype)
{
    return strata__variable_new(ctx,
                                &(strata__variable_spec){.name = name,
                                                         .path = "layer",
                                                         .shape = shape,
                                                         .dtype = dtype,
                                                         .initializer = "zeros",
                                                         .aggregation = STRATA_AGGREGATION_SUM});
}

/* What all ranks have: variables, and values to assign. */
typedef struct things {
    strata_context *ctx;
    bool odd;
    strata_variable *one, *other;
    strata_tensor *value, *longer, *whole; /* (2), (3), (2) of int32 */
} things;

typedef void scenario(const things *t);

static void nothing(const things *t)
{
    strata_replica_assign(t->one, t->value);
    strata_cross_assign(t->other, "12345678");
}

static void skipped_sum(const things *t)
{
    double sums[4] = {0};
    if (!t->odd)
        strata__sum(t->ctx, STRATA__WORLD, sums, 4, STRATA_FLOAT64);
    strata__barrier(t->ctx, STRATA__WORLD);
}

static void other_count(const things *t)
{
    double sums[4] = {0};
    strata__sum(t->ctx, STRATA__WORLD, sums, t->odd ? 3 : 4, STRATA_FLOAT64);
}

static void nothing_to_sum(const things *t)
{
    double sums[4] = {0};
    strata__sum(t->ctx, STRATA__WORLD, sums, t->odd ? 0 : 4, STRATA_FLOAT64);
}

static void other_dtype(const things *t)
{
    strata_replica_assign(t->one, t->odd ? t->whole : t->value);
}

static void other_shape(const things *t)
{
    strata_replica_assign_add(t->one, t->odd ? t->longer : t->value);
}

static void other_variable(const things *t)
{
    strata_replica_assign(t->odd ? t->other : t->one, t->value);
}

static void other_operation(const things *t)
{
    if (t->odd)
        strata_replica_assign_sub(t->one, t->value);
    else
        strata_replica_assign_add(t->one, t->value);
}

static void other_values(const things *t)
{
    strata_cross_assign(t->one, t->odd ? "abcdefgh" : "12345678");
}

/* Decision 7: a read that a rank does not reach, though here it needs no communication. */
static void skipped_read(const things *t)
{
    float values[2];
    if (!t->odd)
        strata_cross_read(t->one, values);
}

static void skipped_assign(const things *t)
{
    if (!t->odd)
        strata_replica_assign(t->one, t->value);
}

/* An error that the odd one alone sees, and takes for everybody's. */
static void early_return(const things *t)
{
    if (t->odd)
        strata_fail(t->ctx, STRATA_INVALID, "only I see this");
    strata_replica_assign(t->one, t->value);
}

/* The odd one waits in another group. */
static void other_group(const things *t)
{
    strata__barrier(t->ctx, t->odd ? STRATA__COLS : STRATA__DATA);
    strata__barrier(t->ctx, STRATA__WORLD);
}

static void never(const things *t)
{
    while (t->odd)
        sleep(1);
    strata__barrier(t->ctx, STRATA__WORLD);
}

/* The first rank of the group, to which the others turn. */
static void never_first(const things *t)
{
    while (t->ctx->mesh->rank == 0)
        sleep(1);
    strata__barrier(t->ctx, STRATA__WORLD);
}

/* Late, but in time. */
static void late(const things *t)
{
    usleep(t->odd ? 300000 : 0);
    strata__barrier(t->ctx, STRATA__WORLD);
}

static const struct {
    const char *name;
    scenario *run;
} scenarios[] = {
    {"nothing", nothing},
    {"skipped_sum", skipped_sum},
    {"other_count", other_count},
    {"nothing_to_sum", nothing_to_sum},
    {"other_dtype", other_dtype},
    {"other_shape", other_shape},
    {"other_variable", other_variable},
    {"other_operation", other_operation},
    {"other_values", other_values},
    {"skipped_read", skipped_read},
    {"skipped_assign", skipped_assign},
    {"early_return", early_return},
    {"other_group", other_group},
    {"never", never},
    {"never_first", never_first},
    {"late", late},
};

static void run(strata_context *ctx, const char *name)
{
    strata_variable *one = make(ctx, "one", STRATA_SHAPE(2), STRATA_FLOAT32);
    strata_variable *other = make(ctx, "other", STRATA_SHAPE(2), STRATA_FLOAT32);
    strata_scope_begin(ctx);
    const float zeros[3] = {0};
    things t = {.ctx = ctx, .odd = strata_rank(ctx) == ODD_ONE, .one = one, .other = other};
    t.value = strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2), zeros);
    t.longer = strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(3), zeros);
    t.whole = strata_tensor_from(ctx, STRATA_INT32, STRATA_SHAPE(2), zeros);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i].name, name) == 0)
            scenarios[i].run(&t);
    }
    strata_tensor_release(t.value);
    strata_tensor_release(t.longer);
    strata_tensor_release(t.whole);
    strata_scope_end(ctx);
    strata__agree(ctx);
    strata__variable_free(one);
    strata__variable_free(other);
}

int main(int argc, char **argv)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (strata_error(ctx) == STRATA_OK && argc == 2)
        run(ctx, argv[1]);
    return strata_finish(&ctx);
}
