# Multi-scale training: either a resize, or a resize, a crop and a resize.
_base_ = './coco_instance.py'

_scales = [(short, 1333) for short in range(480, 801, 32)]
_resize = dict(type='RandomChoiceResize', scales=_scales, keep_ratio=True)
_crop = [
    dict(
        type='RandomChoiceResize', scales=[(400, 1333), (500, 1333), (600, 1333)], keep_ratio=True
    ),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=(384, 600),
        allow_negative_crop=True,
    ),
    _resize,
]
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomChoice', transforms=[[_resize], _crop]),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
