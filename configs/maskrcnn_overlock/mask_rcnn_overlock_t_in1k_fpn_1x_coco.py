_base_ = [
    '../_base_/models/mask_rcnn_overlock_t_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    '../_base_/schedules/adamw_1x.py',
    '../_base_/runtimes/mmdet.py',
]
