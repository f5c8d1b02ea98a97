_base_ = [
    '../_base_/models/mask_rcnn_overlock_fpn.py',
    '../_base_/datasets/coco_instance_3x.py',
    '../_base_/schedules/adamw_3x.py',
    '../_base_/runtimes/mmdet.py',
]

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
