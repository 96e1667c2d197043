/* Sessions of the whole library in tests, and tensors from golden data. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>

#include "training/session.h"

strata_context *test_session(const char *mesh)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, (strata_options){.mesh = mesh});
    assert_all(ctx != NULL);
    test_adopt(ctx, strata__session_close);
    assert_all_ok(ctx);
    return ctx;
}

strata_tensor *test_batch_of(strata_context *ctx, strata_dtype dtype, strata_shape shape,
                             const void *data)
{
    strata__layout layout = {.batch = shape.rank > 0};
    strata_tensor *tensor = strata__tensor_new(ctx, dtype, &shape, layout);
    size_t size = strata_dtype_size(dtype);
    size_t first = layout.batch ? (size_t)strata__first_element(tensor) : 0;
    memcpy(tensor->data, (const char *)data + first * size,
           (size_t)strata__local_count(tensor) * size);
    return tensor;
}

strata_tensor *test_golden_batch(strata_context *ctx, const golden *group, const char *path)
{
    golden_array array;
    if (!golden_read(group, path, &array))
        return NULL;
    void *data = golden_convert(&array, array.dtype);
    strata_tensor *tensor = test_batch_of(ctx, array.dtype, array.shape, data);
    free(data);
    golden_free(&array);
    return tensor;
}

static bool same_shape(const strata_tensor *tensor, const golden_array *expected, const char *what)
{
    if (strata__shape_equal(&tensor->shape, &expected->shape))
        return true;
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    fprintf(stderr, "%s: shape %s instead of %s\n", what, strata__shape_text(&tensor->shape, ours),
            strata__shape_text(&expected->shape, theirs));
    return false;
}

bool test_tensor_agrees(const strata_tensor *tensor, const golden *group, const char *path,
                        double factor, const char *what)
{
    golden_array expected;
    if (!tensor || !golden_read(group, path, &expected)) {
        fprintf(stderr, "%s: %s\n", what, tensor ? "no such golden dataset" : "nothing");
        return false;
    }
    bool agrees = same_shape(tensor, &expected, what);
    void *whole = calloc((size_t)expected.count + 1, strata_dtype_size(tensor->dtype));
    agrees = agrees && strata_tensor_gather(tensor, whole) == STRATA_OK &&
             golden_agrees(&expected, tensor->dtype, whole, expected.count, factor, what);
    free(whole);
    golden_free(&expected);
    return agrees;
}

bool test_is_unsupported(strata_context *ctx)
{
    if (ctx->status != STRATA_UNSUPPORTED)
        return false;
    strata_error_clear(ctx);
    return true;
}
