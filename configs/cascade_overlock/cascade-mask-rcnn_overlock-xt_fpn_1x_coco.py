_base_ = [
    '../_base_/models/cascade-mask-rcnn_overlock_fpn.py',
    '../_base_/models/overlock/overlock-xt_dense.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_1x.py',
    '../_base_/runtimes/mmdet.py',
]

model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
