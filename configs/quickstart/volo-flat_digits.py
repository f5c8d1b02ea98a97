# A small flat VOLO learns scanned digits from random weights on two CPU cores in a minute and a half.
_base_ = [
    '../_base_/models/volo_flat.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, dims=(96,), outlookers=(1,), transformers=(3,), heads=(6,)),
        drop_path_rate=0.0,
    ),
    head=dict(num_classes=10, in_channels=96),
    train_cfg=None,
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
train_cfg = dict(max_epochs=14)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=1, end=14),
]
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(logger=dict(interval=10))
randomness = dict(seed=0)
