_base_ = [
    '../_base_/models/upernet_overlock.py',
    '../_base_/models/overlock/overlock-xt_dense.py',
    '../_base_/datasets/ade20k_bs2.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/runtimes/mmseg.py',
]

channels = _base_.pop('channels')
model = dict(
    backbone=_base_.pop('backbone'),
    decode_head=dict(in_channels=channels),
    auxiliary_head=dict(in_channels=channels[2]),
)
del channels
