_base_ = [
    '../_base_/models/mask_rcnn_overlock_s_fpn.py',
    '../_base_/datasets/coco_instance_3x.py',
    '../_base_/schedules/adamw_3x.py',
    '../_base_/runtimes/mmdet.py',
]
