/* Temporary files: whose they are by their names, and those that dead processes left behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "storage/path.h"

enum { HOST_SIZE = 33, OWNER_SIZE = 80, RANDOM_DIGITS = 16 };

static const char suffix[] = ".part";

/* The first part of the machine's name, only with characters that separate nothing. */
static void host_name(char host[HOST_SIZE])
{
    if (gethostname(host, HOST_SIZE) != 0)
        strcpy(host, "host");
    host[HOST_SIZE - 1] = '\0';
    host[strcspn(host, ".")] = '\0';
    for (char *c = host; *c; c++) {
        if (*c == '/')
            *c = '-';
    }
}

static void own_name(char owner[OWNER_SIZE])
{
    const char *job = getenv("SLURM_JOB_ID");
    char host[HOST_SIZE];
    if (job && *job && strlen(job) < HOST_SIZE && strspn(job, "0123456789") == strlen(job)) {
        snprintf(owner, OWNER_SIZE, "job-%s", job);
        return;
    }
    host_name(host);
    snprintf(owner, OWNER_SIZE, "pid-%ld-%s", (long)getpid(), host);
}

char *strata__temporary_name(strata_context *ctx, const char *path)
{
    uint64_t random;
    char owner[OWNER_SIZE];
    int directory = strata__directory_length(path);
    if (strata__draw(ctx, &random) != STRATA_OK)
        return NULL;
    own_name(owner);
    return strata__format(ctx, "%.*s.%s.%s.%0*llx%s", directory, path, path + directory, owner,
                          RANDOM_DIGITS, (unsigned long long)random, suffix);
}

/* --- what is left --- */

/* Whether the owner is this job, or a process of this machine that is gone. */
static bool is_gone(const char *owner, size_t length)
{
    char own[OWNER_SIZE], host[HOST_SIZE], theirs[OWNER_SIZE], *end;
    own_name(own);
    if (strncmp(own, "job-", 4) == 0 && strlen(own) == length && memcmp(own, owner, length) == 0)
        return true;
    if (length >= sizeof theirs || strncmp(owner, "pid-", 4) != 0)
        return false;
    memcpy(theirs, owner, length);
    theirs[length] = '\0';
    host_name(host);
    long pid = strtol(theirs + 4, &end, 10);
    return pid > 0 && *end == '-' && strcmp(end + 1, host) == 0 && kill((pid_t)pid, 0) != 0 &&
           errno == ESRCH;
}

/* Goes back over the last part of a name from a '.' on; false when there is none. */
static bool cut_last(const char *name, size_t *length, size_t *start)
{
    size_t at = *length;
    while (at > 0 && name[at - 1] != '.')
        at--;
    *start = at;
    *length = at > 0 ? at - 1 : 0;
    return at > 0;
}

/* Whether the name is that of a temporary file of the series whose owner is gone. */
static bool is_leftover(const strata__series *series, const char *name)
{
    size_t length = strlen(name), random, owner, end = length - (sizeof suffix - 1);
    int64_t number, step;
    if (name[0] != '.' || length < sizeof suffix || strcmp(name + end, suffix) != 0)
        return false;
    length = end;
    if (!cut_last(name, &length, &random) || end - random != RANDOM_DIGITS ||
        strspn(name + random, "0123456789abcdef") != RANDOM_DIGITS)
        return false;
    end = length;
    return cut_last(name, &length, &owner) && length > 1 && is_gone(name + owner, end - owner) &&
           strata__series_parse(series, name + 1, length - 1, &number, &step);
}

/* When it is a file of this user that nobody is writing. */
static void remove_unused(int directory, const char *name)
{
    struct stat about;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(directory, name, 0);
    close(fd);
}

void strata__leftovers_remove(const strata__series *series)
{
    DIR *directory = opendir(*series->directory ? series->directory : ".");
    if (!directory)
        return;
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (is_leftover(series, entry->d_name))
            remove_unused(dirfd(directory), entry->d_name);
    }
    closedir(directory);
}
