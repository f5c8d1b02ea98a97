#!/usr/bin/env bash
# The Jittor port from nothing: parity with PyTorch, then both trained on digits, and pictures of both.
#
#   bash projects/jittor_overlock/run.sh [OUT]
#
# PyTorch's side has the repository's .venv, Jittor's has .venv here: Jittor needs an older NumPy. What
# is in OUT (work_dirs/jittor_overlock) is used again. EPOCHS (10) is read from the environment.
set -euo pipefail
HERE=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../tools/setup_env.sh"

case "${1:-}" in
    -h | --help)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
        exit
        ;;
    -*) fail "unknown argument '$1': the only one is a folder" ;;
esac
[ $# -le 1 ] || fail "too many arguments: $*"
command -v g++ >/dev/null || fail 'no g++ here, with which Jittor compiles (Debian, Ubuntu: apt install g++)'

OUT=$(mkdir -p "${1:-$REPO/work_dirs/jittor_overlock}" && cd "${1:-$REPO/work_dirs/jittor_overlock}" && pwd)
base=${PYTHON:-python3}
setup_env
cd "$HERE"
JITTOR=$HERE/.venv/bin/python
if ! "$JITTOR" -c 'import scipy_openblas32, safetensors' 2>/dev/null; then
    step "make Jittor's .venv" "$OUT/setup.log" "$base" -m venv --clear "$HERE/.venv"
    step 'install Jittor' "$OUT/setup.log" "$JITTOR" -m pip install -r "$HERE/requirements.txt"
fi
# Jittor would download oneDNN, and look for CUDA; see README.md.
export use_mkl=${use_mkl:-0} nvcc_path=${nvcc_path:-} log_silent=1 OMP_WAIT_POLICY=PASSIVE
export MMOVERLOCK_BACKEND=${MMOVERLOCK_BACKEND:-reference}
step 'compile Jittor: three minutes the first time' "$OUT/compile.log" "$JITTOR" -c 'import jittor'

step "PyTorch's results" "$OUT/parity.log" "$PYTHON" parity_reference.py "$OUT/parity"
step "Jittor's results, in the first run compiled for minutes" "$OUT/parity.md" "$JITTOR" parity.py "$OUT/parity"
grep '|' "$OUT/parity.md"

[ -e "$OUT/digits.npz" ] || step 'data' "$OUT/data.log" "$PYTHON" prepare.py digits --out "$OUT/digits.npz"

# train NAME PYTHON ARGUMENTS...
train() {
    local name=$1
    shift
    [ ! -e "$OUT/$name/last.safetensors" ] || return 0
    rm -rf "${OUT:?}/$name"
    step "train: $name" "$OUT/$name.log" "$@" --data "$OUT/digits.npz" --out "$OUT/$name" --epochs "${EPOCHS:-10}"
}
start=(--weights "$OUT/pytorch/initial.safetensors")
train pytorch "$PYTHON" train.py pytorch
train pytorch-1-thread env OMP_NUM_THREADS=1 "$PYTHON" train.py pytorch "${start[@]}"
train pytorch-numba env MMOVERLOCK_BACKEND=numba "$PYTHON" train.py pytorch "${start[@]}"
train jittor "$JITTOR" train.py jittor "${start[@]}"
for name in pytorch jittor; do
    python=$PYTHON
    [ $name = pytorch ] || python=$JITTOR
    for program in erf gradcam; do
        step "$program: $name" "$OUT/$program-$name.log" "$python" $program.py $name "$OUT/$name" --data "$OUT/digits.npz"
    done
done
step 'draw' "$OUT/draw.log" "$PYTHON" plot.py "$OUT/pytorch" "$OUT/pytorch-1-thread" "$OUT/jittor" --data "$OUT/digits.npz" --out "$OUT"
"$PYTHON" compare.py "$OUT/pytorch" "$OUT/pytorch-1-thread" "$OUT/pytorch-numba" "$OUT/jittor" | tee "$OUT/alignment.md"
echo "Look at $OUT/curves.png, erf.png and gradcam.png"
