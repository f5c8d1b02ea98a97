# "Max" for two GPUs of 24 GB, with gradient checkpointing.
_base_ = [
    '../_base_/models/overlock/overlock-fpn-cbam-l_cls.py',
    '../_base_/datasets/imagenet100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

train_dataloader = dict(batch_size=24)
val_dataloader = dict(batch_size=24)
test_dataloader = val_dataloader
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(lr=4e-3),
    clip_grad=dict(max_norm=0.3),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=8, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=8, end=100),
]
auto_scale_lr = dict(base_batch_size=48)
