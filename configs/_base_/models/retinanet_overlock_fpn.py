# RetinaNet for any arch; a leaf adds one as it does to mask-rcnn_overlock_fpn.py.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(backbone=dict(_delete_=True, fuse_overview=True, contiguous=False))
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
