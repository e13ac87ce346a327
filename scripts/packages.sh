# shellcheck shell=bash
# Python packages in exactly the versions and with the hashes of requirements/*.txt (made by `make lock`).
# Sourced, never run. Nothing here resolves anything, so no release of today can change what is installed.

BATCH=20 # packages between two lines that say how far it is
UV=      # what get_uv has found

# The version of package $1 in requirements/$1.txt or requirements/$2.txt.
locked_version() {
    sed -n "s/^$1==\([^ ]*\) .*/\1/p" "$SOURCE/requirements/${2:-$1}.txt"
}

# Put pip into the folder $2, as the Python $1 carries it: to have that installed takes ten times as long. The wheel lies
# where ensurepip looks for it.
get_pip() {
    "$1" - "$2" <<'EOF' || die "${PYTHON:-python3} carries no pip; run: apt-get install python3-venv"
import ensurepip, pathlib, sys, sysconfig, zipfile
places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), pathlib.Path(ensurepip.__file__).parent / "_bundled"]
wheels = [wheel for place in places if place for wheel in pathlib.Path(place).glob("pip-*.whl")]
with zipfile.ZipFile(wheels[0]) as wheel:
    wheel.extractall(sys.argv[1])
EOF
}

# Sets UV to the uv in the folder $2 (by default one in the cache), fetched by the Python $1 (with pip) if it is not
# there; to nothing where it cannot be had. uv does what pip does, several times as fast.
get_uv() {
    local folder=${2:-$CACHE/uv-$(locked_version uv)}
    UV=
    if ! "$folder/bin/uv" --version >/dev/null 2>&1; then
        rm -rf "$folder" "$folder.partial"
        install_packages "$1" --target "$folder.partial" --requirement "$SOURCE/requirements/uv.txt" 2>/dev/null &&
            "$folder.partial/bin/uv" --version >/dev/null 2>&1 || return 0
        mv "$folder.partial" "$folder"
    fi
    UV=$folder/bin/uv
    [[ -n ${WHEELS:-} ]] || tell_uv "$1"
}

# uv does not read pip's settings; those that lead to the packages are handed to it.
tell_uv() {
    local setting value
    while IFS='=' read -r setting value; do
        value=${value#\'} value=${value%\'}
        case ${setting##*.} in
            index-url) export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$value}" ;;
            cert) export SSL_CERT_FILE="${SSL_CERT_FILE:-$value}" ;;
            proxy) export ALL_PROXY="${ALL_PROXY:-$value}" ;;
        esac
    done < <("$1" -m pip config list 2>/dev/null)
}

# `pip install` by the Python $1, or by uv where there is one: from the folder WHEELS alone, if that is set. Compiles
# nothing.
install_packages() {
    local python=$1 how=(--quiet --no-deps --no-build-isolation)
    shift
    [[ -z ${WHEELS:-} ]] || how+=(--no-index --find-links "$WHEELS")
    if [[ -n $UV ]]; then
        "$UV" pip install --python "$python" "${how[@]}" "$@" && return
        echo "uv could not install them; trying pip" >&2
    fi
    "$python" -m pip --disable-pip-version-check install --no-compile --use-pep517 "${how[@]}" "$@"
}

# Says what the packages of the Python $1 lack, and fails if they lack anything.
check_packages() {
    local problems check=("$1" -m pip --disable-pip-version-check check)
    [[ -z $UV ]] || check=("$UV" pip check --python "$1")
    problems=$("${check[@]}" 2>&1) || { echo "$problems"; return 1; }
}

# `pip download` into the folder $2; one or two packages are sources, all others are wheels.
pip_download() {
    local python=$1 folder=$2
    shift 2
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --no-build-isolation --use-pep517 --dest "$folder" "$@"
}

# Install what requirements/$2.txt names for the Python $1, and say how far it is.
install_locked() {
    in_batches "$2" install_packages "$1"
}

# Run the command $2... on some packages of requirements/$1.txt at a time, and say how far it is.
in_batches() {
    local file=$SOURCE/requirements/$1.txt batches batch all done=0 status=0
    shift
    batches=$(mktemp -d)
    all=$(grep -c '^[[:alnum:]]' "$file")
    awk -v size="$BATCH" -v folder="$batches" '
        /^[[:alnum:]]/ { if (count++ % size == 0) batch = sprintf("%s/%03d.txt", folder, count) }
        batch { print >batch }' "$file"
    for batch in "$batches"/*; do
        "$@" --require-hashes --requirement "$batch" || { status=1; break; }
        done=$((done + $(grep -c '^[[:alnum:]]' "$batch")))
        echo "  $done of $all packages"
    done
    rm -rf "$batches"
    return $status
}
