/* Why a run ends before its time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/stop.h"

#include <signal.h>

#include "training/deadline.h"
#include "training/signals.h"

strata__request strata__request_now(strata_context *ctx)
{
    static const strata__request by_time[] = {[STRATA__ENOUGH] = STRATA__GO_ON,
                                              [STRATA__MEASURE] = STRATA__SAVE,
                                              [STRATA__DUE] = STRATA__STOP_IN_TIME};
    strata__time_left left = strata__deadline_step(ctx);
    if (strata__signals_came(ctx, SIGTERM))
        return STRATA__STOP_ON_TERM;
    return strata__signals_came(ctx, SIGUSR1) ? STRATA__STOP_ON_USR1 : by_time[left];
}

const char *strata__request_text(strata__request request)
{
    static const char *const texts[] = {[STRATA__GO_ON] = "",
                                        [STRATA__SAVE] = "",
                                        [STRATA__STOP_IN_TIME] = "the time is nearly up",
                                        [STRATA__STOP_ON_USR1] = "signal USR1 came",
                                        [STRATA__STOP_ON_TERM] = "signal TERM came"};
    return texts[request];
}
