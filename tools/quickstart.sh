#!/usr/bin/env bash
# The main job from nothing, on a CPU: train and evaluate a Mask R-CNN with OverLoCK on embedded data.
#
#   bash tools/quickstart.sh [--active-env]
#
# Makes .venv (or, with --active-env or MMOVERLOCK_USE_ACTIVE_ENV=1, uses the active environment),
# the data under data/ and all results under work_dirs/quickstart/. What is there is used again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

case "${1:-}" in
    '') ;;
    --active-env) MMOVERLOCK_USE_ACTIVE_ENV=1 ;;
    -h | --help)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
        exit
        ;;
    *) fail "unknown argument '$1': --active-env is the only one" ;;
esac

# Of a log's lines, the progress; line by line, also into a pipe, where sed would hold it back.
show_progress() {
    local line train='Iter\(train\) +(\[[^]]*\]).* eta: ([0-9:]+).* loss: ([0-9.]+|nan|inf)'
    local val='Iter\(val\).*bbox_mAP: ([0-9.]+).*segm_mAP: ([0-9.]+)'
    while IFS= read -r line; do
        if [[ $line =~ $train ]]; then
            echo "    ${BASH_REMATCH[1]}  loss ${BASH_REMATCH[3]}  ${BASH_REMATCH[2]} left"
        elif [[ $line =~ $val ]]; then
            echo "    AP box ${BASH_REMATCH[1]}  AP mask ${BASH_REMATCH[2]}"
        fi
    done
}

CONFIG=configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py
OUT=work_dirs/quickstart
started=$SECONDS
setup_env
cd "$REPO"
mkdir -p "$OUT"

step 'make the data set' "$OUT/data.log" "$PYTHON" tools/prepare_data.py digits_scenes

# Training shows its progress. A finished run loads its checkpoint and ends at once.
training=$SECONDS
resume=()
if [ -e "$OUT/last_checkpoint" ]; then resume=(--resume); fi
echo "==> train (log: $OUT/train.log)"
bash tools/dist_train.sh "$CONFIG" 1 --work-dir "$OUT" ${resume[@]+"${resume[@]}"} </dev/null 2>&1 |
    tee "$OUT/train.log" |
    show_progress ||
    { tail -n 15 "$OUT/train.log" >&2; fail "step 'train' failed, see $OUT/train.log"; }

checkpoint=$OUT/$(basename "$(cat "$OUT/last_checkpoint")")
rm -f "$OUT/predictions.pkl" # this script's own, of an earlier run
step 'evaluate' "$OUT/test.log" "$PYTHON" tools/test.py "$CONFIG" "$checkpoint" \
    --eval bbox segm --out "$OUT/predictions.pkl" --work-dir "$OUT"
training=$((SECONDS - training))
step 'draw curves and predictions' "$OUT/draw.log" \
    "$PYTHON" tools/draw_run.py "$OUT" --predictions "$OUT/predictions.pkl"

"$PYTHON" - "$OUT/metrics.json" "$training" $((SECONDS - started)) <<'PY'
import json, sys
metrics = json.load(open(sys.argv[1], encoding="utf-8"))['metrics']
training, total = (int(seconds) / 60 for seconds in sys.argv[2:])
print(f"""
AP box   {metrics['coco/bbox_mAP']:.3f}    AP mask   {metrics['coco/segm_mAP']:.3f}
{total:.1f} minutes, {training:.1f} of them training and testing
""")
PY
cat <<END
Look at   $REPO/$OUT/predictions.png   what it finds in pictures it has not seen
          $REPO/$OUT/curves.png        losses and AP while it trained
Next      bash tools/dist_train.sh configs/maskrcnn_overlock/mask_rcnn_overlock_t_in1k_fpn_1x_coco.py 8
          (COCO under data/coco; README.md says how)
Again     rm -r $OUT && bash tools/quickstart.sh
END
