# For the authors' files with merged branches, which cannot be trained.
_base_ = './overlock-s_8xb256_in1k.py'

model = dict(backbone=dict(deploy=True))
