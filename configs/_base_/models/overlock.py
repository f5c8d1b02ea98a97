# Classifier of the ImageNet-1K recipe, but for the drop path, which goes with the arch. Labels are mixed
# in every batch, by either augmentation with even odds, and then smoothed.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='OverLoCK', arch='t'),
    head=dict(
        type='OverLoCKHead',
        arch='t',
        num_classes=1000,
        aux_weight=0.4,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
