_base_ = [
    './faster-rcnn_overlock-t_finetune.py',
    '../_base_/models/overlock/overlock-s_dense.py',
]

model = dict(
    backbone=dict(_base_.pop('backbone'), init_cfg=None),
    neck=dict(in_channels=_base_.pop('channels')),
)
load_from = (
    'https://github.com/LMMMEng/OverLoCK/releases/download/v1/maskrcnn3x_overlock_small_coco.pth'
)
