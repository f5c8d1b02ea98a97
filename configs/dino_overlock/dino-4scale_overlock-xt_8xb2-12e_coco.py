_base_ = [
    '../_base_/models/dino-4scale_overlock.py',
    '../_base_/models/overlock/overlock-xt_dense.py',
]

backbone = dict(_base_.pop('backbone'), out_indices=(1, 2, 3))
model = dict(backbone=backbone, neck=dict(in_channels=_base_.pop('channels')[1:]))
del backbone
