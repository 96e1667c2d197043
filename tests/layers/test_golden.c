/* Every layer class against Keras: configuration, outputs, masks, losses, gradients, weights. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>

#include "golden_run.h"
#include "layers/attention/call.h"
#include "layers/support.h"

static bool differs(const run *r, const char *what)
{
    fprintf(stderr, "%s: %s\n", r->name, what);
    return false;
}

/* --- configuration --- */

/* Keys that Keras 3.15 writes and 3.7 does not know; Strata leaves them out while they say nothing.
 */
static bool is_newer_key(const char *key)
{
    static const char *const keys[] = {
        "quantization_config", "renorm",      "renorm_clipping", "renorm_momentum",
        "input_axes",          "output_axes", "use_gate",        "sliding_window"};
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

static json_t *without_newer_keys(const json_t *expected, const json_t *ours)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)expected);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(copy, next, key, value)
    {
        if (!json_object_get(ours, key) && is_newer_key(key))
            json_object_del(copy, key);
    }
    return copy;
}

/* Of the configuration and of the whole serialized object. */
static bool config_agrees(const run *r, strata_layer *layer, const json_t *expected)
{
    json_t *ours = strata__layer_serialize(layer);
    const json_t *config = json_object_get(ours, "config");
    json_t *wanted = without_newer_keys(json_object_get(expected, "config"), config);
    bool equal = golden_json_equal(config, wanted);
    if (!equal) {
        char *text = json_dumps(config, JSON_COMPACT), *golden = json_dumps(wanted, JSON_COMPACT);
        fprintf(stderr, "%s: get_config is\n  %s\ninstead of\n  %s\n", r->name, text, golden);
        free(text);
        free(golden);
    }
    const char *const keys[] = {"module", "class_name", "registered_name"};
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        if (!golden_json_equal(json_object_get(ours, keys[i]), json_object_get(expected, keys[i])))
            equal = differs(r, keys[i]);
    }
    json_decref(wanted);
    json_decref(ours);
    return equal;
}

static strata_layer *layer_from(run *r, const json_t *object)
{
    strata__names_reset(r->ctx);
    char *text = json_dumps(object, 0);
    strata_layer *layer = strata_layer_from_text(r->ctx, text);
    free(text);
    return layer;
}

static strata_layer *from_arguments(run *r)
{
    json_t *arguments = golden_json(r->group, NULL, "arguments");
    json_t *object = json_pack("{s:s, s:o}", "class_name", r->class, "config", arguments);
    strata_layer *layer = layer_from(r, object);
    json_decref(object);
    return layer;
}

/* --- weights --- */

static int weights_of(strata_layer *layer, strata_variable **weights)
{
    int count = strata_layer_weights(layer, weights, MOST);
    return count <= MOST ? count : MOST;
}

static bool weight_is_as_stored(const run *r, const golden *group, const char *name,
                                const strata_variable *variable)
{
    char *path = golden_text(group, name, "path");
    bool same = strcmp(path, strata_variable_path(variable)) == 0;
    if (!same)
        fprintf(stderr, "%s: weight %s is %s\n", r->name, path, strata_variable_path(variable));
    free(path);
    if ((golden_number(group, name, "trainable", 1) != 0) != strata_variable_trainable(variable))
        same = differs(r, "a weight's trainable");
    return same;
}

static bool set_weights(run *r)
{
    golden *group = golden_group(r->group, "weights");
    strata_variable *weights[MOST];
    int count = weights_of(r->layer, weights);
    bool good = count == (group ? golden_count(group) : 0) || differs(r, "number of weights");
    void *arrays[MOST] = {0};
    strata_shape shapes[MOST];
    for (int i = 0; group && good && i < count; i++) {
        golden_array array;
        golden_read(group, golden_name(group, i), &array);
        shapes[i] = array.shape;
        arrays[i] = golden_convert(&array, strata_variable_dtype(weights[i]));
        golden_free(&array);
        good = weight_is_as_stored(r, group, golden_name(group, i), weights[i]);
    }
    if (good && count)
        strata_layer_set_weights(r->layer, count, (const void *const *)arrays, shapes);
    for (int i = 0; i < MOST; i++)
        free(arrays[i]);
    golden_close(group);
    return good && r->ctx->status == STRATA_OK;
}

