# The small arch, for experiments: hard labels, no drop path.
_base_ = '../classifier_overlock.py'

model = dict(
    backbone=dict(arch='xxt'),
    head=dict(arch='xxt', loss=dict(_delete_=True, type='CrossEntropyLoss')),
    train_cfg=None,
)
