"""``mmoverlock test``: the run, and what it writes: predictions, pictures, metrics."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.evaluator import DumpResults
from mmengine.logging import print_log
from rich.cells import cell_len

from mmoverlock.datasets.image_bits import KEY
from mmoverlock.engine.class_metrics import ClasswiseMetric, Rows, class_table
from mmoverlock.engine.predictions import CocoPredictions, LabelMaps, dump_whole
from mmoverlock.engine.runner import build_runner
from mmoverlock.runtime.images import read_image
from mmoverlock.utils.config import as_list
from mmoverlock.utils.datasets import leaf_configs, leaf_datasets
from mmoverlock.utils.errors import shown
from mmoverlock.utils.files import write_whole
from mmoverlock.utils.json import dumps
from mmoverlock.visualization.library_drawing import adapt, folders_of

SCORE_THR = 0.5  # of pseudo-labels


def run_test(
    cfg: Config,
    classwise: bool = False,
    results: str | None = None,
    pseudo_labels: str | None = None,
    score_thr: float | None = None,
    drawn: bool = False,
) -> tuple[dict[str, Any], Rows]:
    """Test, and return the metrics and, if asked for, the rows of the classes.

    Args:
        cfg: Of the run.
        classwise: Keep the figures of each class. The config's ``classwise=True`` asks for it, too.
        results: New JSON file of a detector's predictions.
        pseudo_labels: New JSON file or folder of the predictions as annotations.
        score_thr: Least score of these.
        drawn: Whether the pictures are drawn, see :func:`set_pictures`.
    """
    runner = build_runner(cfg, strict=True)
    metrics, dataset = runner.test_loop.evaluator.metrics, runner.test_loop.dataloader.dataset
    for metric in metrics:
        if isinstance(metric, DumpResults):
            dump_whole(metric)
    if classwise or any(one.get('classwise') for one in as_list(cfg.get('test_evaluator'))):
        metrics[:] = map(ClasswiseMetric, metrics)
    if pseudo_labels and cfg.default_scope == 'mmseg':
        metrics.append(LabelMaps(dataset, pseudo_labels))
    elif results or pseudo_labels:
        thr = SCORE_THR if score_thr is None else score_thr
        metrics.append(CocoPredictions(dataset, results, pseudo_labels, thr))
    if drawn:
        files = [path for one in leaf_datasets(dataset) for path in image_paths(one)]
        read = partial(read_image, bits=cfg[KEY]) if cfg.get(KEY) else None
        adapt(runner.visualizer, folders_of(files), read)
    return runner.test(), class_table(metrics)


def image_paths(dataset: Any) -> Iterator[str]:
    """The image files of a data set that is built; none of one that holds arrays."""
    if hasattr(dataset, 'get_data_info'):
        for index in range(len(dataset)):
            path = dataset.get_data_info(index).get('img_path')
            if path:
                yield path


def set_output(cfg: Config, path: str) -> None:
    """Write the predictions to the new pickle file `path`.

    Masks are run-length encoded, a segmentor's logits left out.
    """
    if Path(path).suffix not in ('.pkl', '.pickle'):
        raise ValueError(f"--out: '{path}' does not end in .pkl or .pickle, or in .json")
    check_new_file('--out', path)
    kinds = dict(mmdet='mmdet.DumpDetResults', mmseg='DumpLabelMaps')
    dump = dict(type=kinds.get(cfg.get('default_scope'), 'DumpResults'), out_file_path=path)
    cfg.test_evaluator = [*as_list(cfg.get('test_evaluator')), dump]


def check_results(cfg: Config, path: str) -> None:
    """Raise ValueError if COCO's predictions cannot be written to `path`."""
    if cfg.get('default_scope') != 'mmdet':
        raise ValueError(f"--out: '{path}' is for detectors of mmdet: use .pkl")
    _check_one_dataset(cfg, '--out')
    check_new_file('--out', path)


def check_pseudo_labels(cfg: Config, path: str, score_thr: float | None) -> None:
    """Raise ValueError if pseudo-labels cannot be written to `path`."""
    scope = cfg.get('default_scope')
    if scope not in ('mmdet', 'mmseg'):
        raise ValueError('--pseudo-labels is for detectors of mmdet and segmentors of mmseg')
    _check_one_dataset(cfg, '--pseudo-labels')
    if scope == 'mmseg':
        if score_thr is not None:
            raise ValueError("--score-thr is for detectors: a segmentor's label maps are complete")
        check_new_folder('--pseudo-labels', path)
        return
    if Path(path).suffix != '.json':
        raise ValueError(f"--pseudo-labels: '{path}' does not end in .json")
    if not 0 <= (score_thr or 0) <= 1:
        raise ValueError(f'--score-thr {score_thr}: a score from 0 to 1 is needed')
    check_new_file('--pseudo-labels', path)


