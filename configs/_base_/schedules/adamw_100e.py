# The same for small batches and 100 epochs, without the ten at the last rate.
_base_ = './adamw_300e_bs1024.py'

train_cfg = dict(max_epochs=100)
_base_.param_scheduler[1].end = 100
