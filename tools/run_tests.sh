#!/usr/bin/env bash
# Lint and test from nothing: makes .venv if needed, then runs ruff, import-linter and pytest.
#
#   bash tools/run_tests.sh [--active-env] [PYTEST ARGUMENTS...]
#
# --active-env (or MMOVERLOCK_USE_ACTIVE_ENV=1) installs into the active environment instead of .venv.
# Paths among the arguments start at the repository's folder: bash tools/run_tests.sh tests/ops -x
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

case "${1:-}" in
    --active-env)
        MMOVERLOCK_USE_ACTIVE_ENV=1
        shift
        ;;
    -h | --help)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
        exit
        ;;
esac

run() {
    local name=$1 code=0
    shift
    echo "==> $name"
    "$PYTHON" "$@" || code=$?
    if [ "$code" != 0 ]; then
        echo "run_tests.sh: step '$name' failed" >&2
        exit "$code"
    fi
}

setup_env
cd "$REPO"
run 'ruff check' -m ruff check .
run 'ruff format' -m ruff format --check .
run lint-imports -c 'from importlinter.cli import lint_imports_command as main; main()'
# One test on each core; threads of several processes would wait for each other's cores.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
run pytest -m pytest -n auto --maxprocesses 8 --dist worksteal "$@"
