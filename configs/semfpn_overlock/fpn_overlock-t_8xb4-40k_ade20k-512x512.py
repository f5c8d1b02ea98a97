_base_ = [
    '../_base_/models/fpn_overlock.py',
    '../_base_/models/overlock/overlock-t_dense.py',
    'mmseg::_base_/datasets/ade20k.py',
    '../_base_/schedules/adamw_40k.py',
    '../_base_/runtimes/mmseg.py',
]

model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
