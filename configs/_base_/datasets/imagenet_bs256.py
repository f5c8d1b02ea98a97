# ImageNet-1K at 224², 256 images per GPU, with the recipe's augmentations. --cfg-options data_root=PATH
# moves every loader. The test crop is 0.95 of the short side; a leaf takes another one by
#     val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipelines.crop_975))  # or crop_925
#     test_dataloader = val_dataloader
dataset_type = 'ImageNet'
data_root = 'data/imagenet'
num_classes = 1000
data_preprocessor = dict(
    num_classes=num_classes,
    mean=[123.675, 116.28, 103.53],  # RGB
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # files are read as BGR
)
_bgr_mean = data_preprocessor['mean'][::-1]
_bgr_std = data_preprocessor['std'][::-1]
_bicubic = dict(backend='pillow', interpolation='bicubic')

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, **_bicubic),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',  # timm's rand-m9-mstd0.5-inc1
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[round(x) for x in _bgr_mean], interpolation='bicubic'),
    ),
    dict(
        type='RandomErasing',  # timm's pixel mode: normal noise for each pixel
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=_bgr_mean,
        fill_std=_bgr_std,
    ),
    dict(type='PackInputs'),
]
test_pipelines = {
    f'crop_{1000 * crop:.0f}': [
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=int(224 / crop), edge='short', **_bicubic),
        dict(type='CenterCrop', crop_size=224),
        dict(type='PackInputs'),
    ]
    for crop in (0.925, 0.95, 0.975)
}
test_pipeline = test_pipelines['crop_950']
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type, data_root=data_root, split='val', pipeline=test_pipeline, test_mode=True
    ),
)
test_dataloader = val_dataloader
