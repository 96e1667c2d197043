/* Sessions of the whole library in tests, and tensors from golden data. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_SESSIONS_H
#define STRATA_TESTS_SESSIONS_H

#include "golden.h"
#include "harness.h"

#include "tensor/tape.h"

/* strata_init() with this mesh; the harness closes it after the test. Collective. */
strata_context *test_session(const char *mesh);

/* A tensor of the current scope: this rank's samples of `data`, the whole batch on every rank. A
 * shape of rank 0 makes a whole tensor. */
strata_tensor *test_batch_of(strata_context *ctx, strata_dtype dtype, strata_shape shape,
                             const void *data);

/* The same from a golden dataset in its stored type; NULL if there is none. */
strata_tensor *test_golden_batch(strata_context *ctx, const golden *group, const char *path);

/* Whether a tensor, gathered from all ranks, agrees with a golden dataset in shape and values.
 * Collective. */
bool test_tensor_agrees(const strata_tensor *tensor, const golden *group, const char *path,
                        double factor, const char *what);

/* Whether the error is a clear refusal of what Strata does not have; it is cleared then. */
bool test_is_unsupported(strata_context *ctx);

#endif
