# Semantic FPN on ADE20K for any arch; a leaf adds one as it does to mask-rcnn_overlock_fpn.py.
_base_ = 'mmseg::_base_/models/fpn_r50.py'

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    pretrained=None,
    backbone=dict(_delete_=True, contiguous=False),
    decode_head=dict(num_classes=150),
)
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
