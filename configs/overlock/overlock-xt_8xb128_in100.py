_base_ = [
    '../_base_/models/overlock/overlock-xt_cls.py',
    '../_base_/datasets/imagenet100.py',
    '../_base_/schedules/adamw_300e_bs1024.py',
    '../_base_/runtimes/mmpretrain_ema.py',
]

model = dict(head=dict(num_classes=100))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipelines.crop_925))
test_dataloader = val_dataloader
