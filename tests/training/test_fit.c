/* fit: Keras's own fits, and the same losses on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <strata.h>

#include "golden.h"
#include "model/model.h"
#include "training/session.h"
#include "training/trainer.h"

static strata_context *session(const char *mesh)
{
    strata_context *ctx =
        strata_init(MPI_COMM_WORLD, (strata_options){.mesh = mesh, .verbosity = 1});
    assert_all_ok(ctx);
    return ctx;
}

static void close_session(strata_context *ctx)
{
    strata__session_close(ctx);
    assert_all_int_equal(strata__context_free(ctx), 0);
}

/* --- Keras's fits --- */

/* Three epochs carry rounding on; RMSprop divides it by the size of the gradient, which may itself
 * be rounding. */
static double rounding(const golden *group)
{
    char *compile = golden_text(group, NULL, "compile");
    double factor = compile && strstr(compile, "\"RMSprop\"") ? 128 : 16;
    free(compile);
    return factor;
}

/* Arrays of a case, kept while its dataset is used. */
typedef struct columns {
    int count;
    golden_array arrays[STRATA_MAX_COLUMNS];
    void *data[STRATA_MAX_COLUMNS];
    char *names[STRATA_MAX_COLUMNS];
} columns;

static void read_columns(const golden *group, const char *path, columns *c, strata_array *arrays)
{
    golden *members = golden_group(group, path);
    *c = (columns){0};
    for (int i = 0; members && i < golden_count(members); i++) {
        char *name = c->names[c->count] = strdup(golden_name(members, i));
        golden_array *array = &c->arrays[c->count];
        assert_true(golden_read(members, name, array));
        strata_dtype dtype = array->dtype == STRATA_FLOAT64 ? STRATA_FLOAT32 : array->dtype;
        c->data[c->count] = golden_convert(array, dtype);
        arrays[c->count] = (strata_array){c->data[c->count], array->shape, dtype,
                                          golden_count(members) == 1 ? NULL : name};
        c->count++;
    }
    if (members)
        golden_close(members);
}

static void free_columns(columns *c)
{
    for (int i = 0; i < c->count; i++) {
        free(c->data[i]);
        free(c->names[i]);
        golden_free(&c->arrays[i]);
    }
}

typedef struct fit_case {
    strata_context *ctx;
    const golden *group;
    columns x, y, w, vx, vy, vw;
    strata_array_options data, validation;
    strata_fit_options options;
} fit_case;

static void read_data(fit_case *f)
{
    read_columns(f->group, "x", &f->x, f->data.x);
    read_columns(f->group, "y", &f->y, f->data.y);
    read_columns(f->group, "sample_weight", &f->w, f->data.sample_weight);
    read_columns(f->group, "validation_x", &f->vx, f->validation.x);
    read_columns(f->group, "validation_y", &f->vy, f->validation.y);
    read_columns(f->group, "validation_sample_weight", &f->vw, f->validation.sample_weight);
}

