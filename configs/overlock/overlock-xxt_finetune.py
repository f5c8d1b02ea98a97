# The same for small pictures and experiments; no weights are published: --cfg-options load_from=FILE.
_base_ = './overlock-xt_finetune.py'

model = dict(backbone=dict(arch='xxt', drop_path_rate=0.0), head=dict(arch='xxt'))
load_from = None
_base_.train_dataloader.dataset.pipeline[1].update(scale=64, crop_ratio_range=(0.5, 1.0))
_base_.val_dataloader.dataset.pipeline[1].scale = 64
_base_.val_dataloader.dataset.pipeline[2].crop_size = 64
_base_.test_dataloader.dataset.pipeline[1].scale = 64
_base_.test_dataloader.dataset.pipeline[2].crop_size = 64
