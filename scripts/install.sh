#!/usr/bin/env bash
# Installs, upgrades and removes the scan bridge. Called by make; `scripts/install.sh` alone says how.
#
# Each version is a venv of its own under PREFIX.releases/, and PREFIX is a link to the one in use. So a new version is
# complete and has accepted the config before anything running is touched, the switch is one rename, and the version
# before stays there to go back to. Never overwrites a config, never deletes one unless PURGE=1.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
# shellcheck source-path=SCRIPTDIR source=install-release.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/install-release.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/packages.sh"
umask 022

usage() {
    cat <<'EOF'
usage: scripts/install.sh install|upgrade|rollback|uninstall [--user]
       scripts/install.sh wheels

  install     install, or bring an installation to this checkout's version; does nothing if it is there already
  upgrade     the same, but always builds anew, and only where something is installed
  rollback    go back to the version before
  uninstall   remove everything but config and state; with PURGE=1 these too
  wheels      download into WHEELS what install and upgrade need, for hosts without a network
  --user      for `systemctl --user`: needs no root, everything under $HOME

environment:
  PREFIX        where the commands go      (/opt/scan-bridge; with --user ~/.local/opt/scan-bridge)
  SERVICE_USER  the bridge's user          (dolphin, made if missing; another one must exist)
  PREFECT=no    leave Prefect out: the bridge and `scan-bridge-health check` work without it
  DESTDIR       for packagers: write under it, start nothing, make no user
  PYTHON        Python 3.11 or newer       (the system's, or else the one in the PATH)
  WHEELS        a folder that `wheels` has filled on a host like this: install from it, without a network
EOF
}

SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

# Not by importing it: that would make ~/.prefect.
HAS_PREFECT='import importlib.util as u, sys; sys.exit(not u.find_spec("prefect"))'

say() { printf '%s\n' "$*"; }

settle_paths() {
    DESTDIR=${DESTDIR:-}
    if [ "$SCOPE" = user ]; then
        [ -z "$DESTDIR" ] || die "DESTDIR and --user do not go together"
        [ "$(id -u)" != 0 ] || die "--user is for people without root; as root run: make $ACTION"
        PREFIX=${PREFIX:-$HOME/.local/opt/scan-bridge}
        CONFIG_DIR=${XDG_CONFIG_HOME:-$HOME/.config}/scan-bridge
        UNIT_DIR=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        BIN_DIR=$HOME/.local/bin
        STATE_DIR=${XDG_STATE_HOME:-$HOME/.local/state}/scan-bridge
        SYSTEMCTL=(systemctl --user)
    else
        PREFIX=${PREFIX:-/opt/scan-bridge}
        CONFIG_DIR=/etc/scan-bridge
        SYSTEMCTL=(systemctl)
        if [ -n "$DESTDIR" ]; then
            UNIT_DIR=/usr/lib/systemd/system SYSUSERS_DIR=/usr/lib/sysusers.d
            POLKIT_DIR=/usr/share/polkit-1/rules.d BIN_DIR=/usr/bin
        else
            [ "$(id -u)" = 0 ] || die "needs root; run: sudo make $ACTION   (without root: make $ACTION-user)"
            UNIT_DIR=/usr/local/lib/systemd/system SYSUSERS_DIR=/usr/local/lib/sysusers.d
            POLKIT_DIR=/etc/polkit-1/rules.d BIN_DIR=/usr/local/bin
        fi
    fi
    case $PREFIX in /*) ;; *) die "PREFIX=$PREFIX: must be an absolute path" ;; esac
    case $PREFIX$DESTDIR in *[[:space:]\|\&\\%]*) die "PREFIX and DESTDIR must not contain spaces or any of | & \\ %" ;; esac
    PREFIX=${PREFIX%/}
    [ -n "$PREFIX" ] || die "PREFIX=/: must be a folder of its own"
    [ -z "$DESTDIR" ] || [ "$ACTION" = install ] || die "DESTDIR goes with install only"
    RELEASES=$PREFIX.releases
    CONFIG=$CONFIG_DIR/config.toml
    UNIT=dolphin-scan-bridge.service
    if [ -z "$DESTDIR" ] && [ -e "$PREFIX" ]; then
        case $(readlink "$PREFIX") in
            "$RELEASES"/*) ;;
            *) die "$PREFIX exists and was not made by this script; move it away, or choose another PREFIX=" ;;
        esac
    fi
    LIVE=no
    if [ -z "$DESTDIR" ] && "${SYSTEMCTL[@]}" show-environment >/dev/null 2>&1; then LIVE=yes; fi
    # What was chosen at the first installation holds until something else is asked for.
    SERVICE_USER=${SERVICE_USER:-$(sed -n 's/^User=//p' "$UNIT_DIR/$UNIT" 2>/dev/null || true)}
    SERVICE_USER=${SERVICE_USER:-dolphin} SERVICE_GROUP=dolphin
    if [ "$SERVICE_USER" != dolphin ]; then
        SERVICE_GROUP=$(id -gn "$SERVICE_USER" 2>/dev/null) || die "SERVICE_USER=$SERVICE_USER: no such user"
    fi
    if [ -z "${PREFECT:-}" ]; then
        PREFECT=yes
        [ ! -e "$PREFIX/bin/python" ] || "$PREFIX/bin/python" -c "$HAS_PREFECT" || PREFECT=no
    fi
}

# Put a file where it belongs, and say so if it changed.
put() {
    local mode=$1 from=$2 to=$DESTDIR$3
    cmp -s "$from" "$to" && return
    install -D -m "$mode" "$from" "$to"
    say "wrote $3"
}

make_users() {
    [ "$SCOPE" = system ] || return 0
    put 644 "$1/share/scan-bridge/sysusers.conf" "$SYSUSERS_DIR/scan-bridge.conf"
    [ -n "$DESTDIR" ] || systemd-sysusers "$SYSUSERS_DIR/scan-bridge.conf"
}

make_config() {
    # Where there are only further bridges, an example in its place would be one more bridge.
    ! compgen -G "$DESTDIR$CONFIG_DIR/*.toml" >/dev/null || return 0
    put 640 "$1/share/scan-bridge/config.example.toml" "$CONFIG"
    if [ "$SCOPE" = system ] && [ -z "$DESTDIR" ]; then
        chgrp "$SERVICE_GROUP" "$CONFIG"
    fi
    NEW_CONFIG=yes
}

# The further bridges, dolphin-scan-bridge@NAME.service, that are up or coming up; with $1 = failed, those that have
# failed or die again and again; with $1 = all, both.
further_units() {
    local unit state
    [ "$LIVE" = yes ] || return 0
    while read -r unit; do
        state=$(state_of "$unit")
        if [ "$state" = "${1:-up}" ] || { [ "${1:-}" = all ] && [ -n "$state" ]; }; then echo "$unit"; fi
    done < <("${SYSTEMCTL[@]}" list-units --all --plain --no-legend 'dolphin-scan-bridge@*.service' | awk '{ print $1 }')
}

# How unit $1 is: up (or coming up), failed (or about to be started after it died), or nothing of these.
# What is inactive may have a start queued, also for a moment between a death and the restart.
state_of() {
    "${SYSTEMCTL[@]}" show "$1" --property=ActiveState,SubState,NRestarts,Job | awk -F = '{ is[$1] = $2 } END {
        state = is["ActiveState"]
        if (state == "failed" || is["SubState"] ~ /^auto-restart/) print "failed"
        else if (state == "active" || state == "reloading") print "up"
        else if ((state != "" && state != "inactive") || is["Job"] != "") print (is["NRestarts"] > 0 ? "failed" : "up")
    }'
}

# Does release $1 accept the configs, as the services would see them: of the bridge without a name, of others that run?
accepts_config() {
    local unit accepted=0
    if [ -e "$CONFIG" ]; then accepts_file "$1" "$UNIT" "$CONFIG" || accepted=1; fi
    for unit in $(further_units); do
        # What has no file of its own has been given another by a drop-in.
        if [ ! -e "$(config_of "$unit")" ]; then continue; fi
        accepts_file "$1" "$unit" "$(config_of "$unit")" || accepted=1
    done
    return "$accepted"
}

# The config of dolphin-scan-bridge@NAME.service.
config_of() {
    local name=${1#*@}
    echo "$CONFIG_DIR/${name%.service}.toml"
}

# Does release $1 accept for unit $2 the config $3?
accepts_file() {
    local as=() environment=() unit=$2
    if [ "$SCOPE" = system ]; then
        as=(setpriv --reuid "$SERVICE_USER" --regid "$(id -g "$SERVICE_USER")" --init-groups)
        if [ -d "/run/credentials/$unit" ]; then environment+=("CREDENTIALS_DIRECTORY=/run/credentials/$unit"); fi
    fi
    if [ "$LIVE" = yes ]; then
        # Environment= of the unit and its drop-ins, quoted as a shell would.
        while IFS= read -r variable; do environment+=("$variable"); done \
            < <("${SYSTEMCTL[@]}" show "$unit" --property=Environment --value | xargs -r -n1 printf '%s\n')
    fi
    (cd / && "${as[@]}" env "${environment[@]}" "$1/bin/scan-bridge" check-config --config "$3" >/dev/null)
}

# Make release $1 the one in use: one rename, then its units.
activate() {
    local link
    link=$(mktemp -u "$PREFIX.XXXXXX")
    ln -s "$1" "$link"
    mv -T "$link" "$PREFIX"
    put_files "$1"
    [ "$LIVE" = no ] || "${SYSTEMCTL[@]}" daemon-reload
}

# What belongs to release $1 but lies outside it.
put_files() {
    local share=$1/share/scan-bridge file
    for file in "$share"/units/*; do put 644 "$file" "$UNIT_DIR/${file##*/}"; done
    if [ "$SCOPE" = system ]; then
        put 644 "$share/polkit.rules" "$POLKIT_DIR/50-scan-bridge.rules"
    else
        # The check's own, for its commands too; the units would make it elsewhere until systemd 253.
        install -d -m 700 "$STATE_DIR" "$STATE_DIR/healthcheck"
    fi
    install -d "$DESTDIR$BIN_DIR"
    for file in scan-bridge scan-bridge-health; do ln -sfn "$PREFIX/bin/$file" "$DESTDIR$BIN_DIR/$file"; done
}

