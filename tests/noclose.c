/* Sanitized programs only: keeps plugins mapped, so that leak reports name the module of every
 * frame. */
/* SPDX-License-Identifier: Apache-2.0 */

int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle; /* lsan.supp can only match modules that are still there at exit */
    return 0;
}
