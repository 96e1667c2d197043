#!/bin/sh
# The command line of strata: help, version, manual page, and mistakes.
# SPDX-License-Identifier: Apache-2.0
set -u
. "$srcdir/tests/apps/trial.sh"

# --- help and manual page ---

options_of() {
    sed -n 's/^  \(--[a-z-]*\).*/\1/p' "$1" | sort
}

# Options in the sections of the page that belong to a command.
options_in_page() {
    awk -v own="OPTIONS OF $(echo "$1" | tr '[:lower:]' '[:upper:]')" '
        /^\.SH/ { inside = $0 == ".SH " own || $0 == ".SH OPTIONS OF ALL COMMANDS" }
        inside && /^\.BI? \\-\\-/ { gsub(/\\/, ""); print $2 }' "$srcdir/apps/strata.1" | sort
}

for command in train evaluate predict; do
    accepted "strata $command --help" "" "$command" --help
    options_of "$said/output" > "$said/help"
    options_in_page "$command" > "$said/page"
    verdict "the manual page has the options of $command" "$(diff "$said/help" "$said/page")"
    verdict "$command has options" "$([ "$(wc -l < "$said/help")" -gt 8 ] || cat "$said/help")"
done

# --- the environment ---

variables_in() {
    grep -rohE 'STRATA_[A-Z][A-Z_]*[A-Z]' "$@" | sort -u
}
# What the library and its programs ask for stands in quotes.
grep -rohE '"STRATA_[A-Z_]+"' "$srcdir/src" "$srcdir/apps" | tr -d '"' | sort -u > "$said/asked"
sed -n '/^| environment/,/^$/p' "$srcdir/README.md" | variables_in - > "$said/readme"
sed -n '/^\.SH ENVIRONMENT/,/^\.SH EX/p' "$srcdir/apps/strata.1" | variables_in - > "$said/page"
verdict "README has the variables of the environment" "$(diff "$said/asked" "$said/readme")"
verdict "the manual page has the variables of the environment" "$(diff "$said/asked" "$said/page")"

# --- help of the program itself ---

accepted "strata --help" "" --help
verdict "strata --help names the commands" "$(for command in train evaluate predict; do
    grep -q "^  $command " "$said/output" || echo "$command"
done)"
accepted "strata --version" "" --version
verdict "the version is one line" "$([ "$(grep -c '^strata [0-9.]*$' "$said/output")" = 1 ] || cat "$said/output")"
accepted "strata train --version" "" train --version

# --- mistakes ---

model=$models/sequential_dense.keras
idx x 3 6 5
idx y 1 6 2

refused "no command" 1 "train, evaluate or predict"
refused "an unknown command" 1 "did you mean 'train'" trian
refused "an unknown option" 1 "did you mean '--epochs'" train "$model" --x x --y y --epoch 3
refused "an option of another command" 1 "no option '--loss'" predict "$model" --x x --output p.npy --loss mse
refused "an option without its value" 1 "'--y' needs a value" train "$model" --x x --y
refused "a missing option" 1 "needs option '--y FILE'" train "$model" --x x
refused "no model" 1 "needs a model" train --x x --y y
refused "two models" 1 "'other' is a second word" train "$model" other --x x --y y
refused "a number that is none" 1 "from 1, not 'ten'" train "$model" --x x --y y --epochs ten
refused "a number that is too small" 1 "from 1, not '0'" train "$model" --x x --y y --batch-size 0
refused "a number that is too large" 1 "not '9999999999'" train "$model" --x x --y y --epochs 9999999999
refused "a flag with a value" 1 "takes no value" train "$model" --help=yes
refused "a flag of the library with a value" 1 "takes no value" train "$model" --plan=yes
refused "an option too often" 1 "more than 1 times" train "$model" --x x --y y --output a.keras --output b.keras
refused "an unknown way to shuffle" 1 "True, False, batch" train "$model" --x x --y y --shuffle never --output o.keras
refused "an unknown verbosity" 1 "verbose" train "$model" --x x --y y --verbose loud --output o.keras
refused "a split that leaves nothing" 1 "validation_split=1" train "$model" --x x --y y --validation-split 1 --output o.keras
refused "validation without targets" 1 "go together" train "$model" --x x --y y --validation-x x --output o.keras
refused "a mesh of another size" 1 "needs 3 ranks, but there are 2" train "$model" --x x --y y --mesh data=3
refused "a mesh with an unknown axis" 1 "did you mean 'cols'" train "$model" --x x --y y --mesh data=1,col=2
refused "a mesh without a value" 1 "'--mesh' needs a value" train "$model" --x x --y y --mesh
refused "a seed that is none" 1 "'--seed' takes a whole number" train "$model" --x x --y y --seed=lucky
refused "messages of an unknown kind" 1 "'--verbosity' takes a whole number" train "$model" --x x --y y --verbosity=all
refused "messages beyond all" 1 "verbosity 4 is none of 1, 2, 3" train "$model" --x x --y y --verbosity 4
refused "replicas compared now and then" 1 "'--check-replicas' takes a whole number" train "$model" --x x --y y \
    --check-replicas=often

refused "an unknown optimizer" 1 "did you mean 'Adam'" train "$model" --x x --y y --optimizer adma --output o.keras
refused "an unknown argument of an optimizer" 1 "momentum" train "$model" --x x --y y --optimizer "SGD(momentun=0.9)" --output o.keras
refused "an unknown loss" 1 "did you mean 'MeanSquaredError'" train "$model" --x x --y y --loss mean_square_error --output o.keras
refused "an unknown metric" 1 "did you mean" train "$model" --x x --y y --metrics mae,acuracy --output o.keras
refused "an unknown callback" 1 "EarlyStopping" train "$model" --x x --y y --callback "EarlyStoping()" --output o.keras
refused "an unknown argument of a callback" 1 "patience" train "$model" --x x --y y --callback "EarlyStopping(patiance=3)" --output o.keras
refused "text that cannot be read" 1 "SGD\\(" train "$model" --x x --y y --optimizer "SGD(0.1" --output o.keras
