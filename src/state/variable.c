/* Variables: creation, placement on the mesh, properties. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/variable.h"

#include <string.h>

#include "base/memory.h"
#include "state/elements.h"
#include "state/initial.h"
#include "state/initializer.h"

/* --- properties --- */

const char *strata_variable_name(const strata_variable *variable)
{
    return variable->name;
}

const char *strata_variable_path(const strata_variable *variable)
{
    return variable->path;
}

strata_shape strata_variable_shape(const strata_variable *variable)
{
    return variable->shape;
}

strata_dtype strata_variable_dtype(const strata_variable *variable)
{
    return variable->dtype;
}

bool strata_variable_trainable(const strata_variable *variable)
{
    return variable->trainable;
}

strata_synchronization strata_variable_synchronization(const strata_variable *variable)
{
    return variable->synchronization;
}

strata_aggregation strata_variable_aggregation(const strata_variable *variable)
{
    return variable->aggregation;
}

int strata__variable_replicas(const strata_variable *variable)
{
    return variable->ctx->mesh->groups[variable->replicas].size;
}

bool strata__variable_varies(const strata_variable *variable)
{
    return variable->synchronization == STRATA_SYNCHRONIZATION_ON_READ &&
           strata__variable_replicas(variable) > 1;
}

/* --- placement --- */

static void choose_placement(strata_variable *variable, strata__placement wanted)
{
    const strata__mesh *mesh = variable->ctx->mesh;
    bool sharded = mesh->rows * mesh->cols > 1 && variable->dtype == STRATA_FLOAT32;
    variable->placement = sharded ? wanted : STRATA__WHOLE;
    variable->replicas = variable->placement == STRATA__MATRIX ? STRATA__DATA : STRATA__BATCH;
}

void strata__variable_block(const strata_variable *variable, int64_t first[2], int64_t count[2],
                            int64_t global[2])
{
    const strata__mesh *mesh = variable->ctx->mesh;
    const strata_shape *shape = &variable->shape;
    int rows = shape->rank - variable->columns;
    global[0] = count[0] = strata__product(shape, 0, rows);
    global[1] = count[1] = strata__product(shape, rows > 0 ? rows : 0, shape->rank);
    first[0] = first[1] = 0;
    if (variable->placement == STRATA__VECTOR) {
        strata__piece piece = strata__piece_of(global[1], mesh->cols, mesh->col);
        first[1] = piece.first;
        count[1] = piece.count;
    } else if (variable->placement == STRATA__MATRIX) {
        first[0] = variable->matrix.first_m;
        first[1] = variable->matrix.first_n;
        count[0] = variable->matrix.local_m;
        count[1] = variable->matrix.local_n;
    }
}

void strata__variable_runs(const strata_variable *variable, strata__run *each, void *user)
{
    int64_t first[2], count[2], global[2];
    strata__variable_block(variable, first, count, global);
    if (count[0] == 0 || count[1] == 0)
        return;
    if (count[1] == global[1]) {
        each(user, first[0] * global[1], 0, count[0] * count[1]);
        return;
    }
    for (int64_t i = 0; i < count[0]; i++)
        each(user, (first[0] + i) * global[1] + first[1], i * count[1], count[1]);
}

/* The piece of a sharded kernel of any rank: its rows stand on the first axis, the axes in between
 * are 1. */
static void shape_piece(strata_variable *variable)
{
    strata_tensor *value = variable->value;
    if (variable->placement != STRATA__MATRIX)
        return;
    value->matrix = &variable->matrix;
    value->local.dims[0] = variable->matrix.local_m;
    for (int i = 1; i < value->local.rank - 1; i++)
        value->local.dims[i] = 1;
    value->local.dims[value->local.rank - 1] = variable->matrix.local_n;
    value->first_feature = variable->matrix.first_n;
}

/* --- checks: the same verdict on all ranks --- */

static strata_status check_shape(strata_context *ctx, const strata_shape *shape, const char *path)
{
    char text[STRATA__SHAPE_TEXT];
    int64_t bytes = sizeof(double);
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0)
            return strata__fail(ctx, STRATA_INVALID,
                                "Shapes used to initialize variables must be fully-defined (no "
                                "`None` dimensions). Received: "
                                "shape=%s for variable path='%s'",
                                strata__shape_text(shape, text), path);
        if (__builtin_mul_overflow(bytes, shape->dims[i], &bytes))
            return strata__fail(ctx, STRATA_INVALID,
                                "variable '%s': shape %s has more elements than can be counted",
                                path, strata__shape_text(shape, text));
    }
    return STRATA_OK;
}

