"""Draw what a run did: python tools/draw_run.py WORK_DIR [--predictions FILE.pkl]."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.draw import main  # noqa: E402

if __name__ == '__main__':
    main()
