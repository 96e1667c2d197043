/* Signals that ask a run to stop: taken only where an option asks for it, given back afterwards. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_SIGNALS_H
#define STRATA_TRAINING_SIGNALS_H

#include "base/context.h"

/*
 * text: "USR1,TERM", one of them, or "none"; NULL: none. USR1 is taken at once, so that one that
 * comes early waits for the run; TERM while a run can be saved, since it must end a process at any
 * other time. The handlers set a flag and nothing else. STRATA_INVALID: an unknown name, or another
 * context of the process has taken signals. Local.
 */
strata_status strata__signals_start(strata_context *ctx, const char *text);
void strata__signals_stop(strata_context *ctx);

/* A run that can be saved begins, or ends. Local. */
void strata__signals_begin_run(strata_context *ctx);
void strata__signals_end_run(strata_context *ctx);

/* Whether this process got the signal since strata__signals_start(). Local. */
bool strata__signals_came(const strata_context *ctx, int signal);

#endif
