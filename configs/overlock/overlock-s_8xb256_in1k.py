_base_ = [
    '../_base_/models/overlock/overlock-s_cls.py',
    '../_base_/datasets/imagenet_bs256.py',
    '../_base_/schedules/adamw_300e.py',
    '../_base_/runtimes/mmpretrain_ema.py',
]
