/* Golden data: reading the HDF5 files, comparing, and running their cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "golden.h"

#include <dirent.h>
#include <float.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { PATH_SIZE = 4096 };

struct golden {
    hid_t id;
    bool is_file;
    int count;
    char **names;
};

/* --- files and groups --- */

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    golden *into = user;
    (void)group;
    (void)info;
    into->names[into->count++] = strdup(name);
    return 0;
}

static golden *group_new(hid_t id, bool is_file)
{
    golden *group = calloc(1, sizeof *group);
    *group = (golden){.id = id, .is_file = is_file};
    H5G_info_t info;
    if (H5Gget_info(id, &info) < 0)
        return group;
    group->names = calloc((size_t)info.nlinks + 1, sizeof *group->names);
    H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, group);
    return group;
}

golden *golden_open(const char *file)
{
    hid_t id, access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access, false, true);
    H5E_BEGIN_TRY
    {
        id = H5Fopen(test_golden(file), H5F_ACC_RDONLY, access);
    }
    H5E_END_TRY;
    H5Pclose(access);
    return id < 0 ? NULL : group_new(id, true);
}

golden *golden_group(const golden *parent, const char *path)
{
    if (!golden_has(parent, path))
        return NULL;
    hid_t id;
    H5E_BEGIN_TRY
    {
        id = H5Gopen2(parent->id, path, H5P_DEFAULT);
    }
    H5E_END_TRY;
    return id < 0 ? NULL : group_new(id, false);
}

void golden_close(golden *group)
{
    if (!group)
        return;
    for (int i = 0; i < group->count; i++)
        free(group->names[i]);
    free(group->names);
    if (group->is_file)
        H5Fclose(group->id);
    else
        H5Gclose(group->id);
    free(group);
}

int golden_count(const golden *group)
{
    return group->count;
}

const char *golden_name(const golden *group, int index)
{
    return group->names[index];
}

bool golden_has(const golden *group, const char *path)
{
    char prefix[PATH_SIZE];
    for (const char *end = path; end; end = *end ? end + 1 : NULL) {
        end += strcspn(end, "/");
        snprintf(prefix, sizeof prefix, "%.*s", (int)(end - path), path);
        if (H5Lexists(group->id, prefix, H5P_DEFAULT) <= 0)
            return false;
    }
    return true;
}

/* --- attributes --- */

bool golden_has_attribute(const golden *group, const char *path, const char *name)
{
    path = path ? path : ".";
    return (strcmp(path, ".") == 0 || golden_has(group, path)) &&
           H5Aexists_by_name(group->id, path, name, H5P_DEFAULT) > 0;
}

static char *read_fixed(hid_t attribute, hid_t type)
{
    char *text = calloc(1, H5Tget_size(type) + 1);
    if (H5Aread(attribute, type, text) < 0)
        text[0] = '\0';
    return text;
}

static char *read_variable(hid_t attribute, hid_t type)
{
    char *read = NULL, *text = NULL;
    if (H5Aread(attribute, type, &read) >= 0)
        text = strdup(read ? read : "");
    H5free_memory(read);
    return text;
}

char *golden_text(const golden *group, const char *path, const char *name)
{
    if (!golden_has_attribute(group, path, name))
        return NULL;
    hid_t attribute = H5Aopen_by_name(group->id, path ? path : ".", name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute);
    char *text = NULL;
    if (H5Tget_class(type) == H5T_STRING)
        text = H5Tis_variable_str(type) > 0 ? read_variable(attribute, type)
                                            : read_fixed(attribute, type);
    H5Tclose(type);
    H5Aclose(attribute);
    return text;
}

json_t *golden_json(const golden *group, const char *path, const char *name)
{
    char *text = golden_text(group, path, name);
    json_t *json = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    free(text);
    return json;
}

double golden_number(const golden *group, const char *path, const char *name, double fallback)
{
    if (!golden_has_attribute(group, path, name))
        return fallback;
    hid_t attribute = H5Aopen_by_name(group->id, path ? path : ".", name, H5P_DEFAULT, H5P_DEFAULT);
    double number = fallback;
    H5Aread(attribute, H5T_NATIVE_DOUBLE, &number);
    H5Aclose(attribute);
    return number;
}

