# Trains from random weights on two CPU cores in about five minutes.
_base_ = [
    '../_base_/models/upernet_overlock_small.py',
    '../_base_/models/overlock/overlock-xxt_dense.py',
    '../_base_/datasets/digits_scenes_semantic.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/runtimes/mmseg.py',
]

# Nine pixels of ten are background, which counts less, or nothing else would be learned.
channels = _base_.pop('channels')
_head = dict(num_classes=11, loss_decode=dict(class_weight=[0.2] + [1.0] * 10))
model = dict(
    backbone=_base_.pop('backbone'),
    decode_head=dict(in_channels=channels, **_head),
    auxiliary_head=dict(in_channels=channels[2], **_head),
)
del channels

train_cfg = dict(max_iters=550, val_interval=275)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=20, end=550),
]
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3, betas=(0.9, 0.99)), clip_grad=dict(_delete_=True, max_norm=10)
)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=275, max_keep_ckpts=1),
)
log_processor = dict(window_size=10)
randomness = dict(seed=0)
