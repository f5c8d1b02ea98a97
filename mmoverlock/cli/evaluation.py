"""``mmoverlock test``: which metrics are computed, and on which augmented images."""

from collections.abc import Sequence
from copy import deepcopy

from mmengine.config import Config

from mmoverlock.utils.config import as_list, type_name, walk
from mmoverlock.utils.datasets import leaf_configs
from mmoverlock.utils.errors import shown

# What each evaluator can compute, and the argument that chooses; None where there is no choice.
METRICS = {
    'CocoMetric': ('metric', ('bbox', 'segm', 'proposal', 'proposal_fast')),
    'LVISMetric': ('metric', ('bbox', 'segm', 'proposal', 'proposal_fast')),
    'VOCMetric': ('metric', ('mAP',)),
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

    The accuracy is that of top-1 and top-5 at least. COCO data can be evaluated by VOC's mAP, too.
    """
    evaluators = as_list(cfg.get('test_evaluator'))
    if 'mAP' in names:
        evaluators = _with_voc(cfg, evaluators)
    kinds = [*map(type_name, evaluators)]
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


def _with_voc(cfg: Config, evaluators: list[dict]) -> list[dict]:
    """Add VOCMetric to COCO's, which reads the annotations that the pipeline loads."""
    kinds = [*map(type_name, evaluators)]
    if 'VOCMetric' in kinds or not {'CocoMetric', 'LVISMetric'} & set(kinds):
        return evaluators
    for dataset, _ in leaf_configs(cfg.test_dataloader.dataset):
        steps = [step for _, step in walk(dataset.get('pipeline'))]
        if not any('LoadAnnotations' in type_name(step) for step in steps):
            raise ValueError(
                '--eval mAP needs boxes in the test pipeline: before its last step, insert '
                "dict(type='LoadAnnotations', with_bbox=True)"
            )
    return [*evaluators, dict(type='mmdet.VOCMetric', eval_mode='area')]


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
