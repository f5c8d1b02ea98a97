# timm's VOLO-D1, so that its weights load: --cfg-options load_from=FILE. The paper trains with token
# labels besides, which are not here. There is no moving average: EMAHook cannot wrap TimmClassifier.
_base_ = [
    '../_base_/datasets/imagenet_bs256.py',
    '../_base_/schedules/adamw_300e_bs1024.py',
    '../_base_/runtimes/mmpretrain.py',
]

model = dict(
    type='TimmClassifier',
    model_name='volo_d1_224',
    pretrained=False,
    num_classes=1000,
    drop_path_rate=0.1,
    loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader
