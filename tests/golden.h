/* Golden data: arguments and results that Keras computed, read from HDF5 files. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_GOLDEN_H
#define STRATA_TESTS_GOLDEN_H

#include <jansson.h>

#include <strata/types.h>

/*
 * Names are those of test_golden(). Each rank reads for itself, serially and read-only; nothing
 * here communicates. Memory is the C library's own, so that the counts of strata__alloc are not
 * touched.
 */

/* An open file or group. */
typedef struct golden golden;

/* "layers/Dense.h5". NULL: there is no such file, or it is not HDF5. */
golden *golden_open(const char *file);
/* A group below, "inputs" or "gradients/weights". NULL: none of that name. */
golden *golden_group(const golden *parent, const char *path);
/* Closes a file or a group; NULL is fine. */
void golden_close(golden *group);

/* The members of a group, in the order of their names; a name lives while the group is open. */
int golden_count(const golden *group);
const char *golden_name(const golden *group, int index);
bool golden_has(const golden *group, const char *path);

/*
 * Attributes of a group, or of the dataset or group `path` below it (NULL: the group itself). None
 * of that name: NULL. A text is to be freed with free(), JSON is a new reference.
 */
bool golden_has_attribute(const golden *group, const char *path, const char *name);
char *golden_text(const golden *group, const char *path, const char *name);
json_t *golden_json(const golden *group, const char *path, const char *name);
double golden_number(const golden *group, const char *path, const char *name, double fallback);

/* A dataset. Numbers of every type are held as double, which is exact for what the files store. */
typedef struct golden_array {
    strata_shape shape;
    strata_dtype
        dtype; /* as stored: float32 inputs, float64 expected values, whole numbers, bool */
    int64_t count;
    double *values;   /* (count), row-major */
    double deviation; /* of Keras in float32 from `values`, the largest; 0 without the attribute */
} golden_array;

/* False: no dataset of that name, or one of texts. */
bool golden_read(const golden *group, const char *path, golden_array *array);
void golden_free(golden_array *array);
/* The values as `dtype`, in new memory: free() it. */
void *golden_convert(const golden_array *array, strata_dtype dtype);

/* 2 · deviation + 4 units in the last place (float32) of the largest finite |value|. */
double golden_tolerance(const golden_array *expected);
/*
 * Whether `ours` (count elements of `dtype`) agrees: floats within `factor` tolerances, whole
 * numbers and NaN exactly, what float32 cannot hold as infinity. Otherwise a line on stderr names
 * `what` and the worst element.
 */
bool golden_agrees(const golden_array *expected, strata_dtype dtype, const void *ours,
                   int64_t count, double factor, const char *what);

/* Whether two JSON values are equal: 2 equals 2.0, keys in any order, and a key that is null on one
 * side may lack on the other. */
bool golden_json_equal(const json_t *a, const json_t *b);

/* --- running all cases --- */

typedef enum golden_verdict {
    GOLDEN_PASSED,
    GOLDEN_FAILED,
    GOLDEN_UNSUPPORTED,
    GOLDEN_VERDICTS
} golden_verdict;

typedef struct golden_tally {
    int count[GOLDEN_VERDICTS];
} golden_tally;

/* One case: its group below /cases. */
typedef golden_verdict golden_case(void *user, const golden *group, const char *name);

/* Runs the cases of a file in the order of their names and adds to the tally. False: the file
 * cannot be opened. */
bool golden_run(const char *file, golden_case *run, void *user, golden_tally *tally);

/* Names of the .h5 files in a folder ("layers"), without ".h5", in order; free() each and the list.
 * Returns how many. */
int golden_files(const char *folder, char ***names);

/* "Dense: 12 passed, 0 failed, 1 not yet supported" on stdout; call it on one rank. */
void golden_print(const char *what, const golden_tally *tally);

#endif
