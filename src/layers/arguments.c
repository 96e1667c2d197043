/* Arguments of calls besides the inputs: a struct that the class describes by a table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/layer.h"

strata__class strata__arguments_class(const strata_layer_class *class)
{
    return (strata__class){.name = class->name,
                           .config_size = class->arguments_size,
                           .defaults = class->argument_defaults,
                           .fields = class->arguments,
                           .field_count = class->argument_count};
}

/* The tensor of row i, if the row has one that is given. */
static strata_tensor *const *tensor_at(const strata_layer_class *class, int i,
                                       const void *arguments)
{
    const strata_field *row = &class->arguments[i];
    strata_tensor *const *member = (strata_tensor *const *)((const char *)arguments + row->offset);
    return row->type == STRATA_FIELD_TENSOR && *member ? member : NULL;
}

int strata__argument_tensors(const strata_layer_class *class, const void *arguments,
                             strata_tensor **tensors)
{
    int count = 0;
    for (int i = 0; arguments && i < class->argument_count; i++) {
        strata_tensor *const *given = tensor_at(class, i, arguments);
        if (given && tensors)
            tensors[count] = *given;
        count += given != NULL;
    }
    return count;
}

void strata__argument_replace(const strata_layer_class *class, void *arguments,
                              strata_tensor *const *tensors)
{
    int count = 0;
    for (int i = 0; arguments && i < class->argument_count; i++) {
        if (tensor_at(class, i, arguments))
            *(strata_tensor **)((char *)arguments + class->arguments[i].offset) = tensors[count++];
    }
}

int strata__call_outputs(const strata_layer *layer, const void *arguments)
{
    bool asked = arguments && layer->class->count_outputs;
    return asked ? layer->class->count_outputs(arguments) : layer->output_count;
}
