"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT --eval bbox segm."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.test import main  # noqa: E402

if __name__ == '__main__':
    main()
