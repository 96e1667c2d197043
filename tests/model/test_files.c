/* Model files: those of Keras, our own, and damaged ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>

#include "base/memory.h"
#include "model/support.h"

/* --- files of Keras --- */

typedef struct file_run {
    strata_context *ctx;
    const char *name; /* "convnet" */
    golden *io;
    json_t *json;
} file_run;

static const char *golden_file(const char *name, const char *ending)
{
    static char path[256];
    snprintf(path, sizeof path, "files/%s%s", name, ending);
    return path;
}

static bool everything_agrees(const file_run *r, strata_model *model, const char *what)
{
    char title[256];
    snprintf(title, sizeof title, "%s, %s", r->name, what);
    return model_json_agrees(model, r->json, title) & model_weights_agree(model, r->io, title) &
           model_outputs_agree(model, r->io, 2, title);
}

/* Every whole value of the optimizer, one after the other; free(). */
static double *optimizer_state(strata_model *model, int64_t *count)
{
    const strata__compiler *compiler = model->ctx->compiler;
    double *state = NULL;
    *count = 0;
    if (!model->trainer || compiler->build(model) != STRATA_OK)
        return NULL;
    for (int i = 0; i < compiler->variable_count(model); i++) {
        const char *path;
        strata_dtype dtype;
        strata_shape shape;
        compiler->variable_describe(model, i, &path, &dtype, &shape);
        int64_t size = strata__product(&shape, 0, shape.rank);
        void *values = calloc((size_t)size + 1, sizeof(double));
        compiler->variable_read(model, i, values);
        state = realloc(state, (size_t)(*count + size + 1) * sizeof *state);
        for (int64_t k = 0; k < size; k++)
            state[*count + k] =
                dtype == STRATA_FLOAT32 ? ((float *)values)[k] : ((int32_t *)values)[k];
        *count += size;
        free(values);
    }
    return state;
}

static bool same_optimizer(strata_model *a, strata_model *b, const char *what)
{
    int64_t count_a, count_b;
    double *state_a = optimizer_state(a, &count_a), *state_b = optimizer_state(b, &count_b);
    bool equal = count_a == count_b &&
                 (count_a == 0 || memcmp(state_a, state_b, (size_t)count_a * sizeof *state_a) == 0);
    if (!equal)
        fprintf(stderr, "%s: the optimizer's state differs\n", what);
    free(state_a);
    free(state_b);
    return equal;
}

/* What we write is what we read, and so says what Keras wrote. */
static bool survives_saving(const file_run *r, strata_model *model)
{
    strata_save(model, test_path("saved.keras"));
    strata_model *again = strata_load(r->ctx, test_path("saved.keras"));
    return again && everything_agrees(r, again, "saved and loaded") &&
           same_optimizer(model, again, r->name);
}

static bool weights_go_alone(const file_run *r, strata_model *model)
{
    strata_save(model, test_path("saved.weights.h5"));
    char *text = json_dumps(r->json, 0);
    strata_model *fresh = strata_model_from_json(r->ctx, text);
    free(text);
    return fresh && strata_load_weights(fresh, test_path("saved.weights.h5")) == STRATA_OK &&
           everything_agrees(r, fresh, "weights alone") && same_optimizer(model, fresh, r->name);
}

static bool file_agrees(file_run *r)
{
    strata_model *model = strata_load(r->ctx, test_golden(golden_file(r->name, ".keras")));
    return model && everything_agrees(r, model, "loaded") && survives_saving(r, model) &&
           weights_go_alone(r, model);
}

static golden_verdict run_file(strata_context *ctx, const char *name)
{
    file_run r = {.ctx = ctx, .name = name};
    strata__names_reset(ctx);
    r.io = golden_open(golden_file(name, ".io.h5"));
    r.json = golden_model_json(golden_file(name, ".json"));
    bool agrees = file_agrees(&r);
    json_decref(r.json);
    golden_close(r.io);
    if (!agrees && ctx->status == STRATA_UNSUPPORTED) {
        if (test_rank() == 0 && getenv("STRATA_TEST_MESSAGES"))
            printf("not yet supported: %s: %s\n", name, ctx->message);
        strata_error_clear(ctx);
        return GOLDEN_UNSUPPORTED;
    }
    if (ctx->status != STRATA_OK)
        fprintf(stderr, "%s: %s\n", name, ctx->message);
    strata_error_clear(ctx);
    return agrees ? GOLDEN_PASSED : GOLDEN_FAILED;
}

/* Models of the folder: "NAME.io.h5" goes with "NAME.keras". */
static golden_tally run_files(strata_context *ctx)
{
    golden_tally tally = {0};
    char **names;
    int count = golden_files("files", &names);
    for (int i = 0; i < count; i++) {
        char *dot = strstr(names[i], ".io");
        if (dot && !dot[3]) {
            *dot = '\0';
            tally.count[run_file(ctx, names[i])]++;
        }
        free(names[i]);
    }
    free(names);
    return tally;
}

