_base_ = './volo_flat.py'

model = dict(backbone=dict(arch='pyramid', downsample='map'), head=dict(in_channels=384))
