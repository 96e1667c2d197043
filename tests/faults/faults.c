/* Faults: calls of the system that fail, lie, kill or hang, on purpose and at a chosen time. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "faults/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EVERYBODY __attribute__((visibility("default")))

enum { DESCRIPTORS = 1024 };

static fault_plan plan;
static bool planned;
static long count;
static bool concerned[DESCRIPTORS]; /* descriptors of files with the words in their path */

void fault_set(const fault_plan *next)
{
    planned = false;
    count = 0;
    if (next) {
        plan = *next;
        planned = true;
    }
}

long fault_count(void)
{
    return count;
}

static const char *const call_names[FAULT_CALLS] = {"open",  "reserve", "write",  "read", "sync",
                                                    "close", "rename",  "memory", "file"};

bool fault_set_from_environment(int rank)
{
    static const char *const way_names[] = {"fail", "short", "lose", "kill", "hang"};
    const char *text = getenv("STRATA_FAULT"), *who = getenv("STRATA_FAULT_RANK");
    char call[16], way[16];
    fault_plan read = {.call = FAULT_CALLS};
    if (!text || (who && atoi(who) != rank))
        return true;
    if (sscanf(text, "%15[a-z],%15[a-z0-9],%ld,%255s", call, way, &read.at, read.path) < 3)
        return false;
    for (fault_call i = 0; i < FAULT_CALLS; i++)
        read.call = strcmp(call, call_names[i]) == 0 ? i : read.call;
    for (fault_way i = 0; i <= FAULT_HANG; i++)
        read.way = strcmp(way, way_names[i]) == 0 ? i : read.way;
    read.error = atoi(way);
    fault_set(&read);
    return read.call < FAULT_CALLS;
}

/* Whether the call at hand is the one, and for FAULT_FAIL errno. */
static bool hits(fault_call call)
{
    bool meant = call == plan.call || (plan.call == FAULT_FILE && call != FAULT_MEMORY);
    if (!planned || !meant)
        return false;
    long number = ++count;
    if (plan.at == 0 || (plan.lasting ? number < plan.at : number != plan.at))
        return false;
    if (plan.way == FAULT_KILL)
        raise(SIGKILL);
    while (plan.way == FAULT_HANG)
        pause();
    errno = plan.error;
    return true;
}

static bool has_words(const char *path)
{
    return planned && strstr(path, plan.path);
}

static bool is_concerned(int fd)
{
    return planned && fd >= 0 && fd < DESCRIPTORS && concerned[fd];
}

/* The C library's own function. */
static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* --- files --- */

typedef int open_function(const char *path, int flags, ...);

static int open_with(const char *name, const char *path, int flags, mode_t mode)
{
    open_function *function = (open_function *)real(name);
    bool named = has_words(path);
    if (named && hits(FAULT_OPEN))
        return -1;
    int fd = function(path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS)
        concerned[fd] = named;
    return fd;
}

EVERYBODY int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_with("open", path, flags, mode);
}

EVERYBODY int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_with("open64", path, flags, mode);
}

EVERYBODY int close(int fd)
{
    int (*function)(int) = (int (*)(int))real("close");
    bool fails = is_concerned(fd) && hits(FAULT_CLOSE);
    int error = errno, result = function(fd);
    if (fd >= 0 && fd < DESCRIPTORS)
        concerned[fd] = false;
    if (!fails)
        return result;
    errno = error;
    return -1;
}

typedef ssize_t pwrite_function(int fd, const void *data, size_t bytes, off_t offset);

static ssize_t pwrite_with(const char *name, int fd, const void *data, size_t bytes, off_t offset)
{
    pwrite_function *function = (pwrite_function *)real(name);
    if (!is_concerned(fd) || !hits(FAULT_WRITE))
        return function(fd, data, bytes, offset);
    if (plan.way == FAULT_FAIL)
        return -1;
    ssize_t done = function(fd, data, (bytes + 1) / 2, offset);
    return done >= 0 && plan.way == FAULT_LOSE ? (ssize_t)bytes : done;
}

EVERYBODY ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite_with("pwrite", fd, data, bytes, offset);
}

EVERYBODY ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite_with("pwrite64", fd, data, bytes, offset);
}

EVERYBODY ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t (*function)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))real("write");
    if (!is_concerned(fd) || !hits(FAULT_WRITE))
        return function(fd, data, bytes);
    if (plan.way == FAULT_FAIL)
        return -1;
    ssize_t done = function(fd, data, (bytes + 1) / 2);
    return done >= 0 && plan.way == FAULT_LOSE ? (ssize_t)bytes : done;
}

EVERYBODY ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
    ssize_t (*function)(int, void *, size_t, off_t) =
        (ssize_t(*)(int, void *, size_t, off_t))real("pread");
    if (!is_concerned(fd) || !hits(FAULT_READ))
        return function(fd, data, bytes, offset);
    return plan.way == FAULT_FAIL ? -1 : function(fd, data, (bytes + 1) / 2, offset);
}

EVERYBODY int fsync(int fd)
{
    int (*function)(int) = (int (*)(int))real("fsync");
    return is_concerned(fd) && hits(FAULT_SYNC) ? -1 : function(fd);
}

EVERYBODY int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    int (*function)(int, off_t, off_t) = (int (*)(int, off_t, off_t))real("posix_fallocate");
    return is_concerned(fd) && hits(FAULT_RESERVE) ? plan.error : function(fd, offset, bytes);
}

EVERYBODY int rename(const char *from, const char *to)
{
    int (*function)(const char *, const char *) =
        (int (*)(const char *, const char *))real("rename");
    return has_words(to) && hits(FAULT_RENAME) ? -1 : function(from, to);
}

/* --- memory --- */

/* Whether the code at this address is of the program and not of a library. */
static bool is_program(void *address)
{
    Dl_info here, there;
    return dladdr(&plan, &here) && dladdr(address, &there) && here.dli_fbase == there.dli_fbase;
}

EVERYBODY void *aligned_alloc(size_t alignment, size_t bytes)
{
    void *(*function)(size_t, size_t) = (void *(*)(size_t, size_t))real("aligned_alloc");
    bool counts = planned && is_program(__builtin_return_address(0));
    return counts && hits(FAULT_MEMORY) ? NULL : function(alignment, bytes);
}
