# Of detectors that are fine-tuned: the last checkpoint and the best one, curves.
_base_ = './mmdet.py'

default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(max_keep_ckpts=1, save_best='coco/segm_mAP', rule='greater'),
)
custom_hooks = [*_base_.custom_hooks, dict(type='DrawCurves')]
