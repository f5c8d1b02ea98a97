#!/usr/bin/env bash
# Evaluate under Slurm:
#
#   GPUS=8 bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [ARGUMENTS OF test.py...]
#
# GPUS (8), GPUS_PER_NODE (8, or GPUS if that is less), CPUS_PER_TASK (5) and SRUN_ARGS describe the
# job; PYTHON chooses the interpreter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"

if [ $# -lt 4 ]; then
    echo 'error: usage: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [ARGUMENTS OF test.py...]' >&2
    exit 2
fi
PARTITION=$1 JOB_NAME=$2 CONFIG=$3 CHECKPOINT=$4
shift 4
slurm "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher slurm "$@"
