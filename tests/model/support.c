/* What the tests of the model room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- configuration --- */

json_t *golden_model_json(const char *file)
{
    return json_load_file(test_golden(file), JSON_DECODE_ANY, NULL);
}

/* Whether a key adds nothing: of a newer Keras, or how it computed. */
static bool says_nothing(const char *key, const json_t *value)
{
    static const char *const keys[] = {"renorm",   "renorm_momentum", "ragged",     "optional",
                                       "use_gate", "sliding_window",  "jit_compile"};
    bool empty = json_is_array(value) && json_array_size(value) == 0;
    if (json_is_null(value) ||
        (strcmp(key, "compile_config") == 0 && json_object_size(value) == 0) ||
        (empty && strcmp(key, "inbound_nodes") != 0))
        return true;
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

/* ["x", 0, 0] is [["x", 0, 0]]. */
static void unflatten(json_t *object, const char *key)
{
    json_t *ends = json_object_get(object, key);
    if (json_is_string(json_array_get(ends, 0)))
        json_object_set_new(object, key, json_pack("[O]", ends));
}

/* Keras writes the batch size of the first call there, Strata none. */
static void open_batch(json_t *object, const char *key)
{
    json_t *shape = json_object_get(object, key);
    if (json_is_integer(json_array_get(shape, 0)))
        json_array_set_new(shape, 0, json_null());
    for (size_t i = 0; i < json_array_size(shape); i++) {
        if (json_is_integer(json_array_get(json_array_get(shape, i), 0)))
            json_array_set_new(json_array_get(shape, i), 0, json_null());
    }
}

/* Keras never builds these, and so does not write for which shape. */
static void forget_shape(json_t *object)
{
    static const char *const classes[] = {
        "Activation", "AveragePooling2D", "Dropout", "GlobalAveragePooling2D", "MaxPooling2D",
        "ReLU",       "Softmax"};
    const char *class = json_string_value(json_object_get(object, "class_name"));
    for (size_t i = 0; class && i < TEST_COUNT(classes); i++) {
        if (strcmp(class, classes[i]) == 0)
            json_object_del(object, "build_config");
    }
}

static void simplify(json_t *json)
{
    const char *key;
    json_t *value;
    void *next;
    for (size_t i = 0; i < json_array_size(json); i++)
        simplify(json_array_get(json, i));
    json_object_foreach_safe(json, next, key, value)
    {
        simplify(value);
        if (says_nothing(key, value))
            json_object_del(json, key);
    }
    forget_shape(json);
    open_batch(json, "input_shape");
    open_batch(json, "build_input_shape");
    unflatten(json, "input_layers");
    unflatten(json, "output_layers");
}

static bool differ(const char *what, const char *path, const json_t *a, const json_t *b)
{
    char *ours = json_dumps(a, JSON_ENCODE_ANY | JSON_COMPACT);
    char *theirs = json_dumps(b, JSON_ENCODE_ANY | JSON_COMPACT);
    fprintf(stderr, "%s: %s is %.300s instead of %.300s\n", what, path, ours ? ours : "nothing",
            theirs ? theirs : "nothing");
    free(ours);
    free(theirs);
    return false;
}

static bool same(const char *what, const char *path, const json_t *a, const json_t *b);

static bool same_objects(const char *what, const char *path, const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    char below[1024];
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        snprintf(below, sizeof below, "%s.%s", path, key);
        if (!same(what, below, value, json_object_get(b, key)))
            return false;
    }
    json_object_foreach((json_t *)(uintptr_t)b, key, value)
    {
        snprintf(below, sizeof below, "%s.%s", path, key);
        if (!json_object_get(a, key))
            return differ(what, below, NULL, value);
    }
    return true;
}

static bool same(const char *what, const char *path, const json_t *a, const json_t *b)
{
    if (json_is_object(a) && json_is_object(b))
        return same_objects(what, path, a, b);
    if (!json_is_array(a) || json_array_size(a) != json_array_size(b))
        return (a && b && golden_json_equal(a, b)) || differ(what, path, a, b);
    for (size_t i = 0; i < json_array_size(a); i++) {
        char below[1024];
        snprintf(below, sizeof below, "%s[%zu]", path, i);
        if (!same(what, below, json_array_get(a, i), json_array_get(b, i)))
            return false;
    }
    return true;
}

