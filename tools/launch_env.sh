# Sourced by dist_*.sh and slurm_*.sh: finds the tools, the interpreter and the package.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$TOOLS")

if [ -z "${PYTHON:-}" ]; then
    PYTHON=$(command -v python || echo python3)
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$ROOT/.venv/bin/python" ]; then
        PYTHON=$ROOT/.venv/bin/python
    fi
fi
if ! "$PYTHON" -c 'from importlib.util import find_spec as f; exit(not (f("torch") and f("mmengine")))'; then
    echo "error: $PYTHON has no PyTorch or no MMEngine: activate your environment or set PYTHON" >&2
    exit 2
fi
if [ -f "$ROOT/mmoverlock/__init__.py" ]; then # a clone, installed or not
    export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
fi

# Run a tool in one process per GPU of a Slurm job called $JOB_NAME in $PARTITION.
slurm() {
    srun_command
    exec "${SRUN[@]}" "$PYTHON" -u "$@"
}

# The same for a training, started again when a signal has stopped it and it is saved: exit code 75.
slurm_again() {
    local code stopped='' state
    srun_command --signal=USR1@120
    trap 'stopped=1' HUP INT TERM # the user's own, to this script: not again
    trap : USR1 USR2
    while :; do
        code=0
        "${SRUN[@]}" "$PYTHON" -u "$@" --auto-resume || code=$?
        if [ "$code" != 75 ] || [ -n "$stopped" ]; then
            exit "$code"
        fi
        if [ -n "${SLURM_JOB_ID:-}" ]; then
            break
        fi
        echo 'REQUEUE: the training is saved, asking Slurm for another job' >&2
    done
    state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2>/dev/null) || state=''
    if [ "${state:-RUNNING}" != RUNNING ]; then # scancel, or Slurm requeues it by itself
        echo "REQUEUE: job $SLURM_JOB_ID is $state and not requeued from here" >&2
    elif scontrol requeue "$SLURM_JOB_ID"; then
        echo "REQUEUE: the training is saved, job $SLURM_JOB_ID is requeued" >&2
    else
        echo "error: job $SLURM_JOB_ID cannot be requeued: start it again, it is saved" >&2
    fi
    exit "$code"
}

# Set SRUN to the srun command, with the given options added.
srun_command() {
    local gpus=${GPUS:-8} per_node
    if ! [[ $gpus =~ ^[1-9][0-9]*$ ]]; then
        echo "error: GPUS must be a number of at least 1, got '$gpus'" >&2
        exit 2
    fi
    per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
    if ! command -v srun >/dev/null; then
        echo 'error: srun is not found: this is no Slurm machine, use dist_*.sh' >&2
        exit 2
    fi
    # shellcheck disable=SC2206  # SRUN_ARGS is a list
    SRUN=(srun -p "$PARTITION" --job-name="$JOB_NAME" --gres="gpu:$per_node" --ntasks="$gpus"
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1
        "$@" ${SRUN_ARGS:-})
}