/* --- datasets --- */

/* False for texts and what else is no number. h5py writes bool as an enumeration of int8. */
static bool dtype_of(hid_t type, strata_dtype *dtype)
{
    size_t size = H5Tget_size(type);
    switch (H5Tget_class(type)) {
    case H5T_FLOAT:
        *dtype = size == 8 ? STRATA_FLOAT64 : STRATA_FLOAT32;
        return true;
    case H5T_INTEGER:
        *dtype = size == 8 ? STRATA_INT64 : size == 1 ? STRATA_UINT8 : STRATA_INT32;
        return true;
    case H5T_ENUM:
        *dtype = STRATA_BOOL;
        return true;
    default:
        return false;
    }
}

static void read_shape(hid_t dataset, golden_array *array)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    array->shape.rank = H5Sget_simple_extent_dims(space, dims, NULL);
    array->count = 1;
    for (int i = 0; i < array->shape.rank && i < STRATA_MAX_RANK; i++) {
        array->shape.dims[i] = (int64_t)dims[i];
        array->count *= array->shape.dims[i];
    }
    H5Sclose(space);
}

/* HDF5 has no conversion from enumerations: booleans are read in their own type. */
static bool read_values(hid_t dataset, hid_t type, golden_array *array)
{
    array->values = calloc((size_t)array->count + 1, sizeof *array->values);
    if (array->dtype != STRATA_BOOL)
        return H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, array->values) >=
               0;
    int8_t *bytes = calloc((size_t)array->count + 1, H5Tget_size(type));
    bool read =
        H5Tget_size(type) == 1 && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0;
    for (int64_t i = 0; read && i < array->count; i++)
        array->values[i] = bytes[i];
    free(bytes);
    return read;
}

bool golden_read(const golden *group, const char *path, golden_array *array)
{
    *array = (golden_array){0};
    if (!golden_has(group, path))
        return false;
    hid_t dataset = H5Dopen2(group->id, path, H5P_DEFAULT);
    hid_t type = H5Dget_type(dataset);
    bool read = dtype_of(type, &array->dtype);
    if (read) {
        read_shape(dataset, array);
        read = array->shape.rank <= STRATA_MAX_RANK && read_values(dataset, type, array);
        array->deviation = golden_number(group, path, "float32_deviation", 0);
    }
    if (!read)
        golden_free(array);
    H5Tclose(type);
    H5Dclose(dataset);
    return read;
}

void golden_free(golden_array *array)
{
    free(array->values);
    *array = (golden_array){0};
}

/* --- element types --- */

static double element(strata_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        return ((const float *)data)[i];
    case STRATA_FLOAT64:
        return ((const double *)data)[i];
    case STRATA_INT32:
        return ((const int32_t *)data)[i];
    case STRATA_INT64:
        return (double)((const int64_t *)data)[i];
    case STRATA_UINT8:
    case STRATA_BOOL:
        return ((const uint8_t *)data)[i];
    }
    return NAN;
}

static void element_set(strata_dtype dtype, void *data, int64_t i, double value)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        ((float *)data)[i] = (float)value;
        break;
    case STRATA_FLOAT64:
        ((double *)data)[i] = value;
        break;
    case STRATA_INT32:
        ((int32_t *)data)[i] = (int32_t)value;
        break;
    case STRATA_INT64:
        ((int64_t *)data)[i] = (int64_t)value;
        break;
    case STRATA_UINT8:
    case STRATA_BOOL:
        ((uint8_t *)data)[i] = (uint8_t)value;
        break;
    }
}

void *golden_convert(const golden_array *array, strata_dtype dtype)
{
    void *data = calloc((size_t)array->count + 1, strata_dtype_size(dtype));
    for (int64_t i = 0; i < array->count; i++)
        element_set(dtype, data, i, array->values[i]);
    return data;
}

/* --- comparing --- */

