# shellcheck shell=bash
# Python packages in exactly the versions and with the hashes of requirements/*.txt (made by `make lock`).
# Sourced, never run. Nothing here resolves anything, so no release of today can change what is installed.

BATCH=20 # packages between two lines that say how far it is

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

# Sets UV to a uv that the Python $1 (with pip) has fetched, if there is none yet; to nothing where it cannot be had.
# uv does what pip does, several times as fast.
get_uv() {
    local folder
    folder="$CACHE/uv-$(locked_version uv)"
    UV=$folder/bin/uv
    if ! "$UV" --version >/dev/null 2>&1; then
        rm -rf "$folder" "$folder.partial"
        pip_install "$1" --quiet --target "$folder.partial" --requirement "$SOURCE/requirements/uv.txt" 2>/dev/null &&
            "$folder.partial/bin/uv" --version >/dev/null 2>&1 && mv "$folder.partial" "$folder" || UV=
    fi
    [[ -z $UV ]] || tell_uv "$1"
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

# `pip install` by the Python $1: from the folder WHEELS alone, if that is set.
pip_install() {
    local python=$1 place=()
    shift
    [[ -z ${WHEELS:-} ]] || place=(--no-index --find-links "$WHEELS")
    "$python" -m pip --disable-pip-version-check install --no-deps --no-build-isolation --use-pep517 "${place[@]}" "$@"
}

# `pip download` into the folder $2; one or two packages are sources, all others are wheels.
pip_download() {
    local python=$1 folder=$2
    shift 2
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --no-build-isolation --use-pep517 --dest "$folder" "$@"
}

# The same by uv where there is one.
install_packages() {
    local python=$1
    shift
    if [[ -n ${UV:-} ]]; then
        "$UV" pip install --quiet --python "$python" --no-deps --no-build-isolation "$@" && return
        echo "uv could not install them; trying pip" >&2
    fi
    pip_install "$python" --quiet "$@"
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
