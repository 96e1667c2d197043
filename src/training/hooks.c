/* Calling the hooks of callbacks, in order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/hooks.h"

#include "training/callback.h"

static bool comes_last(const strata_callback *callback)
{
    const strata__callback_methods *methods = strata__callback_methods_of(callback);
    return methods && methods->comes_last;
}

static bool saves_runs(const strata_callback *callback)
{
    const strata__callback_methods *methods = strata__callback_methods_of(callback);
    return methods && methods->save_run;
}

void strata__hooks_take(strata__hooks *hooks, strata_model *model,
                        strata_callback *const *callbacks)
{
    *hooks = (strata__hooks){.model = model, .saver = -1};
    for (int last = 0; last <= 1; last++) {
        for (int i = 0; i < STRATA_MAX_CALLBACKS && callbacks[i]; i++) {
            if (comes_last(callbacks[i]) == last)
                hooks->callbacks[hooks->count++] = callbacks[i];
        }
    }
    for (int i = hooks->count - 1; i >= 0; i--) {
        hooks->batch_logs |= hooks->callbacks[i]->batch_logs;
        if (saves_runs(hooks->callbacks[i]))
            hooks->saver = i;
    }
}

void strata__hooks_train_begin(strata__hooks *hooks)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->train_begin)
            callback->train_begin(callback, hooks->model);
    }
}

void strata__hooks_train_end(strata__hooks *hooks)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->train_end)
            callback->train_end(callback, hooks->model, NULL);
    }
}

void strata__hooks_epoch_begin(strata__hooks *hooks, int epoch)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->epoch_begin)
            callback->epoch_begin(callback, hooks->model, epoch);
    }
}

void strata__hooks_epoch_end(strata__hooks *hooks, int epoch, const strata_logs *logs)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->epoch_end)
            callback->epoch_end(callback, hooks->model, epoch, logs);
    }
}

void strata__hooks_test_begin(strata__hooks *hooks)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->test_begin)
            callback->test_begin(callback, hooks->model);
    }
}

void strata__hooks_test_end(strata__hooks *hooks, const strata_logs *logs)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->test_end)
            callback->test_end(callback, hooks->model, logs);
    }
}

void strata__hooks_predict_begin(strata__hooks *hooks)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->predict_begin)
            callback->predict_begin(callback, hooks->model);
    }
}

void strata__hooks_predict_end(strata__hooks *hooks)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (callback->predict_end)
            callback->predict_end(callback, hooks->model);
    }
}

void strata__hooks_batch_begin(strata__hooks *hooks, strata__phase phase, int64_t batch)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        void (*hook)(strata_callback *, strata_model *, int64_t) =
            phase == STRATA__TRAIN  ? callback->train_batch_begin
            : phase == STRATA__TEST ? callback->test_batch_begin
                                    : callback->predict_batch_begin;
        if (hook)
            hook(callback, hooks->model, batch);
    }
}

static void batch_end(strata_callback *callback, strata_model *model, strata__phase phase,
                      int64_t batch, const strata_logs *logs)
{
    if (phase == STRATA__TRAIN && callback->train_batch_end)
        callback->train_batch_end(callback, model, batch, logs);
    else if (phase == STRATA__TEST && callback->test_batch_end)
        callback->test_batch_end(callback, model, batch, logs);
    else if (phase == STRATA__PREDICT && callback->predict_batch_end)
        callback->predict_batch_end(callback, model, batch);
}

void strata__hooks_batch_end(strata__hooks *hooks, strata__phase phase, int64_t batch,
                             const strata_logs *logs)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        batch_end(callback, hooks->model, phase, batch, callback->batch_logs ? logs : NULL);
    }
}

int32_t strata__hooks_due(const strata__hooks *hooks)
{
    int32_t bits = 0;
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (saves_runs(callback) && strata__callback_methods_of(callback)->due(callback))
            bits |= (int32_t)1 << i;
    }
    return bits;
}

strata_status strata__hooks_save(const strata__hooks *hooks, int32_t bits)
{
    for (int i = 0; i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        if (bits >> i & 1)
            STRATA_TRY(strata__callback_methods_of(callback)->save_run(callback, hooks->model));
    }
    return STRATA_OK;
}

const char *strata__hooks_place(const strata__hooks *hooks)
{
    const strata_callback *saver = hooks->callbacks[hooks->saver];
    return strata__callback_methods_of(saver)->place(saver);
}