double golden_tolerance(const golden_array *expected)
{
    double largest = 0;
    for (int64_t i = 0; i < expected->count; i++) {
        double size = fabs(expected->values[i]);
        if (size <= FLT_MAX && size > largest)
            largest = size;
    }
    float rounded = (float)largest;
    double unit = rounded < FLT_MAX ? nextafterf(rounded, INFINITY) - rounded
                                    : rounded - nextafterf(rounded, 0);
    return 2 * (isfinite(expected->deviation) ? expected->deviation : 0) + 4 * unit;
}

/* How far apart, 0 where both are the same in float32 (NaN with NaN, what overflows with infinity).
 */
static double distance(double stored, double ours)
{
    if ((isnan(stored) && isnan(ours)) || (float)stored == (float)ours)
        return 0;
    double difference = fabs(stored - ours);
    return isfinite(difference) ? difference : INFINITY;
}

bool golden_agrees(const golden_array *expected, strata_dtype dtype, const void *ours,
                   int64_t count, double factor, const char *what)
{
    if (count != expected->count) {
        fprintf(stderr, "%s: %lld elements instead of %lld\n", what, (long long)count,
                (long long)expected->count);
        return false;
    }
    bool real = dtype == STRATA_FLOAT32 || dtype == STRATA_FLOAT64;
    double tolerance = real ? factor * golden_tolerance(expected) : 0, worst = 0;
    int64_t place = -1;
    for (int64_t i = 0; i < count; i++) {
        double off = distance(expected->values[i], element(dtype, ours, i));
        if (off > tolerance && off > worst) {
            worst = off;
            place = i;
        }
    }
    if (place >= 0)
        fprintf(stderr, "%s: element %lld is %.9g instead of %.9g: off by %.3g, tolerance %.3g\n",
                what, (long long)place, element(dtype, ours, place), expected->values[place], worst,
                tolerance);
    return place < 0;
}

static bool object_covers(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (other ? !golden_json_equal(value, other) : !json_is_null(value))
            return false;
    }
    return true;
}

static bool arrays_equal(const json_t *a, const json_t *b)
{
    size_t size = json_array_size(a);
    if (json_array_size(b) != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!golden_json_equal(json_array_get(a, i), json_array_get(b, i)))
            return false;
    }
    return true;
}

bool golden_json_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_object(a) && json_is_object(b))
        return object_covers(a, b) && object_covers(b, a);
    if (json_is_array(a) && json_is_array(b))
        return arrays_equal(a, b);
    return json_equal(a, b);
}

/* --- running --- */

static const char *const verdict_words[GOLDEN_VERDICTS] = {[GOLDEN_PASSED] = "passed",
                                                           [GOLDEN_FAILED] = "failed",
                                                           [GOLDEN_UNSUPPORTED] =
                                                               "not yet supported"};

bool golden_run(const char *file, golden_case *run, void *user, golden_tally *tally)
{
    golden *root = golden_open(file), *cases = root ? golden_group(root, "cases") : NULL;
    for (int i = 0; cases && i < cases->count; i++) {
        golden *group = golden_group(cases, cases->names[i]);
        golden_verdict verdict = group ? run(user, group, cases->names[i]) : GOLDEN_FAILED;
        if (verdict == GOLDEN_FAILED)
            fprintf(stderr, "%s: case %s failed\n", file, cases->names[i]);
        tally->count[verdict]++;
        golden_close(group);
    }
    bool opened = cases != NULL;
    golden_close(cases);
    golden_close(root);
    return opened;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int golden_files(const char *folder, char ***names)
{
    *names = NULL;
    DIR *entries = opendir(test_golden(folder));
    int count = 0;
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t length = strlen(entry->d_name);
        if (length <= 3 || strcmp(entry->d_name + length - 3, ".h5") != 0)
            continue;
        *names = realloc(*names, (size_t)(count + 1) * sizeof **names);
        (*names)[count++] = strndup(entry->d_name, length - 3);
    }
    if (entries)
        closedir(entries);
    if (count)
        qsort(*names, (size_t)count, sizeof **names, by_name);
    return count;
}

void golden_print(const char *what, const golden_tally *tally)
{
    printf("%s:", what);
    for (int i = 0; i < GOLDEN_VERDICTS; i++)
        printf("%s %d %s", i ? "," : "", tally->count[i], verdict_words[i]);
    printf("\n");
}
