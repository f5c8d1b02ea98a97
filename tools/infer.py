"""Show what a model finds in pictures: python tools/infer.py CONFIG CHECKPOINT IMAGE..."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.infer import main  # noqa: E402

if __name__ == '__main__':
    main()
