/* Reading .keras archives, which may come from strangers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive.h"

#include <string.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/file.h"

enum {
    MAX_MEMBERS = 10000,
    MAX_RATIO = 100, /* of unpacked to packed bytes; Keras refuses what it packs better, too */
    LOCAL_HEADER = 30,
};

static const int64_t max_text_bytes = (int64_t)64 << 20;
static const int64_t max_unpacked_bytes = (int64_t)4 << 30;
static const char weights_name[] = "model.weights.h5";

/* An archive on rank 0. */
typedef struct reader {
    strata_context *ctx;
    const char *path;
    strata__bytes bytes; /* the whole file */
    zip_t *zip;
} reader;

static strata_status refuse(const reader *in, const char *member, const char *why)
{
    return strata__fail(in->ctx, STRATA_BAD_DATA, "'%s' is damaged or no Keras archive: %s%s%s",
                        in->path, member, *member ? " " : "", why);
}

static strata_status open_zip(reader *in)
{
    STRATA_TRY(strata__bytes_open(in->ctx, in->path, &in->bytes));
    int code = 0, fd = dup(in->bytes.fd); /* libzip closes its own */
    in->zip = fd < 0 ? NULL : zip_fdopen(fd, ZIP_CHECKCONS, &code);
    if (in->zip)
        return STRATA_OK;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    refuse(in, "",
           code == ZIP_ER_EXISTS ? "a member stands in it twice" : zip_error_strerror(&error));
    zip_error_fini(&error);
    if (fd >= 0)
        close(fd);
    return in->ctx->status;
}

/* Nothing is ever unpacked to a path; such names only show what the archive was made for. */
static bool leaves_archive(const char *name)
{
    if (*name == '/' || *name == '\0' || strchr(name, '\\'))
        return true;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return true;
    }
    return false;
}

static const char *check_member(const zip_stat_t *about)
{
    const zip_uint64_t needed =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_CRC;
    if ((about->valid & ZIP_STAT_ENCRYPTION_METHOD) && about->encryption_method != ZIP_EM_NONE)
        return "is encrypted";
    if ((about->valid & needed) != needed)
        return "has an incomplete entry in the directory";
    if (leaves_archive(about->name))
        return "has a name that leads out of the archive";
    if (about->comp_method != ZIP_CM_STORE && about->comp_method != ZIP_CM_DEFLATE)
        return "is packed by a method other than deflate";
    if (about->size > INT64_MAX || about->comp_size > INT64_MAX)
        return "has an impossible size";
    if (about->size / MAX_RATIO > about->comp_size)
        return "unpacks to over 100 times its size";
    if (about->comp_method == ZIP_CM_STORE && about->size != about->comp_size)
        return "is stored, but its two sizes differ";
    return NULL;
}

/* That no name repeats libzip has seen to (ZIP_CHECKCONS). */
static strata_status check_members(const reader *in)
{
    int64_t count = zip_get_num_entries(in->zip, 0);
    if (count < 1 || count > MAX_MEMBERS)
        return refuse(in, "", "it has no members, or more than 10000");
    for (int64_t i = 0; i < count; i++) {
        zip_stat_t about;
        if (zip_stat_index(in->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW, &about) != 0)
            return refuse(in, "", zip_strerror(in->zip));
        const char *why = check_member(&about);
        if (why)
            return refuse(in, about.valid & ZIP_STAT_NAME ? about.name : "a member", why);
    }
    return STRATA_OK;
}

/* Exactly the declared bytes and then the end, at which libzip checks the sum. */
static bool read_all(zip_file_t *member, char *data, int64_t size)
{
    int64_t done = 0;
    while (done < size) {
        zip_int64_t got = zip_fread(member, data + done, (zip_uint64_t)(size - done));
        if (got <= 0)
            return false;
        done += got;
    }
    char more;
    return zip_fread(member, &more, 1) == 0;
}

/* The member's bytes, followed by a zero; owned by the caller. */
static char *unpack(const reader *in, const zip_stat_t *about, int64_t limit)
{
    if ((int64_t)about->size > limit) {
        refuse(in, about->name, "is too large");
        return NULL;
    }
    char *data = strata__alloc(in->ctx, (size_t)about->size + 1);
    if (!data)
        return NULL;
    zip_file_t *member = zip_fopen_index(in->zip, about->index, 0);
    bool good = member && read_all(member, data, (int64_t)about->size);
    if (member)
        zip_fclose(member);
    if (good) {
        data[about->size] = '\0';
        return data;
    }
    refuse(in, about->name, "cannot be read, or its checksum is wrong");
    strata__free(in->ctx, data);
    return NULL;
}

static bool find(const reader *in, const char *name, zip_stat_t *about)
{
    return zip_stat(in->zip, name, ZIP_FL_ENC_RAW, about) == 0;
}