# Stop and remove the units that release $1 had and release $2 has not.
drop_units() {
    local unit
    for unit in "$1"/share/scan-bridge/units/*; do
        unit=${unit##*/}
        if [ ! -e "$2/share/scan-bridge/units/$unit" ]; then drop_unit "$unit"; fi
    done
}

drop_unit() {
    local unit
    if [ "$LIVE" = yes ]; then
        case $1 in
            dolphin-scan-bridge@.service)
                "${SYSTEMCTL[@]}" disable "$1" 2>/dev/null || true # each of them
                for unit in $(further_units all); do
                    "${SYSTEMCTL[@]}" stop "$unit" && say "stopped $unit"
                done ;;
            *@*) "${SYSTEMCTL[@]}" stop "${1/@/@*}" 2>/dev/null || true ;;
            *) "${SYSTEMCTL[@]}" disable --now "$1" 2>/dev/null || true ;;
        esac
        "${SYSTEMCTL[@]}" reset-failed "${1/@/@*}" 2>/dev/null || true
    fi
    rm -f "$UNIT_DIR/$1"
}

# Our units that are up or coming up; with $1 = failed, those that have failed or die again and again.
units_in_use() {
    local unit
    [ "$LIVE" = yes ] || return 0
    for unit in "$RELEASE"/share/scan-bridge/units/*.service; do
        unit=${unit##*/}
        # The fallback check ends by itself, and its timer starts the new one.
        case $unit in *@* | *-fallback.service) continue ;; esac
        if [ "$(state_of "$unit")" = "${1:-up}" ]; then echo "$unit"; fi
    done
    further_units "${1:-}"
}

