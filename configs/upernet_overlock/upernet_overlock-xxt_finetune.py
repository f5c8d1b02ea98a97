# The same for small images and a CPU. No weights are published; those of tools/quickstart.sh fit, of
# the segmentor or of the detector's backbone: --cfg-options load_from=FILE.
_base_ = [
    '../_base_/models/upernet_overlock_small.py',
    '../_base_/models/overlock/overlock-xxt_dense.py',
    '../_base_/datasets/ade20k_small.py',
    '../_base_/schedules/adamw_finetune_dense.py',
    '../_base_/runtimes/mmseg_finetune.py',
]

channels = _base_.pop('channels')
model = dict(
    backbone=_base_.pop('backbone'),
    decode_head=dict(in_channels=channels),
    auxiliary_head=dict(in_channels=channels[2]),
)
del channels
train_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=True))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=8)
