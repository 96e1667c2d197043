/* The end of a context's use: everything that was made in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_SESSION_H
#define STRATA_TRAINING_SESSION_H

#include "base/context.h"

/* Frees callbacks, models, layers, datasets and the mesh, as strata_finish() does; the context
 * itself stays. Collective on the mesh. */
void strata__session_close(strata_context *ctx);

#endif
