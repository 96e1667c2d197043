/* Saving and loading models: .keras archives and .weights.h5 files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "model/model.h"
#include "storage/archive.h"
#include "storage/weights.h"

/* Keras does not check it; 3.10 has the order of optimizer variables that is written here. */
#define KERAS_VERSION "3.10.0"

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), size = strlen(ending);
    return length >= size && strcmp(path + length - size, ending) == 0;
}

/* --- where Keras keeps a layer's variables --- */

typedef strata_status visit_object(void *user, strata_layer *layer, const char *path);

/* "layers/dense_1": the class in snake case, counted within this list. */
static char *member_path(strata_context *ctx, const char *parent, const char *list,
                         const char *snake, int number)
{
    const char *slash = *parent ? "/" : "";
    return number ? strata__format(ctx, "%s%s%s/%s_%d", parent, slash, list, snake, number)
                  : strata__format(ctx, "%s%s%s/%s", parent, slash, list, snake);
}

static strata_status walk(strata_layer *layer, const char *path, visit_object *visit, void *user);

static int earlier_of_class(const strata__list *layers, int index)
{
    const strata_layer *layer = layers->items[index];
    int count = 0;
    for (int i = 0; i < index; i++)
        count += strcmp(((strata_layer *)layers->items[i])->class->name, layer->class->name) == 0;
    return count;
}

