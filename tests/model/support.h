/* What the tests of the model room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_MODEL_SUPPORT_H
#define STRATA_TESTS_MODEL_SUPPORT_H

#include "sessions.h"

#include "model/model.h"

enum { MOST_TENSORS = 8, MOST_WEIGHTS = 64 };

/* JSON of a golden file, "files/convnet.json"; NULL: there is none. New reference. */
json_t *golden_model_json(const char *file);

/*
 * Whether a model's to_json() says what Keras's does: keys that newer versions of Keras add and
 * other spellings of the same (a flat input_layers, `null` for nothing) do not count. The first
 * difference is printed.
 */
bool model_json_agrees(strata_model *model, const json_t *expected, const char *what);

/* Whether the weights are those of "/weights" of an io file, with their paths, trainable and
 * values. Collective. */
bool model_weights_agree(strata_model *model, const golden *io, const char *what);

/*
 * Whether the model computes the outputs of an io file from its inputs, which it names in its
 * attributes `inputs` and `outputs`; `factor` as of golden_agrees(). Collective.
 */
bool model_outputs_agree(strata_model *model, const golden *io, double factor, const char *what);

#endif
