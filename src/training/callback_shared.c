/* What built-in callbacks share: lines of text, numbers as Python prints them, save_freq. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "training/callback.h"

void strata__callback_say(strata_context *ctx, const char *format, ...)
{
    va_list arguments;
    if (ctx->rank != 0)
        return;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void strata__text_real(strata__text *text, double value)
{
    json_t *json = isfinite(value) ? json_real(value) : NULL;
    char *words = json ? strata__json_dump(text->ctx, json, 0) : NULL;
    if (words)
        strata__text_puts(text, words);
    else
        strata__text_puts(text, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    strata__free(text->ctx, words);
    json_decref(json);
}

/* A bare number in quotation marks could mean either. */
static bool read_time(const char *word, double *seconds)
{
    bool bare = strspn(word, "0123456789.") == strlen(word);
    return seconds && !bare && strata__seconds_parse(word, seconds) && *seconds > 0;
}

strata_status strata__save_freq_read(strata_context *ctx, const char *owner, const char *text,
                                     int64_t *batches, double *seconds)
{
    json_error_t error;
    json_t *json = strata__json_decode(ctx, text, strlen(text), &error);
    const char *word = json_string_value(json);
    *batches = json_integer_value(json);
    bool good = word ? strcmp(word, "epoch") == 0 || read_time(word, seconds) : *batches > 0;
    json_decref(json);
    if (good)
        return STRATA_OK;
    return strata__fail(ctx, STRATA_INVALID,
                        "%s: save_freq=%.100s is neither 'epoch' nor a number of batches%s", owner,
                        text, seconds ? " nor a time as '600s'" : "");
}

bool strata__batch_counter_due(strata__batch_counter *counter, int64_t batches)
{
    if (batches == 0 || ++counter->since < batches)
        return false;
    counter->since = 0;
    return true;
}
