# ADE20K's annotations for small images: 160 pixels, 8 images a step.
_base_ = 'mmseg::_base_/datasets/ade20k.py'

_resize = dict(type='Resize', scale=(160, 160), keep_ratio=True)
_labels = dict(type='LoadAnnotations', reduce_zero_label=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    _labels,
    _resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    _resize,
    dict(type='ResizeToMultiple', size_divisor=32),
    _labels,
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
