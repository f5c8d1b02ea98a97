# 160,000 iterations, 8 GPUs × 2 images.
_base_ = 'mmseg::_base_/schedules/schedule_160k.py'

optim_wrapper = dict(
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(
        _delete_=True, type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True
    ),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=160000),
]
train_cfg = dict(val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000, save_best='mIoU'))
auto_scale_lr = dict(enable=False, base_batch_size=16)
