# The same for 8 GPUs × 128 images: half the rate, from the same 1e-6 on.
_base_ = './adamw_300e.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
_base_.param_scheduler[0].start_factor = 1e-3
auto_scale_lr = dict(base_batch_size=1024)