def _check_one_dataset(cfg: Config, option: str) -> None:
    """Several data sets have each their own ids."""
    number = len(list(leaf_configs(cfg.test_dataloader.dataset)))
    if number > 1:
        raise ValueError(f'{option} needs one test data set, the config has {number}')


def check_new_file(option: str, path: str | Path) -> None:
    if Path(path).exists():
        raise ValueError(f"{option}: '{path}' exists, choose another name or remove it")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{option}: the folder of '{path}' does not exist")


def check_new_folder(option: str, path: str) -> None:
    if Path(path).exists() and (not Path(path).is_dir() or any(Path(path).iterdir())):
        raise ValueError(f"{option}: '{path}' is not an empty folder")


def set_pictures(cfg: Config, folder: str) -> None:
    """Draw every test picture with its predictions into the empty or new `folder`.

    Pictures of equal names go into folders like their own.
    """
    if cfg.launcher != 'none':  # only the first process would draw its pictures
        raise ValueError('--show-dir works in one process only: python tools/test.py ...')
    check_new_folder('--show-dir', folder)
    path = Path(folder).absolute()
    drawing = {
        'mmdet': dict(type='DetVisualizationHook', draw=True, test_out_dir=str(path)),
        'mmseg': dict(type='SegVisualizationHook', draw=True, interval=1),
        'mmpretrain': dict(type='VisualizationHook', enable=True, interval=1, out_dir=str(path)),
    }
    scope = cfg.get('default_scope')
    if scope not in drawing:
        raise ValueError(f"--show-dir: default_scope '{scope}' is none of {shown(drawing)}")
    if scope == 'mmpretrain' and 'module' in cfg.model:  # its hook takes one view of an image
        raise ValueError('--show-dir: mmpretrain cannot draw with --tta: leave out one of the two')
    if scope == 'mmpretrain':
        cfg.visualizer = cfg.get('visualizer') or dict(type='UniversalVisualizer')
    elif scope == 'mmseg':
        visualizer = cfg.get('visualizer') or dict(type='SegLocalVisualizer')
        where = dict(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(path))
        cfg.visualizer = {**visualizer, **where}
    hooks = cfg.get('default_hooks') or {}
    own = hooks.get('visualization') or {}
    kind = own.get('type', drawing[scope]['type'])
    cfg.default_hooks = {**hooks, 'visualization': {**own, **drawing[scope], 'type': kind}}


@master_only
def write_metrics(cfg: Config, metrics: Mapping[str, Any], classes: Rows, folder: str) -> None:
    """Log the metrics, and the table of the classes, and write both to ``metrics.json``.

    JSON has no NaN and no infinity: they are null there. So is the -1 by which COCO's evaluation
    says that there is no ground truth, of a class or of a size. Lists and arrays are lists.
    """
    path = Path(folder, 'metrics.json')
    numbers = {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float)) or getattr(value, 'size', 0) == 1
    }
    found = {name: None if _no_truth(name, value) else value for name, value in metrics.items()}
    found |= {name: value for name, value in numbers.items() if found[name] is not None}
    result = dict(config=cfg.filename, checkpoint=cfg.load_from, metrics=found)
    if classes:
        result['classes'] = classes
    write_whole(path, (dumps(result, indent=2) + '\n').encode())
    table = '\n'.join(f'  {name:<28} {value:.4f}' for name, value in numbers.items())
    if classes:
        table += '\n' + aligned(classes)
    print_log(f'results of {cfg.load_from} (in {path}):\n{table}', logger='current')


def _no_truth(name: str, value: Any) -> bool:
    """Whether this is an AP or AR of COCO's evaluation where there is nothing to find."""
    coco = re.search(r'(^|/)((bbox|segm|proposal)_mAP|AR_?[sml]?@)', name)
    return bool(coco) and np.ndim(value) == 0 and value == -1


def _cell(value: float | int | None) -> str:
    if value is None:
        return '-'
    return f'{value:.4f}' if isinstance(value, float) else str(value)


def aligned(rows: Rows) -> str:
    """The rows below their headings; of what a row does not have, a dash."""
    cells = [list(rows[0])]
    for row in rows:
        name, *values = row.values()
        cells.append([name, *map(_cell, values)])
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for name, *values in cells:
        pads = [
            ' ' * (width - cell_len(v)) for v, width in zip([name, *values], widths, strict=True)
        ]
        numbers = (pad + value for pad, value in zip(pads[1:], values, strict=True))
        lines.append('  '.join([f'  {name}{pads[0]}', *numbers]))
    return '\n'.join(lines)
