#!/usr/bin/env bash
# Train under Slurm:
#
#   GPUS=16 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [ARGUMENTS OF train.py...]
#
# GPUS (8), GPUS_PER_NODE (8, or GPUS if that is less), CPUS_PER_TASK (5) and SRUN_ARGS describe the
# job; PYTHON chooses the interpreter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"

if [ $# -lt 3 ]; then
    echo 'error: usage: slurm_train.sh PARTITION JOB_NAME CONFIG [ARGUMENTS OF train.py...]' >&2
    exit 2
fi
PARTITION=$1 JOB_NAME=$2 CONFIG=$3
shift 3
slurm "$TOOLS/train.py" "$CONFIG" --launcher slurm "$@"
