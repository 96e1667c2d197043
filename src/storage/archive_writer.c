/* Writing .keras archives: libzip packs, into a file that appears only when it is complete. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive.h"

#include <string.h>
#include <zip.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/weights_writer.h"

/* The new file as libzip's target. */
typedef struct target {
    strata_context *ctx;
    strata__new_file file;
    int64_t position, size;
    zip_error_t error;
} target;

static zip_int64_t write_target(target *out, const void *data, zip_uint64_t size)
{
    if (strata__write_at(out->ctx, out->file.fd, out->file.path, out->position, data,
                         (int64_t)size) != STRATA_OK) {
        zip_error_set(&out->error, ZIP_ER_WRITE, 0);
        return -1;
    }
    out->position += (int64_t)size;
    if (out->size < out->position)
        out->size = out->position;
    return (zip_int64_t)size;
}

static zip_int64_t seek_target(target *out, void *data, zip_uint64_t size)
{
    zip_int64_t position = zip_source_seek_compute_offset(
        (zip_uint64_t)out->position, (zip_uint64_t)out->size, data, size, &out->error);
    if (position < 0)
        return -1;
    out->position = position;
    return 0;
}

/* Empty before it is written, and never read back. */
static zip_int64_t describe_target(target *out, void *data, zip_uint64_t size)
{
    zip_stat_t *about = ZIP_SOURCE_GET_ARGS(zip_stat_t, data, size, &out->error);
    if (!about)
        return -1;
    zip_stat_init(about);
    about->valid = ZIP_STAT_SIZE;
    about->size = 0;
    return sizeof *about;
}

static zip_int64_t serve_target(void *user, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    target *out = user;
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_BEGIN_WRITE,
            ZIP_SOURCE_WRITE, ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE,
            ZIP_SOURCE_SEEK_WRITE, ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
    case ZIP_SOURCE_STAT:
        return describe_target(out, data, size);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&out->error, data, size);
    case ZIP_SOURCE_WRITE:
        return write_target(out, data, size);
    case ZIP_SOURCE_SEEK:
    case ZIP_SOURCE_SEEK_WRITE:
        return seek_target(out, data, size);
    case ZIP_SOURCE_TELL:
    case ZIP_SOURCE_TELL_WRITE:
        return out->position;
    case ZIP_SOURCE_BEGIN_WRITE:
        out->position = 0;
        return 0;
    default: /* opening, closing, reading nothing; commit and rollback are done by the new file */
        return 0;
    }
}

/* Adds a member the way Keras does: stored, rw for the owner, version made by Unix. */
static bool add(zip_t *zip, const char *name, zip_source_t *source, bool undated)
{
    if (!source)
        return false;
    zip_int64_t index = zip_file_add(zip, name, source, 0);
    if (index < 0) {
        zip_source_free(source);
        return false;
    }
    const zip_uint16_t first_of_1980 = 1 << 5 | 1; /* year 0, month 1, day 1 */
    zip_uint64_t member = (zip_uint64_t)index;
    return zip_set_file_compression(zip, member, ZIP_CM_STORE, 0) == 0 &&
           zip_file_set_external_attributes(zip, member, 0, ZIP_OPSYS_UNIX, 0600u << 16) == 0 &&
           (!undated || zip_file_set_dostime(zip, member, 0, first_of_1980, 0) == 0);
}

static bool add_text(zip_t *zip, const char *name, const char *text)
{
    return add(zip, name, zip_source_buffer(zip, text, strlen(text), 0), true);
}

static bool add_members(zip_t *zip, const char *metadata, const char *config, const char *weights)
{
    return add_text(zip, "metadata.json", metadata) && add_text(zip, "config.json", config) &&
           add(zip, "model.weights.h5", zip_source_file(zip, weights, 0, 0), false);
}

/* libzip writes everything in zip_close(). */
static strata_status pack(target *out, const char *metadata, const char *config,
                          const char *weights)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_function_create(serve_target, out, &error);
    zip_t *zip = source ? zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error) : NULL;
    bool good = zip && add_members(zip, metadata, config, weights) && zip_close(zip) == 0;
    if (!good)
        strata__fail(out->ctx, STRATA_IO, "cannot pack '%s': %s", out->file.path,
                     zip ? zip_strerror(zip) : zip_error_strerror(&error));
    if (zip && !good)
        zip_discard(zip);
    else if (source && !zip)
        zip_source_free(source);
    zip_error_fini(&error);
    return good ? STRATA_OK : out->ctx->status;
}

/* On rank 0: the weights stand complete in the writer's temporary file. */
static void write_archive(strata_context *ctx, const strata__weights_writer *writer,
                          const char *metadata, const char *config)
{
    target out = {.ctx = ctx};
    zip_error_init(&out.error);
    if (strata__file_create(ctx, writer->file.path, &out.file) != STRATA_OK)
        return;
    if (pack(&out, metadata, config, writer->file.temporary) == STRATA_OK)
        strata__file_commit(ctx, &out.file);
    else
        strata__file_discard(ctx, &out.file);
    zip_error_fini(&out.error);
}

strata_status strata__archive_finish(strata_context *ctx, strata__weights_writer *writer,
                                     const char *metadata, const char *config)
{
    strata__weights_seal(writer);
    if (writer->file.temporary && ctx->status == STRATA_OK)
        write_archive(ctx, writer, metadata, config);
    strata__weights_discard(ctx, writer);
    return strata__agree(ctx);
}
