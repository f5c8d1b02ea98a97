# ImageNet-100 on workstations, "optimal": 64.79 M parameters. All levels of the pyramid are pooled, put
# side by side and classified by one hidden layer. c5 holds the overview, as there is no auxiliary head.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='OverLoCK',
        arch='s',
        out_indices=(0, 1, 2, 3),
        fuse_overview=True,
        drop_path_rate=0.4,  # not in the recipe: the arch's ImageNet rate
    ),
    neck=[
        dict(type='CBAMFPN', in_channels=[64, 128, 448, 640], out_channels=384, reduction=48),
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
