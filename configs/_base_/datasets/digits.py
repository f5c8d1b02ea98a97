# The embedded digits, 8² scans enlarged to 32². Digits are not to be mirrored.
dataset_type = 'Digits'
num_classes = 10
data_preprocessor = dict(num_classes=num_classes, mean=[77.8] * 3, std=[95.9] * 3, to_rgb=False)
_enlarge = dict(type='Resize', scale=(32, 32), backend='pillow', interpolation='bicubic')
train_pipeline = [
    _enlarge,
    dict(type='RandomCrop', crop_size=32, padding=3),
    dict(type='PackInputs'),
]
test_pipeline = [_enlarge, dict(type='PackInputs')]
tta_pipeline = [
    dict(
        type='TestTimeAug',
        transforms=[[_enlarge, dict(_enlarge, scale=(40, 40))], [dict(type='PackInputs')]],
    )
]
_loader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, split='train', pipeline=train_pipeline),
    **_loader,
)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, split='val', pipeline=test_pipeline, test_mode=True),
    **_loader,
)
test_dataloader = val_dataloader
