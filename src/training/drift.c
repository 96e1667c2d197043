/* Replicas that have drifted apart: digests of the copies, compared every so many steps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/drift.h"

#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "base/text.h"

/* --- groups of replicas --- */

/* All groups of the mesh are numbered: first those of BATCH, one a column, then those of DATA, one
 * a position of the model grid. */
static int group_count(const strata__mesh *mesh)
{
    return mesh->cols + mesh->rows * mesh->cols;
}

/* Number of the group with which a rank holds such a variable. */
static int group_of(const strata__mesh *mesh, const strata_variable *variable, int rank)
{
    int position = rank % (mesh->rows * mesh->cols);
    return variable->replicas == STRATA__BATCH ? position % mesh->cols : mesh->cols + position;
}

/* Whether there are copies that must be equal. */
static bool is_mirrored(const strata_variable *variable)
{
    return variable->synchronization == STRATA_SYNCHRONIZATION_ON_WRITE &&
           strata__variable_replicas(variable) > 1;
}

/* --- digests --- */

/*
 * Two numbers a group: the largest digest d of its members, and the largest ~d, which is ~ of the
 * smallest. NOTHING: the rank is not of the group, or the group holds nothing.
 */
static const int64_t NOTHING = INT64_MIN;

static void clear(int64_t *numbers, int groups)
{
    for (int i = 0; i < 2 * groups; i++)
        numbers[i] = NOTHING;
}

/* The digest of what the group holds so far, and then the variable. */
static void add(int64_t *numbers, const strata_variable *variable)
{
    const strata__mesh *mesh = variable->ctx->mesh;
    int64_t *own = &numbers[2 * group_of(mesh, variable, mesh->rank)];
    size_t bytes = (size_t)variable->count * strata_dtype_size(variable->dtype);
    uint64_t before = own[0] == NOTHING && own[1] == NOTHING ? 0 : (uint64_t)own[0];
    uint64_t digest = strata__digest(before, variable->value->data, bytes);
    own[0] = (int64_t)digest;
    own[1] = (int64_t)~digest;
}

/* After the numbers of all ranks have met. */
static bool group_differs(const int64_t *numbers, int group)
{
    const int64_t *two = &numbers[2 * group];
    return !(two[0] == NOTHING && two[1] == NOTHING) && two[0] != ~two[1];
}

static bool any_differs(const int64_t *numbers, int groups)
{
    for (int group = 0; group < groups; group++) {
        if (group_differs(numbers, group))
            return true;
    }
    return false;
}

/* The model's variables in its order (strata__free). */
static strata_variable **weights_of(const strata__trainer *trainer, int *count)
{
    const strata_layer *layer = trainer->model->layer;
    *count = strata_layer_weights(layer, NULL, 0);
    strata_variable **weights =
        strata__scratch(trainer->model->ctx, *count, sizeof(strata_variable *));
    strata_layer_weights(layer, weights, *count);
    return weights;
}

static void digest_model(const strata__trainer *trainer, int64_t *numbers)
{
    int count;
    strata_variable **weights = weights_of(trainer, &count);
    clear(numbers, group_count(trainer->model->ctx->mesh));
    for (int i = 0; i < count; i++) {
        if (is_mirrored(weights[i]))
            add(numbers, weights[i]);
    }
    strata__free(trainer->model->ctx, weights);
}

/* --- the report --- */

/* The first variable of which the copies of a group differ. */
static const strata_variable *first_different(const strata__trainer *trainer, int64_t *numbers)
{
    strata_context *ctx = trainer->model->ctx;
    int count, groups = group_count(ctx->mesh);
    strata_variable **weights = weights_of(trainer, &count);
    const strata_variable *found = NULL;
    for (int i = 0; i < count && !found; i++) {
        if (!is_mirrored(weights[i]))
            continue;
        clear(numbers, groups);
        add(numbers, weights[i]);
        strata__max(ctx, STRATA__WORLD, numbers, 2 * groups, STRATA_INT64);
        found = any_differs(numbers, groups) ? weights[i] : NULL;
    }
    strata__free(ctx, weights);
    return found;
}

/* The digest that most members of a group have; of equally many, those with the lowest rank.
 * digests: (mesh size). */
