_base_ = './mask_rcnn_overlock_fpn.py'

model = dict(
    backbone=dict(
        arch='t',
        drop_path_rate=0.2,
        init_cfg=dict(
            checkpoint='https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_t_in1k_224.pth'
        ),
    ),
    neck=dict(in_channels=[64, 128, 384, 640]),
)
