#!/usr/bin/env bash
# Installs, upgrades and removes the scan bridge. Called by make; `scripts/install.sh` alone says how.
#
# Each version is a venv of its own under PREFIX.releases/, and PREFIX is a link to the one in use. So a new version is
# complete and has accepted the config before anything running is touched, the switch is one rename, and the version
# before stays there to go back to. Never overwrites a config, never deletes one unless PURGE=1.
set -euo pipefail
umask 022

usage() {
    cat <<'EOF'
usage: scripts/install.sh install|upgrade|rollback|uninstall [--user]

  install     install, or bring an installation to this checkout's version; does nothing if it is there already
  upgrade     the same, but always builds anew (newer dependencies), and only where something is installed
  rollback    go back to the version before
  uninstall   remove everything but config and state; with PURGE=1 these too
  --user      for `systemctl --user`: needs no root, everything under $HOME

environment:
  PREFIX        where the commands go      (/opt/scan-bridge; with --user ~/.local/opt/scan-bridge)
  SERVICE_USER  the bridge's user          (dolphin, made if missing; another one must exist)
  PREFECT=no    leave Prefect out: the bridge and `scan-bridge-health check` work without it
  DESTDIR       for packagers: write under it, start nothing, make no user
  PYTHON        Python 3.11 or newer       (python3)
EOF
}

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

settle_paths() {
    SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    DESTDIR=${DESTDIR:-}
    if [ "$SCOPE" = user ]; then
        [ -z "$DESTDIR" ] || die "DESTDIR and --user do not go together"
        [ "$(id -u)" != 0 ] || die "--user is for people without root; as root run: make $ACTION"
        PREFIX=${PREFIX:-$HOME/.local/opt/scan-bridge}
        CONFIG_DIR=${XDG_CONFIG_HOME:-$HOME/.config}/scan-bridge
        UNIT_DIR=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        BIN_DIR=$HOME/.local/bin
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
    RELEASES=$PREFIX.releases
    CONFIG=$CONFIG_DIR/config.toml
    UNIT=dolphin-scan-bridge.service
    if [ -e "$DESTDIR$PREFIX" ] && [ ! -L "$DESTDIR$PREFIX" ] && [ -z "$DESTDIR" ]; then
        die "$PREFIX exists and was not made by this script; move it away, or choose another PREFIX="
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
        [ ! -e "$PREFIX/bin/python" ] || "$PREFIX/bin/python" -c 'import prefect' 2>/dev/null || PREFECT=no
    fi
}

check_python() {
    PYTHON=${PYTHON:-python3}
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        die "$PYTHON is missing or older than 3.11; give another with PYTHON="
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || die "$PYTHON cannot make a venv; run: apt-get install python3-venv"
}