/* Those that the call changed are in weights_after, the others are as they were. */
static bool weights_agree(run *r)
{
    strata_variable *weights[MOST];
    int count = weights_of(r->layer, weights);
    bool agree = true;
    for (int i = 0; i < count; i++) {
        char after[PATH], before[PATH], what[PATH];
        snprintf(after, sizeof after, "weights_after/%04d", i);
        snprintf(before, sizeof before, "weights/%04d", i);
        snprintf(what, sizeof what, "%s, %s after the call", r->name, weights[i]->path);
        golden_array expected;
        if (!golden_read(r->group, after, &expected) && !golden_read(r->group, before, &expected))
            return differs(r, "a weight that is not stored");
        void *whole = calloc((size_t)expected.count + 1, sizeof(double));
        strata_cross_read(weights[i], whole);
        agree &= golden_agrees(&expected, weights[i]->dtype, whole, expected.count, 1, what);
        free(whole);
        golden_free(&expected);
    }
    return agree;
}

/* --- gradients --- */

static bool is_zero(const golden_array *array)
{
    for (int64_t i = 0; i < array->count; i++) {
        if (array->values[i] != 0)
            return false;
    }
    return true;
}

/* No gradient means that nothing depends on the tensor: zeros. */
static bool input_gradient_agrees(const run *r, int i)
{
    char path[PATH], what[PATH];
    golden_array expected;
    run_path(path, "gradients/inputs", r->inputs[i]);
    if (!golden_read(r->group, path, &expected))
        return true;
    bool zero = is_zero(&expected);
    golden_free(&expected);
    const strata_tensor *gradient = strata_tensor_gradient(r->tensors[i]);
    if (!gradient)
        return zero || differs(r, "no gradient of an input");
    snprintf(what, sizeof what, "%s, gradient of %s", r->name, r->inputs[i]);
    return test_tensor_agrees(gradient, r->group, path, 1, what);
}

/* Of a single number Keras's deviation is one draw of what rounding does to a long sum, and may be
 * next to nothing by chance. */
static double chance_factor(const golden_array *expected)
{
    return expected->count == 1 ? 1.5 : 1;
}

static bool weight_gradient_agrees(const run *r, const strata_variable *variable, int i)
{
    char path[PATH], what[PATH];
    golden_array expected;
    snprintf(path, sizeof path, "gradients/weights/%04d", i);
    if (!golden_read(r->group, path, &expected))
        return true;
    snprintf(what, sizeof what, "%s, gradient of %s", r->name, variable->path);
    float *whole = calloc((size_t)expected.count + 1, sizeof *whole);
    whole_weight_gradient(variable, whole);
    bool agrees = golden_agrees(&expected, STRATA_FLOAT32, whole, expected.count,
                                chance_factor(&expected), what);
    free(whole);
    golden_free(&expected);
    return agrees;
}

static bool gradients_agree(run *r)
{
    strata_tensor *upstream[MOST];
    char path[PATH];
    for (int i = 0; i < r->output_count; i++)
        upstream[i] =
            test_golden_batch(r->ctx, r->group, run_path(path, "upstream", r->outputs[i]));
    strata_tape_gradient(r->ctx, r->output_count, r->results, upstream);
    if (r->ctx->status != STRATA_OK)
        return false;
    strata_variable *weights[MOST];
    int count = weights_of(r->layer, weights);
    bool agree = true;
    for (int i = 0; i < r->count; i++)
        agree &= input_gradient_agrees(r, i);
    for (int i = 0; i < count; i++)
        agree &= weight_gradient_agrees(r, weights[i], i);
    return agree;
}

/* --- what comes out --- */

