_base_ = '../classifier_overlock.py'

model = dict(backbone=dict(arch='t', drop_path_rate=0.15), head=dict(arch='t'))
