# VOLO on CIFAR-100: 130 epochs, 2 GPUs × 128 images, mixed precision. Rate and warm-up are ours.
_base_ = './adamw_100e.py'

train_cfg = dict(max_epochs=130)
_no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    paramwise_cfg=dict(custom_keys=dict(pos_embed=_no_decay, cls_token=_no_decay)),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=130),
]
auto_scale_lr = dict(base_batch_size=256)
