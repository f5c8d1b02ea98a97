_base_ = '../classifier_overlock.py'

model = dict(backbone=dict(arch='s', drop_path_rate=0.4), head=dict(arch='s'))
