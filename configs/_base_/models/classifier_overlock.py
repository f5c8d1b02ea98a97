# Classifier of the ImageNet-1K recipe; arch and drop path follow in overlock/overlock-ARCH_cls.py. Labels
# are mixed in every batch, by either augmentation with even odds, and then smoothed.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='OverLoCK'),
    head=dict(
        type='OverLoCKHead',
        num_classes=1000,
        aux_weight=0.4,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