static strata_status check_modes(const strata_variable *variable)
{
    strata_context *ctx = variable->ctx;
    if (variable->synchronization < STRATA_SYNCHRONIZATION_AUTO ||
        variable->synchronization > STRATA_SYNCHRONIZATION_ON_READ)
        return strata__fail(ctx, STRATA_INVALID,
                            "Invalid variable synchronization mode: %d for variable: %s",
                            (int)variable->synchronization, variable->path);
    if (variable->aggregation < STRATA_AGGREGATION_NONE ||
        variable->aggregation > STRATA_AGGREGATION_ONLY_FIRST_REPLICA)
        return strata__fail(ctx, STRATA_INVALID,
                            "Invalid variable aggregation mode: %d for variable: %s",
                            (int)variable->aggregation, variable->path);
    if (variable->trainable && variable->synchronization == STRATA_SYNCHRONIZATION_ON_READ)
        return strata__fail(ctx, STRATA_INVALID,
                            "Synchronization value can be set to VariableSynchronization.ON_READ "
                            "only for non-trainable "
                            "variables. You have specified trainable=True and "
                            "synchronization=VariableSynchronization.ON_READ "
                            "(variable '%s')",
                            variable->path);
    if (variable->synchronization == STRATA_SYNCHRONIZATION_NONE &&
        strata__variable_replicas(variable) > 1)
        return strata__fail(ctx, STRATA_INVALID,
                            "`NONE` variable synchronization mode is not supported with "
                            "tf.distribute strategy. Please change the "
                            "`synchronization` for variable: %s",
                            variable->path);
    return STRATA_OK;
}

static strata_status check_dtype(const strata_variable *variable)
{
    if (variable->trainable && variable->dtype != STRATA_FLOAT32)
        return strata__fail(variable->ctx, STRATA_INVALID,
                            "variable '%s': a trainable variable is float32, not %s; give "
                            "trainable=false or another dtype",
                            variable->path, strata_dtype_name(variable->dtype));
    return STRATA_OK;
}

static strata_status check_placement(const strata_variable *variable)
{
    int least = variable->placement == STRATA__MATRIX   ? variable->columns + 1
                : variable->placement == STRATA__VECTOR ? variable->columns
                                                        : 0;
    if (variable->shape.rank < least)
        return strata__fail(variable->ctx, STRATA_INTERNAL,
                            "variable '%s': too few axes (%d) to be sharded", variable->path,
                            variable->shape.rank);
    return STRATA_OK;
}

/* --- regularizer and constraint --- */

static strata_status parse_member(strata_variable *variable, const strata__family *family,
                                  const char *text, strata__object *object)
{
    STRATA_TRY(strata__object_parse(variable->ctx, family, text, object));
    if (object->class && variable->dtype != STRATA_FLOAT32)
        return strata__fail(variable->ctx, STRATA_INVALID,
                            "variable '%s': a %s needs a float32 variable, not %s", variable->path,
                            family->kind, strata_dtype_name(variable->dtype));
    return STRATA_OK;
}

static strata_status parse_members(strata_variable *variable, const strata__variable_spec *spec)
{
    strata_context *ctx = variable->ctx;
    STRATA_TRY(parse_member(variable, &strata__regularizer_family, spec->regularizer,
                            &variable->regularizer));
    STRATA_TRY(parse_member(variable, &strata__constraint_family, spec->constraint,
                            &variable->constraint));
    if (variable->regularizer.class) {
        const strata__regularizer_methods *methods = variable->regularizer.class->methods;
        if (methods->check)
            STRATA_TRY(methods->check(ctx, variable->regularizer.config, &variable->shape,
                                      variable->path));
    }
    if (variable->constraint.class) {
        const strata__constraint_methods *methods = variable->constraint.class->methods;
        if (methods->check)
            STRATA_TRY(
                methods->check(ctx, variable->constraint.config, &variable->shape, variable->path));
    }
    return STRATA_OK;
}

/* --- creation --- */

static strata_status check_arguments(strata_variable *variable, const strata__variable_spec *spec)
{
    STRATA_TRY(check_shape(variable->ctx, &variable->shape, variable->path));
    STRATA_TRY(check_modes(variable));
    STRATA_TRY(check_dtype(variable));
    STRATA_TRY(check_placement(variable));
    return parse_members(variable, spec);
}

