/* Options of a context: from a program's arguments, from the environment, to settings. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_OPTIONS_H
#define STRATA_TRAINING_OPTIONS_H

#include <strata/context.h>

#include "base/context.h"

/* What was given, else the variable of the environment; NULL: neither, or empty. Local. */
const char *strata__text_option(const char *given, const char *variable);

/*
 * This rank's settings, verbosity and profile_file, from the options and the environment; needs
 * ctx->owns_mpi. STRATA_INVALID for what cannot be read. Before there is a mesh. Local.
 */
strata_status strata__options_read(strata_context *ctx, const strata_options *options);

/* Settings are rank 0's from now on. Collective on the mesh. */
void strata__settings_share(strata_context *ctx);

#endif
