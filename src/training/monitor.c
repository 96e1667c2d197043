/* The monitored number of a callback. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/monitor.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "training/history.h"
#include "training/metric_class.h"
#include "training/trainer.h"

bool strata__monitor_value(const strata_model *model, const strata__monitor *monitor,
                           const strata_logs *logs, double *value)
{
    int index = strata__logs_find(logs, monitor->name);
    if (index >= 0) {
        *value = logs->values[index];
        return true;
    }
    strata__text known = {.ctx = model->ctx};
    for (int i = 0; i < logs->count; i++)
        strata__text_format(&known, "%s%s", i ? ", " : "", logs->names[i]);
    char *names = strata__text_take(&known);
    strata__warn(model->ctx, "%s: there is no '%s' to monitor; there are %s", monitor->owner,
                 monitor->name, names ? names : "others");
    strata__free(model->ctx, names);
    return false;
}

/* --- direction --- */

static const char *without_val(const char *name)
{
    return strncmp(name, "val_", 4) == 0 ? name + 4 : name;
}

static bool is_loss(const char *name)
{
    size_t length = strlen(name);
    return strcmp(name, "loss") == 0 || (length > 5 && strcmp(name + length - 5, "_loss") == 0);
}

static const strata__metric *find_metric(const strata__trainer *trainer, const char *name)
{
    for (int i = 0; i < trainer->log_count; i++) {
        if (strcmp(trainer->logged[i]->name, name) == 0)
            return trainer->logged[i];
    }
    return NULL;
}

/* "accuracy" has no class before its first batch, as in a run that goes on at the end of an epoch.
 */
static bool is_accuracy(const strata__metric *metric)
{
    return metric->object.class ? strstr(metric->object.class->name, "Accuracy") != NULL
                                : metric->by_shape && strncmp(metric->name, "acc", 3) == 0;
}

strata_status strata__monitor_ready(const strata_model *model, strata__monitor *monitor)
{
    if (monitor->known)
        return STRATA_OK;
    const char *name = without_val(monitor->name);
    const strata__metric *metric = find_metric(model->trainer, name);
    bool mean = metric && metric->object.class == &strata__metric_mean;
    monitor->up = strcmp(monitor->mode, "max") == 0;
    monitor->known = strcmp(monitor->mode, "auto") != 0;
    if (!monitor->known && (is_loss(name) || (metric && !mean))) {
        monitor->up = metric && is_accuracy(metric);
        monitor->known = true;
    }
    if (monitor->known)
        return STRATA_OK;
    return strata__fail(model->ctx, STRATA_INVALID,
                        "%s callback received monitor=%s, but it is not known whether that metric "
                        "should be maximized or minimized. Pass `mode='max'` or `mode='min'`.",
                        monitor->owner, monitor->name);
}

bool strata__monitor_improves(const strata__monitor *monitor, double value, double reference)
{
    if (isnan(reference))
        return true;
    return monitor->up ? value - monitor->min_delta > reference
                       : value + monitor->min_delta < reference;
}
