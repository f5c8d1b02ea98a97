"""Draw what a run did: python tools/draw_run.py WORK_DIR [--predictions FILE.pkl]."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmengine.config import Config  # noqa: E402

from mmoverlock.analysis.curves import draw_curves  # noqa: E402
from mmoverlock.analysis.predictions import draw_predictions  # noqa: E402
from mmoverlock.engine import cli  # noqa: E402


def parse_args(argv: Sequence[str]):
    parser = cli.ArgumentParser(description='Draw curves.png and predictions.png into a work_dir.')
    parser.add_argument('work_dir', help='of a training run')
    parser.add_argument('--predictions', metavar='FILE.pkl', help='file of tools/test.py --out')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


@cli.command
def main(argv: Sequence[str]) -> None:
    args = parse_args(argv)
    work_dir = Path(args.work_dir)
    draw_curves(work_dir, work_dir / 'curves.png')
    if args.predictions:
        configs = list(work_dir.glob('*.py'))
        if len(configs) != 1:
            raise ValueError(f"'{work_dir}' holds {len(configs)} configs, one is needed")
        dataset = Config.fromfile(configs[0]).test_dataloader.dataset
        draw_predictions(
            args.predictions, dataset.metainfo['classes'], work_dir / 'predictions.png'
        )


if __name__ == '__main__':
    main()