# What a release is made of, in a few letters: the same sources and options make the same release.
release_name() {
    local version hash
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$SOURCE/pyproject.toml")
    hash=$(cd "$SOURCE" && find bridge healthcheck systemd docs/config.example.toml scripts/*.sh pyproject.toml -type f ! -name '*.pyc' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | cat - <(echo "$PREFIX $SERVICE_USER $PREFECT $("$PYTHON" -V)") | sha256sum)
    echo "$version-${hash:0:12}"
}

# Build release $1 (a path) completely, or leave nothing behind.
build_release() {
    local release=$1 sources extra=
    [ "$PREFECT" = no ] || extra='[prefect]'
    say "building $release (a minute or two)"
    sources=$(mktemp -d)
    # shellcheck disable=SC2064  # the values of now are meant
    trap "rm -rf '$sources' '$release'" EXIT
    # A copy, so that the build leaves nothing in the checkout.
    tar -C "$SOURCE" --exclude=__pycache__ -cf - bridge healthcheck systemd docs pyproject.toml README.md LICENSE |
        tar -xf - -C "$sources" --no-same-owner
    mkdir -p "${release%/*}"
    "$PYTHON" -m venv "$release"
    "$release/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "$sources$extra" >&2 ||
        die "the new version could not be built; what was installed before is untouched"
    install -m 755 "$SOURCE/scripts/scan_bridge_restart.sh" "$release/bin/"
    render "$sources" "$release/share/scan-bridge"
    if [ -n "$DESTDIR" ]; then
        # The scripts name the Python they were made with: it will be elsewhere.
        grep -rlI --null -F "$DESTDIR" "$release/bin" "$release/pyvenv.cfg" | xargs -0 -r sed -i "s|$DESTDIR||g"
    fi
    # Some packages carry files for newer Pythons, which do not compile.
    "$release/bin/python" -m compileall -q -f -j 0 -s "$DESTDIR" -p / "$release/lib" >/dev/null || true
    rm -rf "$sources"
    trap - EXIT
}

# The units and other files of the sources $1, with this installation's paths and users, into $2.
render() {
    local sources=$1 share=$2
    mkdir -p "$share/units"
    cp "$sources/docs/config.example.toml" "$share/"
    if [ "$SCOPE" = user ]; then
        cp "$sources"/systemd/user/* "$sources/systemd/dolphin-scan-bridge-retry@.timer" "$share/units/"
        sed -i "s|%h/.local/opt/scan-bridge|$PREFIX|g" "$share"/units/*
        return
    fi
    cp "$sources"/systemd/*.service "$sources"/systemd/*.timer "$share/units/"
    cp -r "$sources/systemd/dropins" "$share/"
    cp "$sources/systemd/sysusers.conf" "$sources/systemd/polkit.rules" "$share/"
    sed -i -e "s|/opt/scan-bridge|$PREFIX|g" -e "s/^User=dolphin$/User=$SERVICE_USER/" \
        -e "s/^Group=dolphin$/Group=$SERVICE_GROUP/" \
        -e "s/^SupplementaryGroups=dolphin /SupplementaryGroups=$SERVICE_GROUP /" "$share"/units/*
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
    [ ! -e "$DESTDIR$CONFIG" ] || return 0
    put 640 "$1/share/scan-bridge/config.example.toml" "$CONFIG"
    if [ "$SCOPE" = system ] && [ -z "$DESTDIR" ]; then
        chgrp "$SERVICE_GROUP" "$CONFIG"
    fi
    NEW_CONFIG=yes
}

# Does release $1 accept the config, as the service would see it?
accepts_config() {
    local as=() environment=()
    if [ "$SCOPE" = system ]; then
        as=(setpriv --reuid "$SERVICE_USER" --regid "$(id -g "$SERVICE_USER")" --init-groups)
        if [ -d "/run/credentials/$UNIT" ]; then environment+=("CREDENTIALS_DIRECTORY=/run/credentials/$UNIT"); fi
    fi
    if [ "$LIVE" = yes ]; then
        # Environment= of the unit and its drop-ins, quoted as a shell would.
        while IFS= read -r variable; do environment+=("$variable"); done \
            < <("${SYSTEMCTL[@]}" show "$UNIT" --property=Environment --value | xargs -r -n1 printf '%s\n')
    fi
    (cd / && "${as[@]}" env "${environment[@]}" "$1/bin/scan-bridge" check-config --config "$CONFIG" >/dev/null)
}

# Make release $1 the one in use: one rename, then its units.
activate() {
    local release=$1 share=$1/share/scan-bridge link file
    link=$(mktemp -u "$DESTDIR$PREFIX.XXXXXX")
    ln -s "${release#"$DESTDIR"}" "$link"
    mv -T "$link" "$DESTDIR$PREFIX"
    for file in "$share"/units/*; do put 644 "$file" "$UNIT_DIR/${file##*/}"; done
    if [ "$SCOPE" = system ]; then
        install -d -m 755 "$DESTDIR$POLKIT_DIR"
        put 644 "$share/polkit.rules" "$POLKIT_DIR/50-scan-bridge.rules"
    fi
    install -d "$DESTDIR$BIN_DIR"
    for file in scan-bridge scan-bridge-health; do
        [ "$(readlink "$DESTDIR$BIN_DIR/$file")" = "$PREFIX/bin/$file" ] || ln -sfn "$PREFIX/bin/$file" "$DESTDIR$BIN_DIR/$file"
    done
    [ "$LIVE" = no ] || "${SYSTEMCTL[@]}" daemon-reload
}

# Which of our units are meant to run now: all that are not plainly stopped.
units_in_use() {
    local unit
    [ "$LIVE" = yes ] || return 0
    for unit in "$RELEASE"/share/scan-bridge/units/*.service; do
        unit=${unit##*/}
        case $unit in *@*) continue ;; esac
        case $("${SYSTEMCTL[@]}" show "$unit" --property=ActiveState --value) in inactive | '') ;; *) echo "$unit" ;; esac
    done
}

