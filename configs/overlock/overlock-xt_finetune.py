# Fine-tunes the published weights on your own pictures (docs/guides/finetune.md):
#   python tools/train.py configs/overlock/overlock-xt_finetune.py --data-root DIR --num-classes N
_base_ = [
    '../_base_/models/overlock/overlock-xt_cls.py',
    '../_base_/datasets/class_folder.py',
    '../_base_/schedules/adamw_finetune.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(train_cfg=None)  # labels are not mixed
default_hooks = dict(logger=dict(interval=10))
load_from = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_xt_in1k_224.pth'
