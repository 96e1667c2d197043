/* JSON: strict reading, Keras-like writing, and text in Keras notation. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_JSON_H
#define STRATA_BASE_JSON_H

#include <jansson.h>

#include "base/context.h"

/*
 * Parses JSON text of `length` bytes strictly: duplicates, trailing bytes and bad UTF-8 are errors;
 * Python's NaN, Infinity and -Infinity literals are read as numbers (Keras writes them). `what`
 * names the text in the message, e.g. "config.json of fashion.keras". New reference, or NULL after
 * STRATA_BAD_DATA. Local.
 */
json_t *strata__json_parse(strata_context *ctx, const char *text, size_t length, const char *what);

/* The same without a message: NULL leaves place and reason in `error`. */
json_t *strata__json_decode(strata_context *ctx, const char *text, size_t length,
                            json_error_t *error);

/*
 * Numbers that jansson cannot hold. NaN and the infinities are JSON strings that end in a NUL byte,
 * "NaN\0", which no text can say otherwise; so make reals with strata__json_real() where they may
 * not be finite, and read numbers with strata__json_number(): false if `json` (may be NULL) is
 * none.
 */
json_t *strata__json_real(double value);
bool strata__json_number(const json_t *json, double *value);

/*
 * Text as Python's json.dumps writes it: ", " and ": ", ASCII with \u escapes, reals in the
 * shortest form that reads back equal (0.001, 1e-07, 32768.0), NaN and Infinity. Object keys keep
 * their order. indent 0: one line. Owned by the caller (strata__free).
 */
char *strata__json_dump(strata_context *ctx, const json_t *json, int indent);

/*
 * Keras notation and JSON through one parser:
 *
 *   adam
 *   HeNormal(seed=1)
 *   Adam(ExponentialDecay(0.1, decay_steps=100, decay_rate=0.9), beta_1=0.8)
 *   {"class_name": "L2", "config": {"l2": 0.01}, …}
 *
 * Values: numbers, True/False/None, 'text' or "text", lists and tuples, nested calls, JSON objects.
 * Result: an object {"class_name": NAME, "config": {…}} where a call or a Keras JSON object was
 * given, with positional arguments under "args" (a list; absent without any); a JSON string where a
 * bare name was given; the value where any other was. At most STRATA__NOTATION_DEPTH levels. New
 * reference, or NULL after STRATA_INVALID whose message shows the text and the place of the
 * mistake. Local.
 */
#define STRATA__NOTATION_DEPTH 64
json_t *strata__notation_parse(strata_context *ctx, const char *text);

/* The nearest of `count` names (Levenshtein, case-blind), or NULL if none is near enough to hint
 * at. */
const char *strata__nearest(const char *name, const char *const *names, int count);

#endif
