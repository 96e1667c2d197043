/* JSON: strict reading, Keras-like writing, and text in Keras notation. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_JSON_H
#define STRATA_BASE_JSON_H

#include <jansson.h>

#include "base/context.h"

/*
 * Parses JSON text of `length` bytes strictly: duplicates, trailing bytes and bad UTF-8 are errors; Python's NaN,
 * Infinity and -Infinity literals are read as reals (Keras writes them). `what` names the text in the message,
 * e.g. "config.json of fashion.keras". New reference, or NULL after STRATA_BAD_DATA. Local.
 */
json_t *strata__json_parse(strata_context *ctx, const char *text, size_t length, const char *what);

/*
 * Text as Python's json.dumps writes it: ", " and ": ", ASCII with \u escapes, reals in the shortest form that reads
 * back equal (0.001, 1e-07, 32768.0), NaN and Infinity. Object keys keep their order. indent 0: one line.
 * Owned by the caller (strata__free).
 */
char *strata__json_dump(strata_context *ctx, const json_t *json, int indent);

/*
 * Keras notation and JSON through one parser:
 *   "adam"  "HeNormal(seed=1)"  "Adam(learning_rate=ExponentialDecay(0.1, decay_steps=100, decay_rate=0.9))"
 *   "relu"  {"class_name": "L2", "config": {"l2": 0.01}, …}
 * Values: numbers, True/False/None, 'text' or "text", lists and tuples, nested calls. Result: an object
 * {"class_name": NAME, "config": {…}} where a call or a Keras JSON object was given, with positional arguments under
 * "args" (a list; absent without any); a JSON string where a bare name was given. New reference, or NULL after
 * STRATA_INVALID whose message shows the text and the place of the mistake. Local.
 */
json_t *strata__notation_parse(strata_context *ctx, const char *text);

/* The nearest of `count` names to `name` (Levenshtein, case-blind), or NULL if none is near enough for a hint. */
const char *strata__nearest(const char *name, const char *const *names, int count);

#endif
