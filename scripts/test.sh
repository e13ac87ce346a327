#!/usr/bin/env bash
# `make test`: makes everything that the tests need, and runs them; arguments go to pytest. What cannot run on this
# machine is said first and last, and skipped (by tests/conftest.py); with CI set, that is a failure.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

((EUID != 0)) || ! command -v apt-get >/dev/null || scripts/debian.sh install
unmet=$(scripts/debian.sh unmet | awk '
    { marker = $1; sub(/^[^ ]* needs /, "") }
    marker in why { why[marker] = why[marker] " and " $0; next }
    { why[marker] = $0 }
    END { for (marker in why) { printf "%s%s (needs %s)", separator, marker, why[marker]; separator = ", " } }')
cannot_run=
if [[ -n $unmet ]]; then
    cannot_run="make test: tests with these marks cannot run here: $unmet"
    ((EUID == 0)) || ! command -v apt-get >/dev/null || cannot_run+="; to run every test: sudo make test"
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
