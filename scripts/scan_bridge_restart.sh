#!/usr/bin/env bash
# Restarts the bridge and waits until it publishes again: the operator's way to do it, at 3 a.m. too.
# Changes nothing but what the restart does.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: scan_bridge_restart.sh [NAME] [--timeout SECONDS] [--config FILE] [--user]

Shows the bridge's state, restarts it, waits until it publishes again (30 s at most, or --timeout), shows its state.
  NAME            a further bridge: unit dolphin-scan-bridge@NAME, config /etc/scan-bridge/NAME.toml
  --config FILE   the bridge's config   (/etc/scan-bridge/config.toml)
  --user          for a `make install-user` installation

exit codes: 0 publishing again, 1 not publishing in time or no restart, 2 wrong usage
EOF
}

die() { printf 'scan_bridge_restart.sh: %s\n' "$*" >&2; exit 1; }

UNIT=dolphin-scan-bridge.service
BRIDGE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/scan-bridge
TIMEOUT_S=30 CONFIG='' NAME='' FLAG=()
while [ $# -gt 0 ]; do
    case $1 in
        --timeout) TIMEOUT_S=${2:-}; shift ;;
        --config) CONFIG=${2:-}; shift ;;
        --user) FLAG=(--user) ;;
        -h | --help) usage; exit ;;
        -*) usage >&2; exit 2 ;;
        *) [ -z "$NAME" ] || { usage >&2; exit 2; }; NAME=$1 ;;
    esac
    shift || { usage >&2; exit 2; }
done
case $TIMEOUT_S in '' | *[!0-9]*) usage >&2; exit 2 ;; esac
case $NAME in
    *[!A-Za-z0-9_.-]* | [.-]* | config | config.*) die "'$NAME' is no name for a bridge: letters, digits, '_', '.' and '-'; not 'config' or a copy of it" ;;
    ?*) UNIT=dolphin-scan-bridge@$NAME.service ;;
esac
if [ -z "$CONFIG" ]; then
    CONFIG=/etc/scan-bridge
    [ ${#FLAG[@]} = 0 ] || CONFIG=${XDG_CONFIG_HOME:-$HOME/.config}/scan-bridge
    CONFIG=$CONFIG/${NAME:-config}.toml
fi
# Run from a checkout, it takes the installed command; Python lies beside what the link in the PATH leads to.
if [ ! -x "$BRIDGE" ] && [ ${#FLAG[@]} != 0 ]; then BRIDGE=$HOME/.local/bin/scan-bridge; fi
[ -x "$BRIDGE" ] || BRIDGE=$(command -v scan-bridge) || die "no scan-bridge command; is it installed?"
BRIDGE=$(readlink -f "$BRIDGE")

show() { systemctl "${FLAG[@]}" show "$UNIT" --property="$1" --value; }

state() {
    printf '%s: %s (%s), pid %s, restarts by systemd %s\n' \
        "$1" "$(show ActiveState)" "$(show SubState)" "$(show MainPID)" "$(show NRestarts)"
    printf '        %s\n' "$(show StatusText)"
}

# Does process $1 publish? It reports itself in Hazelcast, and has published, or the newest scan on disk is there already.
publishing() {
    local newest
    # It fails where another bridge of the map is dead; here only this one counts.
    newest=$({ timeout 10 "$BRIDGE" status --json --config "$CONFIG" 2>/dev/null || true; } | "$(dirname "$BRIDGE")/python" -c '
import json, socket, sys
from bridge.system.host import host_id
this, ids = (socket.gethostname(), int(sys.argv[1])), ("", host_id())
said = [one for one in map(json.loads, sys.stdin) if (one["host"], one["pid"]) == this]
status = next((one for one in said if one["host_id"] in ids or not ids[1]), None)
if status is None or status["source"]["state"] in ("missing", "unreadable"):
    sys.exit(1)
print("" if status["published"] or not status["newest"] else status["newest"]["path"])
' "$1" 2>/dev/null) || return 1
    [ -z "$newest" ] || timeout 10 "$BRIDGE" latest --config "$CONFIG" 2>/dev/null | head -n 1 | grep -qF "$newest"
}

[ "$(show LoadState)" = loaded ] || die "$UNIT is not installed"
[ -z "$NAME" ] || [ -e "$CONFIG" ] || die "there is no $CONFIG"
state before
systemctl "${FLAG[@]}" reset-failed "$UNIT" 2>/dev/null || true
deadline=$((SECONDS + TIMEOUT_S))
systemctl "${FLAG[@]}" restart "$UNIT" || { state "after "; die "systemctl restart failed; see: journalctl ${FLAG[*]} -u $UNIT -n 50"; }
until publishing "$(show MainPID)"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
        state "after "
        die "not publishing after $TIMEOUT_S s; see: journalctl ${FLAG[*]} -u $UNIT -n 50"
    fi
    sleep 0.2
done
state "after "
"$BRIDGE" status --config "$CONFIG" || true
