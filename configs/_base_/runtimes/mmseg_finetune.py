# Of segmentors that are fine-tuned, by epochs: the last checkpoint and the best one, curves.
_base_ = './mmseg.py'

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10),
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='mIoU', rule='greater'
    ),
    visualization=dict(type='SegVisualizationHook'),
)
custom_hooks = [*_base_.custom_hooks, dict(type='DrawCurves')]
log_processor = dict(by_epoch=True)
