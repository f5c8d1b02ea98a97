_base_ = [
    './upernet_overlock-t_finetune.py',
    '../_base_/models/overlock/overlock-b_dense.py',
]

channels = _base_.pop('channels')
model = dict(
    backbone=dict(_base_.pop('backbone'), init_cfg=None, drop_path_rate=0.5),
    decode_head=dict(in_channels=channels),
    auxiliary_head=dict(in_channels=channels[2]),
)
del channels
load_from = (
    'https://github.com/LMMMEng/OverLoCK/releases/download/v1/upernet_overlock_base_ade20k.pth'
)
