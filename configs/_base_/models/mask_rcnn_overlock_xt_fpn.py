_base_ = './mask_rcnn_overlock_fpn.py'

model = dict(
    backbone=dict(
        arch='xt',
        drop_path_rate=0.1,  # not published for xt: the ImageNet rate
        init_cfg=dict(
            checkpoint='https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_xt_in1k_224.pth'
        ),
    ),
    neck=dict(in_channels=[56, 112, 340, 420]),
)
