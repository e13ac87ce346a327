# shellcheck shell=bash disable=SC2154 # the variables are install.sh's
# How install.sh makes a release: a venv with this checkout's version in it, and the files that go with it.
# Sourced by install.sh, never run. Touches nothing that is in use.

check_python() {
    local python
    python=$(find_python ensurepip venv) || {
        python=$(find_python) || die "${PYTHON:-python3} is missing or older than 3.11; give another with PYTHON="
        die "$python cannot make a venv; run: apt-get install python3-venv"
    }
    PYTHON=$python
}

# The services run as users of their own, and see no homes (ProtectHome=).
check_reach() {
    [ "$SCOPE" = system ] || return 0
    local place
    place=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $place in
        /root/* | /home/* | /run/user/*) die "$PYTHON lies in $place, out of the services' reach; give another with PYTHON=" ;;
    esac
}

# What a release is made of, in a few letters: the same sources and options make the same release.
release_name() {
    local version hash
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$SOURCE/pyproject.toml")
    hash=$(cd "$SOURCE" && find bridge healthcheck systemd docs/config.example.toml pyproject.toml requirements \
        scripts/*install* scripts/packages.sh scripts/scan_bridge_restart.sh -type f ! -name '*.pyc' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | cat - <(echo "$PREFIX $SERVICE_USER $PREFECT $("$PYTHON" -V)") | sha256sum)
    echo "$version-${hash:0:12}"
}

# Build release $1 (a path) completely, or leave nothing behind.
build_release() {
    # Whatever is put aside meanwhile, by pip too, lies beside the release: the next installation removes what is left
    # there by one that was killed.
    local release=$1
    local -x TMPDIR=$1.tmp
    local sources=$TMPDIR/sources
    say "building $release (a minute or two)"
    # shellcheck disable=SC2064  # the values of now are meant
    trap "rm -rf '$TMPDIR' '$release'" EXIT
    rm -rf "$TMPDIR"
    mkdir -p "$sources"
    # A copy, so that the build leaves nothing in the checkout; readable by all, whatever its umask was.
    tar -C "$SOURCE" --exclude=__pycache__ --mode=u=rwX,go=rX -cf - bridge healthcheck systemd docs pyproject.toml README.md LICENSE |
        tar -xf - -C "$sources" --no-same-owner
    mkdir -p "${release%/*}"
    "$PYTHON" -m venv --without-pip "$release"
    get_pip "$release/bin/python" "$TMPDIR/pip"
    local -x PYTHONPATH=$TMPDIR/pip
    fill "$release/bin/python" "$sources" >&2 ||
        die "the new version could not be built; what was installed before is untouched"
    prune "$release"
    install -m 755 "$SOURCE/scripts/scan_bridge_restart.sh" "$release/bin/"
    render "$sources" "$release/share/scan-bridge"
    if [ -n "$DESTDIR" ]; then
        # The scripts name the Python they were made with: it will be elsewhere.
        grep -rlI --null -F "$DESTDIR" "$release/bin" "$release/pyvenv.cfg" | xargs -0 -r sed -i "s|$DESTDIR||g"
    fi
    # They name the copy of the sources, which is gone, and its time.
    rm -f "$release"/lib/python3.*/site-packages/scan_bridge-*.dist-info/{direct_url,uv_cache}.json
    compile_all "$release"
    rm -rf "$TMPDIR"
    trap - EXIT
}

# Into the Python $1: the project from its sources $2, which may not build, then the locked packages. Nothing is
# resolved.
fill() {
    # Its cache is where the release is: what is there need not be copied.
    local -x UV_CACHE_DIR=$TMPDIR/uv-cache
    get_uv "$1" "$TMPDIR/uv"
    install_packages "$1" --require-hashes --requirement "$SOURCE/requirements/build.txt" || return 1
    install_packages "$1" "$2" || return 1
    install_locked "$1" "$(lock_in_use)" || return 1
    check_packages "$1"
}

