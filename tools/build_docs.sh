#!/usr/bin/env bash
# Build the documentation from nothing: makes .venv if needed, then work_dirs/site with MkDocs.
#
#   bash tools/build_docs.sh [--active-env] [MKDOCS ARGUMENTS...]
#
# A dead link or an unresolved reference fails the build. Nothing is fetched.
# --active-env (or MMOVERLOCK_USE_ACTIVE_ENV=1) installs into the active environment instead of .venv.
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

setup_env
cd "$REPO"
echo '==> build the documentation'
# Material advertises on every build otherwise.
NO_MKDOCS_2_WARNING=1 "$PYTHON" -m mkdocs build --strict --clean "$@" ||
    fail 'the documentation cannot be built'
echo "==> open $REPO/work_dirs/site/index.html"
