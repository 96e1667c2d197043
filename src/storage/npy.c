/* NumPy's .npy format: the header, and writing a file by rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/npy.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static const char magic[] = "\x93NUMPY";

enum { MAGIC = 6, VERSION_END = 8 };

/* X(NumPy's code without byte order, element type) */
static const struct {
    const char *code;
    strata_dtype dtype;
} types[] = {
    {"f4", STRATA_FLOAT32}, {"f8", STRATA_FLOAT64}, {"i4", STRATA_INT32},
    {"i8", STRATA_INT64},   {"u1", STRATA_UINT8},   {"b1", STRATA_BOOL},
};

/* The text of the header being read: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
typedef struct cursor {
    strata_context *ctx;
    const char *path;
    const char *at, *end;
    strata__array_header *header;
    bool fortran;
    unsigned seen; /* bits of the keys */
} cursor;

bool strata__npy_is(const unsigned char *start, int64_t size)
{
    return size >= MAGIC && memcmp(start, magic, MAGIC) == 0;
}

static strata_status damaged(const cursor *in, const char *expected)
{
    return strata__fail(in->ctx, STRATA_BAD_DATA,
                        "the header of NPY file '%s' is damaged: expected %s", in->path, expected);
}

static void skip_space(cursor *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n'))
        in->at++;
}

static bool take(cursor *in, char wanted)
{
    skip_space(in);
    if (in->at == in->end || *in->at != wanted)
        return false;
    in->at++;
    return true;
}

static bool take_word(cursor *in, const char *word)
{
    size_t length = strlen(word);
    skip_space(in);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

/* Text in quotes, without escapes. */
static bool take_text(cursor *in, char *text, size_t size)
{
    skip_space(in);
    char quote = in->at < in->end ? *in->at : '\0';
    if (quote != '\'' && quote != '"')
        return false;
    const char *start = ++in->at;
    while (in->at < in->end && *in->at != quote)
        in->at++;
    size_t length = (size_t)(in->at - start);
    if (in->at == in->end || length >= size)
        return false;
    in->at++;
    memcpy(text, start, length);
    text[length] = '\0';
    return true;
}

static bool take_number(cursor *in, int64_t *number)
{
    skip_space(in);
    const char *start = in->at;
    *number = 0;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, *in->at - '0', number))
            return false;
    }
    return in->at > start;
}

static strata_status take_type(cursor *in)
{
    char text[16];
    if (!take_text(in, text, sizeof text))
        return strata__fail(in->ctx, STRATA_UNSUPPORTED,
                            "NPY file '%s' holds records or a long type name; save plain numbers",
                            in->path);
    bool ordered = text[0] && strchr("<>|=", text[0]);
    const char *code = text + ordered;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(code, types[i].code) == 0) {
            in->header->dtype = types[i].dtype;
            in->header->swapped = text[0] == '>' && strata_dtype_size(types[i].dtype) > 1;
            return STRATA_OK;
        }
    }
    return strata__fail(in->ctx, STRATA_UNSUPPORTED,
                        "NPY file '%s' holds elements of type '%s'; expected float32, float64, "
                        "int32, int64, uint8 or bool (convert with astype)",
                        in->path, text);
}

static strata_status take_order(cursor *in)
{
    in->fortran = take_word(in, "True");
    return in->fortran || take_word(in, "False") ? STRATA_OK
                                                 : damaged(in, "True or False for fortran_order");
}

static strata_status take_shape(cursor *in)
{
    strata_shape *shape = &in->header->shape;
    shape->rank = 0;
    if (!take(in, '('))
        return damaged(in, "a tuple for shape");
    while (!take(in, ')')) {
        if (shape->rank == STRATA_MAX_RANK)
            return strata__fail(in->ctx, STRATA_UNSUPPORTED, "NPY file '%s' has more than %d axes",
                                in->path, STRATA_MAX_RANK);
        if (!take_number(in, &shape->dims[shape->rank++]))
            return damaged(in, "whole numbers in shape");
        bool more = take(in, ',');
        if (!more && (shape->rank == 1 || !take(in, ')')))
            return damaged(in, "a tuple for shape");
        if (!more)
            break;
    }
    return STRATA_OK;
}

static const struct {
    const char *name;
    strata_status (*take)(cursor *in);
} keys[] = {{"descr", take_type}, {"fortran_order", take_order}, {"shape", take_shape}};

static strata_status take_item(cursor *in)
{
    char name[16];
    if (!take_text(in, name, sizeof name) || !take(in, ':'))
        return damaged(in, "a key and a colon");
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(name, keys[i].name) == 0 && !(in->seen & 1u << i)) {
            in->seen |= 1u << i;
            return keys[i].take(in);
        }
    }
    return damaged(in, "each of the keys descr, fortran_order and shape once");
}

