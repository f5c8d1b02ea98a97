_base_ = '../classifier_overlock.py'

model = dict(backbone=dict(arch='b', drop_path_rate=0.5), head=dict(arch='b'))
