# Sizes for CIFAR-100. Half of the batches are mixed, by either augmentation with even odds.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VOLO', arch='flat', pooling='mean', img_size=32, patch_size=4, drop_path_rate=0.1
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=192,
        loss=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(
        augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)],
        probs=[0.25, 0.25],
    ),
)
