/* Why a run ends before its time: a signal, or the time that it has. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_STOP_H
#define STRATA_TRAINING_STOP_H

#include "base/context.h"

/* What a step may be asked for at its end. Of several the greatest holds. */
typedef enum strata__request {
    STRATA__GO_ON,
    STRATA__SAVE, /* and go on: to learn what it costs */
    STRATA__STOP_IN_TIME,
    STRATA__STOP_ON_USR1,
    STRATA__STOP_ON_TERM
} strata__request;

/* What this rank knows of; once after each step. Local. */
strata__request strata__request_now(strata_context *ctx);

/* For the message: "the time is nearly up", "signal USR1 came". */
const char *strata__request_text(strata__request request);

#endif