static void free_data(fit_case *f)
{
    columns *all[] = {&f->x, &f->y, &f->w, &f->vx, &f->vy, &f->vw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free_columns(all[i]);
}

static void read_options(fit_case *f)
{
    json_t *fit = golden_json(f->group, NULL, "fit");
    f->options = (strata_fit_options){
        .batch_size = json_integer_value(json_object_get(fit, "batch_size")),
        .epochs = (int)json_integer_value(json_object_get(fit, "epochs")),
        .shuffle = "False",
        .validation_split = json_number_value(json_object_get(fit, "validation_split")),
        .verbose = "0",
    };
    json_decref(fit);
}

static strata_model *read_model(fit_case *f)
{
    char *text = golden_text(f->group, NULL, "model");
    json_t *compile = golden_json(f->group, NULL, "compile");
    strata_model *model = strata_model_from_json(f->ctx, text);
    if (model)
        strata__trainer_compiler.from_json(model, compile);
    json_decref(compile);
    free(text);
    return model;
}

static strata_variable **weights_of(strata_model *model, int *count)
{
    strata_layer *layer = strata_model_layer(model);
    *count = strata_layer_weights(layer, NULL, 0);
    strata_variable **weights = malloc((size_t)*count * sizeof(*weights));
    strata_layer_weights(layer, weights, *count);
    return weights;
}

static bool set_weights(fit_case *f, strata_model *model)
{
    golden *before = golden_group(f->group, "weights_before");
    int count;
    strata_variable **weights = weights_of(model, &count);
    bool ok = before && golden_count(before) == count;
    for (int i = 0; ok && i < count; i++) {
        golden_array array;
        ok = golden_read(before, golden_name(before, i), &array);
        void *data = golden_convert(&array, strata_variable_dtype(weights[i]));
        ok &= strata_cross_assign(weights[i], data) == STRATA_OK;
        free(data);
        golden_free(&array);
    }
    free(weights);
    if (before)
        golden_close(before);
    return ok;
}

static bool weights_agree(fit_case *f, strata_model *model)
{
    golden *after = golden_group(f->group, "weights_after");
    int count;
    strata_variable **weights = weights_of(model, &count);
    bool ok = after && golden_count(after) == count;
    for (int i = 0; ok && i < count; i++) {
        golden_array array;
        ok = golden_read(after, golden_name(after, i), &array);
        float *ours = malloc((size_t)(array.count + 1) * sizeof *ours);
        ok &= strata_cross_read(weights[i], ours) == STRATA_OK;
        ok &= golden_agrees(&array, STRATA_FLOAT32, ours, array.count, rounding(f->group),
                            strata_variable_path(weights[i]));
        free(ours);
        golden_free(&array);
    }
    free(weights);
    if (after)
        golden_close(after);
    return ok;
}

/* A folder of values of that name: TensorFlow's stand beside JAX's where the two differ
 * (golden/README). */
static bool history_agrees(fit_case *f, const strata_history *history)
{
    golden *expected = golden_group(f->group, "history");
    bool ok = expected != NULL;
    for (int i = 0; ok && i < golden_count(expected); i++) {
        const char *name = golden_name(expected, i);
        const double *ours = strata_history_get(history, name);
        golden_array array;
        ok = ours && golden_read(expected, name, &array);
        if (!ours)
            fprintf(stderr, "no %s in the history\n", name);
        for (int64_t e = 0; ok && e < array.count; e++) {
            double tolerance =
                rounding(f->group) * golden_tolerance(&array) + 1e-6 * fabs(array.values[e]);
            if (!(fabs(ours[e] - array.values[e]) <= tolerance)) {
                fprintf(stderr, "%s of epoch %d: %.9g, expected %.9g\n", name, (int)e, ours[e],
                        array.values[e]);
                ok = false;
            }
        }
        golden_free(&array);
    }
    if (expected)
        golden_close(expected);
    return ok;
}

static bool evaluation_agrees(fit_case *f, strata_model *model)
{
    golden *expected = golden_group(f->group, "evaluate");
    strata_array_options plain = f->data;
    memset(plain.sample_weight, 0, sizeof plain.sample_weight);
    strata_dataset *data = strata_array_dataset_from(f->ctx, &plain);
    const strata_logs *logs =
        strata_evaluate(model, data, .batch_size = f->options.batch_size, .verbose = "0");
    bool ok = expected && logs;
    for (int i = 0; ok && i < golden_count(expected); i++) {
        golden_array array;
        const char *name = golden_name(expected, i);
        ok = golden_read(expected, name, &array);
        double ours = strata_logs_get(logs, name);
        ok &= fabs(ours - array.values[0]) <=
              rounding(f->group) * golden_tolerance(&array) + 1e-6 * fabs(array.values[0]);
        if (!ok)
            fprintf(stderr, "evaluate %s: %.9g, expected %.9g\n", name, ours, array.values[0]);
        golden_free(&array);
    }
    if (expected)
        golden_close(expected);
    return ok;
}

static golden_verdict run_fit(void *user, const golden *group, const char *name)
{
    fit_case f = {.ctx = session(user), .group = group};
    read_data(&f);
    read_options(&f);
    strata_model *model = read_model(&f);
    strata_dataset *data = strata_array_dataset_from(f.ctx, &f.data);
    if (f.vx.count > 0)
        f.options.validation_data = strata_array_dataset_from(f.ctx, &f.validation);
    bool ok = model && data && set_weights(&f, model);
    const strata_history *history = ok ? strata_fit_from(model, data, &f.options) : NULL;
    ok = history && history_agrees(&f, history) && weights_agree(&f, model) &&
         evaluation_agrees(&f, model);
    if (!ok)
        fprintf(stderr, "%s: %s\n", name, strata_error_message(f.ctx));
    assert_all(ok);
    close_session(f.ctx);
    free_data(&f);
    return GOLDEN_PASSED;
}

static void run_fits(const char *mesh)
{
    golden_tally tally = {0};
    assert_true(golden_run("training/fits.h5", run_fit, (void *)(uintptr_t)mesh, &tally));
    if (test_rank() == 0)
        golden_print(mesh, &tally);
    assert_int_equal(tally.count[GOLDEN_FAILED], 0);
}

static void test_fits_of_keras(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        char mesh[64];
        snprintf(mesh, sizeof mesh, "%s", test_mesh(i));
        run_fits(mesh);
    }
}

/* --- the same losses on every mesh --- */

enum { SAMPLES = 250, FEATURES = 12, CLASSES = 5, STEPS = 50 };

typedef struct losses {
    int count;
    double values[STEPS];
} losses;

