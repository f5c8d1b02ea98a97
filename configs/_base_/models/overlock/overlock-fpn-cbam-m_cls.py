# ImageNet-100 on workstations, "optimal": 64.79 M parameters. All levels of the pyramid are pooled, put
# side by side and classified by one hidden layer. c5 holds the overview, as there is no auxiliary head.
# The drop path is the arch's, the recipe gives none.
_base_ = './overlock-s_dense.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(_base_.pop('backbone'), fuse_overview=True, init_cfg=None),
    neck=[
        dict(type='CBAMFPN', in_channels=_base_.pop('channels'), out_channels=384, reduction=48),
        dict(type='ConcatPooling'),
    ],
    head=dict(
        type='StackedLinearClsHead',
        num_classes=100,
        in_channels=4 * 384,
        mid_channels=[4 * 384],
        loss=dict(type='CrossEntropyLoss'),
    ),
)
