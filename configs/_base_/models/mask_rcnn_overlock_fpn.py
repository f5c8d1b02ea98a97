_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='OverLoCK',
        arch='t',
        out_indices=(0, 1, 2, 3),
        fuse_overview=True,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
    neck=dict(in_channels=[64, 128, 384, 640]),
)
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