static void note_loss(strata_callback *self, strata_model *model, int64_t batch,
                      const strata_logs *logs)
{
    losses *l = self->state;
    (void)model;
    (void)batch;
    if (l->count < STEPS)
        l->values[l->count++] = strata_logs_get(logs, "loss");
}

static strata_dataset *blobs(strata_context *ctx, float *x, int32_t *y)
{
    strata__random_normal((strata__key){7, 1}, 0, SAMPLES * FEATURES, x);
    for (int i = 0; i < SAMPLES; i++) {
        y[i] = i % CLASSES;
        x[i * FEATURES + y[i]] += 2;
    }
    return strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(SAMPLES, FEATURES), STRATA_FLOAT32}},
                                .y = {{y, STRATA_SHAPE(SAMPLES), STRATA_INT32}});
}

static strata_model *mixed_network(strata_context *ctx)
{
    strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
    strata_tensor *x =
        strata_dense(input, .units = 19, .activation = "tanh", .kernel_regularizer = "L2(0.001)");
    x = strata_batch_normalization(x);
    x = strata_dropout(x, .rate = 0.25);
    strata_tensor *side = strata_dense(x, .units = 19, .activation = "relu");
    x = strata_layer_normalization(strata_add(STRATA_LIST(x, side)));
    x = strata_dense(x, .units = 7, .activation = "gelu",
                     .bias_initializer = "RandomNormal(seed=3)");
    return strata_functional(input, strata_dense(x, .units = CLASSES));
}

/* Loss after each of 50 steps; 250 samples in batches of `batch`: the last one is short. */
static losses train(const char *mesh, int64_t batch, const char *optimizer)
{
    strata_context *ctx = session(mesh);
    static float x[SAMPLES * FEATURES];
    static int32_t y[SAMPLES];
    losses l = {0};
    strata_callback note = {.state = &l, .train_batch_end = note_loss, .batch_logs = true};
    strata_dataset *data = blobs(ctx, x, y);
    strata_model *model = mixed_network(ctx);
    strata_compile(model, .optimizer = optimizer,
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)",
                   .metrics = {"accuracy"});
    int64_t steps = (SAMPLES + batch - 1) / batch;
    strata_fit(model, data, .batch_size = batch, .epochs = (int)(STEPS / steps) + 1, .verbose = "0",
               .callbacks = {&note});
    assert_all_ok(ctx);
    assert_int_equal(l.count, STEPS);
    close_session(ctx);
    return l;
}

/* What one rank finds is what every mesh must find: stored values, so that a run on other rank
 * counts has them to compare with. */
static void compare_meshes(int64_t batch, const char *optimizer)
{
    losses first = {0};
    for (int i = 0; test_mesh(i); i++) {
        char mesh[64];
        snprintf(mesh, sizeof mesh, "%s", test_mesh(i));
        losses l = train(mesh, batch, optimizer);
        if (i == 0)
            first = l;
        for (int s = 0; s < STEPS; s++) {
            if (!(fabs(l.values[s] - first.values[s]) <= 1e-5 * fabs(first.values[s])))
                print_message("%s, step %d: %.9g, on the first mesh %.9g\n", mesh, s, l.values[s],
                              first.values[s]);
            assert_all_near(l.values[s], first.values[s], 1e-5 * fabs(first.values[s]));
        }
    }
}

static void test_losses_are_those_of_one_rank(void **state)
{
    (void)state;
    /* Found with one rank; every rank count compares with them. */
    static const struct {
        int step;
        double loss;
    } expected[] = {{0, 1.69152177}, {9, 1.46399796}, {49, 1.33545545}};
    losses l = train(test_mesh(0), 32, "adam");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_all_near(l.values[expected[i].step], expected[i].loss, 1e-5 * expected[i].loss);
}

static void test_every_mesh_has_the_same_losses(void **state)
{
    (void)state;
    compare_meshes(32, "adam");
}

static void test_batches_that_leave_ranks_without_samples(void **state)
{
    (void)state;
    compare_meshes(3, "SGD(learning_rate=0.05, momentum=0.9, nesterov=True)");
}

static void test_exact_global_norm_on_every_mesh(void **state)
{
    (void)state;
    compare_meshes(50, "AdamW(learning_rate=0.01, global_clipnorm=0.5)");
}

static void test_accumulation_on_every_mesh(void **state)
{
    (void)state;
    compare_meshes(20, "RMSprop(gradient_accumulation_steps=3, use_ema=True)");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits_of_keras),
        cmocka_unit_test(test_losses_are_those_of_one_rank),
        cmocka_unit_test(test_every_mesh_has_the_same_losses),
        cmocka_unit_test(test_batches_that_leave_ranks_without_samples),
        cmocka_unit_test(test_exact_global_norm_on_every_mesh),
        cmocka_unit_test(test_accumulation_on_every_mesh),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
