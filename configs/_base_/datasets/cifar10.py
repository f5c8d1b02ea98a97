# CIFAR-10 enlarged to 224², 128 images per GPU. OverLoCK's windows (17, 15, 13 and 7 on maps of 1/4 to
# 1/32) just fit the maps of a 224² image, and its ImageNet weights know that size; at 32² the last map
# would be a single pixel. Augmentation comes before the enlargement, where it costs 49 times less.
dataset_type = 'CIFAR10'
data_root = 'data/cifar10'
num_classes = 10
data_preprocessor = dict(
    num_classes=num_classes,
    mean=[125.307, 122.961, 113.8575],  # RGB, as the files are
    std=[51.5865, 50.847, 51.255],
    to_rgb=False,
)
_enlarge = dict(type='Resize', scale=(224, 224), backend='pillow', interpolation='bicubic')
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(
            pad_val=[round(x) for x in data_preprocessor['mean']], interpolation='bicubic'
        ),
    ),
    _enlarge,
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=data_preprocessor['mean'],
        fill_std=data_preprocessor['std'],
    ),
    dict(type='PackInputs'),
]
test_pipeline = [_enlarge, dict(type='PackInputs')]
_loader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
)
_dataset = dict(type=dataset_type, data_root=data_root, download=False)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=train_pipeline, **_dataset),
    **_loader,
)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline, test_mode=True, **_dataset),
    **_loader,
)
test_dataloader = val_dataloader
