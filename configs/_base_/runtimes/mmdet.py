_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckpointGuard')]
tta_model = dict(
    type='DetTTAModel',  # merges boxes, not masks
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
