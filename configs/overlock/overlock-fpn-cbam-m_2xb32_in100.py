# "Optimal" for two GPUs of 24 GB. The number of epochs is ours.
_base_ = [
    '../_base_/models/overlock/overlock-fpn-cbam-m_cls.py',
    '../_base_/datasets/imagenet100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = val_dataloader
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(lr=4e-3),
    clip_grad=dict(max_norm=0.5),
)
auto_scale_lr = dict(base_batch_size=64)
