# CIFAR-100 at its own 32², 128 images per GPU. A tenth of the training images, always the same, is held
# out for validation, so that the best checkpoint is not chosen on the test images.
dataset_type = 'CIFAR100'
data_root = 'data/cifar100'
num_classes = 100
data_preprocessor = dict(
    num_classes=num_classes,
    mean=[129.304, 124.070, 112.434],  # RGB, as the files are
    std=[68.170, 65.392, 70.418],
    to_rgb=False,
)
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]
_loader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
)
_dataset = dict(type=dataset_type, data_root=data_root, download=False)
_fold = dict(type='KFoldDataset', num_splits=10, fold=0, seed=0)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        dataset=dict(split='train', pipeline=train_pipeline, **_dataset), test_mode=False, **_fold
    ),
    **_loader,
)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        dataset=dict(split='train', pipeline=test_pipeline, **_dataset), test_mode=True, **_fold
    ),
    **_loader,
)
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline, test_mode=True, **_dataset),
    **_loader,
)
