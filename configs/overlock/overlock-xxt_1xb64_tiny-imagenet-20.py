# The first 20 classes. The rate is ours, the batch and the loss are published.
_base_ = [
    '../_base_/models/overlock_xxt.py',
    '../_base_/datasets/tiny_imagenet.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(head=dict(num_classes=20))
num_classes = 20
auto_scale_lr = dict(base_batch_size=64)
