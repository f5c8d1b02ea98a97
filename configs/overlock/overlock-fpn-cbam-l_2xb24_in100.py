# "Max" for two GPUs of 24 GB, with gradient checkpointing.
_base_ = [
    '../_base_/models/overlock_fpn_cbam_l.py',
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
_base_.param_scheduler[0].end = 8
_base_.param_scheduler[1].begin = 8
auto_scale_lr = dict(base_batch_size=48)
