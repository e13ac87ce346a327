#!/usr/bin/env bash
# `make test-starts`: a choice of the unit tests, started in every way that they may be started; arguments go to pytest,
# the choice included. One line a way; exit status 1, and what pytest said, if one of them fails.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

CHOICE=(tests/unit/bridge/system tests/unit/bridge/commands tests/unit/bridge/test_config.py tests/unit/healthcheck/keep
    tests/unit/healthcheck/test_cli.py tests/unit/support tests/unit/systemd)
(($#)) || set -- "${CHOICE[@]}"
output=$(mktemp)
trap 'rm -f "$output"' EXIT
failed=0

# try WAY COMMAND...: the tests as started by COMMAND, which runs what follows it.
try() {
    local way=$1
    shift
    if "$@" .venv/bin/python -m pytest -q -p no:cacheprovider -m "not hazelcast and not exhaustive" "${tests[@]}" \
        >"$output" 2>&1; then
        echo "$way: $(tail -n 1 "$output")"
    else
        failed=1
        cat "$output"
        echo "$way: failed"
    fi
}
# with SETTINGS COMMAND...: in a shell with these, which then becomes the command.
# shellcheck disable=SC2317  # called by try
with() { bash -c "$1; exec \"\$@\"" bash "${@:2}"; }

tests=("$@")
try "in the background, SIGINT ignored" with 'trap "" INT'
try "by nohup, without a terminal or a standard input, umask 077" \
    setsid --wait nohup bash -c 'umask 077; exec "$@" <&-' bash
try "in German, in Kathmandu" env LC_ALL=de_DE.UTF-8 LANG=de_DE TZ=Asia/Kathmandu
try "in no language, umask 000" with 'umask 000; export LC_ALL=C'
try "without a home or a terminal's name" env -u HOME -u XDG_CACHE_HOME -u TERM
try "with a home that cannot be written" env -u XDG_CACHE_HOME HOME=/proc
exit "$failed"
