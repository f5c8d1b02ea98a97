# Mask R-CNN for small images and a CPU; a leaf adds an arch as it does to mask-rcnn_overlock_fpn.py.
_base_ = './mask-rcnn_overlock_fpn.py'

# The COCO model at a quarter of its width, with fewer proposals and one sample per RoIAlign bin; boxes
# and masks are refined alike for all classes, which a thousand pictures teach better.
model = dict(
    neck=dict(out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=1)),
        bbox_head=dict(in_channels=64, fc_out_channels=256, reg_class_agnostic=True),
        mask_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=1)),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, class_agnostic=True),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=150), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100), rcnn=dict(max_per_img=20)),
)
