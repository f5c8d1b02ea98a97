# Learns scanned digits from random weights on two CPU cores in a minute and a half.
_base_ = [
    '../_base_/models/overlock/overlock-xxt_cls.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(head=dict(num_classes=10))
train_cfg = dict(max_epochs=9)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=1, end=9),
]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(logger=dict(interval=10))
randomness = dict(seed=0)
