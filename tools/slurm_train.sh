#!/usr/bin/env bash
# Train under Slurm:
#
#   GPUS=16 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [ARGUMENTS OF train.py...]
#
# GPUS (8), GPUS_PER_NODE (8, or GPUS if that is less), CPUS_PER_TASK (5) and SRUN_ARGS describe the
# job; PYTHON chooses the interpreter. With REQUEUE=1 a training that Slurm is about to end is saved
# and goes on by itself: in a batch job the job is requeued, else Slurm is asked for another one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"

if [ $# -lt 3 ]; then
    echo 'error: usage: slurm_train.sh PARTITION JOB_NAME CONFIG [ARGUMENTS OF train.py...]' >&2
    exit 2
fi
PARTITION=$1 JOB_NAME=$2 CONFIG=$3
shift 3
case "${REQUEUE:-0}" in
    0) ;;
    1) slurm_again "$TOOLS/train.py" "$CONFIG" --launcher slurm "$@" ;;
    *)
        echo "error: REQUEUE must be 0 or 1, got '$REQUEUE'" >&2
        exit 2
        ;;
esac
slurm "$TOOLS/train.py" "$CONFIG" --launcher slurm "$@"
