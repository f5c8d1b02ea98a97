"""Export a trained model: python tools/export.py CONFIG CHECKPOINT --format NAME --output FILE."""

import signal
import sys
from pathlib import Path

if __name__ == '__main__' and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules load: no traceback
sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.export import main  # noqa: E402

if __name__ == '__main__':
    main()
