/* A case of a layer's golden data: its inputs and the calls made with them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_run.h"

#include <stdio.h>
#include <string.h>

#include <strata/layers/core.h>

int run_names(const json_t *tree, char (*names)[PATH / 4])
{
    int count = 0;
    if (json_is_string(tree))
        snprintf(names[count++], PATH / 4, "%s", json_string_value(tree));
    for (size_t i = 0; i < json_array_size(tree) && i < MOST; i++)
        snprintf(names[count++], PATH / 4, "%s", json_string_value(json_array_get(tree, i)));
    return count;
}

const char *run_path(char *path, const char *folder, const char *name)
{
    snprintf(path, PATH, "%s/%s", folder, name);
    return path;
}

static void attach_mask(run *r, strata_tensor *tensor, const char *path)
{
    strata_tensor *mask = test_golden_batch(r->ctx, r->group, path);
    if (mask)
        strata_tensor_set_mask(tensor, mask);
}

/* The inputs, and after them the arguments that Keras calls by the names of further inputs. */
static void name_inputs(run *r)
{
    const json_t *arguments = json_object_get(r->structure, "arguments");
    r->count = run_names(json_object_get(r->structure, "inputs"), r->inputs);
    char names[PATH];
    snprintf(names, sizeof names, "%s", r->layer->class->input_names ?: "");
    for (char *rest, *name = strtok_r(names, "|", &rest); name; name = strtok_r(NULL, "|", &rest)) {
        const char *given = json_string_value(json_object_get(arguments, name));
        if (given)
            snprintf(r->inputs[r->count++], PATH / 4, "%s", given);
    }
}

static void set_argument(const run *r, const char *argument, strata_tensor *tensor)
{
    const strata_layer_class *class = r->layer->class;
    for (int i = 0; i < class->argument_count; i++) {
        const strata_field *row = &class->arguments[i];
        if (row->type == STRATA_FIELD_TENSOR && strcmp(row->name, argument) == 0)
            *(strata_tensor **)((char *)r->options.arguments + row->offset) = tensor;
    }
}

/* What the call takes besides inputs: options as numbers, and tensors made by `make`. */
static void make_options(run *r, strata_tensor *make(const run *, const char *))
{
    const strata_layer_class *class = r->layer->class;
    const json_t *tensors = json_object_get(r->structure, "arguments");
    json_t *call = golden_json(r->group, NULL, "call"), *unknown = json_object();
    r->options = (options){.described = strata__arguments_class(class)};
    if (class->arguments_size)
        strata__config_from_json(r->ctx, &r->options.described, call, r->name, unknown,
                                 &r->options.arguments);
    const char *argument;
    json_t *name;
    json_object_foreach((json_t *)(uintptr_t)tensors, argument, name)
    {
        if (r->options.arguments)
            set_argument(r, argument, make(r, json_string_value(name)));
    }
    json_decref(unknown);
    json_decref(call);
}

static void free_options(run *r)
{
    strata__config_free(r->ctx, &r->options.described, r->options.arguments);
    r->options.arguments = NULL;
}

static strata_tensor *argument_batch(const run *r, const char *name)
{
    char path[PATH];
    return test_golden_batch(r->ctx, r->group, run_path(path, "inputs", name));
}

/* A mask given to the call is attached to the input as well: most layers know no other. */
void run_make_inputs(run *r)
{
    char path[PATH];
    const json_t *arguments = json_object_get(r->structure, "arguments");
    const char *mask = json_string_value(json_object_get(arguments, "mask"));
    name_inputs(r);
    for (int i = 0; i < r->count; i++) {
        r->tensors[i] = test_golden_batch(r->ctx, r->group, run_path(path, "inputs", r->inputs[i]));
        strata_tensor *x = r->tensors[i];
        if (x->dtype == STRATA_FLOAT32)
            strata_tape_watch(x);
        bool cut = r->split && x->dtype == STRATA_FLOAT32 && x->shape.rank > 1;
        r->arguments[i] = cut ? strata__split(x) : x;
        attach_mask(r, r->arguments[i], run_path(path, "masks/in", r->inputs[i]));
        if (mask)
            attach_mask(r, r->arguments[i], run_path(path, "inputs", mask));
    }
}

static int training_of(const run *r)
{
    json_t *call = golden_json(r->group, NULL, "call");
    const json_t *training = json_object_get(call, "training");
    int value = json_is_boolean(training) ? json_is_true(training) : -1;
    json_decref(call);
    return value;
}

strata_status run_call(run *r)
{
    int calls = (int)golden_number(r->group, NULL, "calls", 1);
    strata_status status = STRATA_OK;
    make_options(r, argument_batch);
    for (int i = 0; i < calls && status == STRATA_OK; i++)
        status = strata_layer_call_with(r->layer, r->options.arguments, r->count, r->arguments,
                                        training_of(r), r->results);
    free_options(r);
    return status;
}

static strata_tensor *symbolic(const run *r, const char *name)
{
    golden_array array;
    char path[PATH];
    golden_read(r->group, run_path(path, "inputs", name), &array);
    array.shape.dims[0] = STRATA_NONE;
    strata_tensor *tensor =
        strata_input(r->ctx, .batch_shape = array.shape, .dtype = strata_dtype_name(array.dtype));
    golden_free(&array);
    return tensor;
}

strata_status run_symbolic_call(run *r, strata_tensor **outputs)
{
    strata_tensor *inputs[MOST];
    name_inputs(r);
    for (int i = 0; i < r->count; i++)
        inputs[i] = symbolic(r, r->inputs[i]);
    make_options(r, symbolic);
    strata_status status =
        strata_layer_call_with(r->layer, r->options.arguments, r->count, inputs, -1, outputs);
    free_options(r);
    return status;
}