# Services of somebody else's that run this program: a unit copied and changed by hand, say. "PID UNIT" a line.
foreign_units() {
    local process words unit
    for process in /proc/[0-9]*; do
        { mapfile -d '' -t words <"$process/cmdline"; } 2>/dev/null || continue # it has ended
        case ${words[0]:-}$'\n'${words[1]:-} in
            "$PREFIX/"* | "$RELEASES/"* | *$'\n'"$PREFIX/"* | *$'\n'"$RELEASES/"*) ;;
            *) continue ;;
        esac
        unit=$(awk -F / '$NF ~ /[.]service$/ { print $NF; exit }' "$process/cgroup" 2>/dev/null) || continue
        case $unit in '' | dolphin-scan-bridge*) ;; *) echo "${process#/proc/} $unit" ;; esac
    done
}

# Restart the units and see that each stays up for three seconds; which does not is $NOT_UP then.
restart() {
    local unit pid
    for unit in "$@"; do
        NOT_UP=$unit
        "${SYSTEMCTL[@]}" reset-failed "$unit" 2>/dev/null || true
        "${SYSTEMCTL[@]}" restart "$unit" || return 1
        pid=$("${SYSTEMCTL[@]}" show "$unit" --property=MainPID --value)
        for _ in 1 2 3; do
            sleep 1
            [ "$("${SYSTEMCTL[@]}" show "$unit" --property=MainPID --value)" = "$pid" ] || return 1
        done
        say "restarted $unit"
    done
}

