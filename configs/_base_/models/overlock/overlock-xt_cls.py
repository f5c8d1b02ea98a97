_base_ = '../classifier_overlock.py'

model = dict(backbone=dict(arch='xt', drop_path_rate=0.1), head=dict(arch='xt'))
