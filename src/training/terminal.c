/* Whether somebody watches standard output on a terminal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME = 256, MOST_ANCESTORS = 32 };

/* Where standard output of a process goes, "/dev/pts/1"; "" when that is not to be seen. */
static void output_of(long process, char name[NAME])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%ld/fd/1", process);
    ssize_t length = readlink(link, name, NAME - 1);
    name[length > 0 ? length : 0] = '\0';
}

/* 0 when there is none, or it is not to be seen. */
static long parent_of(long process)
{
    char path[64], line[64];
    long parent = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", process);
    FILE *file = fopen(path, "re");
    while (file && parent == 0 && fgets(line, sizeof line, file))
        sscanf(line, "PPid: %ld", &parent);
    if (file)
        fclose(file);
    return parent;
}

/* The launcher is the first process above with another standard output: scripts in between have
 * ours. */
static bool launcher_watched(void)
{
    char own[NAME], name[NAME];
    long process = getppid();
    output_of(getpid(), own);
    output_of(process, name);
    for (int i = 0; i < MOST_ANCESTORS && process && strcmp(name, own) == 0; i++) {
        process = parent_of(process);
        output_of(process, name);
    }
    return strncmp(name, "/dev/pts/", 9) == 0 || strncmp(name, "/dev/tty", 8) == 0;
}

bool strata__terminal_watched(void)
{
    return isatty(STDOUT_FILENO) && (!getenv("OMPI_COMM_WORLD_RANK") || launcher_watched());
}