# Remove from release $1 what built it, and of pyarrow what no program here uses: a quarter of the whole.
prune() {
    local packages pyarrow
    packages=$(echo "$1"/lib/python3.*/site-packages)
    pyarrow=$packages/pyarrow
    rm -rf "$packages"/{setuptools,pkg_resources,_distutils_hack,wheel} "$packages"/{setuptools,wheel}-*.dist-info
    rm -f "$packages/distutils-precedence.pth" "$1"/bin/wheel*
    # Other things link the rest of its libraries. Arrow Flight, S3; the headers, sources and tests.
    rm -rf "$pyarrow"/{_flight,libarrow_flight,libarrow_python_flight,_s3fs,libarrow_s3}.* \
        "$pyarrow"/{include,includes,src,tests} "$pyarrow"/*.{pyx,pxi,pxd}
    # A wheel has no links: each library is in it by all of its names.
    local library
    for library in "$pyarrow"/*.so.[0-9]*.*.*; do
        [ -e "$library" ] || continue
        ln -f "$library" "${library%.*.*}"
        ln -f "$library" "${library%%.so.*}.so"
    done
}

# Which of requirements/*.txt an installation has.
lock_in_use() {
    if [ "$PREFECT" = no ]; then echo runtime; else echo prefect; fi
}

# Download what a release is made of into the folder WHEELS, for hosts like this one without a network.
do_wheels() {
    local folder venv
    check_python
    [ -n "${WHEELS:-}" ] || die "say where to: make wheels WHEELS=DIR"
    folder=$WHEELS WHEELS='' venv=$(mktemp -d)
    # shellcheck disable=SC2064  # the value of now is meant
    trap "rm -rf '$venv'" EXIT
    mkdir -p "$folder"
    "$PYTHON" -m venv --without-pip "$venv"
    get_pip "$venv/bin/python" "$venv/pip"
    local -x PYTHONPATH=$venv/pip
    # A package that comes as source is asked for its metadata by the locked setuptools.
    { install_packages "$venv/bin/python" --require-hashes --requirement "$SOURCE/requirements/build.txt" &&
        in_batches build pip_download "$venv/bin/python" "$folder" &&
        in_batches prefect pip_download "$venv/bin/python" "$folder"; } ||
        die "not everything could be downloaded; the reason is above"
    in_batches uv pip_download "$venv/bin/python" "$folder" || say "no uv for this host: there it will be pip that installs them"
    say "on a host with $("$PYTHON" -V) and without a network, from this checkout: sudo make install WHEELS=$(printf %q "$folder")"
}

# Ahead of time, because the services cannot write here. What they never import stays as it is; some packages carry
# files for newer Pythons, which do not compile. What venv compiled would name DESTDIR, so it is made anew.
compile_all() {
    find "$1/lib" -name __pycache__ -prune -exec rm -rf {} +
    "$1/bin/python" -B -m compileall -q -j 0 -x '/(pip|tests)/' -s "$DESTDIR" -p / "$1/lib" >/dev/null || true
}

# The units and other files of the sources $1, with this installation's paths and users, into $2.
render() {
    local sources=$1 share=$2
    mkdir -p "$share/units"
    cp "$sources/docs/config.example.toml" "$share/"
    if [ "$SCOPE" = user ]; then
        local unit
        for unit in "$sources"/systemd/*.service "$sources"/systemd/*.timer; do
            awk -f "$sources/systemd/user.awk" "$unit" >"$share/units/${unit##*/}"
        done
        [ "$PREFECT" = yes ] || rm "$share/units/dolphin-scan-bridge-prefect.service"
        sed -f "$sources/systemd/named.sed" "$sources/systemd/dolphin-scan-bridge.service" |
            awk -f "$sources/systemd/user.awk" -v unit=dolphin-scan-bridge@NAME >"$share/units/dolphin-scan-bridge@.service"
        sed -i "s|%h/.local/opt/scan-bridge|$PREFIX|g" "$share"/units/*
        return
    fi
    cp "$sources"/systemd/*.service "$sources"/systemd/*.timer "$share/units/"
    sed -f "$sources/systemd/named.sed" "$sources/systemd/dolphin-scan-bridge.service" \
        >"$share/units/dolphin-scan-bridge@.service"
    [ "$PREFECT" = yes ] || rm "$share/units/dolphin-scan-bridge-prefect.service"
    cp -r "$sources/systemd/dropins" "$share/"
    cp "$sources/systemd/sysusers.conf" "$sources/systemd/polkit.rules" "$share/"
    [ "$SERVICE_USER" = dolphin ] || sed -i '/^u  *dolphin /d' "$share/sysusers.conf"
    sed -i -e "s|/opt/scan-bridge|$PREFIX|g" -e "s/^User=dolphin$/User=$SERVICE_USER/" \
        -e "s/^Group=dolphin$/Group=$SERVICE_GROUP/" \
        -e "s/^SupplementaryGroups=dolphin /SupplementaryGroups=$SERVICE_GROUP /" "$share"/units/*
}
