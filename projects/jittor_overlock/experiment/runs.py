"""The folder that train.py leaves, opened by the programs that look at it."""

import argparse
from pathlib import Path

from .data import Data, load
from .learner import FRAMEWORKS, Learner, make

WEIGHTS = 'last.safetensors'


def open_run(title: str) -> tuple[Path, Data, Learner]:
    """Read the command line ``FRAMEWORK RUN --data FILE``: the folder, the data and the learner."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument('framework', choices=FRAMEWORKS)
    parser.add_argument('run', type=Path, help='folder of train.py')
    parser.add_argument('--data', type=Path, required=True, help='file of prepare.py')
    args = parser.parse_args()
    for file in (args.data, args.run / WEIGHTS):
        if not file.is_file():
            parser.error(f'{file}: there is no such file')
    data = load(args.data)
    model = make(args.framework, len(data.classes))
    model.load(args.run / WEIGHTS)
    return args.run, data, model