static strata_status take_dictionary(cursor *in)
{
    if (!take(in, '{'))
        return damaged(in, "a dictionary");
    while (!take(in, '}')) {
        STRATA_TRY(take_item(in));
        if (take(in, ','))
            continue;
        if (!take(in, '}'))
            return damaged(in, "a comma or the end of the dictionary");
        break;
    }
    skip_space(in);
    if (in->at != in->end)
        return damaged(in, "nothing after the dictionary");
    if (in->seen != (1u << sizeof keys / sizeof *keys) - 1)
        return damaged(in, "the keys descr, fortran_order and shape");
    if (in->fortran && in->header->shape.rank > 1)
        return strata__fail(in->ctx, STRATA_UNSUPPORTED,
                            "NPY file '%s' is in Fortran order; save numpy.ascontiguousarray(x)",
                            in->path);
    return STRATA_OK;
}

strata_status strata__npy_parse(strata_context *ctx, const char *path, const unsigned char *start,
                                int64_t size, strata__array_header *header)
{
    int major = size >= VERSION_END ? start[MAGIC] : 0;
    int64_t text = major == 1 ? VERSION_END + 2 : VERSION_END + 4, length = 0;
    if (size < text)
        return strata__fail(ctx, STRATA_BAD_DATA, "NPY file '%s' ends in its header", path);
    if (major < 1 || major > 3 || start[MAGIC + 1] != 0)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "NPY file '%s' has version %d.%d; expected 1.0, 2.0 or 3.0", path,
                            major, start[MAGIC + 1]);
    for (int64_t i = text - 1; i >= VERSION_END; i--)
        length = length << 8 | start[i];
    if (length > size - text)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "NPY file '%s' has a header of %lld bytes, but ends before, or the "
                            "header is larger than 64 KiB",
                            path, (long long)length);
    header->offset = text + length;
    cursor in = {.ctx = ctx,
                 .path = path,
                 .at = (const char *)start + text,
                 .end = (const char *)start + header->offset,
                 .header = header};
    return take_dictionary(&in);
}

/* The header that numpy.save writes, padded so that the elements are aligned to 64 bytes. */
static char *make_header(strata_context *ctx, strata_dtype dtype, const strata_shape *shape)
{
    enum { PREFIX = VERSION_END + 2 };
    const char *code = "";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].dtype == dtype)
            code = types[i].code;
    }
    strata__text text = {.ctx = ctx};
    strata__text_format(&text, "%s%c%c%c%c", magic, 1, ' ', ' ', ' ');
    strata__text_format(&text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                        strata_dtype_size(dtype) > 1 ? '<' : '|', code);
    for (int i = 0; i < shape->rank; i++)
        strata__text_format(&text, "%s%lld%s", i ? " " : "", (long long)shape->dims[i],
                            i < shape->rank - 1 || shape->rank == 1 ? "," : "");
    strata__text_puts(&text, "), }");
    while (text.length % 64 != 63 && !text.failed)
        strata__text_puts(&text, " ");
    strata__text_puts(&text, "\n");
    size_t length = text.length - PREFIX;
    char *header = strata__text_take(&text);
    if (header) {
        header[MAGIC + 1] = 0;
        header[VERSION_END] = (char)(length & 255);
        header[VERSION_END + 1] = (char)(length >> 8);
    }
    return header;
}

strata_status strata__npy_create(strata_context *ctx, const char *path, strata_dtype dtype,
                                 strata_shape shape, strata__npy_writer *writer)
{
    *writer = (strata__npy_writer){.file = {.fd = -1}, .rows = shape.rank ? shape.dims[0] : 1};
    writer->row_bytes = (int64_t)strata_dtype_size(dtype);
    for (int i = 1; i < shape.rank; i++)
        writer->row_bytes *= shape.dims[i];
    char *header = make_header(ctx, dtype, &shape);
    if (!header)
        return ctx->status;
    const unsigned char *bytes = (const unsigned char *)header;
    writer->offset = VERSION_END + 2 + bytes[VERSION_END] + 256 * bytes[VERSION_END + 1];
    strata_status status = strata__file_create(ctx, path, &writer->file);
    if (status == STRATA_OK)
        status = strata__write_at(ctx, writer->file.fd, path, 0, header, writer->offset);
    strata__free(ctx, header);
    if (status != STRATA_OK)
        strata__npy_discard(ctx, writer);
    return status;
}

strata_status strata__npy_write(strata_context *ctx, strata__npy_writer *writer, int64_t first,
                                int64_t rows, const void *data)
{
    if (first < 0 || rows < 0 || first > writer->rows || rows > writer->rows - first)
        return strata__fail(ctx, STRATA_INVALID, "rows %lld to %lld do not exist in '%s'",
                            (long long)first, (long long)(first + rows), writer->file.path);
    return strata__write_at(ctx, writer->file.fd, writer->file.path,
                            writer->offset + first * writer->row_bytes, data,
                            rows * writer->row_bytes);
}

strata_status strata__npy_finish(strata_context *ctx, strata__npy_writer *writer)
{
    return strata__file_commit(ctx, &writer->file);
}

void strata__npy_discard(strata_context *ctx, strata__npy_writer *writer)
{
    strata__file_discard(ctx, &writer->file);
}