bool model_json_agrees(strata_model *model, const json_t *expected, const char *what)
{
    char *text = strata_model_to_json(model);
    json_t *ours = text ? json_loads(text, 0, NULL) : NULL;
    json_t *theirs = json_deep_copy(expected);
    strata_text_free(model->ctx, text);
    simplify(ours);
    simplify(theirs);
    bool equal = ours && theirs && same(what, "config", ours, theirs);
    json_decref(ours);
    json_decref(theirs);
    return equal;
}

/* --- weights --- */

/* A nested model that is loaded has its variables before the outer one has it: no outer name. */
static bool is_path(const char *ours, const char *theirs)
{
    size_t length = strlen(ours), all = strlen(theirs);
    return length <= all && strcmp(theirs + all - length, ours) == 0 &&
           (length == all || theirs[all - length - 1] == '/');
}

static bool weight_agrees(strata_variable *variable, const golden *weights, const char *name,
                          const char *what)
{
    golden_array expected;
    char title[256];
    char *path = golden_text(weights, name, "path");
    bool agrees = is_path(strata_variable_path(variable), path);
    if (!agrees)
        fprintf(stderr, "%s: weight %s is called %s\n", what, path, strata_variable_path(variable));
    snprintf(title, sizeof title, "%s, %s", what, path);
    free(path);
    if ((golden_number(weights, name, "trainable", 1) != 0) != strata_variable_trainable(variable))
        agrees = fprintf(stderr, "%s: trainable differs\n", title) < 0;
    golden_read(weights, name, &expected);
    float *whole = calloc((size_t)expected.count + 1, sizeof *whole);
    strata_shape shape = strata_variable_shape(variable);
    bool fits = strata__shape_equal(&shape, &expected.shape);
    if (fits)
        strata_cross_read(variable, whole);
    agrees =
        fits && golden_agrees(&expected, STRATA_FLOAT32, whole, expected.count, 0, title) && agrees;
    free(whole);
    golden_free(&expected);
    return agrees;
}

bool model_weights_agree(strata_model *model, const golden *io, const char *what)
{
    strata_variable *variables[MOST_WEIGHTS];
    int count = strata_layer_weights(strata_model_layer(model), variables, MOST_WEIGHTS);
    golden *weights = golden_group(io, "weights");
    int expected = weights ? golden_count(weights) : 0;
    bool agree = count == expected;
    if (!agree)
        fprintf(stderr, "%s: %d weights instead of %d\n", what, count, expected);
    for (int i = 0; agree && i < count; i++)
        agree = weight_agrees(variables[i], weights, golden_name(weights, i), what);
    golden_close(weights);
    return agree;
}

/* --- outputs --- */

/* The value for input `index` of the model: the only one, or that of its name. */
static strata_tensor *input_value(strata_model *model, int index, const golden *io)
{
    char path[256];
    golden *inputs = golden_group(io, "inputs");
    const char *name = strata_layer_name(strata_tensor_layer(strata_model_input(model, index)));
    snprintf(path, sizeof path, "inputs/%s",
             golden_count(inputs) == 1 ? golden_name(inputs, 0) : name);
    golden_close(inputs);
    return test_golden_batch(model->ctx, io, path);
}

static bool compute(strata_model *model, const golden *io, strata_tensor **outputs,
                    const char *what)
{
    strata_tensor *inputs[MOST_TENSORS];
    int count = 0;
    for (; strata_model_input(model, count); count++) {
        inputs[count] = input_value(model, count, io);
        if (!inputs[count]) {
            fprintf(stderr, "%s: no value for input %d\n", what, count);
            return false;
        }
    }
    strata_layer *layer = strata_model_layer(model);
    return strata_layer_call_many(layer, count, inputs, 0, outputs) == STRATA_OK;
}

bool model_outputs_agree(strata_model *model, const golden *io, double factor, const char *what)
{
    strata_tensor *outputs[MOST_TENSORS];
    json_t *names = golden_json(io, NULL, "outputs");
    strata_scope_begin(model->ctx);
    bool agree = compute(model, io, outputs, what);
    for (size_t i = 0; agree && i < json_array_size(names); i++) {
        char path[256], title[256];
        const char *name = json_string_value(json_array_get(names, i));
        snprintf(path, sizeof path, "outputs/%s", name);
        snprintf(title, sizeof title, "%s, output %s", what, name);
        agree = test_tensor_agrees(outputs[i], io, path, factor, title);
    }
    strata_scope_end(model->ctx);
    json_decref(names);
    return agree;
}
