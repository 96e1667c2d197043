/* Files of tests: scratch ones, and the golden ones that Keras computed. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "assertions.h"
#include "harness.h"

static char directory[PATH_MAX - 256]; /* of test_path(); empty until it is called */

static void make_directory(void)
{
    if (test_rank() == 0) {
        const char *parent = getenv("TMPDIR");
        snprintf(directory, sizeof directory, "%s/strata-test-XXXXXX", parent ? parent : "/tmp");
        if (!mkdtemp(directory))
            directory[0] = '\0';
    }
    MPI_Bcast(directory, sizeof directory, MPI_CHAR, 0, test_comm());
    assert_all(directory[0] != '\0');
}

const char *test_path(const char *name)
{
    static char path[PATH_MAX];
    if (!directory[0])
        make_directory();
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

void test_remove_directory(void)
{
    MPI_Barrier(test_comm());
    if (directory[0] && test_rank() == 0)
        nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_golden(const char *name)
{
    static char path[PATH_MAX];
    const char *golden = getenv("STRATA_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", golden ? golden : "tests/golden", name);
    return path;
}
