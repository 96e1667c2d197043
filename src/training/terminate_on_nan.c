/* TerminateOnNaN: ends training when the loss is no number. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/callback.h"
#include "training/trainer.h"

static void train_batch_end(strata_callback *self, strata_model *model, int64_t batch,
                            const strata_logs *logs)
{
    (void)logs;
    if (!model->trainer->loss_is_nan)
        return;
    strata__callback_say(self->ctx, "Batch %lld: Invalid loss, terminating training",
                         (long long)batch);
    strata_model_stop_training(model);
}

const strata__class strata__terminate_on_nan = {
    .name = "TerminateOnNaN",
    .module = "keras.callbacks",
    .methods = &(const strata__callback_methods){.state_size = sizeof(strata__builtin),
                                                 .hooks = {.train_batch_end = train_batch_end}}};