static void test_files_of_keras(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        golden_tally tally = run_files(test_session(test_mesh(i)));
        if (i == 0 && test_rank() == 0)
            golden_print("files", &tally);
        assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
        assert_all(tally.count[GOLDEN_PASSED] > 0);
    }
}

/* --- damaged files --- */

static strata_model *load_damaged(strata_context *ctx, const char *file, const json_t *entry)
{
    char path[256];
    snprintf(path, sizeof path, "files/damaged/%s", file);
    const char *config = json_string_value(json_object_get(entry, "config"));
    if (!config)
        return strata_load(ctx, test_golden(path));
    json_t *json = golden_model_json(golden_file(config, ""));
    char *text = json_dumps(json, 0);
    strata_model *model = strata_model_from_json(ctx, text);
    json_decref(json);
    free(text);
    bool loaded = model && strata_load_weights(model, test_golden(path)) == STRATA_OK;
    return loaded ? model : NULL;
}

/* A file that is in order but for something that Strata does not know, and refuses where Keras
 * waits. */
static bool may_refuse(const strata_context *ctx, const char *file)
{
    return ctx->status == STRATA_UNSUPPORTED || strcmp(file, "unknown_loss.keras") == 0;
}

static bool loads_as_expected(strata_context *ctx, strata_model *model, const char *file,
                              const json_t *entry)
{
    if (!model) {
        return may_refuse(ctx, file) ||
               fprintf(stderr, "%s: does not load: %s\n", file, ctx->message) < 0;
    }
    if (!json_is_true(json_object_get(entry, "same_outputs")))
        return true;
    golden *io = golden_open("files/sequential_dense.io.h5");
    bool agree = model_outputs_agree(model, io, 2, file);
    golden_close(io);
    return agree;
}

static bool refused_as_expected(const strata_context *ctx, const strata_model *model,
                                const char *file)
{
    bool refused = !model && ctx->status != STRATA_OK && ctx->status != STRATA_NO_MEMORY;
    if (!refused)
        fprintf(stderr, "%s: loads, though it is damaged\n", file);
    else if (!strstr(ctx->message, file))
        refused = fprintf(stderr, "%s: the message does not name it: %s\n", file, ctx->message) < 0;
    if (getenv("STRATA_TEST_MESSAGES") && test_rank() == 0)
        printf("%s: %s\n", file, ctx->message);
    return refused;
}

/* All ranks see the same status. */
static bool statuses_agree(strata_context *ctx)
{
    int32_t least = (int32_t)ctx->status, most = least;
    strata__min(ctx, STRATA__WORLD, &least, 1, STRATA_INT32);
    strata__max(ctx, STRATA__WORLD, &most, 1, STRATA_INT32);
    return least == most;
}

static void test_damaged_files(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    ctx->verbosity = 0;
    json_t *expected = golden_model_json("files/damaged/expect.json"), *entry;
    const char *file;
    int wrong = 0;
    json_object_foreach(expected, file, entry)
    {
        strata__names_reset(ctx);
        strata_model *model = load_damaged(ctx, file, entry);
        bool loads = strcmp(json_string_value(json_object_get(entry, "expect")), "loads") == 0;
        wrong += !statuses_agree(ctx);
        wrong += loads ? !loads_as_expected(ctx, model, file, entry)
                       : !refused_as_expected(ctx, model, file);
        strata_error_clear(ctx);
        strata_model_free(model);
    }
    assert_true(json_object_size(expected) > 40);
    json_decref(expected);
    assert_all_int_equal(wrong, 0);
}

/* --- what Keras takes without a word --- */

/* What was logged while the file was loaded, on rank 0; free(). */
static char *warnings_of(strata_context *ctx, const char *file)
{
    char *text = NULL, path[256];
    size_t size;
    FILE *kept = stderr;
    snprintf(path, sizeof path, "files/damaged/%s", file);
    stderr = open_memstream(&text, &size);
    strata_model *model = strata_load(ctx, test_golden(path));
    fclose(stderr);
    stderr = kept;
    assert_all(model != NULL);
    return text;
}

static void assert_warns(strata_context *ctx, const char *file, const char *words)
{
    char *text = warnings_of(ctx, file);
    bool warned = test_rank() == 0 ? strstr(text, words) != NULL : text[0] == '\0';
    if (!warned)
        fprintf(stderr, "%s: warned \"%s\" instead of \"… %s …\"\n", file, text, words);
    free(text);
    assert_all(warned);
}

static void test_odd_files_are_loaded_with_a_warning(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_warns(ctx, "integer_dataset.keras", "dense/kernel' is stored as int32");
    assert_warns(ctx, "not_a_number.keras", "dense/kernel' holds a value that is not finite");
    assert_warns(ctx, "optimizer_short.keras", "Skipping variable loading for the optimizer");
    assert_warns(ctx, "no_optimizer_group.keras", "Skipping variable loading for the optimizer");
    char *text = warnings_of(ctx, "extra_member.keras");
    assert_all_string_equal(text, "");
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_keras),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_odd_files_are_loaded_with_a_warning),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
