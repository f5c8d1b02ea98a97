# Detectors and segmentors: 36 epochs from trained weights, 4 images a step.
_base_ = './adamw_finetune.py'

train_cfg = dict(max_epochs=36)
auto_scale_lr = dict(base_batch_size=4)
