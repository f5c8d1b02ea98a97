# Fine-tunes the authors' ADE20K weights on your own images (docs/guides/finetune.md):
#   python tools/train.py configs/upernet_overlock/upernet_overlock-t_finetune.py --data-root DIR
_base_ = [
    '../_base_/models/upernet_overlock.py',
    '../_base_/models/overlock/overlock-t_dense.py',
    '../_base_/datasets/ade20k_bs2.py',
    '../_base_/schedules/adamw_finetune_dense.py',
    '../_base_/runtimes/mmseg_finetune.py',
]

channels = _base_.pop('channels')
model = dict(
    backbone=dict(_base_.pop('backbone'), init_cfg=None),
    decode_head=dict(in_channels=channels),
    auxiliary_head=dict(in_channels=channels[2]),
)
del channels
train_dataloader = dict(batch_size=4, sampler=dict(type='DefaultSampler', shuffle=True))
load_from = (
    'https://github.com/LMMMEng/OverLoCK/releases/download/v1/upernet_overlock_tiny_ade20k.pth'
)
