/* Text that grows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"

static bool reserve(strata__text *text, size_t count)
{
    if (text->failed)
        return false;
    size_t needed = text->length + count + 1;
    if (needed <= text->capacity)
        return true;
    size_t capacity = needed < 64 ? 64 : needed + needed / 2;
    char *data = strata__realloc(text->ctx, text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void strata__text_add(strata__text *text, const char *bytes, size_t count)
{
    if (!reserve(text, count))
        return;
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = '\0';
}

void strata__text_puts(strata__text *text, const char *words)
{
    strata__text_add(text, words, strlen(words));
}

void strata__text_format(strata__text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (count < 0 || !reserve(text, (size_t)count))
        return;
    va_start(arguments, format);
    vsnprintf(text->data + text->length, (size_t)count + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)count;
}

void strata__text_numbers(strata__text *text, int count, const int *numbers)
{
    for (int first = 0, last; first < count; first = last + 1) {
        for (last = first; last + 1 < count && numbers[last + 1] == numbers[last] + 1; last++)
            ;
        strata__text_format(text, first ? ", %d" : "%d", numbers[first]);
        if (last > first)
            strata__text_format(text, last > first + 1 ? "-%d" : ", %d", numbers[last]);
    }
}

char *strata__text_take(strata__text *text)
{
    strata__text_add(text, "", 0);
    char *data = text->data;
    if (text->failed) {
        strata__free(text->ctx, data);
        data = NULL;
    }
    *text = (strata__text){.ctx = text->ctx};
    return data;
}

int strata__text_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

const char *strata__bytes_text(int64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(text, 32, "%.2f %s", value, units[unit]);
    return text;
}

const char *strata__list_find(const char *list, const char *item, bool ignore_case, size_t *length)
{
    size_t wanted = strlen(item);
    int (*differ)(const char *, const char *, size_t) = ignore_case ? strncasecmp : strncmp;
    for (const char *entry = list; entry; entry = strchr(entry, '|')) {
        entry += *entry == '|';
        *length = strcspn(entry, "|");
        if (*length == wanted && differ(entry, item, wanted) == 0)
            return entry;
    }
    return NULL;
}
