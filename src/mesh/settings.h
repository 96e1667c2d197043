/* Settings of the mesh: its text, and the environment variables that limit what a node is. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_SETTINGS_H
#define STRATA_MESH_SETTINGS_H

#include "base/context.h"

typedef struct strata__mesh_settings {
    int data, rows, cols;
    int node_limit;    /* STRATA_NODE_RANKS: a whole number from 1; 0 when not set */
    int share;         /* STRATA_SHARED: 0 or 1, by default 1 */
    int check;         /* STRATA_CHECK: 0 or 1, by default 0 */
    int check_seconds; /* STRATA_CHECK_SECONDS: a whole number from 1, by default 60 */
} strata__mesh_settings;

/* From `text` (see strata__mesh_new) and the environment, for `size` ranks. Local. */
strata_status strata__mesh_settings_read(strata_context *ctx, const char *text, int size,
                                         strata__mesh_settings *settings);

#endif
