_base_ = [
    '../_base_/models/overlock/overlock-xt_cls.py',
    '../_base_/datasets/imagenet_bs256.py',
    '../_base_/schedules/adamw_300e.py',
    '../_base_/runtimes/mmpretrain_ema.py',
]

val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipelines.crop_925))
test_dataloader = val_dataloader
