_base_ = [
    '../_base_/models/retinanet_overlock_fpn.py',
    '../_base_/models/overlock/overlock-t_dense.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../_base_/schedules/adamw_1x.py',
    '../_base_/runtimes/mmdet.py',
]

model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