static strata_status walk_model(strata_model *model, const char *path, visit_object *visit,
                                void *user)
{
    strata_context *ctx = model->ctx;
    for (int i = 0; i < model->layers.count; i++) {
        strata_layer *layer = model->layers.items[i];
        char *snake = strata__snake_case(ctx, strata__python_name(layer));
        char *member =
            snake ? member_path(ctx, path, "layers", snake, earlier_of_class(&model->layers, i))
                  : NULL;
        strata_status status = member ? walk(layer, member, visit, user) : STRATA_NO_MEMORY;
        strata__free(ctx, snake);
        strata__free(ctx, member);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}

static strata_status walk(strata_layer *layer, const char *path, visit_object *visit, void *user)
{
    strata_model *model = strata__model_of(layer);
    STRATA_TRY(visit(user, layer, path));
    if (model)
        return walk_model(model, path, visit, user);
    for (int i = 0; i < layer->sublayers.count; i++) {
        const strata__sublayer *sublayer = layer->sublayers.items[i];
        char *member =
            strata__format(layer->ctx, "%s%s%s", path, *path ? "/" : "", sublayer->attribute);
        strata_status status =
            member ? walk(sublayer->layer, member, visit, user) : STRATA_NO_MEMORY;
        strata__free(layer->ctx, member);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}

/* A layer's own variables: the trainable store, then the other. */
static strata_variable *own_variable(const strata_layer *layer, int index)
{
    int trainable = layer->trainable_store.count;
    return index < trainable ? layer->trainable_store.items[index]
                             : layer->non_trainable_store.items[index - trainable];
}

static int own_count(const strata_layer *layer)
{
    return layer->trainable_store.count + layer->non_trainable_store.count;
}

static void *room_for(strata_context *ctx, const strata_shape *shape, strata_dtype dtype)
{
    return strata__alloc(ctx,
                         (size_t)strata__product(shape, 0, shape->rank) * strata_dtype_size(dtype));
}

/* --- saving --- */

/* Room for a whole variable. Here an error that rank 0 alone had with the file becomes everyone's,
 * before they read together. */
static strata_status agreed_room(strata_context *ctx, const strata_shape *shape, strata_dtype dtype,
                                 void **whole)
{
    *whole = ctx->status == STRATA_OK ? room_for(ctx, shape, dtype) : NULL;
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK)
        strata__free(ctx, *whole);
    return status;
}

static strata_status save_object(void *user, strata_layer *layer, const char *path)
{
    strata__weights_writer *writer = user;
    strata__weights_add(writer, path, layer->name);
    for (int i = 0; i < own_count(layer); i++) {
        strata_variable *variable = own_variable(layer, i);
        void *whole;
        STRATA_TRY(agreed_room(layer->ctx, &variable->shape, variable->dtype, &whole));
        strata_status status = strata_cross_read(variable, whole);
        if (status == STRATA_OK)
            strata__weights_write(writer, path, i, variable->dtype, variable->shape, whole);
        strata__free(layer->ctx, whole);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}

static strata_status save_optimizer(strata_model *model, const json_t *compiled,
                                    strata__weights_writer *writer)
{
    strata_context *ctx = model->ctx;
    const strata__compiler *compiler = ctx->compiler;
    const json_t *config = json_object_get(json_object_get(compiled, "optimizer"), "config");
    const char *name = json_string_value(json_object_get(config, "name"));
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(compiler->build(model));
    strata__weights_add(writer, "optimizer", name ? name : "optimizer");
    for (int i = 0; i < compiler->variable_count(model); i++) {
        const char *path;
        strata_dtype dtype;
        strata_shape shape;
        STRATA_TRY(compiler->variable_describe(model, i, &path, &dtype, &shape));
        void *whole;
        STRATA_TRY(agreed_room(ctx, &shape, dtype, &whole));
        strata_status status = compiler->variable_read(model, i, whole);
        if (status == STRATA_OK)
            strata__weights_write(writer, "optimizer", i, dtype, shape, whole);
        strata__free(ctx, whole);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}

static strata_status save_variables(strata_model *model, const json_t *compiled,
                                    strata__weights_writer *writer)
{
    STRATA_TRY(walk(model->layer, "", save_object, writer));
    return compiled ? save_optimizer(model, compiled, writer) : STRATA_OK;
}

static char *config_text(strata_model *model, const json_t *compiled)
{
    json_t *object = strata__model_serialize(model);
    if (object && compiled)
        json_object_set(object, "compile_config", (json_t *)(uintptr_t)compiled);
    char *text = object ? strata__json_dump(model->ctx, object, 0) : NULL;
    json_decref(object);
    return model->ctx->status == STRATA_OK ? text : (strata__free(model->ctx, text), NULL);
}

static char *metadata_text(strata_context *ctx)
{
    char date[64];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%Y-%m-%d@%H:%M:%S", &parts);
    return strata__format(ctx, "{\"keras_version\": \"%s\", \"date_saved\": \"%s\"}", KERAS_VERSION,
                          date);
}

/* Nothing is left of the file by the time any rank returns. */
static strata_status give_up(strata_context *ctx, strata__weights_writer *writer)
{
    strata__weights_discard(ctx, writer);
    return strata__agree(ctx);
}

static strata_status finish_archive(strata_model *model, const json_t *compiled,
                                    strata__weights_writer *writer)
{
    strata_context *ctx = model->ctx;
    char *config = config_text(model, compiled), *metadata = metadata_text(ctx);
    bool whole = config && metadata;
    if (!whole) /* the first error is kept */
        strata__fail(ctx, STRATA_NO_MEMORY, "no memory to describe model '%s'", model->layer->name);
    strata_status status =
        whole ? strata__archive_finish(ctx, writer, metadata, config) : give_up(ctx, writer);
    strata__free(ctx, config);
    strata__free(ctx, metadata);
    return status;
}

static strata_status check_ending(strata_context *ctx, const char *path, bool saving)
{
    if (ends_with(path, ".keras") || ends_with(path, ".weights.h5"))
        return STRATA_OK;
    bool legacy = ends_with(path, ".h5") || ends_with(path, ".hdf5");
    return strata__fail(
        ctx, legacy && !saving ? STRATA_UNSUPPORTED : STRATA_INVALID,
        "'%s': %s; the name must end in .keras (model) or .weights.h5 (weights)", path,
        legacy ? "the legacy HDF5 format is not supported" : "unknown kind of file");
}

static strata_status save(strata_model *model, const char *path)
{
    strata_context *ctx = model->ctx;
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(check_ending(ctx, path, true));
    strata__model_ready(model);
    strata__weights_writer *writer;
    STRATA_TRY(strata__weights_create(ctx, path, &writer));
    json_t *compiled = model->trainer ? ctx->compiler->to_json(model) : NULL;
    strata_status status = save_variables(model, compiled, writer);
    if (status != STRATA_OK)
        give_up(ctx, writer);
    else if (ends_with(path, ".keras"))
        status = finish_archive(model, compiled, writer);
    else
        status = strata__weights_finish(ctx, writer);
    json_decref(compiled);
    return status;
}

strata_status strata_save(strata_model *model, const char *path)
{
    if (!model)
        return STRATA_INVALID;
    bool step = strata__no_way_back(model->ctx, false); /* callbacks save at the end of one */
    strata_status status = save(model, path);
    strata__no_way_back(model->ctx, step);
    return status;
}

/* --- loading --- */

typedef struct loading {
    strata_context *ctx;
    const strata__weights *weights;
} loading;

static strata_status wrong_count(const loading *l, const strata_layer *layer, int found)
{
    char names[512] = "";
    for (int i = 0; i < own_count(layer) && strlen(names) < sizeof names - 64; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s'%.40s'", i ? ", " : "",
                 own_variable(layer, i)->name);
    return strata__fail(l->ctx, STRATA_BAD_DATA,
                        "%s: Layer '%s' expected %d variables, but received %d variables during "
                        "loading. Expected: [%s]",
                        strata__weights_name(l->weights), layer->name, own_count(layer), found,
                        names);
}

/* Files that Keras itself would take without a word: say what is odd about them. */
static void warn_about(const loading *l, const char *path, strata_dtype stored,
                       const strata_shape *shape, strata_dtype dtype, const void *values)
{
    if (l->ctx->mesh->rank != 0 || dtype != STRATA_FLOAT32)
        return;
    if (stored != STRATA_FLOAT32 && stored != STRATA_FLOAT64)
        strata__warn(l->ctx, "%s: variable '%s' is stored as %s", strata__weights_name(l->weights),
                     path, strata_dtype_name(stored));
    int64_t count = strata__product(shape, 0, shape->rank);
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(((const float *)values)[i])) {
            strata__warn(l->ctx,
                         "%s: variable '%s' holds a value that is not finite at element %lld",
                         strata__weights_name(l->weights), path, (long long)i);
            return;
        }
    }
}

/* Shapes are checked against the model before anything is allocated for the file's. */
static strata_status read_whole(const loading *l, const char *object, int index, const char *path,
                                const strata_shape *wanted, strata_dtype dtype, void **values)
{
    strata_shape shape;
    strata_dtype stored;
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    *values = NULL;
    STRATA_TRY(strata__weights_info(l->ctx, l->weights, object, index, &shape, &stored));
    if (!strata__shape_equal(&shape, wanted))
        return strata__fail(l->ctx, STRATA_BAD_DATA,
                            "%s: variable '%s' has shape %s in the file and %s in the model",
                            strata__weights_name(l->weights), path,
                            strata__shape_text(&shape, theirs), strata__shape_text(wanted, ours));
    *values = room_for(l->ctx, wanted, dtype);
    if (*values)
        strata__weights_read(l->ctx, l->weights, object, index, NULL, NULL, dtype, *values);
    STRATA_TRY(strata__agree(l->ctx));
    warn_about(l, path, stored, wanted, dtype, *values);
    return STRATA_OK;
}

static strata_status load_object(void *user, strata_layer *layer, const char *object)
{
    const loading *l = user;
    int found = strata__weights_count(l->ctx, l->weights, object);
    if (own_count(layer) == 0 && found <= 0)
        return STRATA_OK;
    if (found != own_count(layer))
        return wrong_count(l, layer, found < 0 ? 0 : found);
    for (int i = 0; i < found; i++) {
        strata_variable *variable = own_variable(layer, i);
        void *whole;
        strata_status status =
            read_whole(l, object, i, variable->path, &variable->shape, variable->dtype, &whole);
        if (status == STRATA_OK)
            status = strata_cross_assign(variable, whole);
        strata__free(l->ctx, whole);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}

static strata_status load_optimizer(const loading *l, strata_model *model)
{
    const strata__compiler *compiler = l->ctx->compiler;
    int found = strata__weights_count(l->ctx, l->weights, "optimizer");
    STRATA_TRY(compiler->build(model));
    int expected = compiler->variable_count(model);
    if (found != expected) {
        if (l->ctx->mesh->rank == 0)
            strata__warn(l->ctx,
                         "Skipping variable loading for the optimizer of model '%s', because it "
                         "has %d variables whereas "
                         "the saved optimizer has %d variables.",
                         model->layer->name, expected, found < 0 ? 0 : found);
        return STRATA_OK;
    }
    for (int i = 0; i < found; i++) {
        const char *path;
        strata_dtype dtype;
        strata_shape shape;
        void *whole;
        STRATA_TRY(compiler->variable_describe(model, i, &path, &dtype, &shape));
        strata_status status = read_whole(l, "optimizer", i, path, &shape, dtype, &whole);
        if (status == STRATA_OK)
            status = compiler->variable_write(model, i, whole);
        strata__free(l->ctx, whole);
        STRATA_TRY(status);
    }
    return STRATA_OK;
}

static strata_status load_variables(strata_context *ctx, strata_model *model,
                                    const strata__weights *weights)
{
    loading l = {.ctx = ctx, .weights = weights};
    STRATA_TRY(walk(model->layer, "", load_object, &l));
    return model->trainer ? load_optimizer(&l, model) : STRATA_OK;
}

static strata_model *model_of_archive(strata_context *ctx, const strata__archive *archive,
                                      const char *path)
{
    char what[256];
    snprintf(what, sizeof what, "config.json of '%s'", path);
    json_t *object = strata__json_parse(ctx, archive->config, (size_t)archive->config_size, what);
    strata_model *model = object ? strata__model_from_json(ctx, object) : NULL;
    const json_t *compiled = model ? json_object_get(object, "compile_config") : NULL;
    if (model && json_is_object(compiled) && json_object_size(compiled) > 0 &&
        (strata__model_ready(model) != STRATA_OK ||
         ctx->compiler->from_json(model, compiled) != STRATA_OK))
        model = NULL;
    json_decref(object);
    return model;
}

/* The first error of a file says which file. */
static void name_file(strata_context *ctx, const char *path)
{
    char message[STRATA__MESSAGE_SIZE];
    if (ctx->status == STRATA_OK || strstr(ctx->message, path))
        return;
    snprintf(message, sizeof message, "'%.300s': %.700s", path, ctx->message);
    memcpy(ctx->message, message, sizeof message);
}

strata_model *strata_load(strata_context *ctx, const char *path)
{
    if (!ctx || strata__agree(ctx) != STRATA_OK)
        return NULL;
    if (check_ending(ctx, path, false) != STRATA_OK)
        return NULL;
    if (!ends_with(path, ".keras")) {
        strata__fail(ctx, STRATA_INVALID,
                     "'%s' holds weights alone; they go into a model with strata_load_weights()",
                     path);
        return NULL;
    }
    strata__archive archive;
    if (strata__archive_open(ctx, path, &archive) != STRATA_OK)
        return NULL;
    strata__weights *weights = NULL;
    strata_model *model = model_of_archive(ctx, &archive, path);
    if (model && strata__weights_open_bytes(ctx, &archive.weights, &weights) == STRATA_OK)
        load_variables(ctx, model, weights);
    strata__weights_close(ctx, weights);
    strata__archive_close(ctx, &archive);
    name_file(ctx, path);
    return strata__agree(ctx) == STRATA_OK ? model : NULL;
}

static strata_status open_weights(strata_context *ctx, const char *path, strata__weights **weights)
{
    if (!ends_with(path, ".keras"))
        return strata__weights_open(ctx, path, weights);
    strata__archive archive;
    STRATA_TRY(strata__archive_open(ctx, path, &archive));
    strata_status status = strata__weights_open_bytes(ctx, &archive.weights, weights);
    strata__archive_close(ctx, &archive);
    return status;
}

strata_status strata_load_weights(strata_model *model, const char *path)
{
    if (!model)
        return STRATA_INVALID;
    strata_context *ctx = model->ctx;
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(check_ending(ctx, path, false));
    strata__model_ready(model);
    STRATA_TRY(strata__agree(ctx));
    strata__weights *weights;
    STRATA_TRY(open_weights(ctx, path, &weights));
    load_variables(ctx, model, weights);
    strata__weights_close(ctx, weights);
    name_file(ctx, path);
    return strata__agree(ctx);
}
