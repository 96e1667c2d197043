/* The monitored number of a callback: what it is, which way is better, the best so far. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_MONITOR_H
#define STRATA_TRAINING_MONITOR_H

#include "base/json.h"
#include "training/callback.h"

typedef struct strata__monitor {
    const char *owner; /* class of the callback, for messages */
    const char *name;  /* "val_loss" */
    const char *mode;  /* "auto", "min", "max" */
    double min_delta;  /* an improvement is larger than this; not negative */
    bool known, up;    /* direction is known; larger is better */
    double best;       /* NaN: none yet */
} strata__monitor;

/*
 * The number of this epoch or batch. false, with a warning that lists what there is: it is not
 * among the logs. Local.
 */
bool strata__monitor_value(const strata_model *model, const strata__monitor *monitor,
                           const strata_logs *logs, double *value);

/*
 * Finds the direction of mode "auto" from the metric of that name, by Keras's rule: losses and
 * errors down, accuracies up; STRATA_INVALID for a name of which neither is known. Local, the same
 * on all ranks.
 */
strata_status strata__monitor_ready(const strata_model *model, strata__monitor *monitor);

/* value is better than reference by more than min_delta; anything is better than NaN as reference.
 */
bool strata__monitor_improves(const strata__monitor *monitor, double value, double reference);

#endif
