# Sourced by run_tests.sh, build_docs.sh and quickstart.sh; it prepares the Python environment that they use.
#
#   source tools/setup_env.sh
#   setup_env                       # makes .venv and installs mmoverlock there, unless that is done
#   step 'make the data' LOG CMD... # runs CMD with its output in LOG; stops with a clear word if it fails
#
# After `setup_env`, PYTHON is the environment's interpreter, its commands come first in PATH, and
# REPO is the repository's folder. Read before: PYTHON (the interpreter that makes .venv, else
# python3) and MMOVERLOCK_USE_ACTIVE_ENV=1 (install into the active environment instead).

REPO=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

step() {
    local name=$1 log=$2
    shift 2
    mkdir -p "$(dirname "$log")"
    echo "==> $name (log: $log)"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        echo "--- the last lines of $log:" >&2
        tail -n 15 "$log" >&2
        fail "step '$name' failed, see $log"
    fi
}

# What the installation depends on, as one hash: where the checkout is, and what it asks for.
setup_fingerprint() {
    "$PYTHON" - "$REPO" <<'PY'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
names = [root / name for name in ('setup.py', 'pyproject.toml', 'model-index.yml')]
names += sorted((root / 'requirements').glob('*.txt'))
digest = hashlib.sha256(f'{root} {sys.prefix} {sys.version}'.encode())
for name in names:
    digest.update(name.read_bytes())
print(digest.hexdigest())
PY
}

setup_env() {
    local base=${PYTHON:-python3} fingerprint stamp
    command -v "$base" >/dev/null || fail "no '$base' here: install Python 3.10 or newer, or set PYTHON to one"
    if [ "${MMOVERLOCK_USE_ACTIVE_ENV:-0}" = 1 ]; then
        PYTHON=$base
    else
        PYTHON=$REPO/.venv/bin/python
        if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
            require_python "$base"
            "$base" -c 'import venv, ensurepip' 2>/dev/null || fail "$base cannot make virtual environments:" \
                "install its venv module (Debian, Ubuntu: apt install python3-venv) or use --active-env"
            step 'make .venv' "$REPO/work_dirs/setup.log" "$base" -m venv --clear "$REPO/.venv"
        fi
    fi
    require_python "$PYTHON"
    PYTHON=$("$PYTHON" -c 'import sys; print(sys.executable)')
    PATH=$(dirname "$PYTHON"):$PATH
    export PYTHON PATH

    fingerprint=$(setup_fingerprint)
    stamp=$("$PYTHON" -c 'import sys; print(sys.prefix)')/.mmoverlock-setup
    if [ -e "$REPO/mmoverlock/.mim/model-index.yml" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; then
        echo "==> setup: $(dirname "$(dirname "$PYTHON")") is up to date"
        return
    fi
    echo '==> setup: the first time takes a few minutes, and about 6 GB on Linux'
    step 'install mmoverlock' "$REPO/work_dirs/setup.log" \
        "$PYTHON" -m pip install -e "$REPO[all,tests,docs,demo]" -c "$REPO/requirements/constraints.txt"
    # An environment may be read-only but for the user's own folder: then the next run asks pip again.
    [ ! -w "$(dirname "$stamp")" ] || echo "$fingerprint" >"$stamp"
}

require_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$1" --version 2>&1) is too old: Python 3.10 or newer is needed, set PYTHON to one"
}
