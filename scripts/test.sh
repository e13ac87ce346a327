#!/usr/bin/env bash
# `make test` and, with tests/machine for an argument, `make test-machine`: makes everything that the tests need, and
# runs them; arguments go to pytest. What cannot run on this machine is said first and last, and skipped (by
# tests/conftest.py); with CI set, that is a failure.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
export PATH+=$SBIN
target="test"
[[ " $* " != *" tests/machine"* ]] || target=test-machine
trap give_back EXIT

# What could not be installed, for want of a network say, cannot be tested: the next line says so.
((EUID != 0)) || ! command -v apt-get >/dev/null || scripts/debian.sh install || (($? == 1))
unmet=$(scripts/debian.sh unmet | awk -v target="$target" '
    $1 == "machine" && target == "test" { next } # `make test` has none of these
    { marker = $1; sub(/^[^ ]* needs /, "") }
    marker in why { why[marker] = why[marker] " and " $0; next }
    { why[marker] = $0 }
    END { for (marker in why) { printf "%s%s (needs %s)", separator, marker, why[marker]; separator = ", " } }')
cannot_run=
if [[ -n $unmet ]]; then
    cannot_run="make $target: tests with these marks cannot run here: $unmet"
    ((EUID == 0)) || ! command -v apt-get >/dev/null || cannot_run+="; to run all of them: sudo make $target"
    echo "$cannot_run"
    [[ -z ${CI:-} ]] || exit 1
fi
scripts/setup.sh dev
status=0
export PYTHONUTF8=1 # whatever the locale is; what the tests start has one of its own
# More workers than cores, for most tests wait most of the time.
workers=${WORKERS:-$((3 * $(nproc)))}
.venv/bin/python -m pytest --numprocesses "$workers" --dist loadgroup "$@" || status=$?
[[ -z $cannot_run ]] || echo "$cannot_run"
exit "$status"
