#!/usr/bin/env bash
# `make lock`: writes requirements/*.txt anew. Arguments: packages of which newer versions are wanted, or `all`.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/packages.sh"
SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$SOURCE"

alone
get_uv .venv/bin/python
[[ -n $UV ]] || die "needs uv, which could not be fetched"
upgrade=()
[[ $# == 0 ]] || upgrade=(--upgrade "$@")
[[ ${1:-} != all ]] || upgrade=(--upgrade)
.venv/bin/python scripts/lock.py --uv "$UV" "${upgrade[@]}"