static uint32_t little(const unsigned char *bytes, int count)
{
    uint32_t value = 0;
    for (int i = count - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/*
 * Where the stored bytes of a member begin, found by following the local headers from the start of
 * the file, or -1: libzip does not tell. Sizes come from the checked directory. Archives that Keras
 * writes have neither gaps nor data descriptors.
 */
static int64_t locate(const reader *in, const char *wanted)
{
    unsigned char header[LOCAL_HEADER];
    char name[64];
    for (int64_t at = 0; at <= in->bytes.size - LOCAL_HEADER;) {
        if (strata__bytes_read(in->ctx, &in->bytes, at, header, LOCAL_HEADER) != STRATA_OK)
            return -1;
        int64_t name_size = little(header + 26, 2), extra = little(header + 28, 2);
        bool described_later = header[6] & 8;
        if (little(header, 4) != 0x04034b50 || described_later ||
            name_size >= (int64_t)sizeof name ||
            name_size + extra > in->bytes.size - at - LOCAL_HEADER ||
            strata__bytes_read(in->ctx, &in->bytes, at + LOCAL_HEADER, name, name_size) !=
                STRATA_OK)
            return -1;
        name[name_size] = '\0';
        int64_t data = at + LOCAL_HEADER + name_size + extra;
        if (strcmp(name, wanted) == 0)
            return data;
        zip_stat_t about;
        if (!find(in, name, &about) || (int64_t)about.comp_size > in->bytes.size - data)
            return -1;
        at = data + (int64_t)about.comp_size;
    }
    return -1;
}

/* The checksum of zip files, CRC-32. */
static uint32_t sum_as_zip(uint32_t sum, const void *data, size_t size)
{
    return (uint32_t)crc32_z(sum, data, size);
}

/* A stored member stays in the file; the file's descriptor goes with it. */
static strata_status take_stored(reader *in, const zip_stat_t *about, int64_t at,
                                 strata__bytes *weights)
{
    uint32_t sum = 0;
    if (at > in->bytes.size - (int64_t)about->size)
        return refuse(in, about->name, "reaches beyond the end of the file");
    STRATA_TRY(strata__bytes_sum(in->ctx, &in->bytes, at, (int64_t)about->size, sum_as_zip, &sum));
    if (sum != about->crc)
        return refuse(in, about->name, "cannot be read, or its checksum is wrong");
    *weights = in->bytes;
    weights->first = at;
    weights->size = (int64_t)about->size;
    in->bytes = (strata__bytes){0};
    return STRATA_OK;
}

static strata_status take_weights(reader *in, strata__bytes *weights)
{
    zip_stat_t about;
    if (!find(in, weights_name, &about))
        return refuse(in, weights_name,
                      find(in, "model.weights.npz", &about)
                          ? "is missing; save the model with HDF5 weights, not npz"
                          : "is missing");
    int64_t at = about.comp_method == ZIP_CM_STORE ? locate(in, weights_name) : -1;
    if (at >= 0)
        return take_stored(in, &about, at, weights);
    char *data = unpack(in, &about, max_unpacked_bytes);
    if (!data)
        return in->ctx->status;
    return strata__bytes_of_memory(in->ctx, in->path, data, (int64_t)about.size, weights);
}

static strata_status take_text(const reader *in, const char *name, bool required, char **text,
                               int64_t *size)
{
    zip_stat_t about;
    if (!find(in, name, &about))
        return required ? refuse(in, name, "is missing") : STRATA_OK;
    *text = unpack(in, &about, max_text_bytes);
    *size = (int64_t)about.size;
    return *text ? STRATA_OK : in->ctx->status;
}

static strata_status read_members(reader *in, strata__archive *archive)
{
    STRATA_TRY(open_zip(in));
    STRATA_TRY(check_members(in));
    STRATA_TRY(take_text(in, "config.json", true, &archive->config, &archive->config_size));
    STRATA_TRY(take_text(in, "metadata.json", false, &archive->metadata, &archive->metadata_size));
    return take_weights(in, &archive->weights);
}

static void read_archive(strata_context *ctx, const char *path, strata__archive *archive)
{
    reader in = {.ctx = ctx, .path = path};
    read_members(&in, archive);
    if (in.zip)
        zip_discard(in.zip);
    strata__bytes_free(ctx, &in.bytes);
}

/* Rank 0's text, which may be NULL, becomes everybody's. */
static strata_status share_text(strata_context *ctx, char **text, int64_t *size)
{
    int64_t about[2] = {*text != NULL, *size};
    strata__broadcast(ctx, STRATA__WORLD, 0, about, sizeof about);
    if (!about[0])
        return STRATA_OK;
    *size = about[1];
    if (!*text)
        *text = strata__alloc(ctx, (size_t)*size + 1);
    STRATA_TRY(strata__agree(ctx));
    strata__broadcast(ctx, STRATA__WORLD, 0, *text, *size + 1);
    return STRATA_OK;
}

static strata_status share(strata_context *ctx, strata__archive *archive)
{
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(share_text(ctx, &archive->config, &archive->config_size));
    STRATA_TRY(share_text(ctx, &archive->metadata, &archive->metadata_size));
    return strata__bytes_share(ctx, &archive->weights, STRATA__COPY_LIMIT);
}

strata_status strata__archive_open(strata_context *ctx, const char *path, strata__archive *archive)
{
    *archive = (strata__archive){0};
    if (ctx->mesh->rank == 0)
        read_archive(ctx, path, archive);
    strata_status status = share(ctx, archive);
    if (status != STRATA_OK)
        strata__archive_close(ctx, archive);
    return status;
}

void strata__archive_close(strata_context *ctx, strata__archive *archive)
{
    strata__free(ctx, archive->config);
    strata__free(ctx, archive->metadata);
    strata__bytes_free(ctx, &archive->weights);
    *archive = (strata__archive){0};
}
