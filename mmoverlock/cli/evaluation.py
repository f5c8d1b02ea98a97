"""``mmoverlock test``: which metrics and augmentations, where predictions go, and the result."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import print_log

from mmoverlock.utils.config import as_list
from mmoverlock.utils.datasets import leaf_configs
from mmoverlock.utils.errors import shown

# What each evaluator can compute, and the argument that chooses; None where there is no choice.
METRICS = {
    'CocoMetric': ('metric', ('bbox', 'segm', 'proposal', 'proposal_fast')),
    'LVISMetric': ('metric', ('bbox', 'segm', 'proposal', 'proposal_fast')),
    'IoUMetric': ('iou_metrics', ('mIoU', 'mDice', 'mFscore')),
    'Accuracy': (None, ('accuracy',)),
    'ValLoss': (None, ('cross_entropy',)),
    'SingleLabelMetric': ('items', ('precision', 'recall', 'f1-score', 'support')),
}

# What merges the predictions for augmented images, where the config does not say.
TTA_MODELS = {
    'mmdet': dict(
        type='DetTTAModel',
        tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
    ),
    'mmseg': dict(type='SegTTAModel'),
    'mmpretrain': dict(type='AverageClsScoreTTA'),
}


def set_metrics(cfg: Config, names: Sequence[str]) -> None:
    """Let the evaluators compute exactly the metrics `names`; ValueError if none of them can.

    The accuracy is that of top-1 and top-5 at least.
    """
    evaluators = as_list(cfg.get('test_evaluator'))
    kinds = [str(evaluator.get('type')).rpartition('.')[2] for evaluator in evaluators]
    allowed = [name for kind in kinds for name in METRICS.get(kind, (None, ()))[1]]
    for name in names:
        if name not in allowed:
            can = shown(allowed) if allowed else 'no choice'
            raise ValueError(
                f"--eval: {shown(kinds) or 'the config'} cannot evaluate '{name}'; allowed: {can}"
            )
    chosen = []
    for kind, evaluator in zip(kinds, evaluators, strict=True):
        argument, can = METRICS.get(kind, (None, ()))
        mine = [name for name in dict.fromkeys(names) if name in can]
        if not mine:
            continue
        if argument:
            evaluator[argument] = mine
        if kind == 'Accuracy':
            evaluator['topk'] = _usual_topk(cfg, evaluator.get('topk', 1))
        chosen.append(evaluator)
    cfg.test_evaluator = chosen


def _usual_topk(cfg: Config, given: int | Sequence[int]) -> tuple[int, ...]:
    """What is given, top-1 and, of five classes or more, top-5."""
    head = (cfg.get('model') or {}).get('head') or {}
    usual = (1, 5) if head.get('num_classes', 0) >= 5 else (1,)
    return tuple(sorted({*([given] if isinstance(given, int) else given), *usual}))


def set_tta(cfg: Config) -> None:
    """Test on augmented images, as the config's ``tta_model`` and ``tta_pipeline`` say.

    By default the image and its mirror image are used, as in the libraries' own tools. Of a
    detector's masks, which mmdet cannot merge, the head is left out.
    """
    tta_model = cfg.get('tta_model') or TTA_MODELS.get(cfg.get('default_scope'))
    if tta_model is None:
        raise ValueError(f"--tta: config '{cfg.filename}' has no tta_model")
    if cfg.get('default_scope') == 'mmdet':
        if any('segm' in (one.get('metric') or ()) for one in as_list(cfg.get('test_evaluator'))):
            raise ValueError('--tta: mmdet merges boxes, not masks: choose --eval bbox')
        roi_head = cfg.model.get('roi_head') or {}
        if roi_head.get('mask_head'):
            roi_head.mask_head = roi_head.mask_roi_extractor = None
    for dataset, _ in leaf_configs(cfg.test_dataloader.dataset):
        dataset.pipeline = cfg.get('tta_pipeline') or _with_flip(dataset.pipeline)
    cfg.model = dict(**tta_model, module=cfg.model)


def _with_flip(pipeline: Sequence[dict]) -> list[dict]:
    """The pipeline for the image and its mirror image; its last step packs them."""
    *steps, pack = deepcopy(list(pipeline))
    if 'meta_keys' in pack:
        pack['meta_keys'] = tuple(dict.fromkeys([*pack['meta_keys'], 'flip', 'flip_direction']))
    flips = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
    return [*steps, dict(type='TestTimeAug', transforms=[flips, [pack]])]


def set_output(cfg: Config, path: str) -> None:
    """Write the predictions to the new pickle file `path`; masks are run-length encoded."""
    if Path(path).suffix not in ('.pkl', '.pickle'):
        raise ValueError(f"--out: '{path}' does not end in .pkl or .pickle")
    if Path(path).exists():
        raise ValueError(f"--out: '{path}' exists, choose another name or remove it")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"--out: the folder of '{path}' does not exist")
    kind = 'mmdet.DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
    dump = dict(type=kind, out_file_path=path)
    cfg.test_evaluator = [*as_list(cfg.get('test_evaluator')), dump]


def set_pictures(cfg: Config, folder: str) -> None:
    """Draw every test picture with its predictions into the empty or new `folder`."""
    if cfg.launcher != 'none':  # only the first process would draw its pictures
        raise ValueError('--show-dir works in one process only: python tools/test.py ...')
    path = Path(folder).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"--show-dir: '{folder}' is not an empty folder")
    drawing = {
        'mmdet': dict(type='DetVisualizationHook', draw=True, test_out_dir=str(path)),
        'mmseg': dict(type='SegVisualizationHook', draw=True, interval=1),
        'mmpretrain': dict(type='VisualizationHook', enable=True, interval=1, out_dir=str(path)),
    }
    scope = cfg.get('default_scope')
    if scope not in drawing:
        raise ValueError(f"--show-dir: default_scope '{scope}' is none of {shown(drawing)}")
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
def write_metrics(cfg: Config, metrics: Mapping[str, Any], folder: str) -> None:
    """Log the metrics, one a line, and write them to ``metrics.json`` in `folder`."""
    path = Path(folder, 'metrics.json')
    numbers = {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float)) or getattr(value, 'size', 0) == 1
    }
    result = dict(config=cfg.filename, checkpoint=cfg.load_from, metrics=numbers)
    path.write_text(json.dumps(result, indent=2) + '\n')
    table = '\n'.join(f'  {name:<28} {value:.4f}' for name, value in numbers.items())
    print_log(f'results of {cfg.load_from} (in {path}):\n{table}', logger='current')