/* On scores Keras leaves the mask of the softmax that formed them, which no layer can use. */
static bool mask_agrees(run *r, int i)
{
    char path[PATH], what[PATH];
    run_path(path, "masks/out", r->outputs[i]);
    const strata_tensor *mask = strata_tensor_mask(r->results[i]);
    if (i == 1 && r->layer->class->arguments == strata__attention_arguments)
        return !mask || differs(r, "a mask on scores");
    if (!golden_has(r->group, path))
        return !mask || differs(r, "a mask that Keras does not have");
    snprintf(what, sizeof what, "%s, mask of %s", r->name, r->outputs[i]);
    return test_tensor_agrees(mask, r->group, path, 1, what);
}

static bool outputs_agree(run *r)
{
    char path[PATH], what[PATH];
    bool agree = true;
    for (int i = 0; i < r->output_count; i++) {
        snprintf(what, sizeof what, "%s, %s%s", r->name, r->outputs[i], r->split ? ", split" : "");
        run_path(path, "outputs", r->outputs[i]);
        agree &= test_tensor_agrees(r->results[i], r->group, path, 1, what);
        agree &= mask_agrees(r, i);
    }
    return agree;
}

/* Σ of the elements; those of a batch are spread over the ranks. */
static float total_of(const run *r, const strata_tensor *loss)
{
    double sum = 0;
    for (int64_t i = 0; i < strata__local_count(loss); i++)
        sum += ((const float *)loss->data)[i];
    if (loss->layout.batch)
        strata__sum(r->ctx, STRATA__BATCH, &sum, 1, STRATA_FLOAT64);
    return (float)sum;
}

static bool losses_agree(run *r)
{
    strata_tensor *losses[MOST];
    golden_array expected = {0};
    bool stored = golden_read(r->group, "losses", &expected);
    int count = strata_layer_losses(r->layer, losses, MOST);
    float values[MOST] = {0};
    for (int i = 0; i < count && i < MOST; i++)
        values[i] = total_of(r, losses[i]);
    bool agree = stored ? golden_agrees(&expected, STRATA_FLOAT32, values, count, 1, r->name)
                        : count == 0 || differs(r, "losses that Keras does not have");
    golden_free(&expected);
    return agree;
}

/* --- running --- */

/* Symbolic inputs give the shape of the result with the batch axis open. */
static bool shapes_agree(run *r, strata_layer *layer)
{
    strata_tensor *outputs[MOST];
    char path[PATH];
    r->layer = layer;
    if (run_symbolic_call(r, outputs) != STRATA_OK)
        return false;
    int output_count = run_names(json_object_get(r->structure, "outputs"), r->outputs);
    bool agree = true;
    for (int i = 0; i < output_count; i++) {
        golden_array array;
        golden_read(r->group, run_path(path, "outputs", r->outputs[i]), &array);
        array.shape.dims[0] = STRATA_NONE;
        strata_shape shape = strata_tensor_shape(outputs[i]);
        if (!strata__shape_equal(&shape, &array.shape))
            agree = differs(r, "the shape of the symbolic result");
        golden_free(&array);
    }
    return agree;
}

static bool compute(run *r)
{
    bool differentiate = golden_has(r->group, "gradients");
    r->output_count = run_names(json_object_get(r->structure, "outputs"), r->outputs);
    if (!shapes_agree(r, r->layer)) /* which builds it */
        return false;
    if (differentiate)
        strata_tape_begin(r->ctx);
    run_make_inputs(r);
    if (r->ctx->status != STRATA_OK || !set_weights(r) || run_call(r) != STRATA_OK)
        return false;
    bool agree = outputs_agree(r);
    agree = losses_agree(r) && agree;
    if (differentiate)
        agree = gradients_agree(r) && agree;
    return weights_agree(r) && agree;
}

static bool values_agree(run *r, bool split)
{
    r->split = split;
    r->layer = from_arguments(r);
    strata_scope_begin(r->ctx);
    bool agree = r->layer && compute(r);
    strata_scope_end(r->ctx);
    return agree;
}

