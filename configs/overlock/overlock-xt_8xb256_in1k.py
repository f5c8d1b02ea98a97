_base_ = [
    '../_base_/models/overlock_xt.py',
    '../_base_/datasets/imagenet_bs256.py',
    '../_base_/schedules/adamw_300e.py',
    '../_base_/runtimes/mmpretrain_ema.py',
]

# Test crop 0.925.
_base_.val_dataloader.dataset.pipeline[1].scale = 242
_base_.test_dataloader.dataset.pipeline[1].scale = 242