static int64_t usual_digest(const strata_variable *variable, const int64_t *digests, int group)
{
    const strata__mesh *mesh = variable->ctx->mesh;
    int most = 0;
    int64_t usual = 0;
    for (int i = 0; i < mesh->size; i++) {
        int alike = 0;
        for (int j = i; j < mesh->size && group_of(mesh, variable, i) == group; j++)
            alike += group_of(mesh, variable, j) == group && digests[j] == digests[i];
        if (alike > most) {
            most = alike;
            usual = digests[i];
        }
    }
    return usual;
}

/* Ranks of the groups whose copies differ: those with the usual digest, or the others. */
static char *ranks_with(const strata_variable *variable, const int64_t *digests,
                        const int64_t *numbers, bool usual)
{
    strata_context *ctx = variable->ctx;
    const strata__mesh *mesh = ctx->mesh;
    int *ranks = strata__scratch(ctx, mesh->size, sizeof *ranks), count = 0;
    for (int group = 0; group < group_count(mesh); group++) {
        if (!group_differs(numbers, group))
            continue;
        int64_t digest = usual_digest(variable, digests, group);
        for (int rank = 0; rank < mesh->size; rank++) {
            if (group_of(mesh, variable, rank) == group && (digests[rank] == digest) == usual)
                ranks[count++] = rank;
        }
    }
    strata__text text = {.ctx = ctx};
    strata__text_numbers(&text, count, ranks);
    strata__free(ctx, ranks);
    return strata__text_take(&text);
}

/* The digests of all copies, (mesh size) for strata__free(). */
static int64_t *gather_digests(const strata_variable *variable)
{
    strata_context *ctx = variable->ctx;
    int size = ctx->mesh->size;
    size_t bytes = (size_t)variable->count * strata_dtype_size(variable->dtype);
    int64_t *digests = strata__scratch(ctx, size, sizeof *digests);
    memset(digests, 0, (size_t)size * sizeof *digests);
    digests[ctx->mesh->rank] = (int64_t)strata__digest(0, variable->value->data, bytes);
    strata__sum(ctx, STRATA__WORLD, digests, size, STRATA_INT64);
    return digests;
}

/* The same on all ranks. */
static strata_status report(const strata_variable *variable, int64_t step, const int64_t *numbers)
{
    strata_context *ctx = variable->ctx;
    int64_t *digests = gather_digests(variable);
    char *odd = ranks_with(variable, digests, numbers, false);
    char *usual = ranks_with(variable, digests, numbers, true);
    if (odd && usual)
        strata__fail(ctx, STRATA_DIVERGED,
                     "replicas have drifted apart at step %lld: variable '%s' on rank %s is not "
                     "what rank %s has",
                     (long long)step, variable->path, odd, usual);
    strata__free(ctx, odd);
    strata__free(ctx, usual);
    strata__free(ctx, digests);
    return strata__agree(ctx);
}

static strata_status judge(const strata__trainer *trainer, int64_t *numbers)
{
    int64_t step = trainer->optimizer->iteration;
    const strata_variable *variable = first_different(trainer, numbers);
    if (variable)
        return report(variable, step, numbers);
    return strata__fail(trainer->model->ctx, STRATA_DIVERGED,
                        "replicas had drifted apart at step %lld, and are equal again",
                        (long long)step);
}

/* --- the end of a step --- */

static bool is_due(const strata__trainer *trainer)
{
    const strata_context *ctx = trainer->model->ctx;
    return ctx->settings.check_replicas > 0 && ctx->mesh->size > 1 &&
           trainer->optimizer->iteration % ctx->settings.check_replicas == 0;
}

strata_status strata__train_agree(strata__trainer *trainer, strata__step_flags *flags)
{
    strata_context *ctx = trainer->model->ctx;
    int groups = group_count(ctx->mesh);
    if (!is_due(trainer))
        return strata__step_agree(ctx, flags);
    flags->number_count = 2 * groups;
    flags->numbers = strata__scratch(ctx, flags->number_count, sizeof *flags->numbers);
    digest_model(trainer, flags->numbers);
    strata_status status = strata__step_agree(ctx, flags);
    if (status == STRATA_OK && any_differs(flags->numbers, groups))
        status = judge(trainer, flags->numbers);
    strata__free(ctx, flags->numbers);
    flags->numbers = NULL;
    flags->number_count = 0;
    return status;
}
