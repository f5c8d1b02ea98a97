"""tools/quickstart.sh, with stand-ins for what takes time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from .user import TOOLS

LINES = [
    '11/29 - mmengine - INFO - Iter(train) [ 10/600]  lr: 1e-3  eta: 0:05:00  time: 0.5  loss: 1.25  loss_cls: 0.5',
    '11/29 - mmengine - INFO - Iter(val) [50/50]  coco/bbox_mAP: 0.1230  coco/segm_mAP: 0.0450  time: 1.0',
]  # fmt: skip
TRAIN = """
for line in {lines}; do echo "$line"; done
echo 'something else'
for _ in $(seq 100); do
    if [ -e go ]; then echo 'iter_1.pth' >work_dirs/quickstart/last_checkpoint; exit; fi
    sleep 0.1
done
exit 1
"""
PYTHON = """#!/bin/sh
case "$*" in
    *sys.executable*) echo "$0" ;;
    *sys.prefix,*|*sys.prefix}}*|*version_info*) exec {python} "$@" ;;
    *sys.prefix*) echo "{folder}" ;;
    *pip*|*prepare_data*|*test.py*|*draw_run*) ;;
    *) exec {python} "$@" ;;
esac
"""


@pytest.mark.skipif(not shutil.which('bash'), reason='bash is not installed')
def test_progress_goes_through_a_pipe_at_once(tmp_path):
    out = tmp_path / 'work_dirs/quickstart'
    out.mkdir(parents=True)
    (tmp_path / 'tools').mkdir()
    for name in ('quickstart.sh', 'setup_env.sh'):
        shutil.copy(TOOLS / name, tmp_path / 'tools')
    for name in ('setup.py', 'pyproject.toml', 'model-index.yml'):
        (tmp_path / name).touch()
    quoted = ' '.join(f"'{line}'" for line in LINES)
    (tmp_path / 'tools/dist_train.sh').write_text(TRAIN.format(lines=quoted))
    python = tmp_path / 'python'
    python.write_text(PYTHON.format(python=sys.executable, folder=tmp_path))
    python.chmod(0o755)
    metrics = {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.4}
    (out / 'metrics.json').write_text(json.dumps(dict(metrics=metrics)))
    program = subprocess.Popen(
        ['bash', 'tools/quickstart.sh', '--active-env'], cwd=tmp_path, text=True,
        env={'PATH': '/usr/bin:/bin', 'PYTHON': str(python)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = []
    with program.stdout as lines:
        for line in lines:
            printed.append(line.rstrip())
            if 'AP mask 0.0450' in line:  # training still runs, and waits for this
                (tmp_path / 'go').touch()
    assert program.wait() == 0, '\n'.join(printed)
    assert '    [ 10/600]  loss 1.25  0:05:00 left' in printed
    assert '    AP box 0.1230  AP mask 0.0450' in printed
    assert 'something else' not in printed
