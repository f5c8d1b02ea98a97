"""Time a config's model on random images: python tools/benchmark.py CONFIG [--train]."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.benchmark import main  # noqa: E402

if __name__ == '__main__':
    main()
