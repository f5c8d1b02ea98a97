"""Draw what a run did: ``mmoverlock draw WORK_DIR [--predictions FILE.pkl]``."""

import argparse
from functools import partial
from pathlib import Path

from mmengine.registry import DATASETS, DefaultScope

from mmoverlock.datasets.image_bits import KEY
from mmoverlock.runtime.images import read_image
from mmoverlock.utils.config import read_config, require
from mmoverlock.utils.datasets import leaf_dataset
from mmoverlock.utils.registry import find_class
from mmoverlock.visualization.curves import draw_curves
from mmoverlock.visualization.predictions import draw_predictions

from .command import command
from .options import ArgumentParser, add_debug


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('work_dir', help='of a training run')
    parser.add_argument('--predictions', metavar='FILE.pkl', help='file of test --out')
    add_debug(parser)


@command(add_arguments, 'Draw curves.png and predictions.png into a work_dir.')
def main(args: argparse.Namespace) -> None:
    work_dir = Path(args.work_dir)
    draw_curves(work_dir, work_dir / 'curves.png')
    if args.predictions:
        configs = list(work_dir.glob('*.py'))
        if len(configs) != 1:
            raise ValueError(f"'{work_dir}' holds {len(configs)} configs, one is needed")
        cfg = read_config(configs[0])
        require(cfg, 'test_dataloader')
        dataset = leaf_dataset(cfg.test_dataloader.dataset)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            known = getattr(find_class(DATASETS, dataset), 'METAINFO', {})
        meta = {**known, **dataset.get('metainfo', {})}
        if not meta.get('classes'):
            raise ValueError(f"config '{configs[0]}': test_dataloader.dataset names no classes")
        picture = work_dir / 'predictions.png'
        read = partial(read_image, bits=cfg.get(KEY) or 16)  # what was tested can be drawn
        draw_predictions(args.predictions, meta['classes'], picture, meta.get('palette'), read)
