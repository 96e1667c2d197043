#!/bin/sh
# Adds up the results in .trs files: one line "N passed, N failed, N skipped". Fails when a test failed or none passed.
# SPDX-License-Identifier: Apache-2.0
cat "$@" 2>/dev/null | awk '
/^:test-result: PASS/ { passed++ }
/^:test-result: FAIL/ { failed++ }
/^:test-result: SKIP/ { skipped++ }
END {
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || !passed
}'
