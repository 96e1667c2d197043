/* Contexts with a mesh, and all layouts of the ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <mpi.h>
#include <stdio.h>

#include "harness.h"
#include "mesh/mesh.h"

strata_context *test_context(const char *mesh)
{
    strata_context *ctx = strata__context_new();
    assert_all(ctx != NULL);
    test_adopt(ctx, strata__mesh_free);
    strata__mesh_new(ctx, MPI_COMM_WORLD, mesh);
    assert_all_ok(ctx);
    return ctx;
}

const char *test_mesh(int index)
{
    static char text[64];
    int ranks = test_ranks();
    for (int data = ranks; data >= 1; data--) {
        for (int rows = 1; ranks % data == 0 && rows <= ranks / data; rows++) {
            if (ranks / data % rows != 0 || index-- > 0)
                continue;
            snprintf(text, sizeof text, "data=%d,rows=%d,cols=%d", data, rows, ranks / data / rows);
            return text;
        }
    }
    return NULL;
}