# Restart the units and see that each stays up for three seconds.
restart() {
    local unit pid
    for unit in "$@"; do
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
    previous=$(readlink "$DESTDIR$PREFIX" || true)
    [ "$ACTION" = install ] || [ -n "$previous" ] || die "nothing is installed at $PREFIX; run: make install"
    if [ -n "$DESTDIR" ]; then
        release=$DESTDIR$PREFIX
        rm -rf "$release"
        build_release "$release"
        make_users "$release"
        make_config "$release"
        install_packaged "$release"
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
    say_next "$previous"
}

# From release $1 (may be empty) to $2; back again if what was running does not come up.
switch() {
    local previous=$1 release=$2 in_use old
    RELEASE=$release
    mapfile -t in_use < <(units_in_use)
    activate "$release"
    if ! restart "${in_use[@]}"; then
        [ -n "$previous" ] || die "the service does not start; see: ${SYSTEMCTL[*]} status $UNIT"
        activate "$previous"
        rm -rf "$release"
        restart "${in_use[@]}" || die "the new version does not start, and ${previous##*/} does not any more; see: ${SYSTEMCTL[*]} status $UNIT"
        die "the new version does not start (see: journalctl ${SYSTEMCTL[1]:-} -u $UNIT); ${previous##*/} is running again"
    fi
    [ -z "$previous" ] || ln -sfnT "$previous" "$RELEASES/previous"
    for old in "$RELEASES"/*; do
        case $old in "$release" | "$previous" | "$RELEASES/previous") ;; *) rm -rf "$old" ;; esac
    done
    say "$PREFIX is now ${release##*/}"
}

install_packaged() {
    local share=$1/share/scan-bridge file
    for file in "$share"/units/*; do put 644 "$file" "$UNIT_DIR/${file##*/}"; done
    put 644 "$share/polkit.rules" "$POLKIT_DIR/50-scan-bridge.rules"
    install -d "$DESTDIR$BIN_DIR"
    for file in scan-bridge scan-bridge-health; do ln -sfn "$PREFIX/bin/$file" "$DESTDIR$BIN_DIR/$file"; done
    say "staged under $DESTDIR; on the target run: systemd-sysusers && systemctl daemon-reload"
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
    accepts_config "$previous" || die "the version before does not accept the config above; nothing was switched"
    switch "$current" "$previous"
}

do_uninstall() {
    local units=() unit current
    current=$(readlink "$PREFIX" || true)
    for unit in "$current"/share/scan-bridge/units/*; do
        if [ -e "$unit" ]; then units+=("${unit##*/}"); fi
    done
    if [ ${#units[@]} = 0 ] && [ ! -e "$UNIT_DIR/$UNIT" ]; then
        say "nothing is installed at $PREFIX"
    fi
    for unit in "${units[@]}"; do
        if [ "$LIVE" = yes ]; then
            case $unit in
                *@*) "${SYSTEMCTL[@]}" stop "${unit/@/@*}" 2>/dev/null || true ;;
                *) "${SYSTEMCTL[@]}" disable --now "$unit" 2>/dev/null || true ;;
            esac
            "${SYSTEMCTL[@]}" reset-failed "${unit/@/@*}" 2>/dev/null || true
        fi
        rm -f "$UNIT_DIR/$unit"
    done
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
        rm -rf "$CONFIG_DIR" "${XDG_STATE_HOME:-$HOME/.local/state}/scan-bridge" "$UNIT_DIR/$UNIT.d"
        say "removed $CONFIG_DIR and the state"
        return
    fi
    rm -rf "$CONFIG_DIR" /var/lib/scan-bridge /var/lib/scan-bridge-healthcheck /etc/systemd/system/dolphin-scan-bridge*.d
    for user in dolphin dolphin-healthcheck; do
        ! getent passwd "$user" >/dev/null || userdel "$user"
    done
    say "removed $CONFIG_DIR, the state, drop-ins, and the users dolphin and dolphin-healthcheck"
}

ACTION=${1:-}
case "${2:-}" in '') SCOPE=system ;; --user) SCOPE=user ;; *) usage >&2; exit 2 ;; esac
case "$ACTION" in install | upgrade | rollback | uninstall) ;; -h | --help) usage; exit ;; *) usage >&2; exit 2 ;; esac
settle_paths
if [ -z "$DESTDIR" ]; then
    mkdir -p "${PREFIX%/*}"
    exec 9>"$PREFIX.lock"
    flock -n 9 || die "another installation is at work on $PREFIX"
fi
case "$ACTION" in install | upgrade) do_install ;; rollback) do_rollback ;; uninstall) do_uninstall ;; esac
