_base_ = [
    '../_base_/models/mask2former_overlock.py',
    '../_base_/models/overlock/overlock-t_dense.py',
]

model = dict(
    backbone=_base_.pop('backbone'),
    decode_head=dict(in_channels=_base_.pop('channels')),
)
