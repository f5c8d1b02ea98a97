# The same with a moving average of the weights, which is evaluated (published: decay 0.9999).
_base_ = './mmpretrain.py'

custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', momentum=1e-4, priority='ABOVE_NORMAL')]
