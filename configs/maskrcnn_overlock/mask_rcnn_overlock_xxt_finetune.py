# The same for small images and a CPU, without a moving average. No weights are published; those of
# tools/quickstart.sh fit: --cfg-options load_from=FILE.
_base_ = [
    '../_base_/models/mask-rcnn_overlock_fpn_small.py',
    '../_base_/models/overlock/overlock-xxt_dense.py',
    '../_base_/datasets/coco_instance_small.py',
    '../_base_/schedules/adamw_finetune_dense.py',
    '../_base_/runtimes/mmdet_finetune.py',
]

model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=8)
