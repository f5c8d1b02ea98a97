# VOLO at half the CIFAR-100 width learns scanned digits on two CPU cores in about a minute.
_base_ = [
    '../_base_/models/volo_flat.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(head=dict(num_classes=10), train_cfg=None)
train_cfg = dict(max_epochs=15)
_base_.param_scheduler[0].end = 1
_base_.param_scheduler[1].update(begin=1, end=15)
randomness = dict(seed=0)
