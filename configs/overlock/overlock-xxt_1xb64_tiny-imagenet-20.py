# The first 20 classes. The rate is ours, the batch and the loss are published.
_base_ = [
    '../_base_/models/overlock/overlock-xxt_cls.py',
    '../_base_/datasets/tiny_imagenet.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/runtimes/mmpretrain.py',
]

num_classes = 20
model = dict(head=dict(num_classes=num_classes))
data_preprocessor = dict(num_classes=num_classes)
train_dataloader = dict(dataset=dict(num_classes=num_classes))
val_dataloader = dict(dataset=dict(num_classes=num_classes))
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=64)
