# Rate and number of epochs are ours: 1e-3 per 1024 images, as on ImageNet.
_base_ = [
    '../_base_/models/overlock/overlock-xt_cls.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(head=dict(num_classes=10))
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
auto_scale_lr = dict(base_batch_size=256)
