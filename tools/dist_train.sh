#!/usr/bin/env bash
# Train on several GPUs, or in several processes on a machine without one:
#
#   bash tools/dist_train.sh CONFIG GPUS [ARGUMENTS OF train.py...]
#
# Several nodes: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set. PYTHON chooses
# the interpreter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"

if [ $# -lt 2 ]; then
    echo 'error: usage: dist_train.sh CONFIG GPUS [ARGUMENTS OF train.py...]' >&2
    exit 2
fi
CONFIG=$1 GPUS=$2
shift 2
exec "$PYTHON" -m mmoverlock.cli.launch "$GPUS" "$TOOLS/train.py" "$CONFIG" --launcher pytorch "$@"
