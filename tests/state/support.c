/* What the tests of the state room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/support.h"

#include <stdlib.h>

int64_t element_count(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

float *read_floats(strata_variable *variable)
{
    float *whole = calloc((size_t)element_count(&variable->shape) + 1, sizeof *whole);
    strata_cross_read(variable, whole);
    assert_all_ok(variable->ctx);
    return whole;
}

int placements_of(int rank, strata__placement placements[3])
{
    static const strata__placement all[] = {STRATA__WHOLE, STRATA__VECTOR, STRATA__MATRIX};
    int count = rank < 2 ? rank + 1 : 3;
    for (int i = 0; i < count; i++)
        placements[i] = all[i];
    return count;
}

void parse_object(strata_context *ctx, const strata__family *family, const char *text,
                  strata__object *object)
{
    strata__object_parse(ctx, family, text, object);
    assert_all_ok(ctx);
}

strata_shape shape_of_json(const json_t *list)
{
    strata_shape shape = {.rank = (int)json_array_size(list)};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = json_integer_value(json_array_get(list, (size_t)i));
    return shape;
}
