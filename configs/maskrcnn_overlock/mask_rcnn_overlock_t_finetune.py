# Fine-tunes the authors' COCO weights on your own images (docs/guides/finetune.md):
#   python tools/train.py configs/maskrcnn_overlock/mask_rcnn_overlock_t_finetune.py --data-root DIR
_base_ = [
    '../_base_/models/mask-rcnn_overlock_fpn.py',
    '../_base_/models/overlock/overlock-t_dense.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_finetune_dense.py',
    '../_base_/runtimes/mmdet_finetune.py',
]

model = dict(
    backbone=dict(_base_.pop('backbone'), init_cfg=None),
    neck=dict(in_channels=_base_.pop('channels')),
)
train_dataloader = dict(batch_size=4)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EMAHook', momentum=0.02, priority='ABOVE_NORMAL'),  # of some 50 steps
]
load_from = (
    'https://github.com/LMMMEng/OverLoCK/releases/download/v1/maskrcnn3x_overlock_tiny_coco.pth'
)
