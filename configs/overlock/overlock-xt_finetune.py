# Published weights, turned to your own pictures (docs/finetune.md):
#   python tools/train.py configs/overlock/overlock-xt_finetune.py --data-root DIR --num-classes N
_base_ = [
    '../_base_/datasets/class_folder.py',
    '../_base_/schedules/adamw_finetune.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(type='OverLoCK', arch='xt', drop_path_rate=0.1),
    head=dict(
        type='OverLoCKHead',
        arch='xt',
        num_classes=1000,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    ),
)
default_hooks = dict(logger=dict(interval=10))
load_from = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_xt_in1k_224.pth'
