#!/bin/sh
# A Python 3.11 or newer in, .venv/ with everything installed out. Run again after an interruption, it goes on.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# `.venv` may be left over half-made, or from a Python that is gone: then it is made anew.
if ! new_enough .venv/bin/python; then
    for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11 none; do
        new_enough "$python" && break
    done
    [ "$python" != none ] || fail "Python 3.11 or newer is needed, found $(python3 --version 2>/dev/null || echo none); install one, or name it: make PYTHON=/path/to/python3.11"
    echo "Making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 ||
        { rm -rf .venv; fail "$python can't make virtual environments; install its venv module (Debian and Ubuntu: apt install python3-venv)"; }
fi

if uv --version >/dev/null 2>&1; then
    uv=uv
else
    uv=.venv/bin/uv
    [ -x "$uv" ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv ||
        fail "uv can't be installed with pip; is a package index reachable?"
fi

# uv does not read pip's settings: where a machine has its own package folder or index there, uv shall use them too.
setting() {
    python3 -m pip config get "global.$1" 2>/dev/null | tr -s ' \n' ',' | sed 's/^,//; s/,$//' || true
}
UV_FIND_LINKS="${UV_FIND_LINKS:-$(echo "${PIP_FIND_LINKS:-$(setting find-links)}" | tr -s ' \n' ',' | sed 's/^,//; s/,$//')}"
UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(setting index-url)}}"
[ -z "$UV_FIND_LINKS" ] && unset UV_FIND_LINKS || export UV_FIND_LINKS
[ -z "$UV_DEFAULT_INDEX" ] && unset UV_DEFAULT_INDEX || export UV_DEFAULT_INDEX

install() {
    "$uv" pip install --quiet --python .venv/bin/python -c docker/constraints.txt "$@" -e '.[airflow,train,dev]'
}

echo "Installing (a few hundred packages; the first time takes a minute or more)"
# PyPI's torch for Linux brings gigabytes of CUDA. Without an NVIDIA driver `auto` takes the small CPU build from PyTorch's own
# index; a machine with a package folder, an index or a choice of its own is left to that.
if [ -n "${UV_FIND_LINKS:-}${UV_DEFAULT_INDEX:-}${UV_TORCH_BACKEND:-}" ]; then
    install || fail "not everything could be installed; run make again when the cause above is mended"
else
    install --torch-backend=auto || { echo "Trying again without PyTorch's own index"; install; } ||
        fail "not everything could be installed; run make again when the cause above is mended"
fi
