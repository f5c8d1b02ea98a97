# Tiny-ImageNet at its own 64², 64 images per GPU. Its first 20 classes (Tiny-ImageNet-20):
#     --cfg-options num_classes=20
dataset_type = 'TinyImageNet'
data_root = 'data/tiny-imagenet'
num_classes = 200
data_preprocessor = dict(
    num_classes=num_classes,
    mean=[123.675, 116.28, 103.53],  # RGB, of ImageNet
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # files are read as BGR
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=64, padding=8, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
_dataset = dict(type=dataset_type, data_root=data_root, num_classes=num_classes)
_loader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=train_pipeline, **_dataset),
    **_loader,
)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline=test_pipeline, test_mode=True, **_dataset),
    **_loader,
)
test_dataloader = val_dataloader
