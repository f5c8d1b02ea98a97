# Trains from random weights on two CPU cores in about three minutes.
_base_ = [
    '../_base_/models/mask-rcnn_overlock_fpn_small.py',
    '../_base_/models/overlock/overlock-xxt_dense.py',
    '../_base_/datasets/digits_scenes.py',
    '../_base_/schedules/adamw_1x.py',
    '../_base_/runtimes/mmdet.py',
]

model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.pop('channels')),
    roi_head=dict(bbox_head=dict(num_classes=10), mask_head=dict(num_classes=10)),
)

# A schedule of iterations instead of epochs.
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=260, val_interval=70)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=20, end=260),
]
optim_wrapper = dict(optimizer=dict(lr=1.5e-3), clip_grad=dict(max_norm=10))
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=70, max_keep_ckpts=1),
)
auto_scale_lr = dict(base_batch_size=8)
log_processor = dict(window_size=10, by_epoch=False)
randomness = dict(seed=0)