do_install() {
    local previous release
    check_python
    check_reach
    previous=$(readlink "$DESTDIR$PREFIX" || true)
    [ "$ACTION" = install ] || [ -n "$previous" ] || die "nothing is installed at $PREFIX; run: make install"
    if [ -n "$DESTDIR" ]; then
        release=$DESTDIR$PREFIX
        rm -rf "$release"
        build_release "$release"
        make_users "$release"
        make_config "$release"
        put_files "$release"
        say "staged under $DESTDIR; on the target run: systemd-sysusers && systemctl daemon-reload"
        return
    fi
    release=$RELEASES/$(release_name)
    [ "$ACTION" = install ] || release=$release-$(date -u +%Y%m%dT%H%M%S)
    if [ "$release" = "$previous" ]; then
        say "$PREFIX is at this version already; nothing to build"
    else
        rm -rf "$release"
        build_release "$release"
    fi
    RELEASE=$release
    make_users "$release"
    make_config "$release"
    if ! accepts_config "$release"; then
        [ "$release" = "$previous" ] || rm -rf "$release"
        [ -z "$previous" ] || die "the config above is not accepted; nothing was switched, ${previous##*/} goes on as it was"
        die "the config above is not accepted; put it right and run make $ACTION again"
    fi
    if [ "$release" = "$previous" ]; then
        activate "$release"
    else
        switch "$previous" "$release"
    fi
    say_next
}

# From release $1 (may be empty) to $2; back again if what was running does not come up.
switch() {
    local previous=$1 release=$2 in_use failed unit old
    RELEASE=$release
    mapfile -t in_use < <(units_in_use)
    mapfile -t failed < <(units_in_use failed)
    activate "$release"
    if ! restart "${in_use[@]}"; then
        [ -n "$previous" ] || die "the service does not start; see: ${SYSTEMCTL[*]} status $NOT_UP"
        activate "$previous"
        [ "$ACTION" = rollback ] || rm -rf "$release"
        unit=$NOT_UP
        restart "${in_use[@]}" || die "neither ${release##*/} nor ${previous##*/} starts; see: ${SYSTEMCTL[*]} status $NOT_UP"
        die "the new version does not start (see: journalctl ${SYSTEMCTL[1]:-} -u $unit); ${previous##*/} is running again"
    fi
    # What had failed before cannot speak against the new version, nor keep another such from a new try.
    for unit in "${failed[@]}"; do
        restart "$unit" || say "$unit: still failing"
    done
    if [ -n "$previous" ]; then
        drop_units "$previous" "$release"
        ln -sfnT "$previous" "$RELEASES/previous"
    fi
    for old in "$RELEASES"/*; do
        case $old in "$release" | "$previous" | "$RELEASES/previous") ;; *) rm -rf "$old" ;; esac
    done
    say "$PREFIX is now ${release##*/}"
}

say_next() {
    local flag=${SYSTEMCTL[1]:-}
    local ctl="${SYSTEMCTL[*]}"
    say ""
    if [ -n "${NEW_CONFIG:-}" ]; then
        say "Next:"
        say "  \${EDITOR:-vi} $CONFIG      # where the scans are, where Hazelcast is"
        say "  $ctl enable --now ${UNIT%.service}"
        say "  journalctl ${flag:+$flag }-fu ${UNIT%.service}"
        [ "$SCOPE" = system ] || say "To keep it running after logout: loginctl enable-linger"
    else
        say "Next:"
        say "  $ctl status ${UNIT%.service}"
        say "  $PREFIX/bin/scan-bridge status --config $CONFIG"
        say "  $SOURCE/scripts/install.sh rollback${flag:+ $flag}      # back to the version before, if need be"
    fi
}

