_base_ = [
    './mask_rcnn_overlock_t_finetune.py',
    '../_base_/models/overlock/overlock-b_dense.py',
]

model = dict(
    backbone=dict(_base_.pop('backbone'), init_cfg=None),
    neck=dict(in_channels=_base_.pop('channels')),
)
load_from = (
    'https://github.com/LMMMEng/OverLoCK/releases/download/v1/maskrcnn3x_overlock_base_coco.pth'
)
