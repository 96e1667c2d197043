/* Status codes: what a call returns, what a process exits with. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATUS_H
#define STRATA_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define STRATA_EXPORT __attribute__((visibility("default")))

/*
 * X(enumerator, exit code, text). The exit codes are those of sysexits.h where one fits.
 * Every rank of a job that ends by strata_finish() returns the same one, but for STRATA_RESTART:
 * rank 0 returns 75 and all others 0.
 */
#define STRATA_STATUS_LIST(X)                                                                      \
    X(STRATA_OK, 0, "success")                                                                     \
    X(STRATA_INVALID, 1, "invalid argument")                                                       \
    X(STRATA_UNSUPPORTED, 1, "not supported")                                                      \
    X(STRATA_BAD_DATA, 65, "damaged or inconsistent data")                                         \
    X(STRATA_NO_INPUT, 66, "cannot open input")                                                    \
    X(STRATA_INTERNAL, 70, "internal error")                                                       \
    X(STRATA_NO_MEMORY, 71, "out of memory")                                                       \
    X(STRATA_IO, 74, "input or output failed")                                                     \
    X(STRATA_RESTART, 75, "stopped on request; start again to go on")                              \
    X(STRATA_DIVERGED, 76, "ranks or replicas differ")                                             \
    X(STRATA_STALLED, 79, "no rank made progress")                                                 \
    X(STRATA_NOT_FINITE, 80, "a number is not finite")

typedef enum strata_status {
#define STRATA_STATUS_ENUM(name, exit_code, text) name,
    STRATA_STATUS_LIST(STRATA_STATUS_ENUM)
#undef STRATA_STATUS_ENUM
} strata_status;

/** The words of a status, "invalid argument". Static storage. Local. */
STRATA_EXPORT const char *strata_status_text(strata_status status);

/** The process exit code that stands for a status. Local. */
STRATA_EXPORT int strata_status_exit_code(strata_status status);

#ifdef __cplusplus
}
#endif
#endif