do_rollback() {
    local current previous
    current=$(readlink "$PREFIX" || true)
    previous=$(readlink "$RELEASES/previous" || true)
    [ -d "$previous" ] || die "there is no version before this one"
    if [ ! -e "$previous/share/scan-bridge/units/dolphin-scan-bridge@.service" ] && [ -n "$(further_units all)" ]; then
        die "${previous##*/} knows only one bridge a host; first: ${SYSTEMCTL[*]} disable --now $(further_units all | xargs)"
    fi
    accepts_config "$previous" || die "the version before does not accept the config above; nothing was switched"
    switch "$current" "$previous"
}

do_uninstall() {
    local units=() unit current foreign
    foreign=$(foreign_units)
    [ -z "$foreign" ] || die "$(printf 'other services run this program, and nothing was removed; stop them first:\n%s' "$foreign")"
    current=$(readlink "$PREFIX" || true)
    for unit in "$current"/share/scan-bridge/units/*; do
        if [ -e "$unit" ]; then units+=("${unit##*/}"); fi
    done
    if [ ${#units[@]} = 0 ] && [ ! -e "$UNIT_DIR/$UNIT" ]; then
        say "nothing is installed at $PREFIX"
    fi
    for unit in "${units[@]}"; do drop_unit "$unit"; done
    rm -f "$BIN_DIR/scan-bridge" "$BIN_DIR/scan-bridge-health" "$PREFIX"
    rm -rf "$RELEASES" "$PREFIX.lock"
    [ "$SCOPE" = user ] || rm -f "$POLKIT_DIR/50-scan-bridge.rules" "$SYSUSERS_DIR/scan-bridge.conf"
    [ "$LIVE" = no ] || "${SYSTEMCTL[@]}" daemon-reload
    say "removed $PREFIX, its units and its commands"
    if [ "${PURGE:-}" = 1 ]; then
        purge
    else
        say "kept $CONFIG_DIR and the state; to remove these too: make $ACTION$([ "$SCOPE" = system ] || echo -user) PURGE=1"
    fi
}

purge() {
    local user
    if [ "$SCOPE" = user ]; then
        rm -rf "$CONFIG_DIR" "$UNIT_DIR"/dolphin-scan-bridge*.d "$STATE_DIR" \
            "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/scan-bridge-healthcheck"
        say "removed $CONFIG_DIR and the state"
        return
    fi
    rm -rf "$CONFIG_DIR" /var/lib/scan-bridge{,-healthcheck,-prefect} /var/lib/scan-bridge@* /var/lib/private/scan-bridge-prefect \
        /run/scan-bridge-healthcheck \
        /etc/systemd/system/dolphin-scan-bridge*.d
    for user in dolphin dolphin-healthcheck; do
        ! getent passwd "$user" >/dev/null || userdel "$user"
    done
    say "removed $CONFIG_DIR, the state, drop-ins, and the users dolphin and dolphin-healthcheck"
}

ACTION=${1:-}
case "${2:-}" in '') SCOPE=system ;; --user) SCOPE=user ;; *) usage >&2; exit 2 ;; esac
case "$ACTION" in install | upgrade | rollback | uninstall | wheels) ;; -h | --help) usage; exit ;; *) usage >&2; exit 2 ;; esac
if [ -n "${WHEELS:-}" ]; then
    case $WHEELS in /*) ;; *) WHEELS=$PWD/$WHEELS ;; esac
    [ "$ACTION" = wheels ] || [ -d "$WHEELS" ] || die "WHEELS=$WHEELS: no such folder; make wheels fills one"
fi
if [ "$ACTION" = wheels ]; then
    do_wheels
    exit
fi
settle_paths
if [ -z "$DESTDIR" ]; then
    mkdir -p "${PREFIX%/*}"
    exec 9>"$PREFIX.lock"
    flock -n 9 || die "another installation is at work on $PREFIX"
fi
case "$ACTION" in install | upgrade) do_install ;; rollback) do_rollback ;; uninstall) do_uninstall ;; esac
