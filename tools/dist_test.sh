#!/usr/bin/env bash
# Evaluate on several GPUs, or in several processes on a machine without one:
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [ARGUMENTS OF test.py...]
#
# Several nodes: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set. PYTHON chooses
# the interpreter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"

if [ $# -lt 3 ]; then
    echo 'error: usage: dist_test.sh CONFIG CHECKPOINT GPUS [ARGUMENTS OF test.py...]' >&2
    exit 2
fi
CONFIG=$1 CHECKPOINT=$2 GPUS=$3
shift 3
exec "$PYTHON" -m mmoverlock.cli.launch "$GPUS" "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" \
    --launcher pytorch "$@"