static strata_status name_variable(strata_variable *variable, const strata__variable_spec *spec)
{
    strata_context *ctx = variable->ctx;
    bool owned = spec->path && *spec->path;
    variable->name = strata__strdup(ctx, spec->name);
    variable->path = owned ? strata__format(ctx, "%s/%s", spec->path, spec->name)
                           : strata__strdup(ctx, spec->name);
    return variable->name && variable->path ? STRATA_OK : STRATA_NO_MEMORY;
}

/* Sizes of the local piece. */
static strata_status measure(strata_variable *variable)
{
    int64_t first[2], count[2], global[2];
    const strata_shape *shape = &variable->shape;
    int rows = shape->rank - variable->columns;
    if (variable->placement == STRATA__MATRIX)
        STRATA_TRY(strata__matrix_describe(
            variable->ctx, variable->path, strata__product(shape, 0, rows),
            strata__product(shape, rows, shape->rank), 0, 0, &variable->matrix));
    strata__variable_block(variable, first, count, global);
    variable->count = count[0] * count[1];
    return STRATA_OK;
}

/* Global shape of the value. */
static strata_shape value_shape(const strata_variable *variable, bool as_matrix)
{
    const strata_shape *shape = &variable->shape;
    int rows = shape->rank - variable->columns;
    if (!as_matrix)
        return *shape;
    int64_t n = strata__product(shape, rows, shape->rank);
    return rows > 0 ? STRATA_SHAPE(strata__product(shape, 0, rows), n) : STRATA_SHAPE(n);
}

static strata_status make_value(strata_variable *variable, bool as_matrix)
{
    strata_context *ctx = variable->ctx;
    strata__layout layout = {.split = variable->placement == STRATA__VECTOR};
    strata_shape shape = value_shape(variable, as_matrix);
    variable->storage =
        strata__calloc(ctx, (size_t)variable->count, strata_dtype_size(variable->dtype));
    if (!variable->storage)
        return STRATA_NO_MEMORY;
    strata_tensor *value =
        strata__tensor_borrow(ctx, variable->dtype, &shape, layout, variable->storage);
    if (!value)
        return STRATA_NO_MEMORY;
    variable->value = value->scope ? strata_tensor_keep(value) : value;
    value->wants_gradient = variable->trainable;
    value->variable = variable;
    shape_piece(variable);
    return STRATA_OK;
}

/* Name and arguments. Local. */
static strata_variable *begin(strata_context *ctx, const strata__variable_spec *spec)
{
    strata_variable *variable = strata__calloc(ctx, 1, sizeof *variable);
    if (!variable)
        return NULL;
    *variable = (strata_variable){
        .ctx = ctx,
        .next = ctx->variables,
        .shape = spec->shape,
        .dtype = spec->dtype,
        .trainable = spec->trainable,
        .synchronization = spec->synchronization == STRATA_SYNCHRONIZATION_AUTO
                               ? STRATA_SYNCHRONIZATION_ON_WRITE
                               : spec->synchronization,
        .aggregation = spec->aggregation,
        .columns = spec->columns > 0 ? spec->columns : 1,
    };
    ctx->variables = variable;
    choose_placement(variable, spec->placement);
    if (name_variable(variable, spec) == STRATA_OK)
        check_arguments(variable, spec);
    return variable;
}

/* The first variable that is cut over the model grid makes ScaLAPACK's grid. Collective. */
static strata_status complete(strata_variable *variable, const strata__variable_spec *spec)
{
    strata_context *ctx = variable->ctx;
    if (measure(variable) == STRATA_OK)
        make_value(variable, spec->columns > 0);
    return strata__variable_initialize(variable, spec->initializer,
                                       ctx->settings.seed + spec->seed);
}

strata_variable *strata__variable_new(strata_context *ctx, const strata__variable_spec *spec)
{
    if (ctx->status != STRATA_OK)
        return NULL;
    strata_variable *variable = begin(ctx, spec);
    if (strata__agree(ctx) == STRATA_OK && complete(variable, spec) == STRATA_OK)
        return variable;
    strata__variable_free(variable);
    return NULL;
}

static void detach(strata_variable *variable)
{
    strata_variable **link = &variable->ctx->variables;
    while (*link != variable)
        link = &(*link)->next;
    *link = variable->next;
}

void strata__variable_free(strata_variable *variable)
{
    if (!variable)
        return;
    strata_context *ctx = variable->ctx;
    detach(variable);
    strata_tensor_release(variable->value);
    strata__object_free(ctx, &variable->regularizer);
    strata__object_free(ctx, &variable->constraint);
    strata__free(ctx, variable->storage);
    strata__free(ctx, variable->path);
    strata__free(ctx, variable->name);
    strata__free(ctx, variable);
}
