"""Lay out or verify a data set, or look at your own: python tools/prepare_data.py NAME|DIR."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.prepare import main  # noqa: E402

if __name__ == '__main__':
    main()
