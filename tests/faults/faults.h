/* Faults: calls of the system that fail, lie, kill or hang, on purpose and at a chosen time. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_FAULTS_H
#define STRATA_TESTS_FAULTS_H

#include <stdbool.h>

/*
 * A program that is linked with faults.c has these calls in place of the C library's, for all of
 * its libraries too. They count as long as a plan is set: of the kind that it names, those on files
 * whose path has the plan's words in it. Memory is that which the program itself asks for, so that
 * of Strata, not that of MPI or HDF5.
 */
typedef enum fault_call {
    FAULT_OPEN,
    FAULT_RESERVE, /* posix_fallocate */
    FAULT_WRITE,   /* pwrite, write */
    FAULT_READ,    /* pread */
    FAULT_SYNC,    /* fsync */
    FAULT_CLOSE,   /* the descriptor is closed all the same, as Linux does */
    FAULT_RENAME,
    FAULT_MEMORY, /* aligned_alloc */
    FAULT_FILE,   /* any of those on files */
    FAULT_CALLS
} fault_call;

typedef enum fault_way {
    FAULT_FAIL,  /* with the plan's error number */
    FAULT_SHORT, /* half of the bytes are moved, and that is said */
    FAULT_LOSE,  /* half of the bytes are written, and success is claimed */
    FAULT_KILL,  /* SIGKILL, before the call is made */
    FAULT_HANG   /* for ever */
} fault_way;

typedef struct fault_plan {
    fault_call call;
    fault_way way;
    int error;
    long at;        /* the first, second, … call; 0: none, only count */
    bool lasting;   /* and every one after it */
    char path[256]; /* words in the path; "": any file */
} fault_plan;

/* NULL: no faults any more. */
void fault_set(const fault_plan *plan);

/* Calls that were counted since the plan was set. */
long fault_count(void);

/*
 * Sets what the environment variable STRATA_FAULT says, "write,kill,3,checkpoint": call, way (or an
 * error number), which call and words of the path. STRATA_FAULT_RANK is the rank that is concerned.
 * False: it says nonsense.
 */
bool fault_set_from_environment(int rank);

#endif
