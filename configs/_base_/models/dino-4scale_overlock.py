# DINO with mmdet's data and schedule, for any arch. It takes three maps: a leaf adds
#     backbone = dict(_base_.pop('backbone'), out_indices=(1, 2, 3))
#     model = dict(backbone=backbone, neck=dict(in_channels=_base_.pop('channels')[1:]))
_base_ = 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'

custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckpointGuard')]
model = dict(backbone=dict(_delete_=True, fuse_overview=True, contiguous=False))
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
