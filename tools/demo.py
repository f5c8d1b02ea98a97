"""Show on a local web page what a model finds: python tools/demo.py CONFIG CHECKPOINT."""

import signal
import sys
from pathlib import Path

if __name__ == '__main__' and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules load: no traceback
sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.cli.demo import main  # noqa: E402

if __name__ == '__main__':
    main()