/* Configuration-only cases have no structure. */
static bool everything_agrees(run *r)
{
    json_t *config = golden_json(r->group, NULL, "config");
    strata_layer *layer = from_arguments(r);
    bool agree = layer && config_agrees(r, layer, config);
    layer = agree ? layer_from(r, config) : NULL;
    agree = agree && layer && config_agrees(r, layer, config);
    json_decref(config);
    if (!r->structure || !agree)
        return agree;
    agree = shapes_agree(r, layer) && values_agree(r, false);
    if (agree && r->ctx->mesh->cols > 1)
        agree = values_agree(r, true);
    return agree;
}

/* Keras refuses: so must Strata, and for the value, not because something failed. */
static bool is_refused(run *r)
{
    r->layer = from_arguments(r);
    strata_scope_begin(r->ctx);
    if (r->layer) {
        run_make_inputs(r);
        const json_t *inputs = json_object_get(r->structure, "inputs");
        if (json_is_string(inputs))
            strata_layer_call(r->layer, r->arguments[0]);
        else
            run_call(r);
    }
    strata_scope_end(r->ctx);
    bool refused = r->ctx->status == STRATA_INVALID || r->ctx->status == STRATA_BAD_DATA;
    if (refused && getenv("STRATA_TEST_MESSAGES") && test_rank() == 0) {
        char *theirs = golden_text(r->group, NULL, "error");
        fprintf(stderr, "%s\n  Keras:  %.200s\n  Strata: %s\n", r->name, theirs, r->ctx->message);
        free(theirs);
    }
    if (refused)
        strata_error_clear(r->ctx);
    return refused || differs(r, "no error, or not of this kind");
}

typedef struct class_run {
    strata_context *ctx;
    const char *class;
    bool speaks; /* names what is not supported */
} class_run;

static golden_verdict run_case(void *user, const golden *group, const char *name)
{
    const class_run *class = user;
    char title[PATH];
    snprintf(title, sizeof title, "%s %s", class->class, name);
    run r = {.ctx = class->ctx, .group = group, .name = title, .class = class->class};
    r.structure = golden_json(group, NULL, "structure");
    bool good = golden_has_attribute(group, NULL, "error") ? is_refused(&r) : everything_agrees(&r);
    json_decref(r.structure);
    if (!good && test_is_unsupported(r.ctx)) {
        if (class->speaks)
            printf("not yet supported: %s\n", title);
        return GOLDEN_UNSUPPORTED;
    }
    if (r.ctx->status != STRATA_OK) {
        fprintf(stderr, "%s: %s\n", title, r.ctx->message);
        strata_error_clear(r.ctx);
    }
    return good ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static golden_tally all; /* of the first layout of the ranks */

static void test_class(void **state)
{
    const char *class = *state;
    char file[PATH];
    snprintf(file, sizeof file, "layers/%s.h5", class);
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_session(test_mesh(i));
        golden_tally tally = {0};
        assert_all(golden_run(file, run_case, &(class_run){ctx, class, i == 0 && test_rank() == 0},
                              &tally));
        if (i == 0 && test_rank() == 0)
            golden_print(class, &tally);
        for (int v = 0; i == 0 && v < GOLDEN_VERDICTS; v++)
            all.count[v] += tally.count[v];
        if (tally.count[GOLDEN_FAILED])
            fprintf(stderr, "on mesh %s\n", test_mesh(i));
        assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
    }
}

static void test_cases_in_all(void **state)
{
    (void)state;
    if (test_rank() == 0)
        golden_print("cases", &all);
    assert_all(all.count[GOLDEN_PASSED] > 0);
}

static bool is_layer(const char *name)
{
    for (int i = 0; i < strata__layer_class_count; i++) {
        if (strcmp(strata__layer_classes[i]->name, name) == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    char **names;
    int files = golden_files("layers", &names), count = 0;
    struct CMUnitTest *tests = calloc((size_t)files + 1, sizeof *tests);
    for (int i = 0; i < files; i++) {
        if (is_layer(names[i]))
            tests[count++] = (struct CMUnitTest){
                .name = names[i], .test_func = test_class, .initial_state = names[i]};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_cases_in_all);
    int status = test_main(argc, argv, tests, (size_t)count);
    for (int i = 0; i < files; i++)
        free(names[i]);
    free(names);
    free(tests);
    return status;
}
