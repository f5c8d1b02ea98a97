# Mask2Former with mmseg's data and schedule, for any arch. It has no neck: a leaf adds
#     model = dict(backbone=_base_.pop('backbone'),
#                  decode_head=dict(in_channels=_base_.pop('channels')))
_base_ = 'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py'

custom_imports = dict(
    _delete_=True, imports=['mmoverlock', 'mmdet.models'], allow_failed_imports=False
)
custom_hooks = [dict(type='CheckpointGuard')]
model = dict(backbone=dict(_delete_=True))
sync_bn = 'torch'  # with several GPUs; one process keeps BatchNorm
