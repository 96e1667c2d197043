/* What the tests of the training room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>

#include "base/context.h"
#include "tensor/tensor.h"

bool tensor_agrees(const strata_tensor *tensor, const golden *group, const char *path,
                   const char *what)
{
    golden_array expected;
    if (!tensor || !golden_read(group, path, &expected))
        return false;
    int64_t count = strata__product(&tensor->shape, 0, tensor->shape.rank);
    float *whole = calloc((size_t)count + 1, sizeof *whole);
    bool agrees = strata_tensor_gather(tensor, whole) == STRATA_OK &&
                  golden_agrees(&expected, STRATA_FLOAT32, whole, count, 1, what);
    free(whole);
    golden_free(&expected);
    return agrees;
}

bool number_agrees(double number, const golden *group, const char *path, const char *what)
{
    golden_array expected;
    if (!golden_read(group, path, &expected))
        return false;
    bool agrees = golden_agrees(&expected, STRATA_FLOAT64, &number, 1, 1, what);
    golden_free(&expected);
    return agrees;
}

char *config_text(const golden *group)
{
    return golden_text(group, NULL, "config");
}

bool config_agrees(json_t *json, const golden *group, const char *what)
{
    json_t *expected = golden_json(group, NULL, "config");
    bool equal = golden_json_equal(json, expected);
    if (!equal) {
        char *ours = json_dumps(json, 0);
        fprintf(stderr, "%s: the configuration is %s\n", what, ours);
        free(ours);
    }
    json_decref(json);
    json_decref(expected);
    return equal;
}

bool is_unsupported(strata_context *ctx)
{
    if (ctx->status != STRATA_UNSUPPORTED)
        return false;
    strata_error_clear(ctx);
    return true;
}

void run_golden(const char *file, golden_case *run, int least)
{
    golden_tally first;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        golden_tally tally = {0};
        assert_all(golden_run(file, run, ctx, &tally));
        if (i == 0)
            first = tally;
        assert_all_ok(ctx);
        assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
        assert_all(tally.count[GOLDEN_PASSED] >= least);
    }
    if (test_rank() == 0)
        golden_print(file, &first);
}

void check_strings(const char *file, strata_status (*make)(strata_context *ctx, const char *name))
{
    strata_context *ctx = test_context(NULL);
    golden *root = golden_open(file);
    json_t *strings = golden_json(root, NULL, "strings"), *meaning;
    const char *name;
    assert_all(json_object_size(strings) > 0);
    json_object_foreach(strings, name, meaning)
    {
        if (json_object_get(meaning, "error"))
            continue;
        strata_status status = make(ctx, name);
        bool known = status == STRATA_OK || is_unsupported(ctx);
        assert_all_string_equal(known ? name : "", name);
    }
    json_decref(strings);
    golden_close(root);
}
