# Classification: the last checkpoint and the best one, a table of the epochs, curves.
_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(imports=['mmoverlock'], allow_failed_imports=False)
# ImageGuard skips unreadable images in training, EpochTable writes epochs.csv, DrawCurves curves.png.
custom_hooks = [
    dict(type='CheckpointGuard'),
    dict(type='FiniteLossGuard'),
    dict(type='ImageGuard'),
    dict(type='EpochTable'),
    dict(type='DrawCurves'),
]
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='accuracy/top1', rule='greater'),
)
val_evaluator = [dict(type='Accuracy', topk=(1, 5)), dict(type='ValLoss')]
test_evaluator = val_evaluator
tta_model = dict(type='AverageClsScoreTTA')  # of the image and its mirror image
