_base_ = [
    '../_base_/models/volo_flat.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_130e.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(backbone=dict(pooling='cls'))
