_base_ = [
    '../_base_/models/overlock_b.py',
    '../_base_/datasets/imagenet100.py',
    '../_base_/schedules/adamw_300e_bs1024.py',
    '../_base_/runtimes/mmpretrain_ema.py',
]

model = dict(head=dict(num_classes=100))

# Test crop 0.975.
_base_.val_dataloader.dataset.pipeline[1].scale = 229
_base_.test_dataloader.dataset.pipeline[1].scale = 229
