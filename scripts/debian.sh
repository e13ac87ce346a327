#!/usr/bin/env bash
# What this project needs from Debian: the one list. Installs what is missing, or says which tests that keeps from
# running. A command that is there counts, wherever it came from.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
PATH+=$SBIN
STEP=25 # packages between two lines that say how far it is

usage() {
    cat <<'EOF'
usage: scripts/debian.sh install [PACKAGE...]   install what is missing of the list (or of these); needs root
       scripts/debian.sh unmet                  what cannot be tested here: one line each, pytest marker and reason
EOF
}

# package, a command that shows it is there, the marker of the tests that need it (- : more than tests need it)
LIST="
    python3-venv             -               -
    util-linux               unshare         -
    git                      git             -
    make                     make            -
    shellcheck               shellcheck      -
    systemd-container        systemd-nspawn  systemd
    debootstrap              debootstrap     systemd
    chromium                 chromium        browser
    chromium-driver          chromedriver    browser
    bindfs                   bindfs          fuse
    strace                   strace          strace
    rsync                    rsync           rsync
    openssl                  openssl         openssl
    default-jdk-headless     javac           java
    maven                    mvn             java
    nodejs                   node            node
    npm                      npm             node
    qemu-system-x86          qemu-system-x86_64  machine
    qemu-utils               qemu-img        machine
    e2fsprogs                mke2fs          machine
"

# Prints the lines of LIST whose package is missing.
missing() {
    local package command marker
    while read -r package command marker; do
        case $package in
            '') continue ;;
            python3-venv) find_python ensurepip venv >/dev/null && continue ;;
            *) command -v "$command" >/dev/null && continue ;;
        esac
        echo "$package $command $marker"
    done <<<"$LIST"
}

install_missing() {
    local packages=("$@")
    [[ $# != 0 ]] || mapfile -t packages < <(missing | cut -d ' ' -f 1)
    [[ ${#packages[@]} != 0 ]] || return 0
    command -v apt-get >/dev/null || die "no apt-get here; install what these packages of Debian bring: ${packages[*]}"
    ((EUID == 0)) || die "needs root; run: sudo apt-get install ${packages[*]}"
    alone
    echo "installing from Debian: ${packages[*]}"
    # The lists of packages may be absent, as in an image, or old; and not all of them need be had.
    apt-get -qq update >/dev/null || echo "not all lists of packages could be fetched; going by those that are there"
    DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends \
        "${packages[@]}" | say_how_far || die "apt-get could not install ${packages[*]}"
}

# Says how far apt-get is, by what it prints.
say_how_far() {
    local line all=0 got=0 installed=0
    while IFS= read -r line; do
        case $line in
            *' newly installed, '*) line=${line%% newly installed,*} all=${line##* } ;;
            'Get:'*) say_each_step "downloaded" $((++got)) "$all" ;;
            'Setting up '*) say_each_step "installed" $((++installed)) "$all" ;;
        esac
    done
}

say_each_step() {
    (($2 % STEP != 0 && $2 != $3)) || echo "  $1 $2 of $3 packages"
}

# The limits of inotify are tested in a user namespace, where anybody may lower them, unless /proc/sys is read-only.
may_set_limits() {
    unshare --user --map-root-user test -w /proc/sys/user/max_inotify_watches 2>/dev/null
}

unmet() {
    local package command marker
    if ((EUID != 0)); then
        echo "root needs root"
        echo "systemd needs root"
        echo "machine needs root"
    fi
    while read -r package command marker; do
        [[ $marker == - ]] || echo "$marker needs $package"
    done < <(missing)
    may_set_limits || echo "limits needs a writable /proc/sys in a user namespace"
    [[ -e /dev/fuse ]] || echo "fuse needs /dev/fuse"
}

case ${1:-} in
    install) shift; install_missing "$@" ;;
    unmet) unmet ;;
    -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
esac
