# For check scripts: results in TAP lines that tests/driver.sh counts. Sourced, after `set -u`, by scripts that run.sh starts.
# SPDX-License-Identifier: Apache-2.0

tap_number=0

# verdict NAME COMPLAINTS: passes when there are none
verdict() {
    tap_number=$((tap_number + 1))
    if [ -z "$2" ]; then
        echo "ok $tap_number - $1"
    else
        echo "not ok $tap_number - $1"
        echo "$2" | sed 's/^/    /'
    fi
}

# skipped NAME REASON
skipped() {
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1 # SKIP $2"
}
