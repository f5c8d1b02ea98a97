_base_ = './overlock.py'

model = dict(backbone=dict(arch='xt', drop_path_rate=0.1), head=dict(arch='xt'))
