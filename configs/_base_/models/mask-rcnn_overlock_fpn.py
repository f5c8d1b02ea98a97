# Mask R-CNN for any arch. A leaf adds overlock/overlock-ARCH_dense.py to its bases and takes from it
#     model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(backbone=dict(_delete_=True, fuse_overview=True, contiguous=False))
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
