# Trains from random weights on two CPU cores in about three minutes.
_base_ = [
    '../_base_/models/mask-rcnn_overlock_fpn.py',
    '../_base_/models/overlock/overlock-xxt_dense.py',
    '../_base_/datasets/digits_scenes.py',
    '../_base_/schedules/adamw_1x.py',
    '../_base_/runtimes/mmdet.py',
]

# The COCO model at a quarter of its width, with fewer proposals and one sample per RoIAlign bin; boxes
# and masks are refined alike for all classes, which a thousand pictures teach better.
model = dict(
    backbone=_base_.pop('backbone'),
    neck=dict(in_channels=_base_.pop('channels'), out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=1)),
        bbox_head=dict(
            in_channels=64, fc_out_channels=256, num_classes=10, reg_class_agnostic=True
        ),
        mask_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=1)),
        mask_head=dict(
            num_convs=2,
            in_channels=64,
            conv_out_channels=64,
            num_classes=10,
            class_agnostic=True,
        ),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=150), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100), rcnn=dict(max_per_img=20)),
)

# A schedule of iterations instead of epochs.
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=260, val_interval=70)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=20, end=260),
]
optim_wrapper = dict(optimizer=dict(lr=1.5e-3), clip_grad=dict(max_norm=10))
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=70, max_keep_ckpts=1),
)
log_processor = dict(window_size=10, by_epoch=False)
randomness = dict(seed=0)
